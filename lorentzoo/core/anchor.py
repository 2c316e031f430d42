"""In which frame of its own does an event give moderate numbers?

A network that is equivariant on paper loses its symmetry in float32 on boosted, nearly massless
particles. An anchor is a Lorentz matrix A of each event, found and applied in float64, after which
the network runs on moderate numbers. It is an internal change of coordinates: under Λ, A goes to
W A Λ⁻¹ with a W in the residual group, so that the model keeps its symmetry exactly. It lies in the
residual group, so that no spurion is moved by it.
"""

from __future__ import annotations

from typing import Final, Literal

import torch
from torch import Tensor

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.minkowski import boost_to_rest, cap_gamma
from lorentzoo.core.symmetry import Symmetry

__all__ = ["Anchor", "anchor_for", "anchor_matrices"]

Anchor = Literal["rest", "beam-rest", "none"]

MAX_GAMMA: Final = 1e6
"""Largest boost of an anchor: events whose total is light-like have no rest frame."""


def anchor_for(symmetry: Symmetry) -> Anchor:
    """The anchor that lies in the residual group.

    The event rest frame for the full group, the beam-boost to zero rapidity for
    SO⁺(1,1)_beam × SO(2)_beam (and SO⁺(1,1)_beam), the laboratory frame for everything else.
    """
    if symmetry.is_full:
        return "rest"
    if symmetry.dimension <= 2 and symmetry.contains([0, 0, 1, 0, 0, 0]):
        return "beam-rest"
    return "none"


def anchor_matrices(cloud: ParticleCloud, anchor: Anchor) -> Tensor | None:
    """One Lorentz matrix an event, shape (B, 4, 4), float64; None for ``"none"``."""
    if anchor == "none":
        return None
    total = cloud.total()
    one = torch.ones_like(total[..., 0])
    empty = total[..., 0] <= 0
    if anchor == "beam-rest":
        zero = torch.zeros_like(one)
        longitudinal = torch.stack([total[..., 0], zero, zero, total[..., 3]], dim=-1)
        total = longitudinal
    at_rest = torch.stack([one, *[torch.zeros_like(one)] * 3], dim=-1)
    total = torch.where(empty.unsqueeze(-1), at_rest, total)
    return boost_to_rest(cap_gamma(total, MAX_GAMMA))

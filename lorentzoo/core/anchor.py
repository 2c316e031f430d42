"""In which frame of its own does an event give moderate numbers?

A network that is equivariant on paper loses its symmetry in float32 on boosted, nearly massless
particles. An anchor is a Lorentz matrix A of each event, found and applied in float64, after which
the network runs on moderate numbers. It is an internal change of coordinates: under Λ, A goes to
W A Λ⁻¹ with a W in the residual group, so that the model keeps its symmetry exactly. It lies in the
residual group, so that no spurion is moved by it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

import torch
from torch import Tensor

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.frames import Frames
from lorentzoo.core.minkowski import boost_to_rest, cap_gamma, generators, inverse
from lorentzoo.core.symmetry import Symmetry

__all__ = ["Anchor", "anchor_for", "anchor_frames", "anchor_matrices"]

Anchor = Literal["rest", "beam-rest", "transverse-rest", "light-cone", "none"]

MAX_GAMMA: Final = 1e6
"""Largest boost of an anchor: events whose total is light-like have no rest frame."""

_LITTLE_GROUP: Final = Symmetry.stabiliser([[1.0, 0.0, 0.0, 1.0]])
_TRANSVERSE: Final = Symmetry.stabiliser([[0.0, 0.0, 0.0, 1.0]])


def anchor_for(symmetry: Symmetry) -> Anchor:
    """The anchor that lies in the residual group.

    - ``"rest"``, the event's rest frame, for the full group;
    - ``"beam-rest"``, the beam-boost to zero rapidity, for SO⁺(1,1)_beam × SO(2)_beam and SO⁺(1,1)_beam;
    - ``"transverse-rest"``, the transverse boost to zero transverse momentum, for SO⁺(1,2) about the beam;
    - ``"light-cone"``, the null rotation to zero transverse momentum, for the ISO(2) of (1, 0, 0, 1);
    - ``"none"``, the laboratory frame, for compact groups (which need none) and everything else.
    """
    if symmetry.is_full:
        return "rest"
    if symmetry.dimension <= 2 and symmetry.contains([0, 0, 1, 0, 0, 0]):
        return "beam-rest"
    if symmetry == _TRANSVERSE:
        return "transverse-rest"
    if symmetry == _LITTLE_GROUP:
        return "light-cone"
    return "none"


def anchor_matrices(cloud: ParticleCloud, anchor: Anchor) -> Tensor | None:
    """One Lorentz matrix an event, shape (B, 4, 4), float64; None for ``"none"``."""
    if anchor == "none":
        return None
    total = cloud.total()
    e, x, y, z = total.unbind(-1)
    zero, one = torch.zeros_like(e), torch.ones_like(e)
    if anchor == "light-cone":
        return _null_rotation(e, x, y, z)
    if anchor == "beam-rest":
        total = torch.stack([e, zero, zero, z], dim=-1)
    elif anchor == "transverse-rest":
        total = torch.stack([e, x, y, zero], dim=-1)
    at_rest = torch.stack([one, zero, zero, zero], dim=-1)
    total = torch.where((e > 0).unsqueeze(-1), total, at_rest)
    return boost_to_rest(cap_gamma(total, MAX_GAMMA))


def anchor_frames(
    frames: Frames, cloud: ParticleCloud, anchor: Anchor, *, with_totals: bool = False
) -> Frames:
    """The frames relative to one of the event, in which they are moderate.

    Messages see only L_i L_j⁻¹, from which any matrix of the whole event cancels. Between particles of a boosted event
    the products of large numbers would cost γ² digits in float32; there they do not.

    Parameters
    ----------
    frames
        Relative to the coordinates of the cloud.
    cloud
        The events.
    anchor
        The frame of the event.
    with_totals
        Whether the frames are to bring the events' total momenta.
    """
    matrices = anchor_matrices(cloud, anchor)
    if matrices is not None:
        frames = frames.compose(Frames.of_events(frames.layout, inverse(matrices)))
    if not with_totals:
        return frames
    totals = cloud.total()
    return replace(
        frames, totals=totals if matrices is None else (matrices @ totals.unsqueeze(-1)).squeeze(-1)
    )


def _null_rotation(e: Tensor, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """exp(a (Kx - Jy) + b (Ky + Jx)) that takes the transverse momentum to zero, leaving (1, 0, 0, 1) alone."""
    basis = generators(dtype=e.dtype, device=e.device)
    along_x, along_y = basis[0] - basis[4], basis[1] + basis[3]
    minus = (e - z).clamp(min=torch.finfo(e.dtype).tiny).maximum(e.abs() / MAX_GAMMA)
    minus = torch.where(e > 0, minus, torch.ones_like(e))
    nilpotent = (-x / minus)[:, None, None] * along_x + (-y / minus)[:, None, None] * along_y
    identity = torch.eye(4, dtype=e.dtype, device=e.device)
    # The third power vanishes.
    return identity + nilpotent + nilpotent @ nilpotent / 2

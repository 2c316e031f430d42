"""Which scalar features do taggers see?

Constants and order are those of the published taggers (arXiv:2202.03772, arXiv:2508.14898). All
features are computed from the particle's and the event's momentum in the particle's own frame; in
identity frames they are the usual ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, get_args

import torch
from torch import Tensor

from lorentzoo import Embedding, Features, Frames, ParticleCloud, Symmetry
from lorentzoo.nn import delta_phi, has_azimuth, intersection, mass, phi, pseudorapidity, pt, rapidity

__all__ = ["Feature", "Kinematics"]

Feature = Literal["log_pt", "log_e", "log_pt_rel", "log_e_rel", "dphi", "deta", "delta_r"]

_STANDARD: Final[dict[str, tuple[float, float]]] = {
    "log_pt": (1.7, 0.7),
    "log_e": (2.0, 0.7),
    "log_pt_rel": (-4.7, 0.7),
    "log_e_rel": (-4.7, 0.7),
    "dphi": (0.0, 1.0),
    "deta": (0.0, 1.0),
    "delta_r": (0.2, 4.0),
}
"""(subtract, multiply) of each feature, for momenta in GeV."""

_FLOOR: Final = 1e-15
"""Smallest argument of a logarithm: below any momentum, it keeps particles on the beam axis finite."""


class Kinematics(Embedding):
    """Standardised tagging features of each particle relative to the event's total (the jet).

    Parameters
    ----------
    features
        Which ones and in which order: ``log_pt``, ``log_e``, ``log_pt_rel`` (log pT/pT_jet), ``log_e_rel``,
        ``dphi``, ``deta`` (η_jet - η), ``delta_r``. Where the event's total is at rest in the frame (one frame an event
        in `lloca-rest`), it has no direction: Δφ is then zero, η_jet zero, and pT is relative to its mass.
    rapidity
        Take rapidity in ``deta`` and ``delta_r``. The published features take pseudorapidity, whose
        differences are invariant under beam boosts only for massless particles.
    standardise
        Subtract and multiply the published constants.
    """

    def __init__(
        self,
        features: Sequence[Feature] = get_args(Feature),
        rapidity: bool = False,
        standardise: bool = True,
    ) -> None:
        super().__init__()
        if not features or len(set(features)) != len(features):
            raise ValueError(f"features must be different names, at least one, not {list(features)}")
        self.features: tuple[str, ...] = tuple(features)
        self.rapidity = rapidity
        self.standardise = standardise

    @property
    def scalar_names(self) -> tuple[str, ...]:
        return self.features

    @property
    def vector_names(self) -> tuple[str, ...]:
        return ()

    @property
    def scalar_symmetry(self) -> Symmetry:
        """pT, Δφ and Δy keep Kz and Jz; Δη keeps Jz alone; E keeps the rotations."""
        beam = Symmetry.spanned_by("Kz", "Jz")
        longitudinal = beam if self.rapidity else Symmetry.spanned_by("Jz")
        kept = {
            "log_pt": Symmetry.spanned_by("Kz", "Jz", discrete=("P", "z-flip")),
            "log_pt_rel": Symmetry.spanned_by("Kz", "Jz", discrete=("P", "z-flip")),
            "log_e": Symmetry.spanned_by("Jx", "Jy", "Jz", discrete=("P", "z-flip")),
            "log_e_rel": Symmetry.spanned_by("Jx", "Jy", "Jz", discrete=("P", "z-flip")),
            "dphi": Symmetry.spanned_by("Kz", "Jz", discrete=("P", "z-flip")),
            "deta": longitudinal,
            "delta_r": Symmetry(longitudinal.generators, frozenset({"P", "z-flip"})),
        }
        return intersection([kept[name] for name in self.features])

    def forward(self, cloud: ParticleCloud, frames: Frames) -> Features:
        """Scalar channels, shape (*lead, features)."""
        total = cloud.layout.spread(cloud.total())
        local = frames.take_vectors(torch.stack([cloud.momenta, total], dim=-2))
        return Features.of_scalars(self._values(local[..., 0, :], local[..., 1, :]), self.features)

    def _values(self, p: Tensor, jet: Tensor) -> Tensor:
        wanted = set(self.features)
        values: dict[str, Tensor] = {}
        if wanted & {"log_pt", "log_pt_rel"}:
            values["log_pt"] = _log(pt(p))
            values["log_pt_rel"] = values["log_pt"] - _log(torch.where(has_azimuth(jet), pt(jet), mass(jet)))
        if wanted & {"log_e", "log_e_rel"}:
            values["log_e"] = _log(p[..., 0])
            values["log_e_rel"] = values["log_e"] - _log(jet[..., 0])
        if wanted & {"dphi", "delta_r"}:
            both = has_azimuth(p) & has_azimuth(jet)
            values["dphi"] = torch.where(both, delta_phi(phi(p), phi(jet)), torch.zeros_like(p[..., 0]))
        if wanted & {"deta", "delta_r"}:
            along = rapidity if self.rapidity else pseudorapidity
            values["deta"] = along(jet) - along(p)
        if "delta_r" in wanted:
            squared = values["dphi"].square() + values["deta"].square()
            positive = squared > 0
            values["delta_r"] = torch.where(positive, torch.where(positive, squared, 1.0).sqrt(), 0.0)
        columns = []
        for name in self.features:
            subtract, multiply = _STANDARD[name] if self.standardise else (0.0, 1.0)
            columns.append((values[name] - subtract) * multiply)
        return torch.stack(columns, dim=-1)


def _log(x: Tensor) -> Tensor:
    return torch.log(x.clamp(min=_FLOOR))

"""Which inputs, in which order, do the taggers of weaver see?"""

from __future__ import annotations

from typing import Final

import torch

from lorentzoo import Embedding, Features, Frames, ParticleCloud, Symmetry
from lorentzoo.nn import make_part

__all__ = ["WeaverInputs"]

_BEFORE: Final = ("log_pt", "log_e", "log_pt_rel", "log_e_rel", "delta_r")
_AFTER: Final = ("deta", "dphi")


class WeaverInputs(Embedding):
    """Kinematic features around the clouds' own scalars, as the published JetClass taggers have them.

    The order is log pT, log E, log pT/pT_jet, log E/E_jet, ΔR, the auxiliary scalars, Δη, Δφ. The first five are
    standardised and clipped (arXiv:2202.03772). Without scalars these are the seven inputs of weaver's ``kin``
    configuration, with charge and five particle flags the thirteen of ``kinpid``, with tanh d0, σ(d0), tanh dz and
    σ(dz) besides the seventeen of ``full``. Weaver turns Δη by the sign of the jet's η; here it is η_jet - η.

    Parameters
    ----------
    clip
        Largest absolute value of the five standardised features.
    in_scalars
        Number of auxiliary scalars, filled by the composition.
    """

    def __init__(self, clip: float = 5.0, *, in_scalars: int = 0) -> None:
        super().__init__()
        if not clip > 0:
            raise ValueError(f"clip must be positive, not {clip}")
        self.clip = clip
        self.in_scalars = in_scalars
        self.kinematics = make_part(
            "embedding", {"name": "kinematics", "features": [*_BEFORE, *_AFTER]}, Embedding
        )

    @property
    def scalar_names(self) -> tuple[str, ...]:
        return (*_BEFORE, *(f"scalar_{s}" for s in range(self.in_scalars)), *_AFTER)

    @property
    def vector_names(self) -> tuple[str, ...]:
        return ()

    @property
    def scalar_symmetry(self) -> Symmetry:
        """That of the kinematic features."""
        return self.kinematics.scalar_symmetry

    @property
    def places_scalars(self) -> bool:
        return self.in_scalars > 0

    def forward(self, cloud: ParticleCloud, frames: Frames) -> Features:
        """Scalar channels, shape (*lead, 7 + in_scalars)."""
        kinematics = self.kinematics(cloud, frames).scalars
        before, after = kinematics.split([len(_BEFORE), len(_AFTER)], dim=-1)
        own = cloud.scalars[..., : self.in_scalars].to(kinematics.dtype)
        return Features.of_scalars(
            torch.cat([before.clamp(-self.clip, self.clip), own, after], dim=-1), self.scalar_names
        )

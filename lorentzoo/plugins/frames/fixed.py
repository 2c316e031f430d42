"""Which frames do not depend on the event?"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from lorentzoo import Frames, FramesNet, ParticleCloud, Symmetry
from lorentzoo.nn import draw_for_events, lorentz_exp, random_lorentz, random_rotation

__all__ = ["Identity", "RandomBeam", "RandomLorentz", "RandomRotation"]


class _Fixed(FramesNet):
    learned = False

    def group(self, spurions: Symmetry) -> Symmetry:
        """Nothing: a fixed frame does not move with the event."""
        return Symmetry.trivial()

    @property
    def matrices_in(self) -> Symmetry:
        """The frames of evaluation are the identity."""
        return Symmetry.trivial()


class Identity(_Fixed):
    """The laboratory frame for every particle."""

    def forward(self, cloud: ParticleCloud) -> Frames:
        """Identity frames; no matrices are made."""
        return Frames.identity(cloud.layout)


class _Augmentation(_Fixed):
    """One random frame an event, fresh in every training step; the identity in evaluation."""

    def forward(self, cloud: ParticleCloud) -> Frames:
        """Global random frames while training, identity frames in evaluation."""
        if not self.training:
            return Frames.identity(cloud.layout)
        drawn = draw_for_events(cloud.layout, self._draw, per_event=True)
        return Frames.of_events(cloud.layout, drawn.to(cloud.device))

    @abstractmethod
    def _draw(self, num_events: int, rng: torch.Generator | None) -> Tensor:
        """Lorentz matrices, shape (B, 4, 4), float64."""


class RandomLorentz(_Augmentation):
    """Rotation · boost · rotation, rapidity uniform in [0, max_rapidity].

    Parameters
    ----------
    max_rapidity
        Largest rapidity of the boost.
    """

    def __init__(self, max_rapidity: float = 1.0) -> None:
        super().__init__()
        self.max_rapidity = max_rapidity

    def _draw(self, num_events: int, rng: torch.Generator | None) -> Tensor:
        return random_lorentz(num_events, max_rapidity=self.max_rapidity, rng=rng)


class RandomRotation(_Augmentation):
    """Rotations uniform in SO(3)."""

    def _draw(self, num_events: int, rng: torch.Generator | None) -> Tensor:
        return random_rotation(num_events, rng=rng)


class RandomBeam(_Augmentation):
    """Rotations about the beam, uniform, and boosts along it, rapidity uniform in ±max_rapidity.

    Parameters
    ----------
    max_rapidity
        Largest rapidity of the boost; 0 for rotations alone.
    """

    def __init__(self, max_rapidity: float = 1.0) -> None:
        super().__init__()
        self.max_rapidity = max_rapidity

    def _draw(self, num_events: int, rng: torch.Generator | None) -> Tensor:
        coefficients = torch.zeros(num_events, 6, dtype=torch.float64)
        boost = torch.rand(num_events, generator=rng, dtype=torch.float64)
        coefficients[:, 2] = self.max_rapidity * (2 * boost - 1)
        coefficients[:, 5] = 2 * torch.pi * torch.rand(num_events, generator=rng, dtype=torch.float64)
        return lorentz_exp(coefficients)

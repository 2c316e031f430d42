"""Which numbers does a network give each patch?"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from lorentzoo import Features, Head, ParticleCloud
from lorentzoo.nn import mean_loss

__all__ = ["ParticleScalars"]


class ParticleScalars(Head):
    """Several numbers of each particle.

    Parameters
    ----------
    num_scalars
        How many.
    """

    task: ClassVar[str] = "generation"
    pooling = None

    def __init__(self, num_scalars: int = 1, *, in_scalars: int | None = None) -> None:
        super().__init__()
        if num_scalars < 1:
            raise ValueError(f"num_scalars must be at least 1, not {num_scalars}")
        self.num_scalars = self.out_scalars = num_scalars
        self.layer = nn.Identity() if in_scalars is None else nn.Linear(in_scalars, num_scalars)

    def forward(self, features: Features, cloud: ParticleCloud) -> Tensor:
        """Shape (*lead, num_scalars)."""
        out: Tensor = self.layer(features.scalars)
        return out[..., : self.num_scalars]

    def loss(self, output: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Mean squared difference."""
        return mean_loss((output - target.to(output)).square().flatten(1).mean(-1), weight)

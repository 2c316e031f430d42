"""Which velocity does a network give each particle?"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from lorentzoo import Features, Head, ParticleCloud, Reps
from lorentzoo.nn import mean_loss

__all__ = ["Velocity"]


class Velocity(Head):
    """One four-vector and a few scalars of each particle.

    Parameters
    ----------
    num_scalars
        Scalars of each particle: velocities of coordinates for which no vector will do.
    """

    task: ClassVar[str] = "generation"
    out_vectors = 1
    pooling = None

    def __init__(self, num_scalars: int = 0, *, in_scalars: int | None = None) -> None:
        super().__init__()
        if num_scalars < 0:
            raise ValueError(f"num_scalars must not be negative, but is {num_scalars}")
        self.num_scalars = self.out_scalars = num_scalars
        self.layer = nn.Linear(in_scalars, num_scalars) if in_scalars is not None and num_scalars else None
        self.reps = Reps.parse(f"1x1n+{num_scalars}x0n")

    def forward(self, features: Features, cloud: ParticleCloud) -> Tensor:
        """The vector, then the scalars, (*lead, 4 + num_scalars)."""
        scalars = features.scalars if self.layer is None else self.layer(features.scalars)
        scalars = scalars[..., : self.num_scalars]
        vector = features.vectors[..., 0, :].to(scalars.dtype)
        return torch.cat([vector, scalars], dim=-1)

    def loss(self, output: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Mean squared difference from velocities of the same shape; generators take it in coordinates instead."""
        return mean_loss((output - target.to(output)).square().flatten(1).mean(-1), weight)

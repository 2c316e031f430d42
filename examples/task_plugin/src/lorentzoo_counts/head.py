"""The expected count of an event."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorentzoo import Features, Head, ParticleCloud

__all__ = ["Poisson"]


class Poisson(Head):
    """ln λ of each event, with the loss λ - k ln λ of a count k (Poisson's likelihood without its constant)."""

    task = "counting"
    out_scalars = 1

    def __init__(self, *, in_scalars: int | None = None) -> None:
        super().__init__()
        self.layer = nn.Identity() if in_scalars is None else nn.Linear(in_scalars, 1)

    def forward(self, features: Features, cloud: ParticleCloud) -> Tensor:
        """ln λ, shape (B, 1)."""
        scalars = features.scalars
        if self.pooling is not None:
            scalars = cloud.layout.pool(scalars, "mean")
        return self.layer(scalars)

    def loss(self, output: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Mean of λ - k ln λ, weighted by event."""
        each = F.poisson_nll_loss(output.squeeze(-1), target.to(output), reduction="none")
        weight = torch.ones_like(each) if weight is None else weight.to(each)
        return (weight * each).sum() / weight.sum()

    def predict(self, output: Tensor) -> Tensor:
        """λ, shape (B,)."""
        return output.squeeze(-1).exp()

"""What is a mean over weighted events?"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["weighted_mean"]


def weighted_mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """Mean over events, weighted where weights are given; zero where all weights are. Shape (B,) -> ()."""
    if weight is None:
        return values.mean()
    weight = weight.to(values)
    total = weight.sum()
    # Not by a tiny number: scaled losses would have infinite gradients, and times weights of zero no number at all.
    return (values * weight).sum() / torch.where(total == 0, torch.ones_like(total), total)

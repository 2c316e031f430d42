"""What are mean and spread over weighted events?"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["mean_and_deviation", "weighted_mean"]


def weighted_mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """Mean over events, weighted where weights are given; zero where all weights are. Shape (B,) -> ()."""
    if weight is None:
        return values.mean()
    weight = weight.to(values)
    total = weight.sum()
    # Not by a tiny number: scaled losses would have infinite gradients, and times weights of zero no number at all.
    return (values * weight).sum() / torch.where(total == 0, torch.ones_like(total), total)


def mean_and_deviation(values: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """What to subtract and divide by to standardise columns, (B, D) to (D,) each.

    Parameters
    ----------
    values
        Shape (B, D).
    weight
        Of events, (B,); all alike if left out.

    Returns
    -------
    mean, deviation
        The deviation is 1 where all values that have weight are the same.
    """
    share = torch.ones_like(values[:, 0]) if weight is None else weight.to(values)
    share = (share / share.sum()).unsqueeze(-1)
    mean = (share * values).sum(0)
    deviation = (share * (values - mean).square()).sum(0).sqrt()
    counted = values[share.squeeze(-1) > 0]
    constant = (counted == counted[:1]).all(0)
    return mean, torch.where(constant, torch.ones_like(deviation), deviation)

"""What are the targets of events, and their mean and spread?"""

from __future__ import annotations

import torch
from torch import Tensor

from lorentzoo.core.errors import TrainingError
from lorentzoo.core.shares import active_share

__all__ = ["mean_and_deviation", "target_columns", "mean_loss"]


def mean_loss(values: Tensor, weight: Tensor | None) -> Tensor:
    """Σ w x / Σ |w| over events, their mean without weights; zero where all weights are, or without events. (B,) -> ().

    With weights of one sign this is the weighted mean. With both, as in calculations at next-to-leading order, it keeps
    the size of a mean in batches whose weights nearly cancel, and its gradients are in proportion to Σ w x.
    """
    if weight is None:
        return values.mean() if values.numel() else values.sum()
    weight = weight.to(values)
    total = weight.abs().sum()
    share = active_share()
    if share is not None:
        total = share.divisor(total)
    # Not by a tiny number: scaled losses would have infinite gradients, and times weights of zero no number at all.
    return (values * weight).sum() / torch.where(total == 0, torch.ones_like(total), total)


def mean_and_deviation(values: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """What to subtract and divide by to standardise columns, (B, D) to (D,) each.

    Parameters
    ----------
    values
        Shape (B, D).
    weight
        Of events, (B,); all alike if left out. Their absolute values count, since a spread is positive.

    Returns
    -------
    mean, deviation
        The deviation is 1 where all values that have weight are the same.
    """
    share = torch.ones_like(values[:, 0]) if weight is None else weight.to(values).abs()
    share = (share / share.sum()).unsqueeze(-1)
    mean = (share * values).sum(0)
    deviation = (share * (values - mean).square()).sum(0).sqrt()
    counted = values[share.squeeze(-1) > 0]
    constant = (counted == counted[:1]).all(0)
    return mean, torch.where(constant, torch.ones_like(deviation), deviation)


def target_columns(target: Tensor, count: int) -> Tensor:
    """Targets (B,) or (B, ...) as columns (B, D) with D = `count`.

    Raises
    ------
    TrainingError
        If they have another number of values an event.
    """
    given = target[0].numel() if len(target) else count
    if given != count:
        raise TrainingError(
            f"the head is for {count} targets an event (num_targets), but the data has {given} (shape "
            f"{tuple(target.shape[1:])}); set num_targets of the head"
        )
    return target.reshape(len(target), count)

"""What do observables have to be shifted and divided by?"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["mean_and_deviation"]


def mean_and_deviation(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over events, (B, D) to (D,) each; 1 where all values are the same."""
    deviation = values.std(0, correction=0)
    return values.mean(0), torch.where(deviation > 0, deviation, torch.ones_like(deviation))

"""Which places of a dense block of events count?"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["allowed_pairs", "attention_mask", "masked_softmax"]


def allowed_pairs(mask: Tensor | None, x: Tensor, self_pairs: bool) -> Tensor:
    """Which pairs (i, j) exist, broadcastable to (b, n, n)."""
    n = x.shape[1]
    if self_pairs:
        allowed = torch.ones((1, n, n), dtype=torch.bool, device=x.device)
    else:
        allowed = ~torch.eye(n, dtype=torch.bool, device=x.device).unsqueeze(0)
    if mask is None:
        return allowed.expand(x.shape[0], n, n)
    return allowed & mask.unsqueeze(1)


def masked_softmax(logits: Tensor, allowed: Tensor, dim: int) -> Tensor:
    """Softmax over the allowed entries; all zero where none is allowed."""
    lowest = torch.finfo(logits.dtype).min / 2
    weights = torch.softmax(torch.where(allowed, logits, lowest), dim=dim)
    return torch.where(allowed, weights, torch.zeros_like(weights))


def attention_mask(mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Additive float mask (b, 1, 1, n): boolean masks miss the fused kernels on CPU."""
    if mask is None:
        return None
    # Half of the lowest number: a negative bias added to it must not overflow to -inf,
    # since a row of -inf (an event that is all padding) would give NaN.
    lowest = torch.finfo(dtype).min / 2
    zero = torch.zeros((), dtype=dtype, device=mask.device)
    return torch.where(mask, zero, torch.full((), lowest, dtype=dtype, device=mask.device))[:, None, None, :]

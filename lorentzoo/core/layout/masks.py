"""Which places of a dense block of events count, in sums and in attention?"""

from __future__ import annotations

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from lorentzoo.core.modes import in_transform

__all__ = ["allowed_pairs", "attend_block", "attention_mask", "masked_softmax"]


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


def attend_block(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, keys_mask: Tensor | None, scale: float | None
) -> Tensor:
    """Scaled-dot-product attention inside each event of a dense block.

    Parameters
    ----------
    q, k, v
        Heads, (b, n, H, D), (b, n', H, D) and (b, n', H, Dv).
    bias
        What is added to the logits, broadcastable to (b, H, n, n'), or None.
    keys_mask
        Which keys exist, (b, n'), where an event may have queries and no keys; None where it cannot.
    scale
        Factor of the inner product, 1/√D by default.

    Returns
    -------
    Shape (b, n, H, Dv), zero where there are no keys.
    """
    if k.shape[1] == 0 and not torch.compiler.is_compiling():
        return q.new_zeros(*q.shape[:-1], v.shape[-1]) + 0.0 * q.sum()
    # Fused kernels have no forward derivative.
    plain = sdpa_kernel(SDPBackend.MATH) if in_transform() else nullcontext()
    with plain:
        out = F.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=bias, scale=scale
        ).transpose(1, 2)
    if keys_mask is not None:
        out = torch.where(keys_mask.any(1)[:, None, None, None], out, torch.zeros_like(out))
    return out

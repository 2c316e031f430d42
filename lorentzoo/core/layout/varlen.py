"""When can attention on a CUDA device run on ragged events without padding?

Torch's variable-length kernel takes half-precision queries of an equal head width; everything else
goes through the blocks of `Layout.attend`.
"""

from __future__ import annotations

from importlib.util import find_spec

import torch
from torch import Tensor

__all__ = ["varlen_attention", "varlen_supported"]


def varlen_supported(q: Tensor, v: Tensor) -> bool:
    """Whether torch's variable-length attention takes these queries and values, (P, H, D)."""
    if not q.is_cuda or q.dtype not in (torch.float16, torch.bfloat16):
        return False
    if q.shape[-1] != v.shape[-1] or q.shape[-1] % 8 or q.shape[-1] > 256:
        return False
    return find_spec("torch.nn.attention.varlen") is not None


def varlen_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    queries: Tensor,
    keys: Tensor,
    longest: tuple[int, int],
    scale: float | None,
) -> Tensor:
    """Attention inside each event without any padding.

    Parameters
    ----------
    q, k, v
        Heads, shape (P, H, D).
    queries, keys
        Where each event begins, (B+1,).
    longest
        Queries and keys of the longest event.
    scale
        Factor of the inner product, 1/√D by default.

    Returns
    -------
    Shape (P, H, D).
    """
    from torch.nn.attention.varlen import varlen_attn

    if scale is not None:
        # The kernel scales by 1/√D; the ratio goes onto the queries.
        q = q * (scale * q.shape[-1] ** 0.5)
    out = varlen_attn(
        q.contiguous(),
        k.contiguous(),
        v.contiguous(),
        queries.to(torch.int32),
        keys.to(torch.int32),
        *longest,
    )
    assert isinstance(out, Tensor)
    return out

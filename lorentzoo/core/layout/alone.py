"""How do events that each fill a block attend, when nothing but speed is asked of the derivative?

The fused kernel does well on the forward pass; its backward pass is slower than matrix products on events of the size of
jets, and automatic differentiation adds views of every event. Weights are computed again, one event at a time, so that
memory stays linear in the number of particles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from lorentzoo.core.modes import in_transform

__all__ = ["LONGEST_EVENT", "attend_alone", "attends_alone"]

LONGEST_EVENT = 512
"""Particles of an event whose weights, recomputed, are small beside the batch."""


def attends_alone(q: Tensor, k: Tensor, v: Tensor) -> bool:
    """Whether plain first derivatives on a CPU are all that can be wanted of these tensors.

    Under ``torch.nn.attention.sdpa_kernel(SDPBackend.MATH)``, which higher and forward derivatives need, under autocast
    and in tracing, the answer is no.
    """
    return (
        q.device.type == "cpu"
        and q.dtype == k.dtype == v.dtype
        and q.dtype in (torch.float32, torch.float64)
        and torch.backends.cuda.flash_sdp_enabled()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not in_transform()
    )


def attend_alone(
    q: Tensor, k: Tensor, v: Tensor, queries: Sequence[int], keys: Sequence[int], scale: float | None
) -> Tensor:
    """Scaled-dot-product attention inside each event, one after the other.

    Parameters
    ----------
    q, k, v
        Packed heads, (P, H, D), (P', H, D) and (P', H, Dv).
    queries, keys
        How many rows each event has, none of them without keys.
    scale
        Factor of the inner product, 1/√D by default.

    Returns
    -------
    Shape (P, H, Dv).
    """
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    return _Alone.apply(q, k, v, tuple(queries), tuple(keys), factor)  # type: ignore[no-any-return]


class _Alone(torch.autograd.Function):
    @staticmethod
    def forward(
        q: Tensor, k: Tensor, v: Tensor, queries: Sequence[int], keys: Sequence[int], scale: float
    ) -> Tensor:
        outputs = []
        for event in zip(q.split(queries), k.split(keys), v.split(keys), strict=True):
            qe, ke, ve = (part.unsqueeze(0).transpose(1, 2) for part in event)
            outputs.append(F.scaled_dot_product_attention(qe, ke, ve, scale=scale)[0].transpose(0, 1))
        return torch.cat(outputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *heads, ctx.queries, ctx.keys, ctx.scale = inputs
        ctx.save_for_backward(*heads)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v = ctx.saved_tensors
        sizes = (ctx.queries, ctx.keys, ctx.keys, ctx.queries, ctx.queries, ctx.keys, ctx.keys)
        results = tuple(part.new_empty(part.shape) for part in (q, k, v))
        events = zip(
            *(part.split(size) for part, size in zip((q, k, v, gradient, *results), sizes, strict=True)),
            strict=True,
        )
        none = q.new_empty(1)

        def scaled(left: Tensor, right: Tensor) -> Tensor:
            return torch.baddbmm(none, left, right, beta=0, alpha=ctx.scale)

        for event in events:
            queries, keys, values, given, to_queries, to_keys, to_values = (
                part.transpose(0, 1) for part in event
            )
            weights = torch.softmax(scaled(queries, keys.transpose(1, 2)), dim=-1)
            to_weights = torch.bmm(given, values.transpose(1, 2))
            to_logits = torch.ops.aten._softmax_backward_data(to_weights, weights, -1, weights.dtype)
            # Copied, since batched products write into contiguous memory only: into strides they go head by head.
            to_values.copy_(torch.bmm(weights.transpose(1, 2), given))
            to_queries.copy_(scaled(to_logits, keys))
            to_keys.copy_(scaled(to_logits.transpose(1, 2), queries))
        return *results, None, None, None

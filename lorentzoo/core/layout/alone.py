"""How do events that each fill a block attend, when nothing but speed is asked of the derivative?

Matrix products are faster than the fused kernel on events of the size of jets, and automatic differentiation adds
views of every event. Weights of such events are kept for the backward pass, no more than so many numbers a particle;
those of longer events are computed again, one event at a time, so that memory stays linear in the number of particles.
Results lie in memory as the values do, rows or columns first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lorentzoo.core.modes import asks_first_derivatives

__all__ = ["LONGEST_EVENT", "attend_alone", "attends_alone"]

LONGEST_EVENT = 512
"""Particles of an event whose weights, recomputed, are small beside the batch."""

LONGEST_IN_PRODUCTS = 128
"""Particles of an event up to which matrix products are faster than the fused kernel, and weights are kept."""


def attends_alone(q: Tensor, k: Tensor, v: Tensor) -> bool:
    """Whether nothing but speed is asked (see `asks_first_derivatives`), and no head serves several."""
    alike = q.dtype == k.dtype == v.dtype and q.shape[-2] == k.shape[-2] == v.shape[-2]
    return alike and asks_first_derivatives(q)


def attend_alone(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    queries: Sequence[int],
    keys: Sequence[int],
    scale: float | None,
    biases: Sequence[Tensor] = (),
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
    biases
        Added to the logits of each event, (1, H, n, n'); or none of them.

    Returns
    -------
    Shape (P, H, Dv).
    """
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    keep = torch.is_grad_enabled()
    return _Alone.apply(q, k, v, tuple(queries), tuple(keys), factor, keep, *biases)  # type: ignore[no-any-return]


class _Alone(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        queries: Sequence[int],
        keys: Sequence[int],
        scale: float,
        keep: bool,
        *biases: Tensor,
    ) -> Tensor:
        result, kept = _empty_like(v, q.shape[0]), []
        events = _events((q, k, v, result), (queries, keys, keys, queries))
        for (qe, ke, ve, out), bias in zip(events, _or_none(biases, queries), strict=True):
            if _is_short(qe, ke):
                weights = _weights(qe, ke, scale, bias)
                out.copy_(torch.bmm(weights, ve))
                if keep:
                    kept.append(weights)
            else:
                one, two, three = (part.unsqueeze(0).contiguous() for part in (qe, ke, ve))
                out.copy_(F.scaled_dot_product_attention(one, two, three, attn_mask=bias, scale=scale)[0])
        ctx.queries, ctx.keys, ctx.scale, ctx.biased = queries, keys, scale, len(biases)
        ctx.save_for_backward(q, k, v, *biases, *kept)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, *rest = ctx.saved_tensors
        biases, kept = rest[: ctx.biased], iter(rest[ctx.biased :])
        if torch.is_grad_enabled():
            # Second derivatives are wanted: the same gradients by operations that have their own.
            inputs = (q, k, v, *biases)
            wanted = [part for part in inputs if part.requires_grad]
            out = _plain(q, k, v, ctx.queries, ctx.keys, ctx.scale, biases)
            found = iter(torch.autograd.grad(out, wanted, gradient, create_graph=True))
            to_all = [next(found) if part.requires_grad else None for part in inputs]
            return *to_all[:3], None, None, None, None, *to_all[3:]
        results = tuple(_empty_like(part, part.shape[0]) for part in (q, k, v))
        sizes = (ctx.queries, ctx.keys, ctx.keys, ctx.queries, ctx.queries, ctx.keys, ctx.keys)
        to_biases: list[Tensor] = []
        events = _events((q, k, v, gradient, *results), sizes)
        for event, bias in zip(events, _or_none(biases, ctx.queries), strict=True):
            queries, keys, values, given, to_queries, to_keys, to_values = event
            weights = next(kept) if _is_short(queries, keys) else _weights(queries, keys, ctx.scale, bias)
            to_weights = torch.bmm(given, values.mT)
            to_logits = torch.ops.aten._softmax_backward_data(to_weights, weights, -1, weights.dtype)
            # Copied, since batched products write into contiguous memory only: into strides they go head by head.
            to_values.copy_(torch.bmm(weights.mT, given))
            to_queries.copy_(_scaled(to_logits, keys, ctx.scale))
            to_keys.copy_(_scaled(to_logits.mT, queries, ctx.scale))
            if bias is not None:
                to_biases.append(to_logits.unsqueeze(0))
        return *results, None, None, None, None, *to_biases


def _plain(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    queries: Sequence[int],
    keys: Sequence[int],
    scale: float,
    biases: Sequence[Tensor],
) -> Tensor:
    """The same by operations that have derivatives of every order."""
    events = zip(_events((q, k, v), (queries, keys, keys)), _or_none(biases, queries), strict=True)
    return torch.cat([(_weights(qe, ke, scale, bias) @ ve).transpose(0, 1) for (qe, ke, ve), bias in events])


def _or_none(biases: Sequence[Tensor], events: Sequence[int]) -> Sequence[Tensor | None]:
    """One for each event."""
    return biases or (None,) * len(events)


def _is_short(queries: Tensor, keys: Tensor) -> bool:
    """Whether the weights of an event (H, n, n') stay in the cache, and are small beside what is kept for it anyway."""
    return max(queries.shape[1], keys.shape[1]) <= LONGEST_IN_PRODUCTS


def _events(tensors: Sequence[Tensor], sizes: Sequence[Sequence[int]]) -> Iterator[tuple[Tensor, ...]]:
    """The rows (H, n, D) of each event from tensors (P, H, D) with events of the given sizes."""
    return zip(
        *(part.transpose(0, 1).split(size, dim=1) for part, size in zip(tensors, sizes, strict=True)),
        strict=True,
    )


def _empty_like(x: Tensor, rows: int) -> Tensor:
    """Shape (rows, H, D), in the order of the memory of x (P, H, D)."""
    if x.stride(-1) == 1:
        return x.new_empty(rows, *x.shape[1:])
    return x.new_empty(*x.shape[1:], rows).movedim(-1, 0)


def _weights(queries: Tensor, keys: Tensor, scale: float, bias: Tensor | None) -> Tensor:
    """Softmax over the keys, (H, n, n')."""
    if bias is None:
        return torch.softmax(_scaled(queries, keys.mT, scale), dim=-1)
    return torch.softmax(torch.baddbmm(bias[0], queries, keys.mT, alpha=scale), dim=-1)


def _scaled(left: Tensor, right: Tensor, scale: float) -> Tensor:
    return torch.baddbmm(left.new_empty(1), left, right, beta=0, alpha=scale)

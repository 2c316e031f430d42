"""How does a feed-forward layer run without writing its wide hidden layer more than once?

The hidden layer has several times as many channels as the stream. Taken for a few hundred rows at a time it stays in the
cache between the two maps, forward and backward; only the sums before the activation are kept.
"""

from __future__ import annotations

from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorentzoo.core.modes import asks_first_derivatives, has_hooks

__all__ = ["FeedForward"]

_ROWS: Final = 512
"""Rows whose hidden layer, some hundred channels wide, fits into a second cache of one MiB."""


class FeedForward(nn.Sequential):
    """W' GELU(W x + b) + b', shape (..., width) to the same.

    Parameters
    ----------
    width
        Channels in and out.
    ratio
        Hidden channels, relative to these.
    """

    def __init__(self, width: int, ratio: int) -> None:
        super().__init__(nn.Linear(width, ratio * width), nn.GELU(), nn.Linear(ratio * width, width))

    def forward(self, x: Tensor) -> Tensor:
        enter, _, leave = self
        inputs = (enter.weight, enter.bias, leave.weight, leave.bias)
        alike = all(part.dtype == x.dtype for part in inputs)
        if has_hooks(*self) or not alike or not asks_first_derivatives(x):
            return super().forward(x)
        rows: Tensor = _FeedForward.apply(x.reshape(-1, x.shape[-1]), *inputs, torch.is_grad_enabled())
        return rows.reshape(x.shape)


def _plain(x: Tensor, weight: Tensor, bias: Tensor, last: Tensor, last_bias: Tensor) -> Tensor:
    return F.linear(F.gelu(F.linear(x, weight, bias)), last, last_bias)


class _FeedForward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, last: Tensor, last_bias: Tensor, keep: bool
    ) -> Tensor:
        result = x.new_empty(len(x), len(last))
        hidden = x.new_empty(min(_ROWS, len(x)), len(weight))
        sums = x.new_empty(len(x), len(weight)) if keep else hidden
        for start in range(0, len(x), _ROWS):
            rows = x[start : start + _ROWS]
            before = sums[start : start + _ROWS] if keep else hidden[: len(rows)]
            after = hidden[: len(rows)]
            torch.addmm(bias, rows, weight.t(), out=before)
            torch.ops.aten.gelu.out(before, out=after)
            torch.addmm(last_bias, after, last.t(), out=result[start : start + _ROWS])
        ctx.save_for_backward(x, weight, bias, last, last_bias, sums)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, last, last_bias, sums = ctx.saved_tensors
        if torch.is_grad_enabled():
            # Second derivatives are wanted: the same gradients by operations that have their own.
            inputs = (x, weight, bias, last, last_bias)
            wanted = [part for part in inputs if part.requires_grad]
            found = iter(torch.autograd.grad(_plain(*inputs), wanted, gradient, create_graph=True))
            return *(next(found) if part.requires_grad else None for part in inputs), None
        needs_x, needs_weight, needs_bias, needs_last, needs_last_bias, _ = ctx.needs_input_grad
        to_x, to_weight, to_last = torch.empty_like(x), torch.zeros_like(weight), torch.zeros_like(last)
        to_bias = torch.zeros_like(bias)
        buffers = x.new_empty(2, min(_ROWS, len(x)), len(weight))
        for start in range(0, len(x), _ROWS):
            rows, given, before = (part[start : start + _ROWS] for part in (x, gradient, sums))
            hidden, slope = buffers[:, : len(rows)]
            if needs_last:
                torch.ops.aten.gelu.out(before, out=hidden)
                to_last.addmm_(given.t(), hidden)
            torch.mm(given, last, out=slope)
            torch.ops.aten.gelu_backward.grad_input(slope, before, grad_input=slope)
            if needs_weight:
                to_weight.addmm_(slope.t(), rows)
            if needs_bias:
                to_bias += slope.sum(0)
            if needs_x:
                torch.mm(slope, weight, out=to_x[start : start + _ROWS])
        gradients = (to_x, to_weight, to_bias, to_last, gradient.sum(0) if needs_last_bias else None, None)
        return tuple(g if needed else None for g, needed in zip(gradients, ctx.needs_input_grad, strict=True))

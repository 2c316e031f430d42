"""How do streams lie in memory? Channels lead and tokens are neighbours, whatever the shape says.

Shapes have the channels last. Their memory has them first: then every channel of all tokens is one long run of numbers,
on which arithmetic with a factor for each token, sums over channels, and moves of whole channels between heads are as
fast as memory. A linear map writes this order at no cost, since matrix products read and write transposes alike;
elementwise functions keep it. Tensors in another order are as right, only slower.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lorentzoo.nn import asks_first_derivatives

__all__ = ["join_channels", "map_channels"]

ROWS, COLUMNS = 64, 1024
"""Pieces in which large products are written: what is written at once stays in the cache, and in its table of pages."""


def map_channels(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A linear map of the last dimension, (..., C) to (..., O), with weight (O, C) and bias (O,).

    Traced graphs have the usual linear map.
    """
    if torch.compiler.is_compiling():
        return F.linear(x, weight, bias)
    columns = x.reshape(x.shape[:-1].numel(), x.shape[-1]).T
    if asks_first_derivatives(x):
        out: Tensor = _Multiply.apply(weight, columns, bias)
    else:
        out = weight @ columns if bias is None else torch.addmm(bias.unsqueeze(-1), weight, columns)
    return out.reshape(weight.shape[0], *x.shape[:-1]).movedim(0, -1)


def join_channels(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate along the last dimension."""
    if torch.compiler.is_compiling():
        return torch.cat(list(parts), dim=-1)
    return torch.cat([part.movedim(-1, 0) for part in parts]).movedim(0, -1)


class _Multiply(torch.autograd.Function):
    """``weight @ columns + bias``, (O, C), (C, P) and (O,) to (O, P), in pieces."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, columns: Tensor, bias: Tensor | None) -> Tensor:
        out = columns.new_empty(weight.shape[0], columns.shape[1])
        for rows, part in zip(weight.split(ROWS), out.split(ROWS), strict=True):
            torch.mm(rows, columns, out=part)
        if bias is not None:
            out += bias.unsqueeze(-1)
        ctx.set_materialize_grads(False)
        ctx.biased = bias is not None
        ctx.save_for_backward(weight, columns)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None) -> tuple[Tensor | None, ...]:
        if gradient is None:
            return None, None, None
        weight, columns = ctx.saved_tensors
        to_columns = None
        if ctx.needs_input_grad[1]:
            to_columns = _multiply_adjoint(weight, gradient, columns)
        to_weight = gradient @ columns.T if ctx.needs_input_grad[0] else None
        return to_weight, to_columns, gradient.sum(1) if ctx.biased else None


def _multiply_adjoint(weight: Tensor, gradient: Tensor, like: Tensor) -> Tensor:
    """``weight.T @ gradient`` in the order of the memory of the columns that it belongs to."""
    if like.stride(0) == 1:
        return (gradient.T @ weight).T
    if torch.is_grad_enabled():
        return weight.T @ gradient
    result = torch.empty_like(like)
    for given, part in zip(gradient.split(COLUMNS, dim=1), result.split(COLUMNS, dim=1), strict=True):
        torch.mm(weight.T, given, out=part)
    return result

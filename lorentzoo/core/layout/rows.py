"""How are rows of a packed batch moved and summed, fast in both directions?

Every map here is linear and given with its transpose, so that first and second derivatives and
forward-mode derivatives are again such maps: torch's own index operations fall back to one slow
addition per row in their backward pass on CPU.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

__all__ = ["drop_rows", "gather_rows", "mirror_rows", "segment_sum", "spread_rows"]


def gather_rows(x: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
    """Rows ``x[index]`` of an index in which each row of `x` has one true place, ``inverse``.

    Further occurrences of a row in `index` are padding: gradients that arrive there are dropped.

    Parameters
    ----------
    x
        Shape (P, ...).
    index
        Shape (R,) with values in [0, P).
    inverse
        Shape (P,), the place of each row: ``index[inverse] == arange(P)``.

    Returns
    -------
    Shape (R, ...).
    """
    return _Gather.apply(x, index, inverse)  # type: ignore[no-any-return]


def drop_rows(y: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
    """Undo `gather_rows`: the rows ``y[inverse]``, without the padding. Shape (R, ...) -> (P, ...)."""
    return _Drop.apply(y, index, inverse)  # type: ignore[no-any-return]


def segment_sum(x: Tensor, ptr: Tensor, segment: Tensor) -> Tensor:
    """Sum contiguous segments of rows. Shapes (P, ...), (B+1,), (P,) -> (B, ...)."""
    return _SegmentSum.apply(x, ptr, segment)  # type: ignore[no-any-return]


def spread_rows(x: Tensor, ptr: Tensor, segment: Tensor) -> Tensor:
    """Give each row its segment's value, ``x[segment]``. Shapes (B, ...), (B+1,), (P,) -> (P, ...)."""
    return _Spread.apply(x, ptr, segment)  # type: ignore[no-any-return]


def mirror_rows(values: Tensor, index: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """Rows of unordered pairs spread over both triangles of dense blocks.

    Parameters
    ----------
    values
        One row a pair, shape (E, C).
    index
        The pair at each dense place, shape (R,).
    lower, upper
        The two dense places of each pair (equal on the diagonal), shape (E,). Gradients of other places,
        which are padding, are dropped.

    Returns
    -------
    Shape (R, C).
    """
    return _Mirror.apply(values, index, lower, upper)  # type: ignore[no-any-return]


class _LinearMap(torch.autograd.Function):
    """A linear map of its first input; the two index tensors are constants."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        _, first, second = inputs
        ctx.save_for_backward(first, second)
        ctx.save_for_forward(first, second)


class _Gather(_LinearMap):
    @staticmethod
    def forward(x: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        index, inverse = ctx.saved_tensors
        return _Drop.apply(grad, index, inverse), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        index, inverse = ctx.saved_tensors
        return _Gather.apply(tangent, index, inverse)  # type: ignore[no-any-return]


class _Drop(_LinearMap):
    @staticmethod
    def forward(y: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
        return y.index_select(0, inverse)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        index, inverse = ctx.saved_tensors
        return _Restore.apply(grad, index, inverse), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        index, inverse = ctx.saved_tensors
        return _Drop.apply(tangent, index, inverse)  # type: ignore[no-any-return]


class _Restore(_LinearMap):
    """The transpose of `_Drop`: rows go back to their true places, padding is zero."""

    @staticmethod
    def forward(x: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
        return x.new_zeros(index.shape[0], *x.shape[1:]).index_copy_(0, inverse, x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        index, inverse = ctx.saved_tensors
        return _Drop.apply(grad, index, inverse), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        index, inverse = ctx.saved_tensors
        return _Restore.apply(tangent, index, inverse)  # type: ignore[no-any-return]


class _SegmentSum(_LinearMap):
    @staticmethod
    def forward(x: Tensor, ptr: Tensor, segment: Tensor) -> Tensor:
        # Not reshape(P, -1), whose width is undefined when all events are empty.
        flat = x.reshape(x.shape[0], math.prod(x.shape[1:]))
        if flat.device.type == "cpu":
            total = torch.segment_reduce(flat.contiguous(), "sum", offsets=ptr, axis=0, unsafe=True)
        else:
            total = flat.new_zeros(ptr.shape[0] - 1, flat.shape[1]).index_add_(0, segment, flat)
        return total.reshape(ptr.shape[0] - 1, *x.shape[1:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        ptr, segment = ctx.saved_tensors
        return _Spread.apply(grad, ptr, segment), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        ptr, segment = ctx.saved_tensors
        return _SegmentSum.apply(tangent, ptr, segment)  # type: ignore[no-any-return]


class _Spread(_LinearMap):
    @staticmethod
    def forward(x: Tensor, ptr: Tensor, segment: Tensor) -> Tensor:
        return x.index_select(0, segment)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        ptr, segment = ctx.saved_tensors
        return _SegmentSum.apply(grad, ptr, segment), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        ptr, segment = ctx.saved_tensors
        return _Spread.apply(tangent, ptr, segment)  # type: ignore[no-any-return]


class _Mirror(torch.autograd.Function):
    @staticmethod
    def forward(values: Tensor, index: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
        return values.index_select(0, index)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:])
        ctx.save_for_forward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        _, lower, upper = ctx.saved_tensors
        both = (lower != upper).unsqueeze(-1).to(grad.dtype)
        return grad.index_select(0, lower) + grad.index_select(0, upper) * both, None, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        return _Mirror.apply(tangent, *ctx.saved_tensors)  # type: ignore[no-any-return]

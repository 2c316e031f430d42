"""How are rows of a packed batch moved and summed, fast in both directions?

Every map here is linear and is named with its transpose, so that derivatives of any order, forward and backward, and
batched ones (`torch.func.vmap`) are again such maps: torch's own index operations fall back to one slow addition per row
in their backward pass on CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

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
    return _apply("gather", x, index, inverse)


def drop_rows(y: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
    """Undo `gather_rows`: the rows ``y[inverse]``, without the padding. Shape (R, ...) -> (P, ...)."""
    return _apply("drop", y, index, inverse)


def segment_sum(x: Tensor, ptr: Tensor, segment: Tensor) -> Tensor:
    """Sum contiguous segments of rows. Shapes (P, ...), (B+1,), (P,) -> (B, ...)."""
    return _apply("sum", x, ptr, segment)


def spread_rows(x: Tensor, ptr: Tensor, segment: Tensor) -> Tensor:
    """Give each row its segment's value, ``x[segment]``. Shapes (B, ...), (B+1,), (P,) -> (P, ...)."""
    return _apply("spread", x, ptr, segment)


def mirror_rows(values: Tensor, index: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """Rows of unordered pairs spread over both triangles of dense blocks.

    Parameters
    ----------
    values
        One row a pair, shape (E, ...).
    index
        The pair at each dense place, shape (R,).
    lower, upper
        The two dense places of each pair (equal on the diagonal), shape (E,). Gradients of other places,
        which are padding, are dropped.

    Returns
    -------
    Shape (R, ...).
    """
    return _apply("mirror", values, index, lower, upper)


# ---- what each map does -----------------------------------------------------------------------


def _gather(x: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
    return x.index_select(0, index)


def _drop(y: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
    return y.index_select(0, inverse)


def _restore(x: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
    return x.new_zeros(index.shape[0], *x.shape[1:]).index_copy_(0, inverse, x)


def _sum(x: Tensor, ptr: Tensor, segment: Tensor) -> Tensor:
    # Not reshape(P, -1), whose width is undefined when all events are empty.
    flat = x.reshape(x.shape[0], math.prod(x.shape[1:]))
    if flat.device.type == "cpu":
        total = torch.segment_reduce(flat.contiguous(), "sum", offsets=ptr, axis=0, unsafe=True)
    else:
        total = flat.new_zeros(ptr.shape[0] - 1, flat.shape[1]).index_add_(0, segment, flat)
    return total.reshape(ptr.shape[0] - 1, *x.shape[1:])


def _spread(x: Tensor, ptr: Tensor, segment: Tensor) -> Tensor:
    return x.index_select(0, segment)


def _mirror(values: Tensor, index: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    return values.index_select(0, index)


def _fold(dense: Tensor, index: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    both = (lower != upper).reshape(-1, *(1,) * (dense.ndim - 1)).to(dense.dtype)
    return dense.index_select(0, lower) + dense.index_select(0, upper) * both


def _unfold(values: Tensor, index: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    dense = values.new_zeros(index.shape[0], *values.shape[1:])
    return dense.index_copy_(0, lower, values).index_copy_(0, upper, values)


class _Map(NamedTuple):
    act: Callable[..., Tensor]
    transpose: str


_MAPS: Final = {
    # Padding repeats a row when gathered, but its gradient is dropped: hence `drop`, not the sum over all places.
    "gather": _Map(_gather, "drop"),
    "drop": _Map(_drop, "restore"),
    "restore": _Map(_restore, "drop"),
    "sum": _Map(_sum, "spread"),
    "spread": _Map(_spread, "sum"),
    "mirror": _Map(_mirror, "fold"),
    "fold": _Map(_fold, "unfold"),
    "unfold": _Map(_unfold, "fold"),
}


def _apply(name: str, x: Tensor, *places: Tensor) -> Tensor:
    return _LinearMap.apply(name, x, *places)  # type: ignore[no-any-return]


class _LinearMap(torch.autograd.Function):
    """The map of a name; the tensors that say where rows go are constants."""

    @staticmethod
    def forward(name: str, x: Tensor, *places: Tensor) -> Tensor:
        return _MAPS[name].act(x, *places)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.name, _, *places = inputs
        ctx.save_for_backward(*places)
        ctx.save_for_forward(*places)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        places = ctx.saved_tensors
        return None, _apply(_MAPS[ctx.name].transpose, grad, *places), *(None for _ in places)

    @staticmethod
    def jvp(ctx: Any, _: None, tangent: Tensor, *__: None) -> Tensor:
        return _apply(ctx.name, tangent, *ctx.saved_tensors)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], name: str, x: Tensor, *places: Tensor) -> Any:
        # Rows keep their place whatever stands beside them, so that a batch is one more dimension of each row.
        if in_dims[1] is None or any(dim is not None for dim in in_dims[2:]):
            raise NotImplementedError("events are mapped over by a layout, not by vmap; map over parameters")
        return _apply(name, x.movedim(in_dims[1], 1), *places), 1

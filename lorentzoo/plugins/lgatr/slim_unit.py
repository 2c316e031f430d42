r"""The MLP of L-GATr-slim in tiles of tokens: what lies between its two maps stays in the cache.

A linear map, the gates of :mod:`~lorentzoo.plugins.lgatr.slim_gate` and a second linear map,

    y = B (s act(t)) + b,   (s, t) = A x + a,        y = B (v act(λ ⟨w, u⟩)),   (v, w, u) = A x,

for plain first derivatives on a CPU. The hidden stream is many times as wide as x and y: over all tokens it would go to
memory and back for each step of the arithmetic. Tile by tile it is written once, and read once by the backward pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lorentzoo.plugins.lgatr.gate import Activation, activate_with_slope, activate_without_graph
from lorentzoo.plugins.lgatr.slim_gate import SlimGate, inner_products

__all__ = ["unit_of_scalars", "unit_of_vectors"]

HIDDEN_NUMBERS = 150_000
"""What one product of a tile writes: 0.6 MB in float32."""

ALIGNED = 16
"""Tokens of a tile are a multiple of this: the numbers of a vector register."""


def unit_of_scalars(
    x: Tensor, wide: Tensor, wide_bias: Tensor, narrow: Tensor, narrow_bias: Tensor, activation: Activation
) -> Tensor:
    """Map scalars (..., S) to values and arguments (2H,), gate them, and map them to (..., O).

    Parameters
    ----------
    x
        Shape (..., S).
    wide, wide_bias
        First map, (2H, S) and (2H,).
    narrow, narrow_bias
        Second map, (O, H) and (O,).
    activation
        Of the arguments.
    """
    keep = torch.is_grad_enabled()
    y: Tensor = _Scalars.apply(x, wide, wide_bias, narrow, narrow_bias, activation, keep)
    return y


def unit_of_vectors(x: Tensor, wide: Tensor, narrow: Tensor, gate: SlimGate) -> Tensor:
    """Map vectors (4, ..., C) to values and two factors (3H,), gate them, and map them to (4, ..., O).

    Parameters
    ----------
    x
        Shape (4, ..., C).
    wide, narrow
        The maps, (3H, C) and (O, H).
    gate
        Activation and factor of the inner products.
    """
    y: Tensor = _Vectors.apply(x, wide, narrow, gate, torch.is_grad_enabled())
    return y


class _Scalars(torch.autograd.Function):
    """Saves its input and the hidden stream before the gates."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        wide: Tensor,
        wide_bias: Tensor,
        narrow: Tensor,
        narrow_bias: Tensor,
        activation: Activation,
        keep: bool,
    ) -> Tensor:
        columns, half = _scalar_columns(x), narrow.shape[1]
        y = x.new_empty(narrow.shape[0], columns.shape[-1])
        hidden = x.new_empty(columns.shape[-1] * wide.shape[0] if keep else 0)
        for tile in _tiles(columns.shape[-1], wide.shape[0]):
            both = _part(hidden, tile, wide.shape[0])
            torch.addmm(wide_bias.unsqueeze(-1), wide, columns[:, tile], out=both)
            gated = activate_without_graph(both[half:], activation).mul_(both[:half])
            torch.addmm(narrow_bias.unsqueeze(-1), narrow, gated, out=y[:, tile])
        ctx.activation = activation
        ctx.save_for_backward(x, wide, narrow, hidden)
        return _scalar_stream(y, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, wide, narrow, hidden = ctx.saved_tensors
        columns, given, half = _scalar_columns(x), _scalar_columns(gradient), narrow.shape[1]
        to_x, to_wide, to_narrow = torch.empty_like(columns), torch.zeros_like(wide), torch.zeros_like(narrow)
        to_bias = wide.new_zeros(wide.shape[0])
        for tile in _tiles(columns.shape[-1], wide.shape[0]):
            both = _part(hidden, tile, wide.shape[0])
            values, gates, slopes = both[:half], *activate_with_slope(both[half:], ctx.activation)
            to_gated, to_both = narrow.T @ given[:, tile], torch.empty_like(both)
            torch.mul(to_gated, gates, out=to_both[:half])
            torch.mul(to_gated.mul_(values), slopes, out=to_both[half:])
            to_narrow.addmm_(given[:, tile], gates.mul_(values).T)
            to_wide.addmm_(to_both, columns[:, tile].T)
            to_bias += to_both.sum(1)
            torch.mm(wide.T, to_both, out=to_x[:, tile])
        return _scalar_stream(to_x, x), to_wide, to_bias, to_narrow, given.sum(1), None, None


class _Vectors(torch.autograd.Function):
    """Saves its input and the hidden stream before the gates."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, wide: Tensor, narrow: Tensor, gate: SlimGate, keep: bool) -> Tensor:
        columns = _vector_columns(x)
        y = x.new_empty(narrow.shape[0], 4, columns.shape[-1]).movedim(1, 0)
        hidden = x.new_empty(4 * columns.shape[-1] * wide.shape[0] if keep else 0)
        for tile in _tiles(columns.shape[-1], wide.shape[0]):
            parts = _part(hidden, tile, 4, wide.shape[0])
            _map_components(wide, columns[..., tile], parts)
            carried, first, second = parts.chunk(3, dim=1)
            product = inner_products(first, second).mul_(gate.scale)
            gates = activate_without_graph(product, gate.vector_activation)
            for plane, out in zip(carried, y[..., tile], strict=True):
                torch.mm(narrow, plane * gates, out=out)
        ctx.gate = gate
        ctx.save_for_backward(x, wide, narrow, hidden)
        return _vector_stream(y, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, wide, narrow, hidden = ctx.saved_tensors
        gate: SlimGate = ctx.gate
        columns, given = _vector_columns(x), _vector_columns(gradient)
        to_x, to_wide, to_narrow = torch.empty_like(columns), torch.zeros_like(wide), torch.zeros_like(narrow)
        for tile in _tiles(columns.shape[-1], wide.shape[0]):
            parts = _part(hidden, tile, 4, wide.shape[0])
            carried, first, second = parts.chunk(3, dim=1)
            product = inner_products(first, second).mul_(gate.scale)
            gates, slopes = activate_with_slope(product, gate.vector_activation)
            to_gated = torch.empty_like(carried, memory_format=torch.contiguous_format)
            _map_components(narrow.T, given[..., tile], to_gated)
            along = carried[0] * to_gated[0]
            for component in (1, 2, 3):
                along.addcmul_(carried[component], to_gated[component])
            along.mul_(slopes).mul_(gate.scale)
            # One component at a time: these four buffers are used again while they are in the cache.
            gated, to_parts = torch.empty_like(gates), torch.empty_like(parts[0])
            to_carried, to_first, to_second = to_parts.chunk(3)
            for component in range(4):
                source, target = columns[component, :, tile], given[component, :, tile]
                torch.mul(carried[component], gates, out=gated)
                torch.mul(to_gated[component], gates, out=to_carried)
                torch.mul(second[component], along, out=to_first)
                torch.mul(first[component], along, out=to_second)
                to_narrow.addmm_(target, gated.T)
                to_wide.addmm_(to_parts, source.T)
                torch.mm(wide.T, to_parts, out=to_x[component, :, tile])
                if component == 0:
                    along.neg_()
        return _vector_stream(to_x, x), to_wide, to_narrow, None, None


def _tiles(tokens: int, rows: int) -> Iterator[slice]:
    """Slices of the tokens, of nearly equal size, for so many rows of a product."""
    count = max(1, -(-tokens * rows // HIDDEN_NUMBERS))
    step = ALIGNED * max(1, -(-tokens // (ALIGNED * count)))
    return (slice(start, min(start + step, tokens)) for start in range(0, tokens, step))


def _part(hidden: Tensor, tile: slice, *lead: int) -> Tensor:
    """The tile's part (*lead, T) of the hidden stream, in one piece; where nothing is kept, memory for it."""
    rows = math.prod(lead)
    if not hidden.numel():
        return hidden.new_empty(*lead, tile.stop - tile.start)
    return hidden[rows * tile.start : rows * tile.stop].view(*lead, -1)


def _scalar_columns(x: Tensor) -> Tensor:
    """Shape (..., S) to (S, P)."""
    return x.reshape(x.shape[:-1].numel(), x.shape[-1]).T


def _scalar_stream(columns: Tensor, like: Tensor) -> Tensor:
    return columns.reshape(columns.shape[0], *like.shape[:-1]).movedim(0, -1)


def _vector_columns(x: Tensor) -> Tensor:
    """Shape (4, ..., C) to (4, C, P)."""
    return x.reshape(4, x.shape[1:-1].numel(), x.shape[-1]).movedim(-1, 1)


def _vector_stream(columns: Tensor, like: Tensor) -> Tensor:
    return columns.reshape(*columns.shape[:2], *like.shape[1:-1]).movedim(1, -1)


def _map_components(weight: Tensor, columns: Tensor, result: Tensor) -> None:
    """``weight`` (O, C) times vectors (4, C, T), written into (4, O, T)."""
    for plane, out in zip(columns, result, strict=True):
        torch.mm(weight, plane, out=out)

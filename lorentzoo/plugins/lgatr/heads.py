r"""From streams to heads of attention and back.

A head holds its channels and scalars of a token as D neighbouring numbers: planes a (scalar and pseudoscalar),
v_0..v_3, t_1..t_3, then the scalars. The step from the layout of a stream, where planes lead, is a permutation; its
transpose is the step back. Both move rows of a few numbers, one by a concatenation of contiguous planes, the other by
one gather for each part: strided copies would pay one short loop for each of these rows, several times the cost of
the memory.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["HeadWidths", "from_heads", "metric", "share_queries", "to_heads"]


class HeadWidths(NamedTuple):
    """How many numbers a head takes from each plane of a stream.

    Attributes
    ----------
    invariants
        From the plane of scalars and pseudoscalars.
    vectors, bivectors
        From each of the four, and of the three, planes of components.
    scalars
        Auxiliary scalars.
    """

    invariants: int
    vectors: int
    bivectors: int
    scalars: int

    @staticmethod
    def of_multivectors(channels: int, scalars: int) -> HeadWidths:
        """Heads of a :class:`~lorentzoo.plugins.lgatr.paired.Paired` stream, D = 16 c + s."""
        return HeadWidths(2 * channels, 2 * channels, 2 * channels, scalars)

    @staticmethod
    def of_vectors(channels: int, scalars: int) -> HeadWidths:
        """Heads of a stream of scalars and four-vectors, D = 4 c + s."""
        return HeadWidths(0, channels, 0, scalars)

    @property
    def numbers(self) -> int:
        """D, the numbers of a head."""
        return self.invariants + 4 * self.vectors + 3 * self.bivectors + self.scalars

    @property
    def row(self) -> int:
        """How many neighbours always move together."""
        return math.gcd(*self)


def to_heads(
    scalars: Tensor,
    vectors: Tensor,
    bivectors: Tensor,
    widths: HeadWidths,
    sets: int = 1,
    *,
    query: bool = False,
) -> tuple[Tensor, ...]:
    """Write a stream as heads: ``sets`` tensors (..., H, D).

    Parameters
    ----------
    scalars, vectors, bivectors
        Shapes (..., W (a + s)), (4, ..., W v) and (3, ..., W t) for W = sets x H heads of the given widths; all the
        invariants come before all the scalars.
    sets
        How many groups of heads there are (queries, keys, values).
    query
        Multiply the first set with the metric.
    """
    count = vectors.shape[-1] // widths.vectors // sets
    heads = _call(_ToHeads, scalars, vectors, bivectors, widths, count if query else 0)
    return tuple(heads.unflatten(-2, (sets, count)).unbind(-3))


def from_heads(heads: Tensor, widths: HeadWidths) -> tuple[Tensor, Tensor, Tensor]:
    """Read the three parts of a stream back from one set of heads (..., H, D): the inverse of :func:`to_heads`."""
    scalars, vectors, bivectors = _call(_FromHeads, heads, widths, 0)
    return scalars, vectors, bivectors


def metric(widths: HeadWidths, like: Tensor) -> Tensor:
    """Signs of the inner product over the numbers of a head, shape (D,)."""
    invariants, vectors, bivectors = (_signs(width, widths, like) for width in widths[:3])
    return torch.cat([invariants, vectors, *[-vectors] * 3, *[-bivectors] * 3, like.new_ones(widths.scalars)])


def share_queries(width: int, queries: int) -> int:
    """Channels of all queries and keys, that share so many inside; at least one each where there are any."""
    return 2 * queries * max(width // (2 * queries), 1) if width else 0


def _signs(width: int, widths: HeadWidths, like: Tensor) -> Tensor:
    """Signs within a plane: where there are pairs, those of a real and an imaginary part."""
    if not widths.invariants:
        return like.new_ones(width)
    return like.new_tensor([1.0, -1.0]).repeat(width // 2)


def _call(function: type[torch.autograd.Function], *arguments: Any) -> Any:
    return function.forward(*arguments) if torch.compiler.is_compiling() else function.apply(*arguments)


class _ToHeads(torch.autograd.Function):
    """Stream to heads (..., W, D), of which the first ``queries`` are multiplied with the metric."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        scalars: Tensor, vectors: Tensor, bivectors: Tensor, widths: HeadWidths, queries: int
    ) -> Tensor:
        split = scalars.shape[-1] - vectors.shape[-1] // widths.vectors * widths.scalars
        pieces = [
            (scalars[..., :split], widths.invariants),
            *((plane, widths.vectors) for plane in vectors),
            *((plane, widths.bivectors) for plane in bivectors),
            (scalars[..., split:], widths.scalars),
        ]
        heads = torch.cat(
            [piece.contiguous().unflatten(-1, (-1, width)) for piece, width in pieces if width], dim=-1
        )
        if queries:
            heads[..., :queries, :].mul_(metric(widths, heads))
        return heads

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *_, ctx.widths, ctx.queries = inputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return *_FromHeads.apply(gradient, ctx.widths, ctx.queries), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        return _ToHeads.apply(*tangents[:3], ctx.widths, ctx.queries)


class _FromHeads(torch.autograd.Function):
    """The transpose: heads (..., W, D) to the parts of a stream."""

    generate_vmap_rule = True

    @staticmethod
    def forward(heads: Tensor, widths: HeadWidths, queries: int) -> tuple[Tensor, ...]:
        *lead, count, _ = heads.shape
        rows = heads.reshape(-1, widths.row)
        places = _places(widths, math.prod(lead), count, rows.device)
        stream = tuple(
            rows.index_select(0, place.flatten()).view(*shape, *lead, place.shape[-1] * widths.row)
            for shape, place in zip(((), (4,), (3,)), places, strict=True)
        )
        if queries:
            scalars, vectors, bivectors = (
                part[..., : queries * width] for part, width in zip(stream, widths[:3], strict=True)
            )
            scalars.mul_(_signs(scalars.shape[-1], widths, heads))
            vectors[:1].mul_(_signs(vectors.shape[-1], widths, heads))
            vectors[1:].mul_(-_signs(vectors.shape[-1], widths, heads))
            bivectors.mul_(-_signs(bivectors.shape[-1], widths, heads))
        return stream

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        _, ctx.widths, ctx.queries = inputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return _ToHeads.apply(*gradients, ctx.widths, ctx.queries), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> tuple[Tensor, ...]:
        return _FromHeads.apply(tangent, ctx.widths, ctx.queries)


def _places(
    widths: HeadWidths, tokens: int, heads: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Row of the heads (P, W, D) for the rows of each part of a stream, (P, ...), (4, P, ...), (3, P, ...)."""
    first, vector, bivector, scalar = (width // widths.row for width in widths)
    total = widths.numbers // widths.row
    place = torch.arange(total, device=device)
    token = torch.arange(tokens, device=device).unsqueeze(-1) * (heads * total)
    head = torch.arange(heads, device=device).unsqueeze(-1) * total
    scalars = torch.cat([(head + place[:first]).flatten(), (head + place[total - scalar :]).flatten()])

    def planes(count: int, width: int, start: int) -> Tensor:
        steps = start + width * torch.arange(count, device=device)
        return steps.view(-1, 1, 1) + (token + (head + place[:width]).flatten())

    return token + scalars, planes(4, vector, first), planes(3, bivector, first + 4 * vector)

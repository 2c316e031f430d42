"""Queries, keys and values: normalized, and written as heads, in one pass over the linear map's output.

What :func:`~lorentzoo.plugins.lgatr.norm.normalize` by heads and then :func:`~lorentzoo.plugins.lgatr.heads.to_heads` do,
for plain first derivatives on a CPU: there is no normalized stream between the two. The derivative is taken from the
heads themselves, which attention keeps anyway, and is written where the linear map reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lorentzoo.nn import asks_first_derivatives
from lorentzoo.plugins.lgatr.heads import HeadWidths, metric, to_heads
from lorentzoo.plugins.lgatr.norm import Factors, apply_norm, below_bound, layer_norm_derivative

__all__ = ["normalize_to_heads"]


def normalize_to_heads(
    stream: tuple[Tensor, Tensor, Tensor], widths: HeadWidths, sets: int, factors: Factors, *, query: bool
) -> tuple[Tensor, ...]:
    """Normalize each head of a stream, and write ``sets`` tensors of heads (..., H, D).

    Parameters
    ----------
    stream
        Scalars, vectors and bivectors as :func:`~lorentzoo.plugins.lgatr.heads.to_heads` takes them.
    factors
        Of the norm; its groups are all the heads.
    query
        Multiply the first set with the metric.
    """
    if asks_first_derivatives(stream[0]):
        heads: tuple[Tensor, ...] = _HeadNorm.apply(*stream, widths, sets, factors, query)
        return heads
    return to_heads(*apply_norm(stream, factors), widths, sets, query=query)


class _Blocks(NamedTuple):
    """What H heads hold, channels first: (H, a, P), (H, v, 4, P), (H, t / 2, 2, 3, P), (H, s, P)."""

    invariants: Tensor
    vectors: Tensor
    bivectors: Tensor
    scalars: Tensor

    @staticmethod
    def of_heads(heads: Tensor, widths: HeadWidths) -> _Blocks:
        """Views of heads (H, D, P)."""
        invariants, vectors, bivectors, scalars = heads.split(widths.blocks, dim=1)
        return _Blocks(
            invariants,
            vectors.unflatten(1, (widths.vectors, 4)),
            bivectors.unflatten(1, (widths.bivectors // 2, 2, 3)),
            scalars,
        )

    @staticmethod
    def of_stream(columns: Sequence[Tensor], widths: HeadWidths) -> _Blocks:
        """Views of a stream (W (a + s), P), (W v, 4, P), (W t, 3, P)."""
        scalars, vectors, bivectors = columns
        count = vectors.shape[0] // widths.vectors
        inside = count * widths.invariants
        return _Blocks(
            scalars[:inside].unflatten(0, (count, widths.invariants)),
            vectors.unflatten(0, (count, widths.vectors)),
            bivectors.unflatten(0, (count, widths.bivectors // 2, 2)),
            scalars[inside:].unflatten(0, (count, widths.scalars)),
        )

    def parts(self, joint: bool) -> tuple[list[Tensor], Tensor | None]:
        """Blocks that share the factor of a head, and the scalars where they have a layer norm."""
        blocks = [block for block in self[:3] if block.numel()]
        return ([*blocks, self.scalars], None) if joint else (blocks, self.scalars)

    def squares(self) -> list[Tensor]:
        """Invariant squares of vectors (H, v, P), and of bivectors (H, t / 2, P) where there are any."""
        squares = self.vectors.square()
        found = [torch.sub(2 * squares[:, :, 0], squares.sum(2))]
        if self.bivectors.numel():
            planes = self.bivectors.square().sum(3)
            found.append(planes[:, :, 0] - planes[:, :, 1])
        return found


class _HeadNorm(torch.autograd.Function):
    """Saves its outputs, in one piece, and the factors."""

    @staticmethod
    def forward(
        ctx: Any,
        scalars: Tensor,
        vectors: Tensor,
        bivectors: Tensor,
        widths: HeadWidths,
        sets: int,
        factors: Factors,
        query: bool,
    ) -> tuple[Tensor, ...]:
        columns = _columns((scalars, vectors, bivectors))
        joint = not widths.invariants
        x = _Blocks.of_stream(columns, widths)
        heads = scalars.new_empty(factors.groups, widths.numbers, columns[0].shape[-1])
        y = _Blocks.of_heads(heads, widths)
        shared, rest = x.parts(joint)
        mean = (x.scalars if joint else x.invariants).square().sum(1)
        for square in x.squares():
            mean += square.abs_().sum(1)
        mean /= factors.divisor
        root = scalar_root = factors.root(mean)
        for block, out in zip(shared, y.parts(joint)[0], strict=True):
            torch.mul(block, _over(root, block), out=out)
        if rest is not None and rest.numel():
            centred = rest - rest.mean(1, keepdim=True)
            scalar_root = centred.square().mean(1).add_(factors.scalar_epsilon).rsqrt_()
            torch.mul(centred, _over(scalar_root, centred), out=y.scalars)
        if query:
            heads[: factors.groups // sets].mul_(metric(widths, heads).unsqueeze(-1))
        ctx.widths, ctx.factors, ctx.joint, ctx.lead = widths, factors, joint, scalars.shape[:-1]
        ctx.queries = factors.groups // sets if query else 0
        ctx.save_for_backward(heads, root, scalar_root)
        shaped = heads.unflatten(-1, ctx.lead).unflatten(0, (sets, factors.groups // sets))
        return tuple(head.movedim((0, 1), (-2, -1)) for head in shaped.unbind(0))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        heads, root, scalar_root = ctx.saved_tensors
        widths, factors = ctx.widths, ctx.factors
        count, _, tokens = heads.shape
        columns = [
            root.new_empty(count * (widths.invariants + widths.scalars), tokens),
            root.new_empty(count * widths.vectors, 4, tokens),
            root.new_empty(count * widths.bivectors, 3, tokens),
        ]
        given = torch.cat([x.movedim((-2, -1), (0, 1)).flatten(2) for x in gradients])
        y, g = (_Blocks.of_heads(x, widths) for x in (heads, given))
        out = _Blocks.of_stream(columns, widths)
        (_, rest), (shared, given_rest), (results, to_rest) = (x.parts(ctx.joint) for x in (y, g, out))
        number = widths.numbers - (0 if ctx.joint else widths.scalars)
        along = (heads[:, :number] * given[:, :number]).sum(1)
        weight = below_bound(root, factors.bound, -root / factors.divisor * along).unsqueeze(1)
        for block, result in zip(shared, results, strict=True):
            torch.mul(block, _over(root, block), out=result)
        (out.scalars if ctx.joint else out.invariants).addcmul_(
            weight, y.scalars if ctx.joint else y.invariants
        )
        signs = [square.sign_().mul_(weight).unsqueeze(2) for square in y.squares()]
        out.vectors[:, :, :1].addcmul_(signs[0], y.vectors[:, :, :1])
        out.vectors[:, :, 1:].addcmul_(signs[0], y.vectors[:, :, 1:], value=-1)
        if len(signs) > 1:
            out.bivectors[:, :, 0].addcmul_(signs[1], y.bivectors[:, :, 0])
            out.bivectors[:, :, 1].addcmul_(signs[1], y.bivectors[:, :, 1], value=-1)
        if rest is not None and given_rest is not None and to_rest is not None and rest.numel():
            to_rest.copy_(layer_norm_derivative(rest, given_rest, scalar_root, None)[0])
        if ctx.queries:
            signed = _Blocks.of_heads(metric(widths, root).view(1, -1, 1), widths)
            for block, sign in zip(out[:3], signed[:3], strict=True):
                block[: ctx.queries].mul_(sign)
        parts = (column.unflatten(-1, ctx.lead).movedim(0, -1) for column in columns)
        return *parts, None, None, None, None


def _columns(stream: Sequence[Tensor]) -> list[Tensor]:
    """Parts of a stream with channels first and tokens flat."""
    lead = stream[0].dim() - 1
    return [part.movedim(-1, 0).flatten(part.dim() - lead) for part in stream]


def _over(factor: Tensor, block: Tensor) -> Tensor:
    """A number for each head and token, (H, P), for the numbers of a block (H, ..., P)."""
    return factor.view(factor.shape[0], *[1] * (block.dim() - 2), factor.shape[1])

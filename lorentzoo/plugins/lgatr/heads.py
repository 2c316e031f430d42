r"""From streams to heads of attention and back.

A head holds c multivectors and s scalars of a token in D = 16 c + s neighbouring numbers: eight planes
a, v_0..v_3, t_1..t_3 of 2c numbers, then the scalars. The step from the layout of :class:`Paired`, where planes lead,
is a permutation; its transpose is the step back.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from lorentzoo.plugins.lgatr.norm import EpsilonMode, below
from lorentzoo.plugins.lgatr.paired import Paired

__all__ = ["HeadWidths", "from_heads", "metric", "normalize_heads", "to_heads"]


class HeadWidths(NamedTuple):
    """Multivector channels c and scalars s of one head."""

    channels: int
    scalars: int


def to_heads(x: Paired, widths: HeadWidths) -> Tensor:
    """Write a stream of W c channels and W s scalars as heads, shape (..., W, D)."""
    return _permute(_ToHeads, *x, widths)


def from_heads(heads: Tensor, widths: HeadWidths) -> Paired:
    """Read a stream back from heads (..., W, D): the inverse of :func:`to_heads`."""
    return Paired(*_permute(_FromHeads, heads, widths))


def metric(widths: HeadWidths, like: Tensor) -> Tensor:
    """Signs of the algebra's inner product over the numbers of a head, shape (D,)."""
    pair = like.new_tensor([1.0, -1.0]).repeat(widths.channels)
    return torch.cat([pair, pair, *[-pair] * 6, like.new_ones(widths.scalars)])


def normalize_heads(
    heads: Tensor,
    widths: HeadWidths,
    sets: int,
    epsilon: float = 0.01,
    mode: EpsilonMode = "clamp",
    scalar_epsilon: float = 1e-5,
) -> tuple[Tensor, ...]:
    """Normalize each head as :func:`~lorentzoo.plugins.lgatr.norm.normalize` does a stream.

    Parameters
    ----------
    heads
        Shape (..., sets x H, D).
    sets
        How many groups of heads there are (queries, keys, values): one tensor (..., H, D) is returned for each.
    """
    if torch.compiler.is_compiling():
        return tuple(_normalized(heads, widths, epsilon, mode, scalar_epsilon)[0].chunk(sets, dim=-2))
    return tuple(_NormalizeHeads.apply(heads, widths, sets, epsilon, mode, scalar_epsilon)[:sets])


def _permute(function: type[torch.autograd.Function], *arguments: Any) -> Any:
    return function.forward(*arguments) if torch.compiler.is_compiling() else function.apply(*arguments)


class _ToHeads(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(scalars: Tensor, vectors: Tensor, bivectors: Tensor, widths: HeadWidths) -> Tensor:
        width = 2 * widths.channels
        split = vectors.shape[-1]
        planes = [scalars[..., :split], *vectors.unbind(0), *bivectors.unbind(0)]
        parts = [plane.unflatten(-1, (-1, width)) for plane in planes]
        if widths.scalars:
            parts.append(scalars[..., split:].unflatten(-1, (-1, widths.scalars)))
        return torch.cat(parts, dim=-1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.widths = inputs[-1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return *_FromHeads.apply(gradient, ctx.widths), None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        return _ToHeads.apply(*tangents[:3], ctx.widths)


class _FromHeads(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(heads: Tensor, widths: HeadWidths) -> tuple[Tensor, Tensor, Tensor]:
        width = 2 * widths.channels
        head, vectors, bivectors, scalars = heads.split([width, 4 * width, 3 * width, widths.scalars], dim=-1)
        return (
            torch.cat([head.flatten(-2), scalars.flatten(-2)], dim=-1),
            vectors.unflatten(-1, (4, width)).movedim(-2, 0).flatten(-2),
            bivectors.unflatten(-1, (3, width)).movedim(-2, 0).flatten(-2),
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.widths = inputs[-1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _ToHeads.apply(*gradients, ctx.widths), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> tuple[Tensor, ...]:
        return _FromHeads.apply(tangent, ctx.widths)


def _normalized(
    heads: Tensor, widths: HeadWidths, epsilon: float, mode: EpsilonMode, scalar_epsilon: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Normalized heads, the factors of multivectors and scalars, and the signs of the invariant squares."""
    size = 16 * widths.channels
    body, scalars = heads[..., :size], heads[..., size:]
    squares = (body * body) @ _contraction(widths, body)
    mean = squares.abs().sum(-1, keepdim=True) / widths.channels
    factor = torch.rsqrt(mean.clamp(min=epsilon) if mode == "clamp" else mean + epsilon)
    normalized, scalar_factor = heads * factor, torch.ones_like(factor)
    if widths.scalars:
        shape = scalars.shape[-1:]
        scalars, _, scalar_factor = torch.native_layer_norm(scalars, shape, None, None, scalar_epsilon)
        normalized[..., size:] = scalars
    return normalized, factor, scalar_factor, squares.sign().to(torch.int8)


def _contraction(widths: HeadWidths, like: Tensor) -> Tensor:
    """Matrix (16 c, 5 c) from squared numbers of a head to the invariant squares of its grades.

    Columns: scalars and pseudoscalars (2c), vectors and axial vectors (2c), bivectors (c). Every row has one entry,
    the sign with which that number enters.
    """
    one = torch.eye(2 * widths.channels, dtype=like.dtype, device=like.device)
    pairs = one.unflatten(0, (-1, 2)) * like.new_tensor([1.0, -1.0])[:, None]
    pairs = pairs.flatten(0, 1).unflatten(1, (-1, 2)).sum(-1)
    zero, none = torch.zeros_like(one), torch.zeros_like(pairs)
    rows = [[one, zero, none], [zero, one, none], *[[zero, -one, none]] * 3, *[[zero, zero, pairs]] * 3]
    return torch.cat([torch.cat(row, dim=1) for row in rows])


class _NormalizeHeads(torch.autograd.Function):
    """Heads to ``sets`` tensors of normalized heads, and the factors from which all derivatives follow."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        heads: Tensor,
        widths: HeadWidths,
        sets: int,
        epsilon: float,
        mode: EpsilonMode,
        scalar_epsilon: float,
    ) -> tuple[Tensor, ...]:
        results = [
            _normalized(part, widths, epsilon, mode, scalar_epsilon) for part in heads.chunk(sets, dim=-2)
        ]
        return tuple(part for parts in zip(*results, strict=True) for part in parts)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.widths, ctx.sets, epsilon, mode, _ = inputs[1:]
        ctx.bound = epsilon**-0.5 if mode == "clamp" else None
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*output[3 * ctx.sets :])
        ctx.save_for_backward(*output)
        ctx.save_for_forward(*output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        saved, sets = ctx.saved_tensors, ctx.sets
        results = [
            _normalize_adjoint(
                ctx.widths, ctx.bound, *saved[place::sets], *gradients[place : 3 * sets : sets]
            )
            for place in range(sets)
        ]
        return torch.cat(results, dim=-2), None, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> tuple[Tensor, ...]:
        saved, sets = ctx.saved_tensors, ctx.sets
        results = [
            _normalize_tangent(ctx.widths, ctx.bound, *saved[place::sets], part)  # type: ignore[call-arg]
            for place, part in enumerate(tangent.chunk(sets, dim=-2))
        ]
        return *(part for parts in zip(*results, strict=True) for part in parts), *(None,) * sets


def _normalize_adjoint(
    widths: HeadWidths,
    bound: float | None,
    y: Tensor,
    factor: Tensor,
    scalar_factor: Tensor,
    signs: Tensor,
    g: Tensor | None,
    factor_gradient: Tensor | None,
    scalar_factor_gradient: Tensor | None,
) -> Tensor:
    g = torch.zeros_like(y) if g is None else g
    size = 16 * widths.channels
    body, given = y[..., :size], g[..., :size]
    along = (body * given).sum(-1, keepdim=True)
    if factor_gradient is not None:
        along = along + factor_gradient * factor
    weight = below(factor, bound, -factor / widths.channels * along)
    pattern = (signs * weight) @ _contraction(widths, body).T
    result = torch.addcmul(given * factor, pattern, body)
    if not widths.scalars:
        return result
    scalars, given = y[..., size:], g[..., size:]
    along = (given * scalars).mean(-1, keepdim=True)
    if scalar_factor_gradient is not None:
        along = along + scalar_factor_gradient * scalar_factor / widths.scalars
    centred = given - given.mean(-1, keepdim=True)
    return torch.cat([result, (centred - along * scalars) * scalar_factor], dim=-1)


def _normalize_tangent(
    widths: HeadWidths,
    bound: float | None,
    y: Tensor,
    factor: Tensor,
    scalar_factor: Tensor,
    signs: Tensor,
    t: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    size = 16 * widths.channels
    body, given = y[..., :size], t[..., :size]
    pattern = signs.to(y.dtype) @ _contraction(widths, body).T
    along = (pattern * body * given).sum(-1, keepdim=True)
    change = below(factor, bound, -factor.square() / widths.channels * along)
    result = given * factor + body * (change / factor)
    if not widths.scalars:
        return result, change, torch.zeros_like(scalar_factor)
    scalars, given = y[..., size:], t[..., size:]
    along = (given * scalars).mean(-1, keepdim=True)
    centred = given - given.mean(-1, keepdim=True)
    scalars = (centred - along * scalars) * scalar_factor
    return torch.cat([result, scalars], dim=-1), change, -scalar_factor.square() * along

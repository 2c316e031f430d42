r"""Layer norm of multivector streams.

The invariant norm of a multivector is indefinite, so the layer norm takes absolute values grade by grade
(arXiv:2411.00446, eq. 14):

    y_c = r x_c,    r⁻² = (1/C) Σ_c Σ_k |⟨⟨x_c⟩_k, ⟨x_c⟩_k⟩| + ε.

Auxiliary scalars have their usual layer norm. The derivative needs only the outputs and r, so that inputs are
not kept for the backward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from lorentzoo.plugins.lgatr.linear import Maps
from lorentzoo.plugins.lgatr.paired import Paired

__all__ = ["EpsilonMode", "NormGains", "normalize", "normalize_jointly"]

EpsilonMode = Literal["clamp", "add"]


def normalize(
    x: Paired,
    epsilon: float = 0.01,
    mode: EpsilonMode = "clamp",
    scalar_epsilon: float = 1e-5,
    groups: int = 1,
) -> Paired:
    """Divide a stream by the invariant root mean square of its multivectors; layer norm of its scalars.

    Parameters
    ----------
    x
        C channels and S scalars.
    epsilon
        What keeps light-like channels finite: in square units of the stream, added to the mean square or its
        lower bound, as ``mode`` says. It is large, since components that do not enter the norm can be large.
    scalar_epsilon
        Added to the variance of the scalars.
    groups
        How many groups of neighbouring channels, and of neighbouring scalars, are normalized each for itself: the
        heads of attention.
    """
    if torch.is_autocast_enabled(x.vectors.device.type):
        with torch.autocast(x.vectors.device.type, enabled=False):
            return normalize(x.to(torch.float32), epsilon, mode, scalar_epsilon, groups)
    factors = _Factors(x.vectors.shape[-1], x.channels // groups, groups, epsilon, mode, scalar_epsilon)
    return Paired(*_normalized(*x, factors))


def normalize_jointly(
    scalars: Tensor, vectors: Tensor, epsilon: float = 0.01, groups: int = 1
) -> tuple[Tensor, Tensor]:
    """One root mean square for scalars (..., S) and vectors (4, ..., C) together: r⁻² = mean(s², |v²|) + ε.

    With ``groups``, one for each group of neighbouring scalars and vectors.
    """
    if torch.is_autocast_enabled(vectors.device.type):
        with torch.autocast(vectors.device.type, enabled=False):
            return normalize_jointly(scalars.float(), vectors.float(), epsilon, groups)
    width = scalars.shape[-1]
    factors = _Factors(width, (width + vectors.shape[-1]) // groups, groups, epsilon, "add", 0.0)
    none = vectors.new_empty(3, *scalars.shape[:-1], 0)
    scalars, vectors, _ = _normalized(scalars, vectors, none, factors)
    return scalars, vectors


class NormGains(nn.Module):
    """Learned gains of a layer norm, one per channel and grade and one per scalar, for the next linear map.

    Parameters
    ----------
    channels, scalars
        Widths C and S of the normalized stream.
    """

    def __init__(self, channels: int, scalars: int) -> None:
        super().__init__()
        self.grades = nn.Parameter(torch.ones(channels, 5))
        self.scalars = nn.Parameter(torch.ones(scalars))

    def fold(self, maps: Maps) -> Maps:
        """The linear map after the gains: its columns times the gains. Columns of further channels stay."""
        width = 2 * self.grades.shape[0]
        further = (maps.vectors.shape[1] - width) // 2
        channel_gains = torch.cat([self.grades, self.grades.new_ones(further, 5)])
        scalar, vector, bivector, axial, pseudoscalar = channel_gains.unbind(-1)
        rest = maps.scalars.shape[1] - 2 * channel_gains.shape[0] - self.scalars.shape[0]
        columns = torch.cat(
            [torch.stack([scalar, pseudoscalar], -1).flatten(), self.scalars, self.scalars.new_ones(rest)]
        )
        return Maps(
            maps.scalars * columns,
            maps.bias,
            maps.vectors * torch.stack([vector, axial], -1).flatten(),
            maps.bivectors * torch.stack([bivector, bivector], -1).flatten(),
        )

    def scale(self, x: Paired) -> Paired:
        """The stream after the gains, where no linear map follows."""
        scalar, vector, bivector, axial, pseudoscalar = self.grades.unbind(-1)
        head = torch.cat([torch.stack([scalar, pseudoscalar], -1).flatten(), self.scalars])
        vectors = torch.stack([vector, axial], -1).flatten()
        return Paired(x.scalars * head, x.vectors * vectors, x.bivectors * bivector.repeat_interleave(2))


class _Factors(NamedTuple):
    """Which numbers share a factor, and how it follows from them.

    Attributes
    ----------
    width
        How many scalars, the first ones, share the factor of the vectors and bivectors; the rest have a layer norm.
    divisor
        By what the sum of squares of a group is divided.
    groups
        Number of groups, each with a factor of its own.
    epsilon, mode, scalar_epsilon
        Regularization.
    """

    width: int
    divisor: int
    groups: int
    epsilon: float
    mode: EpsilonMode
    scalar_epsilon: float

    @property
    def bound(self) -> float | None:
        """The largest factor, if there is one."""
        return self.epsilon**-0.5 if self.mode == "clamp" else None


def _normalized(
    scalars: Tensor, vectors: Tensor, bivectors: Tensor, factors: _Factors
) -> tuple[Tensor, Tensor, Tensor]:
    arguments = scalars, vectors, bivectors, factors
    results = (
        _Normalize.forward(*arguments) if torch.compiler.is_compiling() else _Normalize.apply(*arguments)
    )
    return results[0], results[1], results[2]


def _group_sums(x: Tensor, groups: int) -> Tensor:
    """Sums over the neighbours of each group, (..., G)."""
    return x.sum(-1, keepdim=True) if groups == 1 else x.unflatten(-1, (groups, -1)).sum(-1)


def _spread(x: Tensor, width: int) -> Tensor:
    """Each of the G numbers of a token for its group's share of ``width`` channels, (..., width).

    Written out, since a short inner dimension that broadcasts costs a short loop for each group.
    """
    groups = x.shape[-1]
    return x if groups == 1 else x.unsqueeze(-1).expand(*x.shape, width // groups).flatten(-2)


def _plane_squares(planes: Tensor, signs: int) -> Tensor:
    """Sum of the squares of planes, all but the first times a sign."""
    squares = planes[0] * planes[0]
    for plane in planes[1:]:
        squares = squares.addcmul(plane, plane, value=signs)
    return squares


def _plane_dot(left: Tensor, right: Tensor) -> Tensor:
    """Sum over planes of products."""
    total = left[0] * right[0]
    for place in range(1, left.shape[0]):
        total = total.addcmul(left[place], right[place])
    return total


def _grade_squares(vectors: Tensor, bivectors: Tensor) -> tuple[Tensor, Tensor]:
    """Invariant squares: of vector and axial vector (..., 2C), and of the bivector (..., C)."""
    planes = _plane_squares(bivectors, 1).unflatten(-1, (-1, 2))
    return _plane_squares(vectors, -1), planes[..., 0] - planes[..., 1]


class _Normalize(torch.autograd.Function):
    """``(A, V, T)`` to the normalized stream and its two factors, from which all derivatives follow."""

    generate_vmap_rule = True

    @staticmethod
    def forward(scalars: Tensor, vectors: Tensor, bivectors: Tensor, factors: _Factors) -> tuple[Tensor, ...]:
        width, divisor, groups, epsilon, mode, scalar_epsilon = factors
        head, rest = scalars[..., :width], scalars[..., width:]
        vector_squares, bivector_squares = _grade_squares(vectors, bivectors)
        mean = _group_sums(head * head, groups)
        mean += _group_sums(vector_squares.abs_(), groups)
        mean += _group_sums(bivector_squares.abs_(), groups)
        mean /= divisor
        factor = (mean.clamp_(min=epsilon) if mode == "clamp" else mean.add_(epsilon)).rsqrt_()
        spread = _spread(factor, vectors.shape[-1])
        normalized, scalar_factor = head * _spread(factor, width), torch.ones_like(factor)
        if rest.shape[-1]:
            rest = rest.unflatten(-1, (groups, -1))
            rest, _, scalar_factor = torch.native_layer_norm(
                rest, rest.shape[-1:], None, None, scalar_epsilon
            )
            normalized = torch.cat([normalized, rest.flatten(-2)], dim=-1)
            scalar_factor = scalar_factor.squeeze(-1)
        planes = _spread(factor, bivectors.shape[-1])
        return normalized, vectors * spread, bivectors * planes, factor, scalar_factor

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.factors = inputs[3]
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*output)
        ctx.save_for_forward(*output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        *stream, factor, scalar_factor = ctx.saved_tensors
        y, g = Paired(*stream), Paired(*_materialized(gradients, stream))
        width, divisor, groups = ctx.factors[:3]
        head, head_gradient = y.scalars[..., :width], g.scalars[..., :width]
        along = _group_sums(head_gradient * head, groups)
        along = along + _group_sums(_plane_dot(g.vectors, y.vectors), groups)
        along = along + _group_sums(_plane_dot(g.bivectors, y.bivectors), groups)
        if gradients[3] is not None:
            along = along + gradients[3] * factor
        weight = _below(factor, ctx.factors.bound, -factor / divisor * along)
        to_scalars = torch.addcmul(head_gradient * _spread(factor, width), _spread(weight, width), head)
        vectors, bivectors = _add_signed(
            g.vectors * _spread(factor, g.vectors.shape[-1]),
            g.bivectors * _spread(factor, g.bivectors.shape[-1]),
            weight,
            y,
        )
        if y.scalars.shape[-1] > width:
            to_rest = _layer_norm_derivative(
                y.scalars[..., width:], g.scalars[..., width:], scalar_factor, gradients[4]
            )[0]
            to_scalars = torch.cat([to_scalars, to_rest], dim=-1)
        return to_scalars, vectors, bivectors, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Tensor, ...]:
        *stream, factor, scalar_factor = ctx.saved_tensors
        y, t = Paired(*stream), Paired(*_materialized(tangents, stream))
        width, divisor, groups = ctx.factors[:3]
        head, head_tangent = y.scalars[..., :width], t.scalars[..., :width]
        vectors, bivectors = _add_signed(
            torch.zeros_like(y.vectors), torch.zeros_like(y.bivectors), torch.ones_like(factor), y
        )
        along = _group_sums(head_tangent * head, groups)
        along = along + _group_sums(_plane_dot(t.vectors, vectors), groups)
        along = along + _group_sums(_plane_dot(t.bivectors, bivectors), groups)
        change = _below(factor, ctx.factors.bound, -factor.square() / divisor * along)
        relative = change / factor

        def changed(part: Tensor, tangent: Tensor) -> Tensor:
            size = part.shape[-1]
            return tangent * _spread(factor, size) + part * _spread(relative, size)

        scalars, scalar_change = changed(head, head_tangent), torch.zeros_like(scalar_factor)
        if y.scalars.shape[-1] > width:
            rest, along = _layer_norm_derivative(
                y.scalars[..., width:], t.scalars[..., width:], scalar_factor, None
            )
            scalars = torch.cat([scalars, rest], dim=-1)
            scalar_change = -scalar_factor.square() * along
        return (
            scalars,
            changed(y.vectors, t.vectors),
            changed(y.bivectors, t.bivectors),
            change,
            scalar_change,
        )


def _below(factor: Tensor, bound: float | None, derivative: Tensor) -> Tensor:
    """A derivative through the factor of a norm, which is none where the factor has reached its bound."""
    if bound is None:
        return derivative
    return torch.where(factor < bound * (1 - 1e-6), derivative, torch.zeros_like(derivative))


def _materialized(given: Sequence[Tensor | None], stream: Sequence[Tensor]) -> list[Tensor]:
    return [torch.zeros_like(part) if x is None else x for x, part in zip(given[:3], stream, strict=True)]


def _layer_norm_derivative(
    y: Tensor, given: Tensor, factor: Tensor, factor_gradient: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The symmetric derivative of layer norms with outputs y (..., S) and factors (..., G); the mean of y · given."""
    width, groups = y.shape[-1], factor.shape[-1]
    share = width // groups
    mean = _group_sums(given, groups) / share
    along = _group_sums(given * y, groups) / share
    if factor_gradient is not None:
        along = along + factor_gradient * factor / share
    return (given - _spread(mean, width) - _spread(along, width) * y) * _spread(factor, width), along


def _add_signed(vectors: Tensor, bivectors: Tensor, weight: Tensor, y: Paired) -> tuple[Tensor, Tensor]:
    """Add weight (..., G) times half the gradient of the absolute squares of vectors and bivectors, in place."""
    vector_squares, bivector_squares = _grade_squares(y.vectors, y.bivectors)
    signs = vector_squares.sign() * _spread(weight, y.vectors.shape[-1])
    vectors[0].addcmul_(signs, y.vectors[0])
    vectors[1:].addcmul_(signs, y.vectors[1:], value=-1)
    signs = bivector_squares.sign() * _spread(weight, y.bivectors.shape[-1] // 2)
    bivectors.addcmul_(torch.stack([signs, -signs], dim=-1).flatten(-2), y.bivectors)
    return vectors, bivectors

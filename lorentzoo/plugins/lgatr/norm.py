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

__all__ = [
    "EpsilonMode",
    "Factors",
    "NormGains",
    "apply_norm",
    "below_bound",
    "layer_norm_derivative",
    "normalize",
    "normalize_jointly",
]

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
    return Paired(*apply_norm(x, Factors.of_multivectors(x, groups, epsilon, mode, scalar_epsilon)))


def normalize_jointly(
    scalars: Tensor, vectors: Tensor, epsilon: float = 0.01, groups: int = 1
) -> tuple[Tensor, Tensor]:
    """One root mean square for scalars (..., S) and vectors (4, ..., C) together: r⁻² = mean(s², |v²|) + ε.

    With ``groups``, one for each group of neighbouring scalars and vectors.
    """
    none = vectors.new_empty(3, *scalars.shape[:-1], 0)
    scalars, vectors, _ = apply_norm(
        (scalars, vectors, none), Factors.of_both(scalars, vectors, groups, epsilon)
    )
    return scalars, vectors


def apply_norm(stream: Sequence[Tensor], factors: Factors) -> tuple[Tensor, Tensor, Tensor]:
    """Normalize scalars, vectors and bivectors, in float32 under autocast."""
    device = stream[1].device.type
    if torch.is_autocast_enabled(device):
        with torch.autocast(device, enabled=False):
            return apply_norm([part.float() for part in stream], factors)
    function = _Normalize.forward if torch.compiler.is_compiling() else _Normalize.apply
    scalars, vectors, bivectors, *_ = function(stream[0], stream[1], stream[2], factors)
    return scalars, vectors, bivectors


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


class Factors(NamedTuple):
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

    @staticmethod
    def of_multivectors(
        x: Paired, groups: int, epsilon: float, mode: EpsilonMode, scalar_epsilon: float
    ) -> Factors:
        """Those of :func:`normalize`."""
        return Factors(x.vectors.shape[-1], x.channels // groups, groups, epsilon, mode, scalar_epsilon)

    @staticmethod
    def of_both(scalars: Tensor, vectors: Tensor, groups: int, epsilon: float) -> Factors:
        """Those of :func:`normalize_jointly`."""
        width = scalars.shape[-1]
        return Factors(width, (width + vectors.shape[-1]) // groups, groups, epsilon, "add", 0.0)

    @property
    def bound(self) -> float | None:
        """The largest factor, if there is one."""
        return self.epsilon**-0.5 if self.mode == "clamp" else None

    def root(self, mean: Tensor) -> Tensor:
        """The factor for a mean square, which is overwritten."""
        regular = mean.clamp_(min=self.epsilon) if self.mode == "clamp" else mean.add_(self.epsilon)
        return regular.rsqrt_()


class _Planes(NamedTuple):
    """A stream with groups of channels first, views of the shapes that the arithmetic of norms has.

    Attributes
    ----------
    scalars
        Those that share the factor, (G, w, ...).
    vectors, bivectors
        Shapes (G, c, 4, ...) and (G, c / 2, 2, 3, ...): real and imaginary parts of bivectors apart.
    rest
        Scalars with a layer norm, (G, s, ...).
    """

    scalars: Tensor
    vectors: Tensor
    bivectors: Tensor
    rest: Tensor

    @staticmethod
    def of(stream: Sequence[Tensor], factors: Factors) -> _Planes:
        width, groups = factors.width, factors.groups
        invariants, fours, threes = (part.movedim(-1, 0) for part in stream)

        def grouped(x: Tensor) -> Tensor:
            return x.unflatten(0, (groups, x.shape[0] // groups))

        pairs = grouped(threes).unflatten(1, (threes.shape[0] // groups // 2, 2))
        return _Planes(grouped(invariants[:width]), grouped(fours), pairs, grouped(invariants[width:]))

    def stream(self) -> tuple[Tensor, Tensor, Tensor]:
        """Scalars, vectors and bivectors with their channels last, as they came."""
        invariants = self.scalars.flatten(0, 1)
        if self.rest.shape[1]:
            invariants = torch.cat([invariants, self.rest.flatten(0, 1)])
        return (
            invariants.movedim(0, -1),
            self.vectors.flatten(0, 1).movedim(0, -1),
            self.bivectors.flatten(0, 2).movedim(0, -1),
        )

    def squares(self) -> tuple[Tensor, Tensor]:
        """Invariant squares of vectors (G, c, ...), and of bivectors (G, c / 2, ...)."""
        vectors = self.vectors[:, :, 0] * self.vectors[:, :, 0]
        for component in (1, 2, 3):
            plane = self.vectors[:, :, component]
            vectors = vectors.addcmul(plane, plane, value=-1)
        planes = self.bivectors.square().sum(3)
        return vectors, planes[:, :, 0] - planes[:, :, 1]

    def dot(self, other: _Planes) -> Tensor:
        """Sum over all numbers that share a factor of products with another stream, (G, ...)."""
        total = (self.scalars * other.scalars).sum(1)
        for mine, theirs in (
            (self.vectors, other.vectors),
            (self.bivectors.flatten(1, 2), other.bivectors.flatten(1, 2)),
        ):
            products = mine[:, :, 0] * theirs[:, :, 0]
            for component in range(1, mine.shape[2]):
                products = products.addcmul(mine[:, :, component], theirs[:, :, component])
            total = total + products.sum(1)
        return total

    def times(self, factor: Tensor) -> _Planes:
        """All but the rest times one number for each group, (G, ...)."""
        wide = factor.unsqueeze(1)
        vectors, bivectors = wide.unsqueeze(2), wide.unsqueeze(2).unsqueeze(3)
        return _Planes(self.scalars * wide, self.vectors * vectors, self.bivectors * bivectors, self.rest)

    def add_signed(self, weight: Tensor, y: _Planes) -> _Planes:
        """Add weight (G, ...) times half the gradient of the absolute squares of y, to vectors and bivectors in place."""
        vector_squares, bivector_squares = y.squares()
        wide = weight.unsqueeze(1)
        signs = (vector_squares.sign() * wide).unsqueeze(2)
        self.vectors[:, :, :1].addcmul_(signs, y.vectors[:, :, :1])
        self.vectors[:, :, 1:].addcmul_(signs, y.vectors[:, :, 1:], value=-1)
        signs = (bivector_squares.sign() * wide).unsqueeze(2)
        self.bivectors[:, :, 0].addcmul_(signs, y.bivectors[:, :, 0])
        self.bivectors[:, :, 1].addcmul_(signs, y.bivectors[:, :, 1], value=-1)
        return self._replace(scalars=torch.addcmul(self.scalars, wide, y.scalars))


class _Normalize(torch.autograd.Function):
    """``(A, V, T)`` to the normalized stream and its two factors (G, ...), from which all derivatives follow."""

    generate_vmap_rule = True

    @staticmethod
    def forward(scalars: Tensor, vectors: Tensor, bivectors: Tensor, factors: Factors) -> tuple[Tensor, ...]:
        x = _Planes.of((scalars, vectors, bivectors), factors)
        vector_squares, bivector_squares = x.squares()
        mean = x.scalars.square().sum(1) + vector_squares.abs_().sum(1) + bivector_squares.abs_().sum(1)
        mean /= factors.divisor
        factor = factors.root(mean)
        y, scalar_factor = x.times(factor), torch.ones_like(factor)
        if x.rest.shape[1]:
            centred = x.rest - x.rest.mean(1, keepdim=True)
            scalar_factor = centred.square().mean(1).add_(factors.scalar_epsilon).rsqrt_()
            y = y._replace(rest=centred * scalar_factor.unsqueeze(1))
        return *y.stream(), factor, scalar_factor

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.factors = inputs[3]
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*output)
        ctx.save_for_forward(*output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        *stream, factor, scalar_factor = ctx.saved_tensors
        factors: Factors = ctx.factors
        y = _Planes.of(stream, factors)
        g = _Planes.of(_materialized(gradients, stream), factors)
        along = g.dot(y)
        if gradients[3] is not None:
            along = along + gradients[3] * factor
        weight = below_bound(factor, factors.bound, -factor / factors.divisor * along)
        result = g.times(factor).add_signed(weight, y)
        if y.rest.shape[1]:
            rest = layer_norm_derivative(y.rest, g.rest, scalar_factor, gradients[4])[0]
            result = result._replace(rest=rest)
        return *result.stream(), None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Tensor, ...]:
        *stream, factor, scalar_factor = ctx.saved_tensors
        factors: Factors = ctx.factors
        y = _Planes.of(stream, factors)
        t = _Planes.of(_materialized(tangents, stream), factors)
        signed = _Planes(*(torch.zeros_like(part) for part in y)).add_signed(torch.ones_like(factor), y)
        change = below_bound(factor, factors.bound, -factor.square() / factors.divisor * t.dot(signed))
        scaled, moved = t.times(factor), y.times(change / factor)
        result, scalar_change = (
            _Planes(*(a + b for a, b in zip(scaled, moved, strict=True))),
            torch.zeros_like(factor),
        )
        if y.rest.shape[1]:
            rest, along = layer_norm_derivative(y.rest, t.rest, scalar_factor, None)
            result, scalar_change = result._replace(rest=rest), -scalar_factor.square() * along
        return *result.stream(), change, scalar_change


def below_bound(factor: Tensor, bound: float | None, derivative: Tensor) -> Tensor:
    """A derivative through the factor of a norm, which is none where the factor has reached its bound."""
    if bound is None:
        return derivative
    return torch.where(factor < bound * (1 - 1e-6), derivative, torch.zeros_like(derivative))


def _materialized(given: Sequence[Tensor | None], stream: Sequence[Tensor]) -> list[Tensor]:
    return [torch.zeros_like(part) if x is None else x for x, part in zip(given[:3], stream, strict=True)]


def layer_norm_derivative(
    y: Tensor, given: Tensor, factor: Tensor, factor_gradient: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The symmetric derivative of layer norms with outputs y (G, s, ...) and factors (G, ...); the mean of y · given."""
    mean, along = given.mean(1, keepdim=True), (given * y).mean(1)
    slope = along if factor_gradient is None else along + factor_gradient * factor / y.shape[1]
    return (given - mean - slope.unsqueeze(1) * y) * factor.unsqueeze(1), along

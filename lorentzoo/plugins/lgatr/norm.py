r"""Layer norm of multivector streams.

The invariant norm of a multivector is indefinite, so the layer norm takes absolute values grade by grade
(arXiv:2411.00446, eq. 14):

    y_c = r x_c,    r⁻² = (1/C) Σ_c Σ_k |⟨⟨x_c⟩_k, ⟨x_c⟩_k⟩| + ε.

Auxiliary scalars have their usual layer norm. The derivative needs only the outputs and r, so that inputs are
not kept for the backward pass.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lorentzoo.plugins.lgatr.linear import Maps
from lorentzoo.plugins.lgatr.paired import Paired

__all__ = ["EpsilonMode", "NormGains", "below", "normalize", "normalize_jointly"]

EpsilonMode = Literal["clamp", "add"]


def normalize(
    x: Paired, epsilon: float = 0.01, mode: EpsilonMode = "clamp", scalar_epsilon: float = 1e-5
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
    """
    if torch.is_autocast_enabled(x.vectors.device.type):
        with torch.autocast(x.vectors.device.type, enabled=False):
            return normalize(x.to(torch.float32), epsilon, mode, scalar_epsilon)
    if torch.compiler.is_compiling():
        return _traceable_normalize(x, epsilon, mode, scalar_epsilon)
    width = x.vectors.shape[-1]
    scalars, vectors, bivectors, _, _ = _Normalize.apply(*x, width, x.channels, epsilon, mode, scalar_epsilon)
    return Paired(scalars, vectors, bivectors)


def normalize_jointly(scalars: Tensor, vectors: Tensor, epsilon: float = 0.01) -> tuple[Tensor, Tensor]:
    """One root mean square for scalars (..., S) and vectors (4, ..., C) together: r⁻² = mean(s², |v²|) + ε."""
    if torch.is_autocast_enabled(vectors.device.type):
        with torch.autocast(vectors.device.type, enabled=False):
            return normalize_jointly(scalars.float(), vectors.float(), epsilon)
    width, count = scalars.shape[-1], scalars.shape[-1] + vectors.shape[-1]
    if torch.compiler.is_compiling():
        squares = vectors[0].square() - vectors[1:].square().sum(0)
        total = scalars.square().sum(-1, keepdim=True) + squares.abs().sum(-1, keepdim=True)
        factor = torch.rsqrt(total / count + epsilon)
        return scalars * factor, vectors * factor
    none = vectors.new_empty(3, *scalars.shape[:-1], 0)
    scalars, vectors, *_ = _Normalize.apply(scalars, vectors, none, width, count, epsilon, "add", 0.0)
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


def _traceable_normalize(x: Paired, epsilon: float, mode: EpsilonMode, scalar_epsilon: float) -> Paired:
    width = x.vectors.shape[-1]
    head = x.scalars[..., :width]
    vector_squares, bivector_squares = _grade_squares(x.vectors, x.bivectors)
    mean = (
        head.square().sum(-1, keepdim=True)
        + vector_squares.abs().sum(-1, keepdim=True)
        + bivector_squares.abs().sum(-1, keepdim=True)
    ) / (width // 2)
    factor = torch.rsqrt(mean.clamp(min=epsilon) if mode == "clamp" else mean + epsilon)
    scalars = x.auxiliary
    if scalars.shape[-1]:
        scalars = F.layer_norm(scalars, scalars.shape[-1:], eps=scalar_epsilon)
    return Paired(torch.cat([head * factor, scalars], -1), x.vectors * factor, x.bivectors * factor)


def _grade_squares(vectors: Tensor, bivectors: Tensor) -> tuple[Tensor, Tensor]:
    """Invariant squares: of vector and axial vector (..., 2C), and of the bivector (..., C)."""
    squares = vectors[0] * vectors[0]
    for component in vectors[1:]:
        squares = squares.addcmul(component, component, value=-1)
    planes = bivectors.square().sum(0).unflatten(-1, (-1, 2))
    return squares, planes[..., 0] - planes[..., 1]


class _Normalize(torch.autograd.Function):
    """``(A, V, T)`` to the normalized stream and its two factors, from which all derivatives follow.

    The first ``width`` scalars share the factor of the multivectors, a mean over ``count``; the rest have their own.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        scalars: Tensor,
        vectors: Tensor,
        bivectors: Tensor,
        width: int,
        count: int,
        epsilon: float,
        mode: str,
        scalar_epsilon: float,
    ) -> tuple[Tensor, ...]:
        head, rest = scalars[..., :width], scalars[..., width:]
        vector_squares, bivector_squares = _grade_squares(vectors, bivectors)
        mean = (head * head).sum(-1, keepdim=True)
        mean += vector_squares.abs_().sum(-1, keepdim=True)
        mean += bivector_squares.abs_().sum(-1, keepdim=True)
        mean /= count
        factor = (mean.clamp_(min=epsilon) if mode == "clamp" else mean.add_(epsilon)).rsqrt_()
        normalized, scalar_factor = head * factor, torch.ones_like(factor)
        if rest.shape[-1]:
            rest, _, scalar_factor = torch.native_layer_norm(
                rest, rest.shape[-1:], None, None, scalar_epsilon
            )
            normalized = torch.cat([normalized, rest], dim=-1)
        return normalized, vectors * factor, bivectors * factor, factor, scalar_factor

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.width, ctx.count = inputs[3:5]
        ctx.bound = inputs[5] ** -0.5 if inputs[6] == "clamp" else None
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*output)
        ctx.save_for_forward(*output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        *stream, factor, scalar_factor = ctx.saved_tensors
        given = [
            torch.zeros_like(part) if gradient is None else gradient
            for gradient, part in zip(gradients[:3], stream, strict=True)
        ]
        y, g = Paired(*stream), Paired(*given)
        width = ctx.width
        head, head_gradient = y.scalars[..., :width], g.scalars[..., :width]
        along = _channel_dot(head_gradient, head) + _channel_dot(g.vectors, y.vectors).sum(0)
        along = along + _channel_dot(g.bivectors, y.bivectors).sum(0)
        if gradients[3] is not None:
            along = along + gradients[3] * factor
        weight = below(factor, ctx.bound, -factor / ctx.count * along)
        to_head = torch.addcmul(head_gradient * factor, weight, head)
        vectors, bivectors = _add_signed(g.vectors * factor, g.bivectors * factor, weight, y)
        to_scalars = to_head
        if y.scalars.shape[-1] > width:
            rest, gradient = y.scalars[..., width:], g.scalars[..., width:]
            along = (gradient * rest).mean(-1, keepdim=True)
            if gradients[4] is not None:
                along = along + gradients[4] * scalar_factor / rest.shape[-1]
            centred = gradient - gradient.mean(-1, keepdim=True)
            to_scalars = torch.cat([to_head, (centred - along * rest) * scalar_factor], dim=-1)
        return to_scalars, vectors, bivectors, None, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Tensor, ...]:
        *stream, factor, scalar_factor = ctx.saved_tensors
        given = [
            torch.zeros_like(part) if tangent is None else tangent
            for tangent, part in zip(tangents[:3], stream, strict=True)
        ]
        y, t = Paired(*stream), Paired(*given)
        width = ctx.width
        head, head_tangent = y.scalars[..., :width], t.scalars[..., :width]
        vectors, bivectors = _add_signed(
            torch.zeros_like(y.vectors), torch.zeros_like(y.bivectors), torch.ones_like(factor), y
        )
        along = _channel_dot(head_tangent, head) + _channel_dot(t.vectors, vectors).sum(0)
        along = along + _channel_dot(t.bivectors, bivectors).sum(0)
        change = below(factor, ctx.bound, -factor.square() / ctx.count * along)
        relative = change / factor
        scalars, scalar_change = head_tangent * factor + head * relative, torch.zeros_like(scalar_factor)
        if y.scalars.shape[-1] > width:
            rest, tangent = y.scalars[..., width:], t.scalars[..., width:]
            centred = tangent - tangent.mean(-1, keepdim=True)
            along = (tangent * rest).mean(-1, keepdim=True)
            scalars = torch.cat([scalars, (centred - along * rest) * scalar_factor], dim=-1)
            scalar_change = -scalar_factor.square() * along
        return (
            scalars, t.vectors * factor + y.vectors * relative, t.bivectors * factor + y.bivectors * relative,
            change, scalar_change,
        )  # fmt: skip


def below(factor: Tensor, bound: float | None, derivative: Tensor) -> Tensor:
    """A derivative through the factor of a norm, which is none where the factor has reached its bound."""
    if bound is None:
        return derivative
    return torch.where(factor < bound * (1 - 1e-6), derivative, torch.zeros_like(derivative))


def _channel_dot(left: Tensor, right: Tensor) -> Tensor:
    return (left * right).sum(-1, keepdim=True)


def _add_signed(vectors: Tensor, bivectors: Tensor, weight: Tensor, y: Paired) -> tuple[Tensor, Tensor]:
    """Add weight times half the gradient of the absolute squares of vectors and bivectors, in place."""
    vector_squares, bivector_squares = _grade_squares(y.vectors, y.bivectors)
    signs = vector_squares.sign() * weight
    vectors[0].addcmul_(signs, y.vectors[0])
    vectors[1:].addcmul_(signs, y.vectors[1:], value=-1)
    signs = bivector_squares.sign() * weight
    bivectors.addcmul_(torch.stack([signs, -signs], dim=-1).flatten(-2), y.bivectors)
    return vectors, bivectors

r"""The geometric product of multivectors, with 128 real multiplications.

In the biquaternion layout (see :mod:`~lorentzoo.plugins.lgatr.paired`) a multivector is x = X + X' e_0 with
complex 2x2 matrices X, X' in Pauli's basis, and e_0 Y e_0 = Ỹ = J⁻¹ Y* J with J = iσ_2. Hence

    x y = (X Y + X' Ỹ') + (X Y' + X' Ỹ) e_0,

which is the upper half of the chiral representation by 4x4 matrices: 32 complex products instead of 16 x 16 real
ones. The adjoint of a multiplication by y is the multiplication by its Hermitian conjugate e_0 ỹ e_0 (ỹ the
reverse), so that derivatives of any order are again geometric products.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lorentzoo.plugins.lgatr.paired import Paired, paired_table
from lorentzoo.plugins.lgatr.pauli import complex_planes, passes

__all__ = ["geometric_product", "product_of_halves", "traceable_product"]

PARTNERS, SIGNS = (torch.as_tensor(table) for table in paired_table())
PARTNERS = PARTNERS.flatten()
"""The product table between slots, flattened over (left slot, result slot), and its signs (16, 16)."""


def geometric_product(left: Paired, right: Paired) -> Paired:
    """Channel-wise geometric product of two streams of equal shape; auxiliary scalars are left out.

    See also
    --------
    lorentzoo.nn.clifford.GeometricAlgebra.product : the same in 16 components.
    """
    width = left.vectors.shape[-1]
    heads = (Paired(x.scalars[..., :width], x.vectors, x.bivectors) for x in (left, right))
    return product_of_halves(_joined(*heads))


def product_of_halves(factors: Paired) -> Paired:
    """Geometric product of the first half of the channels with the second half.

    Parameters
    ----------
    factors
        2C channels, left factors then right factors, as one linear map makes them; no auxiliary scalars.

    Returns
    -------
    Paired
        C channels.
    """
    if torch.compiler.is_compiling():
        return traceable_product(factors)
    return Paired(*_Product.apply(*factors))


def traceable_product(factors: Paired) -> Paired:
    """The same in plain real operations, for tracing: one gather, one multiplication, one sum."""
    half = factors.channels // 2
    planes = torch.cat([factors.scalars[None], factors.vectors, factors.bivectors])
    planes = planes.unflatten(-1, (2, half, 2)).movedim(-1, 1).flatten(0, 1)  # (16, ..., 2, C)
    left, right = planes.unbind(-2)
    index = PARTNERS.to(left.device)
    signs = SIGNS.to(left)
    signs = signs.reshape(16, 16, *[1] * (left.dim() - 1))
    product = (left[:, None] * signs * right[index].unflatten(0, (16, 16))).sum(0)
    product = product.unflatten(0, (8, 2)).movedim(1, -1).flatten(-2)
    return Paired(product[0], product[1:5], product[5:8])


class _Product(torch.autograd.Function):
    """``(A, V, T)`` of both factors to those of their product. Saves its inputs only."""

    @staticmethod
    def forward(scalars: Tensor, vectors: Tensor, bivectors: Tensor) -> tuple[Tensor, ...]:
        inputs = _working((scalars, vectors, bivectors))
        outputs = [part.new_empty(*part.shape[:-1], part.shape[-1] // 2) for part in inputs]
        factors, results = complex_planes(inputs, 2), complex_planes(outputs, 1)
        for part, workspace in passes(factors[0]):
            workspace.load(factors, part, first=0)
            workspace.multiply(0, 1, results, part, side=0)
        return tuple(part.to(scalars.dtype) for part in outputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Any) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        return _Adjoint.apply(*ctx.saved_tensors, *gradients)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> tuple[Tensor, ...]:
        left, right = _halves(Paired(*ctx.saved_tensors))
        left_tangent, right_tangent = _halves(Paired(*tangents))
        return tuple(geometric_product(left_tangent, right).plus(geometric_product(left, right_tangent)))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *parts: Tensor) -> tuple[Any, Any]:
        return _Product.apply(*_join_leading(info.batch_size, in_dims, parts)), (0, 1, 1)


class _Adjoint(torch.autograd.Function):
    """Gradients of :class:`_Product`: with q = e_0 x̃ e_0, they are ``g q(right)`` and ``q(left) g``."""

    @staticmethod
    def forward(*parts: Tensor) -> tuple[Tensor, ...]:
        inputs = _working(parts)
        outputs = [torch.empty_like(part) for part in inputs[:3]]
        factors, upstream = complex_planes(inputs[:3], 2), complex_planes(inputs[3:], 1)
        results = complex_planes(outputs, 2)
        for part, workspace in passes(factors[0]):
            workspace.load(factors, part, first=0, adjoint=True)
            workspace.load(upstream, part, first=2)
            workspace.multiply(2, 1, results, part, side=0)
            workspace.multiply(0, 2, results, part, side=1)
        return tuple(part.to(parts[0].dtype) for part in outputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Any) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        left, right = _halves(Paired(*ctx.saved_tensors[:3]))
        upstream = Paired(*ctx.saved_tensors[3:])
        to_left, to_right = _halves(Paired(*gradients))
        factors = _joined(
            geometric_product(upstream, _hermitian(to_right)),
            geometric_product(_hermitian(to_left), upstream),
        )
        return *factors, *geometric_product(to_left, right).plus(geometric_product(left, to_right))

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> tuple[Tensor, ...]:
        factors, upstream = ctx.saved_tensors[:3], ctx.saved_tensors[3:]
        first = Paired(*_Adjoint.apply(*tangents[:3], *upstream))
        return tuple(first.plus(Paired(*_Adjoint.apply(*factors, *tangents[3:]))))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *parts: Tensor) -> tuple[Any, Any]:
        return _Adjoint.apply(*_join_leading(info.batch_size, in_dims, parts)), (0, 1, 1)


def _join_leading(size: int, in_dims: tuple[int | None, ...], parts: tuple[Tensor, ...]) -> list[Tensor]:
    """Make a mapped dimension the first of the leading ones: these are free."""
    moved = []
    for place, (part, dim) in enumerate(zip(parts, in_dims, strict=True)):
        target = 0 if place % 3 == 0 else 1
        if dim is None:
            part = part.unsqueeze(target).expand(*part.shape[:target], size, *part.shape[target:])
            moved.append(part)
        else:
            moved.append(part.movedim(dim, target))
    return moved


def _halves(factors: Paired) -> tuple[Paired, Paired]:
    left, right = zip(*(part.chunk(2, dim=-1) for part in factors), strict=True)
    return Paired(*left), Paired(*right)


def _joined(left: Paired, right: Paired) -> Paired:
    return Paired(*(torch.cat(pair, dim=-1) for pair in zip(left, right, strict=True)))


def _hermitian(x: Paired) -> Paired:
    """``e_0 x̃ e_0``: complex conjugate of a and t, v with its spatial part reversed."""
    conjugate = x.scalars.new_tensor([1.0, -1.0]).repeat(x.channels)
    return Paired(x.scalars * conjugate, torch.cat([x.vectors[:1], -x.vectors[1:]]), x.bivectors * conjugate)


def _working(parts: Sequence[Tensor]) -> list[Tensor]:
    """Contiguous tensors of a precision that has complex numbers."""
    known = parts[0].dtype in (torch.float32, torch.float64)
    return [(part if known else part.float()).contiguous() for part in parts]

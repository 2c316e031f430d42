r"""The geometric product of multivectors, with 128 real multiplications.

In the biquaternion layout (see :mod:`~lorentzoo.plugins.lgatr.paired`) a multivector is x = X + X' e_0 with
complex 2x2 matrices X, X' in Pauli's basis, and e_0 Y e_0 = Ỹ = J⁻¹ Y* J with J = iσ_2. Hence

    x y = (X Y + X' Ỹ') + (X Y' + X' Ỹ) e_0,

which is the upper half of the chiral representation by 4x4 matrices: 32 complex products instead of 16 x 16 real
ones. The adjoint of a multiplication by y is the multiplication by its Hermitian conjugate e_0 ỹ e_0 (ỹ the
reverse), so that derivatives of any order are again geometric products.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lorentzoo.plugins.lgatr.paired import Paired, paired_table

__all__ = ["geometric_product", "product_of_halves", "traceable_product"]

COLUMNS = 16384
"""Channels times tokens per pass: fewer, and calls cost more than arithmetic; more, and they leave the cache."""


PARTNERS, SIGNS = (torch.as_tensor(table) for table in paired_table())
PARTNERS = PARTNERS.flatten()
"""The product table between slots, flattened over (left slot, result slot), and its signs (16, 16)."""


def geometric_product(left: Paired, right: Paired) -> Paired:
    """Channel-wise geometric product of two streams of equal shape; auxiliary scalars are left out.

    See also
    --------
    lorentzoo.plugins.lgatr.algebra.GeometricAlgebra.product : the same in 16 components.
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
        dtype = _working_dtype(scalars)
        factors = _complex_planes(scalars, vectors, bivectors, dtype, sides=2)
        outputs = _empty_planes(factors[0], sides=1)
        for part, work in _passes(factors[0]):
            left, right = _matrices(*(plane[..., part, :, :] for plane in factors), out=work[:2])
            product = _multiply(left, right, out=work[2], conjugate=work[3])
            _components(product, *(plane[..., part, 0, :] for plane in outputs))
        return _real_planes(outputs, scalars)

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
        like, dtype = parts[0], _working_dtype(parts[0])
        factors, upstream = (
            _complex_planes(*parts[:3], dtype, sides=2),
            _complex_planes(*parts[3:], dtype, sides=1),
        )
        outputs = _empty_planes(factors[0], sides=2)
        for part, work in _passes(factors[0]):
            left, right = _matrices(
                *(plane[..., part, :, :] for plane in factors), out=work[:2], adjoint=True
            )
            (gradient,) = _matrices(*(plane[..., part, :, :] for plane in upstream), out=work[4:])
            for side, (first, second) in enumerate(((gradient, right), (left, gradient))):
                product = _multiply(first, second, out=work[2], conjugate=work[3])
                _components(product, *(plane[..., part, side, :] for plane in outputs))
        return _real_planes(outputs, like)

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


def _working_dtype(like: Tensor) -> torch.dtype:
    return like.dtype if like.dtype in (torch.float32, torch.float64) else torch.float32


def _complex_planes(
    scalars: Tensor, vectors: Tensor, bivectors: Tensor, dtype: torch.dtype, sides: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Complex views of shapes (P, sides, C), (4, P, sides, C), (3, P, sides, C) of the three parts."""

    channels = vectors.shape[-1] // (2 * sides)
    tokens = scalars.shape[:-1].numel()

    def view(part: Tensor, leading: tuple[int, ...]) -> Tensor:
        return torch.view_as_complex(part.to(dtype).contiguous().view(*leading, tokens, sides, channels, 2))

    return view(scalars, ()), view(vectors, (4,)), view(bivectors, (3,))


def _empty_planes(like: Tensor, sides: int) -> tuple[Tensor, Tensor, Tensor]:
    tokens, _, channels = like.shape
    shape = (tokens, sides, channels)
    return like.new_empty(shape), like.new_empty(4, *shape), like.new_empty(3, *shape)


def _real_planes(planes: tuple[Tensor, Tensor, Tensor], scalars: Tensor) -> tuple[Tensor, ...]:
    """Undo :func:`_complex_planes`: leading shape and dtype as in ``scalars``."""
    shape = *scalars.shape[:-1], 2 * planes[0].shape[-2] * planes[0].shape[-1]
    return tuple(
        torch.view_as_real(plane).view(*plane.shape[:-3], *shape).to(scalars.dtype) for plane in planes
    )


def _passes(plane: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Slices of tokens, each with a workspace (5, 2, 2, 2, P, C) that all passes share."""
    tokens, _, channels = plane.shape
    step = max(1, COLUMNS // max(channels, 1))
    work = plane.new_empty(5, 2, 2, 2, min(step, tokens), channels)
    for start in range(0, tokens, step):
        yield slice(start, start + step), work[..., : tokens - start, :]


def _matrices(
    scalars: Tensor, vectors: Tensor, bivectors: Tensor, out: Tensor, adjoint: bool = False
) -> Tensor:
    """Pauli matrices X, X' of a pass, shape (sides, 2, 2, 2, P, C) over (side, even or odd, row, column).

    With ``adjoint``, those of the Hermitian conjugate e_0 x̃ e_0.
    """
    for place, zero, (one, two, three) in ((0, scalars, bivectors), (1, vectors[0], vectors[1:])):
        zero, one, two, three = (plane.transpose(0, 1) for plane in (zero, one, two, three))
        first, upper, lower, last = out[:, place].flatten(1, 2).unbind(1)
        if adjoint:  # the even part is conjugate and transposed, in the odd part the vector is reversed
            upper, lower = (lower, upper) if place == 0 else (upper, lower)
            first, last = (first, last) if place == 0 else (last, first)
        torch.add(zero, three, out=first)
        torch.sub(zero, three, out=last)
        torch.add(one, two, alpha=-1j, out=upper)
        torch.add(one, two, alpha=1j, out=lower)
        if adjoint and place == 0:
            torch.conj_physical(out[:, 0], out=out[:, 0])
        elif adjoint:
            upper.neg_()
            lower.neg_()
    return out


def _multiply(left: Tensor, right: Tensor, out: Tensor, conjugate: Tensor) -> Tensor:
    """Product of two sets of matrices (2, 2, 2, P, C) over (even or odd, row, column), into ``out``."""
    even, odd = left
    torch.conj_physical(right, out=conjugate)
    torch.mul(even[None, :, 0, None], right[:, None, 0], out=out)
    out.addcmul_(even[None, :, 1, None], right[:, None, 1])
    for block in (0, 1):
        other = conjugate[1 - block]
        first, second = out[block, :, 0], out[block, :, 1]
        first.addcmul_(odd[:, 0], other[None, 1, 1]).addcmul_(odd[:, 1], other[None, 0, 1], value=-1)
        second.addcmul_(odd[:, 1], other[None, 0, 0]).addcmul_(odd[:, 0], other[None, 1, 0], value=-1)
    return out


def _components(matrices: Tensor, scalars: Tensor, vectors: Tensor, bivectors: Tensor) -> None:
    """Write the components of matrices (2, 2, 2, P, C) into complex planes (P, C), (4, P, C), (3, P, C)."""
    matrices.mul_(0.5)
    for block, zero, (one, two, three) in (
        (matrices[0], scalars, bivectors),
        (matrices[1], vectors[0], vectors[1:]),
    ):
        torch.add(block[0, 0], block[1, 1], out=zero)
        torch.sub(block[0, 0], block[1, 1], out=three)
        torch.add(block[0, 1], block[1, 0], out=one)
        torch.sub(block[0, 1], block[1, 0], out=two).mul_(1j)

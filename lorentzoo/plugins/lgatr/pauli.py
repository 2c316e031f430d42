r"""Arithmetic of multivectors as pairs of complex 2x2 matrices, in passes that stay in the cache.

A pass holds the Pauli matrices X, X' of x = X + X' e_0 for some thousand channels of tokens, as planes over (even or
odd, row, column). Its views are made once and used by every pass: a pass is a few dozen calls of elementwise kernels,
and making views would cost as much as the arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

__all__ = ["Workspace", "complex_planes", "passes"]

COLUMNS = 8192
"""Channels times tokens per pass: fewer, and calls cost more than arithmetic; more, and they leave the cache."""


def complex_planes(parts: Sequence[Tensor], sides: int) -> list[Tensor]:
    """The eight complex planes a, t_1..t_3, v_0..v_3 of a stream's three parts, each a view (sides, P, C).

    Parameters
    ----------
    parts
        Scalars (..., 2 sides C), vectors (4, ..., 2 sides C), bivectors (3, ..., 2 sides C), contiguous.
    sides
        How many factors share the channels.
    """
    scalars, vectors, bivectors = parts
    tokens, channels = scalars.shape[:-1].numel(), scalars.shape[-1] // (2 * sides)

    def planes(part: Tensor, count: int) -> list[Tensor]:
        shaped = torch.view_as_complex(part.view(count, tokens, sides, channels, 2))
        return list(shaped.transpose(1, 2).unbind(0))

    return planes(scalars, 1) + planes(bivectors, 3) + planes(vectors, 4)


def passes(plane: Tensor, columns: int | None = None) -> Iterator[tuple[slice, Workspace]]:
    """Slices of the tokens of a plane (sides, P, C), with the workspace for as many."""
    _, tokens, channels = plane.shape
    count = max(1, -(-tokens * channels // (columns or COLUMNS)))
    step = max(1, -(-tokens // count))
    workspace = None
    for start in range(0, tokens, step):
        size = min(step, tokens - start)
        if workspace is None or workspace.tokens != size:
            workspace = Workspace(plane, size, channels)
        yield slice(start, start + size), workspace


class Workspace:
    """Matrices of three multivectors, and what their products need.

    Parameters
    ----------
    like
        Dtype and device.
    tokens, channels
        Size of a pass.
    """

    def __init__(self, like: Tensor, tokens: int, channels: int) -> None:
        self.tokens = tokens
        buffers = like.new_empty(5, 2, 2, 2, tokens, channels)
        self._matrices, self._result, self._conjugate = buffers[:3], buffers[3], buffers[4]
        self._entries = {
            (first, sides): [
                (block, *block.flatten(1, 2).unbind(1))
                for block in self._matrices[first : first + sides].unbind(1)
            ]
            for first, sides in ((0, 2), (2, 1))
        }
        self._steps: dict[tuple[int, int], list[tuple[Tensor, Tensor, Tensor, float]]] = {}

    def load(self, planes: Sequence[Tensor], part: slice, first: int, adjoint: bool = False) -> None:
        """Write the matrices of planes (sides, P, C) to the places from ``first``.

        With ``adjoint``, those of the Hermitian conjugate e_0 x̃ e_0: the even part is conjugate and transposed, in the
        odd part the vector is reversed.
        """
        entries = self._entries[first, planes[0].shape[0]]
        zero, one, two, three, *odd = (plane[:, part] for plane in planes)
        block, corner, upper, lower, last = entries[0]
        if adjoint:
            upper, lower = lower, upper
        _pauli(zero, one, two, three, corner, upper, lower, last)
        if adjoint:
            torch.conj_physical(block, out=block)
        _, corner, upper, lower, last = entries[1]
        if adjoint:
            corner, last = last, corner
        _pauli(*odd, corner, upper, lower, last)  # type: ignore[call-arg]
        if adjoint:
            upper.neg_()
            lower.neg_()

    def multiply(self, left: int, right: int, planes: Sequence[Tensor], part: slice, side: int) -> None:
        """Multiply the matrices at two places, and write the components of the product into planes."""
        torch.conj_physical(self._matrices[right], out=self._conjugate)
        result = self._result
        even = self._matrices[left, 0]
        factor = self._matrices[right]
        torch.mul(even[None, :, 0, None], factor[:, None, 0], out=result)
        for out, one, other, sign in self._plan(left, right):
            out.addcmul_(one, other, value=sign)
        result.mul_(0.5)
        places = [plane[side, part] for plane in planes]
        for block, (zero, one, two, three) in zip(result, (places[:4], places[4:]), strict=True):
            corner, upper, lower, last = block.flatten(0, 1).unbind(0)
            torch.add(corner, last, out=zero)
            torch.sub(corner, last, out=three)
            torch.add(upper, lower, out=one)
            torch.sub(upper, lower, out=two).mul_(1j)

    def _plan(self, left: int, right: int) -> list[tuple[Tensor, Tensor, Tensor, float]]:
        """The multiply-adds of X Y + X' Ỹ' and X Y' + X' Ỹ with Ỹ = J⁻¹ Y* J, after the first product."""
        if (left, right) not in self._steps:
            even, odd = self._matrices[left]
            factor, conjugate, result = self._matrices[right], self._conjugate, self._result
            steps = [(result, even[None, :, 1, None], factor[:, None, 1], 1.0)]
            for block in (0, 1):
                other = conjugate[1 - block]
                first, second = result[block, :, 0], result[block, :, 1]
                steps += [
                    (first, odd[:, 0], other[None, 1, 1], 1.0),
                    (first, odd[:, 1], other[None, 0, 1], -1.0),
                    (second, odd[:, 1], other[None, 0, 0], 1.0),
                    (second, odd[:, 0], other[None, 1, 0], -1.0),
                ]
            self._steps[left, right] = steps
        return self._steps[left, right]


def _pauli(
    zero: Tensor,
    one: Tensor,
    two: Tensor,
    three: Tensor,
    corner: Tensor,
    upper: Tensor,
    lower: Tensor,
    last: Tensor,
) -> None:
    """The matrix c_0 + c_k σ_k from its four complex components."""
    torch.add(zero, three, out=corner)
    torch.sub(zero, three, out=last)
    torch.add(one, two, alpha=-1j, out=upper)
    torch.add(one, two, alpha=1j, out=lower)

r"""Multivectors as pairs of biquaternions: the layout in which the layers compute.

The even blades 1, σ_k = e_k e_0 and their products with the pseudoscalar I = e_0123 multiply like complex 2x2
matrices (σ_k are Pauli matrices, I is the imaginary unit), and every odd element is an even one times e_0. So

    x = (a + t_k σ_k) + (v_0 + v_k σ_k) e_0

with eight complex numbers: a (scalar, pseudoscalar), v (vector, axial vector) and t (electric, magnetic part of
the bivector). The connected Lorentz group mixes the four v among themselves and the three t, never real parts
with imaginary parts: a linear map that commutes with it is one matrix for a, one for v, one for t, over channels.
Real and imaginary parts of a channel are neighbours in memory, so that complex views cost nothing.

Sixteen components exist only at the public interface (:meth:`Paired.from_components`).
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lorentzoo.nn import SPACETIME

__all__ = ["Paired", "paired_table", "slots"]


class Paired(NamedTuple):
    """A multivector stream with C channels and S auxiliary scalars, for tokens of any leading shape ``...``.

    Attributes
    ----------
    scalars
        Shape (..., 2C + S): scalar and pseudoscalar of each channel in turn, then the auxiliary scalars.
    vectors
        Shape (4, ..., 2C): vector and axial vector of each channel in turn, components 0 to 3.
    bivectors
        Shape (3, ..., 2C): electric and magnetic part of each channel in turn, components 1 to 3.
    """

    scalars: Tensor
    vectors: Tensor
    bivectors: Tensor

    @property
    def channels(self) -> int:
        """Number of multivector channels, C."""
        return self.vectors.shape[-1] // 2

    @property
    def auxiliary(self) -> Tensor:
        """Auxiliary scalars, shape (..., S)."""
        return self.scalars[..., self.vectors.shape[-1] :]

    def plus(self, other: Paired) -> Paired:
        """Sum of two streams of equal shape (``+`` would join the tuples)."""
        return Paired(
            self.scalars + other.scalars, self.vectors + other.vectors, self.bivectors + other.bivectors
        )

    def to(self, dtype: torch.dtype) -> Paired:
        """The same stream in another dtype."""
        return Paired(*(part.to(dtype) for part in self))

    @staticmethod
    def from_vectors(vectors: Tensor, scalars: Tensor | None = None) -> Paired:
        """Embed four-vectors (..., C, 4) as multivectors of grade one, beside scalars (..., S)."""
        *leading, channels, _ = vectors.shape
        parts = torch.stack([vectors, torch.zeros_like(vectors)], dim=-2)  # (..., C, 2, 4)
        zeros = vectors.new_zeros(*leading, 2 * channels)
        return Paired(
            zeros if scalars is None else torch.cat([zeros, scalars], dim=-1),
            parts.flatten(-3, -2).movedim(-1, 0),
            vectors.new_zeros(3, *leading, 2 * channels),
        )

    def to_vectors(self) -> Tensor:
        """Vector part of every channel, shape (..., C, 4)."""
        return self.vectors.unflatten(-1, (-1, 2))[..., 0].movedim(0, -1)

    @staticmethod
    def from_components(multivectors: Tensor, scalars: Tensor | None = None) -> Paired:
        """Read multivectors (..., C, 16) in the field's component order, and scalars (..., S)."""
        index, sign = slots()
        planes = multivectors[..., index] * torch.as_tensor(sign, dtype=multivectors.dtype).to(
            multivectors.device
        )
        planes = planes.unflatten(-1, (8, 2)).movedim(-2, 0).flatten(-2)  # (8, ..., 2C)
        head = planes[0] if scalars is None else torch.cat([planes[0], scalars], dim=-1)
        return Paired(head, planes[1:5], planes[5:8])

    def to_components(self) -> Tensor:
        """Multivectors of shape (..., C, 16) in the field's component order."""
        index, sign = slots()
        head = self.scalars[..., : self.vectors.shape[-1]]
        planes = torch.cat([head[None], self.vectors, self.bivectors])
        planes = planes.unflatten(-1, (-1, 2)).movedim(0, -2).flatten(-2)  # (..., C, 16)
        planes = planes * torch.as_tensor(sign, dtype=planes.dtype).to(planes.device)
        return planes[..., np.argsort(index)]


@cache
def _units() -> np.ndarray:
    """The sixteen real units of the layout as multivectors, shape (16, 16): a, v0..v3, t1..t3, each (1, I)."""
    algebra = SPACETIME
    pseudoscalar, time = algebra.blade("e0123"), algebra.blade("e0")
    sigma = [algebra.product(algebra.blade(f"e{k}"), time) for k in (1, 2, 3)]
    one = algebra.blade("1")
    odd = [algebra.product(unit, time) for unit in (one, *sigma)]
    return np.array(
        [algebra.product(phase, unit) for unit in (one, *odd, *sigma) for phase in (one, pseudoscalar)]
    )


@cache
def slots() -> tuple[np.ndarray, np.ndarray]:
    """Component and sign behind each of the 16 slots of the layout: ``slot = sign * x[index]``."""
    units = _units()
    index = np.abs(units).argmax(-1)
    return index, units[np.arange(16), index]


@cache
def paired_table() -> tuple[np.ndarray, np.ndarray]:
    """Product table between slots: ``(x y)_k = sum_i sign[i, k] x_i y_index[i, k]``, both (16, 16)."""
    index, sign = slots()
    table = SPACETIME.table[np.ix_(index, index, index)] * sign[:, None, None] * sign[:, None] * sign
    partner = np.abs(table).argmax(1)
    return partner, np.take_along_axis(table, partner[:, None], 1)[:, 0]

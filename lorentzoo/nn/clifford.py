"""What is the product of two multivectors? The spacetime algebra Cl(1,3), derived from its metric.

Everything that the layers know about multivectors (product table, signs of the reverse, of the inner product
and of the dual) comes from the four numbers of the metric, so no table is shipped. Arrays are NumPy, float64:
this module is the reference that the fast layers are tested against.

Components follow the order of the field: 1; e0, e1, e2, e3; e01, e02, e03, e12, e13, e23; e012, e013, e023,
e123; e0123.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["SPACETIME", "GeometricAlgebra"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GeometricAlgebra:
    r"""The geometric algebra of a diagonal metric, ``e_i e_j = -e_j e_i`` and ``e_i e_i = metric[i]``.

    Parameters
    ----------
    metric
        Squares of the basis vectors, each +1 or -1.

    Examples
    --------
    >>> SPACETIME.names[5:8]
    ('e01', 'e02', 'e03')
    >>> pseudoscalar = SPACETIME.blade("e0123")
    >>> float(SPACETIME.product(pseudoscalar, pseudoscalar)[0])
    -1.0
    """

    metric: tuple[int, ...]

    @cached_property
    def blades(self) -> tuple[tuple[int, ...], ...]:
        """Basis blades as increasing index tuples, by grade, then in lexicographic order."""
        n = len(self.metric)
        return tuple(blade for grade in range(n + 1) for blade in combinations(range(n), grade))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the basis blades: ``"1"``, ``"e0"``, ..., ``"e0123"``."""
        return tuple("e" + "".join(map(str, blade)) if blade else "1" for blade in self.blades)

    @cached_property
    def grades(self) -> NDArray[np.int64]:
        """Grade of each component, shape (16,)."""
        return np.array([len(blade) for blade in self.blades])

    @cached_property
    def table(self) -> Array:
        """Structure constants, shape (16, 16, 16): ``e_i e_j = sum_k table[i, j, k] e_k``."""
        position = {blade: index for index, blade in enumerate(self.blades)}
        table = np.zeros((len(self.blades),) * 3)
        for i, left in enumerate(self.blades):
            for j, right in enumerate(self.blades):
                blade, sign = self._multiply(left, right)
                table[i, j, position[blade]] = sign
        return table

    def blade(self, name: str) -> Array:
        """One basis blade as a multivector, shape (16,)."""
        found: Array = np.eye(len(self.blades))[self.names.index(name)]
        return found

    def product(self, left: ArrayLike, right: ArrayLike) -> Array:
        """Geometric product, shapes (..., 16) and (..., 16) to (..., 16)."""
        found: Array = np.einsum("...i,...j,ijk->...k", np.asarray(left), np.asarray(right), self.table)
        return found

    def grade(self, multivector: ArrayLike, grade: int) -> Array:
        """Projection onto one grade, shape (..., 16)."""
        found: Array = np.asarray(multivector) * (self.grades == grade)
        return found

    @cached_property
    def reverse_signs(self) -> Array:
        """Signs of the reverse, which inverts the order of all products: (-1)^(k(k-1)/2) for grade k."""
        return np.asarray((-1.0) ** (self.grades * (self.grades - 1) // 2), dtype=np.float64)

    def reverse(self, multivector: ArrayLike) -> Array:
        """Reverse of a multivector, shape (..., 16)."""
        found: Array = np.asarray(multivector) * self.reverse_signs
        return found

    def dual(self, multivector: ArrayLike) -> Array:
        """Hodge dual by the pseudoscalar from the left, ``e_0123 x``, shape (..., 16)."""
        return self.product(np.eye(len(self.blades))[-1], multivector)

    @cached_property
    def inner_signs(self) -> Array:
        """Diagonal of the inner product ``<x, y> = (reverse(x) y)_0``, shape (16,)."""
        signs: Array = self.reverse_signs * np.einsum("iik->ik", self.table)[:, 0]
        return signs

    def inner(self, left: ArrayLike, right: ArrayLike) -> Array:
        """Inner product ``(reverse(x) y)_0``, shapes (..., 16) to (...)."""
        found: Array = (np.asarray(left) * self.inner_signs * np.asarray(right)).sum(-1)
        return found

    def transform(self, matrix: ArrayLike, multivector: ArrayLike) -> Array:
        """Multivector after the linear map of its vectors, extended to products of vectors.

        Parameters
        ----------
        matrix
            Orthogonal map of vectors, shape (n, n), acting on columns.
        multivector
            Shape (..., 16).
        """
        return np.asarray(multivector) @ self.outermorphism(matrix).T

    def outermorphism(self, matrix: ArrayLike) -> Array:
        """Matrix (16, 16) by which a map of vectors (n, n) acts on all grades: minors of the matrix."""
        matrix = np.asarray(matrix, dtype=np.float64)
        result = np.zeros((len(self.blades),) * 2)
        for i, row in enumerate(self.blades):
            for j, column in enumerate(self.blades):
                if len(row) == len(column):
                    result[i, j] = np.linalg.det(matrix[np.ix_(row, column)]) if row else 1.0
        return result

    def versor(self, matrix: ArrayLike) -> Array:
        r"""Versor R of an orthogonal map, ``R e_i R^-1 = sum_j matrix[j, i] e_j``.

        The algebra is central simple, so that R exists and is unique up to a factor (Skolem-Noether): it is
        the null vector of the linear system ``R e_i = f_i R``. Unlike the logarithm or the closed formula for
        rotors, this has no exception at rotations by pi, and it covers parity and time reversal.

        Parameters
        ----------
        matrix
            Shape (n, n) with ``matrix^T g matrix = g``.

        Returns
        -------
        Array
            Versor of shape (16,), with ``|reverse(R) R| = 1`` and its largest component positive.
        """
        n = len(self.metric)
        images = np.zeros((n, len(self.blades)))
        images[:, 1 : n + 1] = np.asarray(matrix, dtype=np.float64).T
        right = np.einsum("ijk->jki", self.table)[1 : n + 1]  # R -> R e_i
        left = np.einsum("ia,abk->ikb", images, self.table)  # R -> f_i R
        system = (right - left).reshape(-1, len(self.blades))
        null = np.linalg.svd(system)[2][-1]
        square = self.product(self.reverse(null), null)[0]
        null = null / np.sqrt(abs(square))
        versor: Array = null * np.sign(null[np.argmax(np.abs(null))])
        return versor

    def sandwich(self, versor: ArrayLike, multivector: ArrayLike) -> Array:
        """``R x R^-1`` for a versor R of shape (16,), shape (..., 16)."""
        inverse = self.reverse(versor)
        inverse = inverse / self.product(versor, inverse)[0]
        return self.product(self.product(versor, multivector), inverse)

    def lorentz(self, versor: ArrayLike) -> Array:
        """Orthogonal map of a versor, shape (16,) to (n, n): the inverse of :meth:`versor`."""
        n = len(self.metric)
        return self.sandwich(versor, np.eye(len(self.blades))[1 : n + 1])[:, 1 : n + 1].T

    def _multiply(self, left: tuple[int, ...], right: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        """Product of two basis blades: sort the joint index list, one sign per swap, contract equal pairs."""
        sign = 1
        indices = list(left)
        for index in right:
            larger = sum(other > index for other in indices)
            sign *= (-1) ** larger
            if index in indices:
                sign *= self.metric[index]
                indices.remove(index)
            else:
                indices.insert(len(indices) - larger, index)
        return tuple(indices), sign


SPACETIME = GeometricAlgebra((1, -1, -1, -1))

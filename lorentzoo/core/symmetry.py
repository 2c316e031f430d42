"""Which transformations leave something unchanged?

A `Symmetry` is a Lie subalgebra of so(1,3), held as a linear subspace of the six generators
(Kx, Ky, Kz, Jx, Jy, Jz), together with the discrete transformations that are kept. Stabilisers,
commutants and intersections are found by linear algebra, so that the symmetry of a composition is
computed and never claimed. Only numpy is needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["DISCRETE", "Symmetry", "generator_matrices", "intersection"]

Array = NDArray[np.float64]

_METRIC: Final = np.diag([1.0, -1.0, -1.0, -1.0])
_NAMES: Final = ("Kx", "Ky", "Kz", "Jx", "Jy", "Jz")
_TOLERANCE: Final = 1e-9
"""Relative singular value below which a direction counts as null, in float64 linear algebra."""

DISCRETE: Final[dict[str, Array]] = {
    "P": np.diag([1.0, -1.0, -1.0, -1.0]),
    "T": np.diag([-1.0, 1.0, 1.0, 1.0]),
    "PT": -np.eye(4),
    "z-flip": np.diag([1.0, 1.0, 1.0, -1.0]),
}
"""The discrete transformations that are tested, as explicit matrices."""


def generator_matrices() -> Array:
    """The basis (Kx, Ky, Kz, Jx, Jy, Jz) of so(1,3), shape (6, 4, 4), acting on column vectors."""
    basis = np.zeros((6, 4, 4))
    for axis in range(3):
        basis[axis, 0, axis + 1] = basis[axis, axis + 1, 0] = 1.0
        j, k = (axis + 1) % 3 + 1, (axis + 2) % 3 + 1
        basis[axis + 3, j, k], basis[axis + 3, k, j] = -1.0, 1.0
    return basis


_BASIS: Final = generator_matrices()


@dataclass(frozen=True, eq=False)
class Symmetry:
    """A Lie subalgebra of so(1,3) and a set of discrete symmetries: an immutable value.

    Parameters
    ----------
    generators
        Rows span the subalgebra over (Kx, Ky, Kz, Jx, Jy, Jz), shape (d, 6). They are
        orthonormalised here; redundant rows are dropped.
    discrete
        The discrete transformations kept, a subset of `DISCRETE`.

    Examples
    --------
    >>> Symmetry.stabiliser([[1, 0, 0, 0]])
    Symmetry('SO(3)')
    >>> beams = Symmetry.stabiliser([[1, 0, 0, 1], [1, 0, 0, -1]])
    >>> beams.name, beams.dimension
    ('SO(2)_beam', 1)
    >>> Symmetry.commutant([np.diag([1.0, 0, 0, 1])]).name
    'SO⁺(1,1)_beam × SO(2)_beam'
    """

    generators: Array
    discrete: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        rows = np.asarray(self.generators, dtype=np.float64).reshape(-1, 6)
        unknown = set(self.discrete) - set(DISCRETE)
        if unknown:
            raise ValueError(f"unknown discrete symmetries {sorted(unknown)}; known are {sorted(DISCRETE)}")
        basis = _row_space(rows)
        basis.setflags(write=False)
        object.__setattr__(self, "generators", basis)
        object.__setattr__(self, "discrete", frozenset(self.discrete))

    # ---- construction ---------------------------------------------------------------------

    @classmethod
    def full(cls) -> Symmetry:
        """The whole of so(1,3), with every discrete symmetry."""
        return cls(np.eye(6), frozenset(DISCRETE))

    @classmethod
    def trivial(cls) -> Symmetry:
        """No continuous and no discrete symmetry."""
        return cls(np.zeros((0, 6)))

    @classmethod
    def spanned_by(cls, *names: str, discrete: Iterable[str] = ()) -> Symmetry:
        """The subalgebra spanned by named generators, e.g. ``Symmetry.spanned_by("Kz", "Jz")``."""
        unknown = [name for name in names if name not in _NAMES]
        if unknown:
            raise ValueError(f"unknown generators {unknown}; known are {list(_NAMES)}")
        rows = np.eye(6)[[_NAMES.index(name) for name in names]]
        return cls(rows, frozenset(discrete))

    @classmethod
    def stabiliser(cls, vectors: ArrayLike) -> Symmetry:
        """What leaves each of the given four-vectors fixed, {X : X v = 0}. Shape (k, 4)."""
        v = np.asarray(vectors, dtype=np.float64).reshape(-1, 4)
        v = _normalised(v)
        conditions = np.einsum("aij,kj->kia", _BASIS, v).reshape(-1, 6)
        kept = {name for name, m in DISCRETE.items() if np.allclose(v @ m.T, v, atol=1e-12)}
        return cls(_null_space(conditions), frozenset(kept))

    @classmethod
    def commutant(cls, matrices: ArrayLike) -> Symmetry:
        """What commutes with each of the given linear maps, {X : X M = M X}. Shape (k, 4, 4)."""
        m = np.asarray(matrices, dtype=np.float64).reshape(-1, 4, 4)
        scale = np.maximum(np.linalg.norm(m, axis=(1, 2), keepdims=True), np.finfo(float).tiny)
        m = m / scale
        brackets = np.einsum("aij,kjl->kila", _BASIS, m) - np.einsum("kij,ajl->kila", m, _BASIS)
        kept = {name for name, d in DISCRETE.items() if np.allclose(d @ m, m @ d, atol=1e-12)}
        return cls(_null_space(brackets.reshape(-1, 6)), frozenset(kept))

    # ---- algebra --------------------------------------------------------------------------

    @property
    def dimension(self) -> int:
        """Dimension of the subalgebra, 0 to 6."""
        return int(self.generators.shape[0])

    @property
    def is_full(self) -> bool:
        """Whether this is the whole connected Lorentz group."""
        return self.dimension == 6

    @property
    def is_trivial(self) -> bool:
        """Whether no continuous symmetry is left."""
        return self.dimension == 0

    @property
    def matrices(self) -> Array:
        """The generators as 4x4 matrices, shape (d, 4, 4)."""
        return np.asarray(np.einsum("da,aij->dij", self.generators, _BASIS))

    @property
    def complement(self) -> Array:
        """An orthonormal basis of the directions of so(1,3) that are not kept, shape (6 - d, 6)."""
        return _null_space(self.generators)

    def __and__(self, other: Symmetry) -> Symmetry:
        """The intersection of two subalgebras and of their discrete parts."""
        both = np.concatenate([self.complement, other.complement])
        return Symmetry(_null_space(both), self.discrete & other.discrete)

    def contains(self, coefficients: ArrayLike, tolerance: float = 1e-7) -> bool:
        """Whether the generator Σ_a c_a X_a lies in this subalgebra. Shape (6,) or (k, 6): all of them."""
        c = _normalised(np.asarray(coefficients, dtype=np.float64).reshape(-1, 6))
        return bool(np.all(np.abs(c @ self.complement.T) <= tolerance))

    def __le__(self, other: Symmetry) -> bool:
        """Whether this subalgebra lies in the other one (discrete parts are not compared)."""
        return other.contains(self.generators)

    def __lt__(self, other: Symmetry) -> bool:
        return self <= other and self.dimension < other.dimension

    def __eq__(self, other: object) -> bool:
        """Whether the two subalgebras are the same (discrete parts are not compared)."""
        if not isinstance(other, Symmetry):
            return NotImplemented
        return self.dimension == other.dimension and self <= other

    def __hash__(self) -> int:
        # Equal subspaces may differ in rounding, so only what is robust enters the hash.
        return hash(self.dimension)

    @property
    def is_closed(self) -> bool:
        """Whether the subspace is closed under commutators, as a Lie algebra must be."""
        m = self.matrices
        brackets = np.einsum("aij,bjk->abik", m, m)
        brackets = (brackets - brackets.transpose(1, 0, 2, 3)).reshape(-1, 4, 4)
        return all(
            self.contains(_coefficients(bracket))
            for bracket in brackets
            if np.linalg.norm(bracket) > _TOLERANCE
        )

    def element(self, coefficients: ArrayLike) -> Array:
        """Finite element exp(Σ_d c_d X_d) along this algebra's own basis. Shape (d,) -> (4, 4)."""
        c = np.asarray(coefficients, dtype=np.float64).reshape(self.dimension)
        return _expm(np.einsum("d,dij->ij", c, self.matrices))

    def random_element(self, rng: np.random.Generator, size: float = 1.0) -> Array:
        """A random finite element; `size` is the norm of the algebra element. Shape (4, 4)."""
        if self.is_trivial:
            return np.eye(4)
        direction = rng.normal(size=self.dimension)
        return self.element(size * direction / np.linalg.norm(direction))

    # ---- names ----------------------------------------------------------------------------

    @cached_property
    def name(self) -> str:
        """The usual name of the conjugacy class, with the axis where it is not the standard one."""
        return _name(self)

    def describe(self) -> str:
        """Name, dimension, a basis of generators, and the discrete part, in one line."""
        if self.is_trivial:
            basis = "no generators"
        else:
            basis = ", ".join(_format_generator(row) for row in _reduced(self.generators))
        discrete = "{" + ", ".join(name for name in DISCRETE if name in self.discrete) + "}"
        return f"{self.name}: dimension {self.dimension}, {basis}; discrete {discrete}"

    def __repr__(self) -> str:
        return f"Symmetry({self.name!r})"


# ---- naming -----------------------------------------------------------------------------------


def _name(symmetry: Symmetry) -> str:
    d = symmetry.dimension
    if d == 0:
        return "trivial"
    if d == 6:
        return "SO⁺(1,3)"
    if not symmetry.is_closed:
        return _by_generators(symmetry, "not closed")
    return {1: _name_one, 2: _name_two, 3: _name_three, 4: _name_four}.get(d, _by_generators)(symmetry)


def _name_one(symmetry: Symmetry) -> str:
    k, j = symmetry.generators[0, :3], symmetry.generators[0, 3:]
    # The two invariants of a Lorentz generator: |K|² - |J|² and K·J.
    difference, product = k @ k - j @ j, k @ j
    if abs(product) > 1e-7:
        return _by_generators(symmetry, "screw")
    if abs(difference) <= 1e-7:
        return _by_generators(symmetry, "null rotation")
    if difference < 0:
        return "SO(2)" + _axis_or_plane(symmetry, j, k)
    return "SO⁺(1,1)" + _axis_or_plane(symmetry, k, j)


def _name_two(symmetry: Symmetry) -> str:
    form = np.einsum("aij,bji->ab", symmetry.matrices, symmetry.matrices)
    eigenvalues = np.linalg.eigvalsh(form)
    if eigenvalues[0] < -1e-7 and eigenvalues[1] > 1e-7:
        standard = Symmetry.spanned_by("Kz", "Jz")
        if symmetry == standard:
            return "SO⁺(1,1)_beam × SO(2)_beam"
        return _by_generators(symmetry, "SO⁺(1,1) × SO(2)")
    return _by_generators(symmetry, "")


def _name_three(symmetry: Symmetry) -> str:
    fixed = _null_space(symmetry.matrices.reshape(-1, 4))
    if fixed.shape[0] != 1:
        return _by_generators(symmetry, "")
    v = fixed[0]
    square = v @ _METRIC @ v
    if abs(square) <= 1e-7:
        v = v / v[0]
        standard = abs(abs(v[3]) - 1) <= 1e-7
        return "ISO(2)" if standard else f"ISO(2)_{_format_vector(v)}"
    v = v / np.sqrt(abs(square))
    if square > 0:
        v = v * np.sign(v[0])
        return "SO(3)" if np.allclose(v, [1, 0, 0, 0], atol=1e-7) else f"SO(3)_{_format_vector(v)}"
    v = v * np.sign(v[np.argmax(np.abs(v))])
    return "SO⁺(1,2)" if np.allclose(v, [0, 0, 0, 1], atol=1e-7) else f"SO⁺(1,2)_{_format_vector(v)}"


def _name_four(symmetry: Symmetry) -> str:
    return _by_generators(symmetry, "SIM(2)")


def _axis_or_plane(symmetry: Symmetry, main: Array, other: Array) -> str:
    """Suffix for a rotation or boost: the beam, another axis, or the generator of a conjugate."""
    if np.linalg.norm(other) > 1e-7:
        return f"_<{_format_generator(symmetry.generators[0])}>"
    axis = main / np.linalg.norm(main)
    axis = axis * np.sign(axis[np.argmax(np.abs(axis))])
    if np.allclose(axis, [0, 0, 1], atol=1e-7):
        return "_beam"
    return f"_{_format_vector(axis)}"


def _by_generators(symmetry: Symmetry, label: str = "") -> str:
    basis = ", ".join(_format_generator(row) for row in _reduced(symmetry.generators))
    prefix = label or f"{symmetry.dimension}-dimensional"
    return f"{prefix} <{basis}>"


def _format_generator(row: Array) -> str:
    row = row / row[np.argmax(np.abs(row) > 1e-7)]
    terms = ""
    for value, name in zip(row, _NAMES, strict=True):
        if abs(value) <= 1e-7:
            continue
        size = "" if abs(abs(value) - 1) <= 1e-7 else f"{abs(value):.3g} "
        sign = " - " if value < 0 else " + "
        terms += (sign if terms or value < 0 else "") + size + name
    return terms.strip()


def _format_vector(v: Array) -> str:
    return "(" + ",".join(f"{x:.3g}" for x in np.round(v, 9) + 0.0) + ")"


# ---- linear algebra ---------------------------------------------------------------------------


def _normalised(rows: Array) -> Array:
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0))


def _row_space(rows: Array) -> Array:
    if rows.shape[0] == 0:
        return np.zeros((0, 6))
    _, s, vt = np.linalg.svd(_normalised(rows), full_matrices=False)
    return np.array(vt[s > _TOLERANCE * max(s[0], 1.0)])


def _null_space(conditions: Array) -> Array:
    columns = conditions.shape[1]
    if conditions.shape[0] == 0:
        return np.eye(columns)
    _, s, vt = np.linalg.svd(conditions, full_matrices=True)
    if s[0] == 0:
        return np.eye(columns)
    # Conditions are of unit size: what lies below the tolerance is rounding, e.g. of a multiple of the identity.
    rank = int(np.sum(s > _TOLERANCE * max(s[0], 1.0)))
    return np.array(vt[rank:])


def _coefficients(matrix: Array) -> Array:
    """Coefficients of a matrix of so(1,3) over the six generators (orthogonal under trace of X Yᵀ)."""
    return np.asarray(np.einsum("aij,ij->a", _BASIS, matrix) / 2.0)


def _reduced(rows: Array) -> Array:
    """Reduced row echelon form, for printing: the same subspace in its simplest basis."""
    a = np.array(rows)
    pivot_row = 0
    for column in range(a.shape[1]):
        if pivot_row == a.shape[0]:
            break
        best = pivot_row + int(np.argmax(np.abs(a[pivot_row:, column])))
        if abs(a[best, column]) <= 1e-7:
            continue
        a[[pivot_row, best]] = a[[best, pivot_row]]
        a[pivot_row] /= a[pivot_row, column]
        for other in range(a.shape[0]):
            if other != pivot_row:
                a[other] -= a[other, column] * a[pivot_row]
        pivot_row += 1
    return a


def _expm(matrix: Array) -> Array:
    """Matrix exponential of a 4x4 generator by scaling and squaring of its Taylor series."""
    squarings = max(0, (math.ceil(math.log2(max(float(np.linalg.norm(matrix)), 1e-300)))) + 4)
    small = matrix / 2.0**squarings
    term, total = np.eye(4), np.eye(4)
    for order in range(1, 14):
        term = term @ small / order
        total = total + term
    for _ in range(squarings):
        total = total @ total
    return total


def intersection(symmetries: Sequence[Symmetry]) -> Symmetry:
    """The intersection of several symmetries; of none of them, the full group."""
    result = Symmetry.full()
    for symmetry in symmetries:
        result = result & symmetry
    return result

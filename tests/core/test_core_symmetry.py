"""Subalgebras of so(1,3): found by linear algebra, named by what they are."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from lorentzoo.core.symmetry import DISCRETE, Symmetry, generator_matrices, intersection

seeds = st.integers(0, 10_000)
TIME, BEAM = [1, 0, 0, 0], [0, 0, 0, 1]
LIGHT, BACK = [1, 0, 0, 1], [1, 0, 0, -1]


def random_lorentz(rng: np.random.Generator, size: float = 1.0) -> np.ndarray:
    return Symmetry.full().random_element(rng, size) @ Symmetry.full().random_element(rng, size)


def brute_force_dimension(conditions) -> int:
    """6 minus the rank of the conditions, from generators written out by hand."""
    columns = []
    for a in range(6):
        m = np.zeros((4, 4))
        if a < 3:
            m[0, a + 1] = m[a + 1, 0] = 1
        else:
            i, j = [(2, 3), (3, 1), (1, 2)][a - 3]
            m[i, j], m[j, i] = -1, 1
        columns.append(np.concatenate([np.ravel(condition(m)) for condition in conditions] or [np.zeros(1)]))
    return 6 - np.linalg.matrix_rank(np.array(columns).T, tol=1e-8)


@pytest.mark.parametrize(
    ("vectors", "name", "dimension"),
    [
        ([], "SO⁺(1,3)", 6),
        ([TIME], "SO(3)", 3),
        ([BEAM], "SO⁺(1,2)", 3),
        ([LIGHT], "ISO(2)", 3),
        ([LIGHT, BACK], "SO(2)_beam", 1),
        ([[2**0.5, 0, 0, 1], [2**0.5, 0, 0, -1]], "SO(2)_beam", 1),
        ([BEAM, TIME], "SO(2)_beam", 1),
        ([LIGHT, TIME], "SO(2)_beam", 1),
        ([LIGHT, [1, 0, 1, 0], [1, 1, 0, 0], TIME], "trivial", 0),
        ([[0, 1, 0, 0], [0, 0, 1, 0]], "SO⁺(1,1)_beam", 1),
        ([[0, 1, 0, 0], [0, 0, 0, 1]], "SO⁺(1,1)_(0,1,0)", 1),
        ([TIME, [0, 1, 0, 0]], "SO(2)_(1,0,0)", 1),
        ([[2, 0, 0, 1]], "SO(3)_(1.15,0,0,0.577)", 3),
    ],
)
def test_what_vectors_leave(vectors: list, name: str, dimension: int) -> None:
    symmetry = Symmetry.stabiliser(np.array(vectors, dtype=float).reshape(-1, 4))
    assert (symmetry.name, symmetry.dimension) == (name, dimension)
    assert symmetry.is_closed


def test_what_the_beam_plane_leaves() -> None:
    symmetry = Symmetry.commutant([np.diag([1.0, 0, 0, 1])])
    assert symmetry.name == "SO⁺(1,1)_beam × SO(2)_beam"
    assert symmetry == Symmetry.spanned_by("Kz", "Jz")
    assert symmetry.discrete == set(DISCRETE)


def test_four_dimensional_subgroups_have_a_name() -> None:
    borel = Symmetry([[1, 0, 0, 0, 1, 0], [0, 1, 0, -1, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1]])
    assert borel.is_closed
    assert borel.name.startswith("SIM(2)")


@given(seeds, st.integers(0, 4))
def test_dimension_of_any_stabiliser(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, 4)) * 10.0 ** rng.integers(-3, 4, (count, 1))
    if count > 1 and rng.random() < 0.5:
        vectors[1] = -2.5 * vectors[0]
    symmetry = Symmetry.stabiliser(vectors)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if count else vectors
    assert symmetry.dimension == brute_force_dimension([lambda m, v=v: m @ v for v in unit])
    assert symmetry.is_closed
    for _ in range(3):
        element = symmetry.random_element(rng)
        np.testing.assert_allclose(vectors @ element.T, vectors, atol=1e-9 * np.abs(vectors).max(initial=1))


@given(seeds, st.integers(1, 3))
def test_dimension_of_any_commutant(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    choices = [
        np.eye(4),
        np.diag([1.0, 0, 0, 1]),
        np.diag([1.0, 0, 0, 0]),
        np.diag([1.0, 1, 0, 0]),
        np.outer([1, 0, 0, 1], [1, 0, 0, -1]),
        rng.normal(size=(4, 4)),
    ]
    similar = random_lorentz(rng, 0.7)
    matrices = [choices[rng.integers(len(choices))] for _ in range(count)]
    matrices = [similar @ m @ np.linalg.inv(similar) * 10.0 ** rng.integers(-2, 3) for m in matrices]
    symmetry = Symmetry.commutant(matrices)
    unit = [m / np.linalg.norm(m) for m in matrices]
    assert symmetry.dimension == brute_force_dimension([lambda x, m=m: x @ m - m @ x for m in unit])
    assert symmetry.is_closed


@given(seeds)
def test_intersections_are_what_both_keep(seed: int) -> None:
    rng = np.random.default_rng(seed)
    v, w = rng.normal(size=(2, 4))
    both = Symmetry.stabiliser([v]) & Symmetry.stabiliser([w])
    assert both == Symmetry.stabiliser([v, w])
    assert both <= Symmetry.stabiliser([v])
    assert intersection([]) == Symmetry.full()
    assert both & Symmetry.trivial() == Symmetry.trivial()
    assert both & Symmetry.full() == both


def conjugated(symmetry: Symmetry, element: np.ndarray) -> Symmetry:
    inverse = np.linalg.inv(element)
    moved = element @ symmetry.matrices @ inverse
    return Symmetry(np.einsum("aij,dij->da", generator_matrices(), moved) / 2)


CLASSES = {
    "SO(3)": Symmetry.stabiliser([TIME]),
    "SO⁺(1,2)": Symmetry.stabiliser([BEAM]),
    "ISO(2)": Symmetry.stabiliser([LIGHT]),
    "SO(2)": Symmetry.spanned_by("Jz"),
    "SO⁺(1,1)": Symmetry.spanned_by("Kz"),
    "SO⁺(1,1) × SO(2)": Symmetry.spanned_by("Kz", "Jz"),
    "null rotation": Symmetry([[1, 0, 0, 0, 1, 0]]),
    "screw": Symmetry([[0, 0, 1, 0, 0, 2]]),
    "SIM(2)": Symmetry([[1, 0, 0, 0, 1, 0], [0, 1, 0, -1, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1]]),
    "SO⁺(1,3)": Symmetry.full(),
    "trivial": Symmetry.trivial(),
}


@pytest.mark.parametrize("label", CLASSES)
@given(seed=seeds)
def test_a_conjugate_keeps_its_class_and_says_its_axis(label: str, seed: int) -> None:
    moved = conjugated(CLASSES[label], random_lorentz(np.random.default_rng(seed), 0.8))
    assert moved.dimension == CLASSES[label].dimension
    assert moved.is_closed
    assert moved.name.startswith(label)
    if label not in ("SO⁺(1,3)", "trivial"):
        assert moved.name != CLASSES[label].name
    # The class of a subgroup whose label begins with another's must not be confused with it.
    if label == "SO(2)":
        assert "×" not in moved.name
    assert repr(moved) == f"Symmetry({moved.name!r})"
    assert f"dimension {moved.dimension}" in moved.describe()


def test_a_subspace_that_is_no_algebra_says_so() -> None:
    symmetry = Symmetry.spanned_by("Kx", "Ky")
    assert not symmetry.is_closed
    assert symmetry.name.startswith("not closed")


def test_discrete_parts_are_tested_as_matrices() -> None:
    assert Symmetry.stabiliser([TIME]).discrete == {"P", "z-flip"}
    assert Symmetry.stabiliser([BEAM]).discrete == {"T"}
    assert Symmetry.stabiliser([LIGHT]).discrete == set()
    assert Symmetry.stabiliser(np.zeros((0, 4))).discrete == set(DISCRETE)
    assert (Symmetry.stabiliser([TIME]) & Symmetry.stabiliser([BEAM])).discrete == set()
    with pytest.raises(ValueError, match=r"unknown discrete symmetries \['C'\]"):
        Symmetry(np.eye(6), frozenset({"C"}))
    with pytest.raises(ValueError, match=r"unknown generators \['Lz'\]"):
        Symmetry.spanned_by("Lz")


def test_equal_algebras_are_equal_values() -> None:
    a, b = (
        Symmetry.spanned_by("Kz", "Jz"),
        Symmetry([[0, 0, 1, 0, 0, 1], [0, 0, 1, 0, 0, -1], [0, 0, 3, 0, 0, 0]]),
    )
    assert a == b
    assert hash(a) == hash(b)
    assert a.dimension == b.dimension == 2
    assert Symmetry.spanned_by("Jz") < a
    assert not a < b
    assert a != Symmetry.spanned_by("Jz", "Jx")
    assert a != "SO(2)"
    assert a.contains([0, 0, 5, 0, 0, -2])
    assert not a.contains([1e-3, 0, 5, 0, 0, 0])
    with pytest.raises(ValueError, match="read-only"):
        a.generators[0, 0] = 1


@given(seeds)
def test_the_complement_completes_the_algebra(seed: int) -> None:
    rng = np.random.default_rng(seed)
    symmetry = Symmetry(rng.normal(size=(rng.integers(0, 7), 6)))
    basis = np.concatenate([symmetry.generators, symmetry.complement])
    np.testing.assert_allclose(basis @ basis.T, np.eye(6), atol=1e-12)


@given(seeds)
def test_elements_are_exponentials(seed: int) -> None:
    torch = pytest.importorskip("torch")
    from lorentzoo.core.minkowski import exp

    rng = np.random.default_rng(seed)
    symmetry = Symmetry.full()
    coefficients = rng.normal(size=6) * rng.choice([1e-8, 0.1, 1.0, 4.0])
    wanted = exp(torch.from_numpy(coefficients @ symmetry.generators)).numpy()
    np.testing.assert_allclose(
        symmetry.element(coefficients), wanted, rtol=1e-10, atol=1e-12 * np.abs(wanted).max()
    )

"""The spacetime algebra against its axioms, another package and the group."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorentzoo.nn.clifford import SPACETIME, GeometricAlgebra
from lorentzoo.training.train import threads

NAMES = (
    "1",
    "e0",
    "e1",
    "e2",
    "e3",
    "e01",
    "e02",
    "e03",
    "e12",
    "e13",
    "e23",
    "e012",
    "e013",
    "e023",
    "e123",
    "e0123",
)
multivectors = st.integers(0, 2**31).map(lambda seed: np.random.default_rng(seed).normal(size=(3, 16)))


def rapidity_boost(rapidity: float, axis: int = 3) -> np.ndarray:
    matrix = np.eye(4)
    matrix[[0, axis], [0, axis]] = np.cosh(rapidity)
    matrix[[0, axis], [axis, 0]] = np.sinh(rapidity)
    return matrix


def rotation(angle: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return matrix


LORENTZ = {
    "boost": rapidity_boost(np.arccosh(100.0)),
    "boost and rotation": rapidity_boost(1.0, 1) @ rotation(0.7) @ rapidity_boost(-2.0, 2),
    "rotation by pi": rotation(np.pi),
    "parity": np.diag([1.0, -1, -1, -1]),
    "time reversal": np.diag([-1.0, 1, 1, 1]),
    "all reversed": -np.eye(4),
}


def test_components_are_in_the_field_s_order() -> None:
    assert SPACETIME.names == NAMES


def test_basis_vectors_square_to_the_metric_and_anticommute() -> None:
    basis = np.eye(16)[1:5]
    for i, j in np.ndindex(4, 4):
        anticommutator = SPACETIME.product(basis[i], basis[j]) + SPACETIME.product(basis[j], basis[i])
        expected = np.zeros(16)
        expected[0] = 2 * SPACETIME.metric[i] * (i == j)
        np.testing.assert_array_equal(anticommutator, expected)


@given(multivectors)
def test_product_is_associative_and_reverse_inverts_its_order(x: np.ndarray) -> None:
    a, b, c = x
    product = SPACETIME.product
    np.testing.assert_allclose(product(product(a, b), c), product(a, product(b, c)), atol=1e-11)
    np.testing.assert_allclose(
        SPACETIME.reverse(product(a, b)), product(SPACETIME.reverse(b), SPACETIME.reverse(a)), atol=1e-11
    )


@given(multivectors)
def test_inner_product_is_the_scalar_part_of_reverse_times_other(x: np.ndarray) -> None:
    a, b, _ = x
    expected = SPACETIME.product(SPACETIME.reverse(a), b)[0]
    np.testing.assert_allclose(SPACETIME.inner(a, b), expected, atol=1e-12)
    assert sorted(SPACETIME.inner_signs) == [-1.0] * 8 + [1.0] * 8


@given(multivectors)
def test_grades_sum_to_the_whole_and_dual_reverses_them(x: np.ndarray) -> None:
    np.testing.assert_array_equal(sum(SPACETIME.grade(x, k) for k in range(5)), x)
    for k in range(5):
        dual = SPACETIME.dual(SPACETIME.grade(x, k))
        np.testing.assert_array_equal(SPACETIME.grade(dual, 4 - k), dual)
    np.testing.assert_array_equal(SPACETIME.dual(SPACETIME.dual(x)), -x)


@pytest.mark.filterwarnings("ignore")
def test_product_agrees_with_the_clifford_package() -> None:
    # It compiles by numba, which sets the number of threads of everybody.
    with threads(1):
        clifford = pytest.importorskip("clifford")
        layout, _ = clifford.Cl(1, 3)
        a, b = np.random.default_rng(0).normal(size=(2, 16))
        product = layout.MultiVector(value=a) * layout.MultiVector(value=b)
    np.testing.assert_allclose(SPACETIME.product(a, b), product.value, atol=1e-12)
    np.testing.assert_allclose(SPACETIME.reverse(a), (~layout.MultiVector(value=a)).value, atol=1e-15)


@pytest.mark.parametrize("name", LORENTZ)
def test_versor_represents_every_lorentz_transformation(name: str) -> None:
    matrix = LORENTZ[name]
    versor = SPACETIME.versor(matrix)
    scale = np.abs(matrix).max()
    np.testing.assert_allclose(SPACETIME.lorentz(versor), matrix, atol=1e-11 * scale)
    x = np.random.default_rng(1).normal(size=(4, 16))
    np.testing.assert_allclose(
        SPACETIME.sandwich(versor, x), SPACETIME.transform(matrix, x), atol=1e-10 * scale**2
    )


def test_other_metrics_work_too() -> None:
    plane = GeometricAlgebra((-1, -1))
    assert plane.names == ("1", "e0", "e1", "e01")
    np.testing.assert_array_equal(plane.product(plane.blade("e01"), plane.blade("e01")), -plane.blade("1"))


@settings(max_examples=10)
@given(st.floats(-3, 3, allow_subnormal=False), st.floats(-3, 3))
def test_product_commutes_with_lorentz_transformations(rapidity: float, angle: float) -> None:
    a, b = np.random.default_rng(2).normal(size=(2, 16))
    matrix = rapidity_boost(rapidity) @ rotation(angle)
    transformed = SPACETIME.product(SPACETIME.transform(matrix, a), SPACETIME.transform(matrix, b))
    expected = SPACETIME.transform(matrix, SPACETIME.product(a, b))
    np.testing.assert_allclose(transformed, expected, atol=1e-10 * np.cosh(rapidity) ** 4)

"""Kinematics both ways, and matrices that are Lorentz matrices."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given

from lorentzoo.core import minkowski as mk
from lorentzoo.testing import random_cloud

seeds = st.integers(0, 10_000)


def lorentz_error(matrices: torch.Tensor) -> float:
    g = mk.metric()
    error = matrices.transpose(-1, -2) @ g @ matrices - g
    return float(error.abs().max() / matrices.abs().max() ** 2)


@given(seeds)
def test_collider_kinematics_there_and_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pt, angle, m = (
        torch.from_numpy(x)
        for x in (rng.uniform(0.1, 500, 9), rng.uniform(-np.pi, np.pi, 9), rng.uniform(0, 5, 9))
    )
    along = torch.from_numpy(rng.uniform(-4, 4, 9))
    by_eta, by_y = mk.from_ptetaphim(pt, along, angle, m), mk.from_ptyphim(pt, along, angle, m)
    torch.testing.assert_close(mk.pseudorapidity(by_eta), along, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(mk.rapidity(by_y), along, rtol=1e-8, atol=1e-8)
    for p in (by_eta, by_y):
        torch.testing.assert_close(mk.pt(p), pt, rtol=1e-12, atol=0)
        torch.testing.assert_close(mk.phi(p), angle, rtol=1e-11, atol=1e-12)
        energy = p[:, 0]
        # m² is a difference of E²: its error is a last digit of that.
        assert ((mk.mass_squared(p) - m**2).abs() / energy**2).max() < 1e-14
        assert ((mk.inner(p, p) - mk.mass_squared(p)).abs() / energy**2).max() < 1e-14


@given(seeds)
def test_rapidity_is_shifted_by_beam_boosts_and_pseudorapidity_of_massive_particles_is_not(seed: int) -> None:
    p = random_cloud([30], seed=seed).momenta
    boosted = p @ mk.boost([0, 0, 1], 1.3).T
    shift = mk.rapidity(boosted) - mk.rapidity(p)
    assert (shift - 1.3).abs().max() < 1e-9
    massive = mk.mass_squared(p) > 1e-3
    eta_shift = mk.pseudorapidity(boosted) - mk.pseudorapidity(p)
    assert (eta_shift[~massive] - 1.3).abs().max() < 1e-6
    assert (eta_shift[massive] - 1.3).abs().max() > 1e-4


@given(seeds)
def test_exponentials_are_boosts_and_rotations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = rng.normal(size=3)
    n, size = n / np.linalg.norm(n), rng.uniform(-3, 3)
    zero = np.zeros(3)
    boosted = mk.exp(torch.from_numpy(np.concatenate([n * size, zero])))
    torch.testing.assert_close(mk.boost(n, size), boosted, rtol=1e-10, atol=1e-10)
    turned = mk.exp(torch.from_numpy(np.concatenate([zero, n * size])))
    torch.testing.assert_close(mk.rotation(n, size), turned, rtol=1e-10, atol=1e-10)
    # Rodrigues' formula on a vector.
    v = rng.normal(size=3)
    wanted = v * np.cos(size) + np.cross(n, v) * np.sin(size) + n * (n @ v) * (1 - np.cos(size))
    np.testing.assert_allclose(turned.numpy()[1:, 1:] @ v, wanted, atol=1e-12)


def test_active_boost_of_a_particle_at_rest() -> None:
    moved = mk.boost([0, 0, 2.0], math.atanh(0.6)) @ torch.tensor([1.0, 0, 0, 0], dtype=torch.float64)
    torch.testing.assert_close(moved, torch.tensor([1.25, 0, 0, 0.75], dtype=torch.float64))


def test_generators_close_into_the_lorentz_algebra() -> None:
    k, j = mk.generators()[:3], mk.generators()[3:]

    def bracket(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a @ b - b @ a

    for a, b, c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        torch.testing.assert_close(bracket(j[a], j[b]), j[c])
        torch.testing.assert_close(bracket(j[a], k[b]), k[c])
        torch.testing.assert_close(bracket(k[a], k[b]), -j[c])


@pytest.mark.parametrize("gamma", [1.0 + 1e-12, 1.5, 1e2, 1e4, 1e6])
def test_boost_to_rest_up_to_a_million(gamma: float) -> None:
    rng = torch.Generator().manual_seed(3)
    n = torch.randn(50, 3, generator=rng, dtype=torch.float64)
    n = n / n.norm(dim=-1, keepdim=True)
    u = torch.cat([torch.full((50, 1), gamma, dtype=torch.float64), math.sqrt(gamma**2 - 1) * n], dim=-1)
    p = 0.938 * u
    matrices = mk.boost_to_rest(p)
    assert lorentz_error(matrices) < 1e-14
    at_rest = (matrices @ p.unsqueeze(-1)).squeeze(-1)
    m = mk.mass(p).unsqueeze(-1)
    # Given (E, p) in float64, m itself is known to γ² last digits.
    precision = 1e-15 * gamma**2 + 1e-13
    assert ((at_rest[:, :1] - m).abs() / m).max() < precision
    assert (at_rest[:, 1:].abs() / m).max() < precision
    assert torch.equal(matrices, matrices.transpose(-1, -2))


@given(seeds)
def test_random_elements_are_proper_orthochronous(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    for matrices in (
        mk.random_lorentz(3, 2, max_rapidity=4.0, rng=rng),
        mk.random_rotation(3, 2, rng=rng),
    ):
        assert matrices.shape == (3, 2, 4, 4)
        assert lorentz_error(matrices) < 1e-14
        assert (matrices[..., 0, 0] >= 1 - 1e-12).all()
        torch.testing.assert_close(
            torch.linalg.det(matrices), torch.ones(3, 2, dtype=torch.float64), rtol=1e-9, atol=1e-9
        )
        identity = torch.eye(4, dtype=torch.float64).expand(3, 2, 4, 4)
        torch.testing.assert_close(mk.inverse(matrices) @ matrices, identity, rtol=0, atol=1e-10)


def test_random_rotations_are_uniform() -> None:
    rng = torch.Generator().manual_seed(0)
    rotations = mk.random_rotation(20_000, rng=rng)[:, 1:, 1:]
    assert rotations.mean(0).abs().max() < 0.02
    # The trace 1 + 2 cos θ has mean 0 under the Haar measure, and mean square 1.
    trace = rotations.diagonal(dim1=-2, dim2=-1).sum(-1)
    assert abs(float(trace.mean())) < 0.03
    assert abs(float(trace.square().mean()) - 1) < 0.03


@pytest.mark.parametrize(
    "p", [[1.0, 0, 0, 0], [1.0, 0, 0, 1], [1.0, 0, 0, -1], [1.0, 1, 0, 0], [0.0, 0, 0, 0], [2.0, 0, 0, 1.0]]
)
@pytest.mark.parametrize("name", ["mass_squared", "mass", "pt", "phi", "pseudorapidity", "rapidity"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_values_and_gradients_are_finite_everywhere(name: str, p: list[float], dtype: torch.dtype) -> None:
    momentum = torch.tensor(p, dtype=dtype, requires_grad=True)
    value = getattr(mk, name)(momentum)
    value.backward()
    assert torch.isfinite(value)
    assert momentum.grad is not None
    assert torch.isfinite(momentum.grad).all()


@given(seeds)
def test_gradients_of_kinematics(seed: int) -> None:
    p = random_cloud([3], seed=seed).momenta
    # Massive ones: finite differences of massless momenta leave the light cone.
    p = torch.cat([1.1 * p[:, :1], p[:, 1:]], dim=1).requires_grad_()
    assert torch.autograd.gradcheck(mk.rapidity, (p,), eps=1e-7, rtol=1e-3, atol=1e-5)
    assert torch.autograd.gradcheck(mk.pseudorapidity, (p,), eps=1e-7, rtol=1e-3, atol=1e-5)
    assert torch.autograd.gradcheck(mk.phi, (p,), eps=1e-7, rtol=1e-3, atol=1e-5)
    assert torch.autograd.gradcheck(mk.mass_squared, (p,), eps=1e-6, rtol=1e-3, atol=1e-3)


def test_the_gradient_of_rapidity_at_right_angles_to_the_beam() -> None:
    p = torch.tensor([5.0, 3.0, 1.0, 0.0], dtype=torch.float64, requires_grad=True)
    mk.rapidity(p).backward()
    assert p.grad is not None
    assert float(p.grad[3]) == pytest.approx(1 / 5.0)


@given(st.floats(-20, 20), st.floats(-20, 20))
def test_azimuthal_differences_wrap(a: float, b: float) -> None:
    difference = float(
        mk.delta_phi(torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64))
    )
    assert -math.pi < difference <= math.pi + 2e-6
    assert math.cos(difference) == pytest.approx(math.cos(a - b), abs=1e-12)
    assert math.sin(difference) == pytest.approx(math.sin(a - b), abs=1e-12)


def test_back_to_back_is_plus_pi() -> None:
    pi = torch.tensor(math.pi, dtype=torch.float64)
    zero = torch.zeros((), dtype=torch.float64)
    assert float(mk.delta_phi(pi, zero)) == pytest.approx(math.pi)
    assert float(mk.delta_phi(zero, pi)) == pytest.approx(math.pi)
    assert float(mk.delta_phi(zero, pi + 1e-9)) == pytest.approx(math.pi)


def test_batched_boosts_and_rotations() -> None:
    directions = torch.randn(5, 3, dtype=torch.float64)
    sizes = torch.rand(5, dtype=torch.float64)
    together = mk.boost(directions, sizes)
    one_by_one = torch.stack([mk.boost(d, s) for d, s in zip(directions, sizes, strict=True)])
    torch.testing.assert_close(together, one_by_one)
    together = mk.rotation(directions, sizes)
    one_by_one = torch.stack([mk.rotation(d, s) for d, s in zip(directions, sizes, strict=True)])
    torch.testing.assert_close(together, one_by_one)

"""Are manifolds what they say: geodesics, logarithms, metric, tangent spaces, also where points coincide?"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lorentzoo.core.minkowski import inner, random_lorentz
from lorentzoo.plugins.flow_matching.manifolds import Flat, Hyperboloid, Manifold, Product, Sphere

MANIFOLDS: dict[str, Manifold] = {
    "lines": Flat([math.inf, math.inf]),
    "line-circle": Flat([math.inf, 2 * math.pi, 3.0]),
    "sphere": Sphere(),
    "three-sphere": Sphere(3),
    "hyperboloid": Hyperboloid(2.5),
    "product": Product([Flat([math.inf, 2 * math.pi]), Sphere(), Hyperboloid(0.7)]),
}


def points(manifold: Manifold, count: int = 30, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return manifold.project(torch.randn(count, manifold.ambient, generator=rng, dtype=torch.float64))


def tangents(manifold: Manifold, x: Tensor, size: float = 1.0, seed: int = 1) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    coefficients = size * torch.randn(len(x), 1, manifold.dim, generator=rng, dtype=torch.float64)
    return (coefficients @ manifold.basis(x)).squeeze(-2)


@pytest.mark.parametrize("name", MANIFOLDS)
class TestEveryManifold:
    def test_logarithm_undoes_the_exponential(self, name: str) -> None:
        manifold = MANIFOLDS[name]
        x = points(manifold)
        velocity = tangents(manifold, x, 0.4)
        torch.testing.assert_close(manifold.log(x, manifold.exp(x, velocity)), velocity, rtol=1e-9, atol=1e-9)

    def test_geodesics_end_where_they_should_at_constant_speed(self, name: str) -> None:
        manifold = MANIFOLDS[name]
        x, y = points(manifold), points(manifold, seed=3)
        velocity = manifold.log(x, y)
        one = torch.ones(len(x), 1, dtype=torch.float64)
        end, _ = manifold.geodesic(x, velocity, one)
        torch.testing.assert_close(manifold.log(end, y), torch.zeros_like(y), rtol=0, atol=1e-8)
        length2 = manifold.squared_norm(x, velocity)
        torch.testing.assert_close(length2, manifold.distance(y, x).square(), rtol=1e-9, atol=1e-9)
        for t in (0.0, 0.3, 1.0):
            middle, speed = manifold.geodesic(x, velocity, t * one)
            torch.testing.assert_close(manifold.project(middle), middle, rtol=1e-10, atol=1e-10)
            torch.testing.assert_close(manifold.tangent(middle, speed), speed, rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(manifold.squared_norm(middle, speed), length2, rtol=1e-8, atol=1e-9)

    def test_velocity_is_the_derivative(self, name: str) -> None:
        manifold = MANIFOLDS[name]
        x = points(manifold)
        velocity = tangents(manifold, x, 0.8)
        t, h = torch.full((len(x), 1), 0.4, dtype=torch.float64), 1e-5
        _, speed = manifold.geodesic(x, velocity, t)
        before, after = manifold.geodesic(x, velocity, t - h)[0], manifold.geodesic(x, velocity, t + h)[0]
        difference = after - before
        if isinstance(manifold, Flat):
            difference = manifold.log(before, after)
        keep = difference.abs().amax(-1) < 0.1  # not over the end of a circle's numbers
        torch.testing.assert_close((difference / (2 * h))[keep], speed[keep], rtol=1e-6, atol=1e-6)

    def test_the_basis_is_orthonormal_and_tangent(self, name: str) -> None:
        manifold = MANIFOLDS[name]
        x = points(manifold)
        basis = manifold.basis(x)
        assert basis.shape == (len(x), manifold.dim, manifold.ambient)
        for i in range(manifold.dim):
            torch.testing.assert_close(manifold.tangent(x, basis[:, i]), basis[:, i], rtol=1e-9, atol=1e-9)
            for j in range(manifold.dim):
                product = (manifold.covector(x, basis[:, i]) * basis[:, j]).sum(-1)
                wanted = torch.full_like(product, float(i == j))
                torch.testing.assert_close(product, wanted, rtol=0, atol=1e-9)

    def test_gradients_are_finite_where_points_coincide(self, name: str) -> None:
        manifold = MANIFOLDS[name]
        x = points(manifold, 4).requires_grad_()
        y = x.detach().clone().requires_grad_()
        half = torch.full((4, 1), 0.5, dtype=torch.float64)
        velocity = manifold.log(x, y)
        torch.testing.assert_close(velocity, torch.zeros_like(velocity), rtol=0, atol=1e-12)
        middle, speed = manifold.geodesic(x, velocity, half)
        gradients = torch.autograd.grad((middle.square() + 3 * speed).sum(), [x, y])
        assert all(bool(torch.isfinite(g).all()) for g in gradients)

    def test_near_and_far_formulas_agree(self, name: str) -> None:
        """Across the distance at which series give way to closed forms nothing jumps."""
        manifold = MANIFOLDS[name]
        x = points(manifold, 1).expand(200, -1)
        direction = tangents(manifold, x[:1]).expand(200, -1)
        direction = direction / manifold.squared_norm(x, direction).sqrt().unsqueeze(-1)
        sizes = torch.logspace(-3, -0.5, 200, dtype=torch.float64).unsqueeze(-1)
        y = manifold.exp(x, sizes * direction)
        torch.testing.assert_close(manifold.log(x, y) / sizes, direction.contiguous(), rtol=1e-8, atol=1e-8)


def test_angles_go_the_shorter_way() -> None:
    circle = Flat([2 * math.pi])
    a, b = torch.tensor([[3.0]]).double(), torch.tensor([[-3.0]]).double()
    assert float(circle.log(a, b)) == pytest.approx(2 * math.pi - 6)
    middle, _ = circle.geodesic(a, circle.log(a, b), torch.tensor([[0.5]]).double())
    assert abs(float(middle)) == pytest.approx(math.pi)


def test_distances_on_the_mass_shell_are_rapidities_and_invariant() -> None:
    shell = Hyperboloid(4.0)
    x, y = points(shell), points(shell, seed=5)
    cosh = inner(x, y) / 16
    torch.testing.assert_close(shell.distance(x, y), 4 * torch.acosh(cosh), rtol=1e-9, atol=1e-9)
    matrix = random_lorentz(max_rapidity=2.0, rng=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        shell.log(x @ matrix.T, y @ matrix.T), shell.log(x, y) @ matrix.T, rtol=1e-8, atol=1e-8
    )


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="periods are positive"):
        Flat([0.0])
    with pytest.raises(ValueError, match="hyperboloid for positive masses"):
        Hyperboloid(0.0)
    with pytest.raises(ValueError, match="at least one dimension"):
        Sphere(0)
    with pytest.raises(ValueError, match="at least one manifold"):
        Product([])

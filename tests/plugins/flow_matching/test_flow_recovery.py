"""Are known densities recovered: on the plane, on a circle and a torus, on a sphere, on a mass shell?

Every test trains a small network on samples of a density that is known, and compares logarithms of densities on fresh
samples: the mean of log p - log q estimates the Kullback-Leibler divergence, its root mean square the local error.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lorentzoo.densities.solvers import Solver
from lorentzoo.plugins.flow_matching.distributions import (
    Base,
    ProductBase,
    StandardFlat,
    UniformSphere,
    WrappedNormal,
)
from lorentzoo.plugins.flow_matching.manifolds import Flat, Hyperboloid, Sphere
from lorentzoo.plugins.flow_matching.paths import Path
from lorentzoo.plugins.flow_matching.transport import ManifoldFlow

CIRCLE = 2 * math.pi


class Periodic(nn.Module):
    """Angles as sines and cosines, lines as they are."""

    def __init__(self, manifold: Flat, hidden: int = 64) -> None:
        super().__init__()
        self.angles = [period < math.inf for period in manifold.periods]
        width = 1 + sum(4 if angle else 1 for angle in self.angles)
        self.layers = perceptron(width, manifold.ambient, hidden)

    def forward(self, x: Tensor) -> Tensor:
        time, columns = x[:, :1], []
        for i, angle in enumerate(self.angles):
            column = x[:, i + 1 : i + 2]
            columns += (
                [column.cos(), column.sin(), (2 * column).cos(), (2 * column).sin()] if angle else [column]
            )
        return self.layers(torch.cat([time, *columns], dim=-1))  # type: ignore[no-any-return]


def perceptron(width: int, out: int, hidden: int = 64) -> nn.Module:
    return nn.Sequential(
        nn.Linear(width, hidden),
        nn.SiLU(),
        nn.Linear(hidden, hidden),
        nn.SiLU(),
        nn.Linear(hidden, hidden),
        nn.SiLU(),
        nn.Linear(hidden, out),
    )


def mixture(parts: list[Base], weights: list[float], scale: float = 1.0):  # type: ignore[no-untyped-def]
    """Samples and log density of a mixture."""
    share = torch.tensor(weights, dtype=torch.float64)

    def sample(count: int, rng: torch.Generator) -> Tensor:
        which = torch.multinomial(share, count, replacement=True, generator=rng)
        drawn = torch.stack([part.sample(count, rng) for part in parts])
        return drawn[which, torch.arange(count)]

    def log_prob(x: Tensor) -> Tensor:
        each = torch.stack([part.log_prob(x) for part in parts])
        return torch.logsumexp(each + share.log().unsqueeze(-1), dim=0)

    return sample, log_prob


def train(
    density: ManifoldFlow, sample: Callable[[int, torch.Generator], Tensor], steps: int, batch: int
) -> None:
    rng = torch.Generator().manual_seed(1)
    optimiser = torch.optim.Adam(density.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=steps, pct_start=0.1)
    data = sample(50_000, rng)
    for _ in range(steps):
        chosen = torch.randint(0, len(data), (batch,), generator=rng)
        loss = density.loss(data[chosen], rng=rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def errors(
    density: ManifoldFlow,
    sample: Callable[[int, torch.Generator], Tensor],
    truth: Callable[[Tensor], Tensor],
) -> tuple[float, float]:
    x = sample(1000, torch.Generator().manual_seed(2))
    difference = truth(x) - density.log_prob(x)
    return float(difference.mean()), float(difference.square().mean().sqrt())


def plane():  # type: ignore[no-untyped-def]
    manifold = Flat([math.inf, math.inf])
    centres = torch.tensor([[2.0, 0.0], [-1.0, 1.5], [-1.0, -1.5]])
    parts: list[Base] = [WrappedNormal(manifold, c, 0.6) for c in centres]
    return StandardFlat(manifold), Periodic(manifold), *mixture(parts, [0.5, 0.3, 0.2])


def torus():  # type: ignore[no-untyped-def]
    """Two modes that sit on the ends of the angles' numbers, where a flow on lines would tear."""
    manifold = Flat([CIRCLE, CIRCLE])
    centres = torch.tensor([[math.pi, 0.0], [0.5, math.pi]])
    parts: list[Base] = [WrappedNormal(manifold, c, 0.5) for c in centres]
    return StandardFlat(manifold), Periodic(manifold), *mixture(parts, [0.6, 0.4])


def sphere():  # type: ignore[no-untyped-def]
    manifold = Sphere()
    centres = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.2, -0.3]])
    parts: list[Base] = [WrappedNormal(manifold, c, 0.4) for c in centres]
    return UniformSphere(manifold), perceptron(4, 3), *mixture(parts, [0.5, 0.5])


def shell():  # type: ignore[no-untyped-def]
    manifold = Hyperboloid(1.0)
    rest = torch.tensor([1.0, 0.0, 0.0, 0.0])
    centres = torch.tensor([[0.0, 0.7, 0.0, 0.0], [0.0, -0.4, 0.5, 0.5]])
    parts: list[Base] = [WrappedNormal(manifold, c, 0.3) for c in centres]
    return WrappedNormal(manifold, rest, 0.5), perceptron(5, 4), *mixture(parts, [0.5, 0.5])


CASES = {"plane": plane, "torus": torus, "sphere": sphere, "shell": shell}


def trained(name: str, steps: int, batch: int, solver: Solver):  # type: ignore[no-untyped-def]
    torch.manual_seed(3)
    base, network, sample, truth = CASES[name]()
    density = ManifoldFlow(base, network, Path(), solver)
    train(density, sample, steps, batch)
    return density, sample, truth


@pytest.mark.parametrize("name", CASES)
def test_a_short_training_recovers_the_density_to_tenths(name: str) -> None:
    density, sample, truth = trained(name, 800, 256, Solver("midpoint", 20))
    divergence, error = errors(density, sample, truth)
    assert abs(divergence) < 0.12
    assert error < 0.55
    # Samples are distributed like the density: the same mean of its logarithm.
    drawn = density.sample(2000, torch.Generator().manual_seed(5))
    torch.testing.assert_close(density.manifold.project(drawn), drawn, rtol=1e-9, atol=1e-9)
    wanted = truth(sample(20_000, torch.Generator().manual_seed(6)))
    found = truth(drawn)
    assert float(found.mean()) == pytest.approx(float(wanted.mean()), abs=0.12)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_longer_training_recovers_it_to_a_few_percent(name: str) -> None:
    density, sample, truth = trained(name, 6000, 512, Solver("rk4", 40))
    divergence, error = errors(density, sample, truth)
    assert abs(divergence) < 0.025
    assert error < 0.25


@pytest.mark.parametrize("name", CASES)
def test_densities_are_normalised_whatever_the_network(name: str) -> None:
    """Importance sampling from the base, which covers all: the mean of q/base is one within its error."""
    torch.manual_seed(0)
    base, network, *_ = CASES[name]()
    density = ManifoldFlow(base, network, Path(), Solver("rk4", 20))
    x = base.sample(3000, torch.Generator().manual_seed(9))
    ratio = torch.exp(density.log_prob(x) - base.log_prob(x))
    spread = float(ratio.std() / math.sqrt(len(x)))
    assert float(ratio.mean()) == pytest.approx(1.0, abs=4 * spread + 1e-3)
    assert 1e-4 < spread < 0.05


class TestDistributions:
    @pytest.mark.parametrize(
        "base",
        [
            StandardFlat(Flat([math.inf, CIRCLE])),
            UniformSphere(Sphere()),
            WrappedNormal(Sphere(), torch.tensor([0.0, 1.0, 0.0]), 1.2),
            WrappedNormal(Flat([math.inf, CIRCLE]), torch.tensor([0.3, 3.0]), 1.5),
            WrappedNormal(Hyperboloid(2.0), torch.tensor([2.0, 1.0, 0.0, 0.0]), 1.5),
            ProductBase([UniformSphere(Sphere()), StandardFlat(Flat([math.inf]))]),
        ],
    )
    def test_samples_follow_the_density(self, base: Base) -> None:
        """E_q[f] by samples equals E_u[f q/u] by importance sampling from a broader distribution u."""
        rng = torch.Generator().manual_seed(0)
        x = base.sample(20_000, rng)
        torch.testing.assert_close(base.manifold.project(x), x, rtol=1e-9, atol=1e-9)
        broad = broader(base)
        y = broad.sample(60_000, rng)
        weight = torch.exp(base.log_prob(y) - broad.log_prob(y))
        assert float(weight.mean()) == pytest.approx(
            1.0, abs=5 * float(weight.std()) / math.sqrt(len(y)) + 1e-9
        )
        for f in (lambda z: torch.tanh(z[:, 0]), lambda z: torch.cos(z[:, -1])):
            sampled, weighted = f(x), f(y) * weight
            error = math.hypot(
                float(sampled.std()) / math.sqrt(len(x)), float(weighted.std()) / math.sqrt(len(y))
            )
            assert float(sampled.mean()) == pytest.approx(float(weighted.mean()), abs=5 * error)

    def test_nonsense_is_refused(self) -> None:
        with pytest.raises(ValueError, match="width must be positive"):
            WrappedNormal(Sphere(), torch.tensor([0.0, 0.0, 1.0]), 0.0)


def broader(base: Base) -> Base:
    if isinstance(base, ProductBase):
        return ProductBase([broader(part) for part in base.parts])
    manifold = base.manifold
    if isinstance(manifold, Sphere):
        return UniformSphere(manifold)
    if isinstance(manifold, Hyperboloid):
        return WrappedNormal(manifold, torch.tensor([manifold.mass, 0.0, 0.0, 0.0]), 2.2)
    assert isinstance(manifold, Flat)
    return WrappedNormal(manifold, torch.zeros(manifold.ambient), 2.5)

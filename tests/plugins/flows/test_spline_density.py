"""Does the spline head find posteriors that no mixture of a few normal distributions is?"""

from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import lorentzoo as lz
from lorentzoo.core.errors import NotFittedError
from lorentzoo.densities import Tails
from lorentzoo.plugins.flows.conditioners import Backend
from lorentzoo.plugins.flows.flow import Transform
from lorentzoo.plugins.flows.head import SplineDensity
from lorentzoo.testing import random_cloud


def alone(count: int) -> lz.ParticleCloud:
    """Events of one particle: pooled features are its own."""
    return random_cloud([1] * count)


def batch(target: Tensor) -> lz.Batch:
    n = len(target)
    return lz.Batch(alone(n), target, torch.ones(n, dtype=torch.float64), torch.arange(n))


def fitted(target: Tensor, **parameters: object) -> SplineDensity:
    torch.manual_seed(0)
    head = SplineDensity(target.shape[1], in_scalars=3, **parameters)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in head.flow.parameters():
            parameter.mul_(1.5)
    head.fit_statistics([batch(target)])
    return head


def outputs(head: SplineDensity, count: int) -> Tensor:
    features = torch.randn(count, 3, generator=torch.Generator().manual_seed(1)).to(head.layer.weight)
    return head(lz.Features.of_scalars(features), alone(count))


class TestDistribution:
    @settings(max_examples=8, deadline=None)
    @given(
        dim=st.integers(1, 3),
        transform=st.sampled_from(["coupling", "autoregressive"]),
        backend=st.sampled_from(["zuko", "nflows"]),
        angle=st.booleans(),
    )
    def test_shapes_and_loss(self, dim: int, transform: Transform, backend: Backend, angle: bool) -> None:
        if dim == 1:
            transform = "autoregressive"
        target = 5 + 3 * torch.randn(6, dim, dtype=torch.float64)
        angles = (dim - 1,) if angle else ()
        head = fitted(target, transform=transform, backend=backend, angles=angles, hidden=(16, 16))
        output = outputs(head, 6)
        assert output.shape == (6, head.out_scalars)
        made = head.distribution(output)
        assert (made.batch_shape, made.event_shape) == ((6,), (dim,))
        loss = float(head.loss(output, target).detach())
        assert loss == pytest.approx(-float(made.log_prob(target).mean().detach()), rel=1e-6)
        draws = made.rsample((7, 2))
        assert draws.shape == (7, 2, 6, dim)
        assert made.log_prob(draws).shape == (7, 2, 6)
        again = made.log_prob(draws[3, 1])
        torch.testing.assert_close(made.log_prob(draws)[3, 1], again, rtol=1e-5, atol=1e-5)
        assert head.predict(output).shape == made.variance.shape == (6, dim)
        assert bool((made.variance > 0).all())

    @pytest.mark.parametrize("tails", ["linear", "bounded"])
    def test_densities_are_normalised_in_the_targets_own_units(self, tails: Tails) -> None:
        target = 100 + 20 * torch.randn(400, 1, dtype=torch.float64)
        head = fitted(target, tails=tails, hidden=(16, 16)).double()
        made = head.distribution(outputs(head, 3).double())
        grid = torch.linspace(-100, 300, 8001, dtype=torch.float64)
        density = made.log_prob(grid[:, None, None].expand(-1, 3, 1)).exp()
        torch.testing.assert_close(
            torch.trapezoid(density, grid, dim=0), torch.ones(3).double(), atol=2e-3, rtol=0
        )
        mean = torch.trapezoid(density * grid[:, None], grid, dim=0)
        width = (torch.trapezoid(density * grid[:, None].square(), grid, dim=0) - mean.square()).sqrt()
        torch.testing.assert_close(made.mean[:, 0], mean, atol=1.0, rtol=0)
        torch.testing.assert_close(made.variance[:, 0].sqrt(), width, atol=1.5, rtol=0)

    def test_angles_close_and_have_circular_means(self) -> None:
        """About ±π an arithmetic mean would be near zero."""
        target = (
            torch.remainder(math.pi + 0.2 * torch.randn(400, 1).double() + math.pi, 2 * math.pi) - math.pi
        )
        head = fitted(target, angles=[0], hidden=(16,))
        optimiser = torch.optim.Adam(head.parameters(), 1e-2)
        output = torch.zeros(400, head.out_scalars)
        for _ in range(40):
            optimiser.zero_grad()
            head.loss(output, target).backward()
            optimiser.step()
        made = head.distribution(output[:2])
        turned = made.log_prob(target[:2] + 2 * math.pi)
        torch.testing.assert_close(turned, made.log_prob(target[:2]), rtol=1e-5, atol=1e-5)
        assert float(head.predict(output[:1]).detach().abs()) == pytest.approx(math.pi, abs=0.1)
        grid = torch.linspace(0, 2 * math.pi, 2001, dtype=torch.float64)
        density = made.log_prob(grid[:, None, None].expand(-1, 2, 1)).exp()[:, 0]
        variance = torch.trapezoid(density * (grid - math.pi).square(), grid)
        assert float(made.variance[0].detach()) == pytest.approx(float(variance.detach()), rel=0.1)

    def test_gradients_reach_the_backbone_and_pass_draws(self) -> None:
        head = fitted(torch.randn(50, 2, dtype=torch.float64), hidden=(16,))
        output = outputs(head, 4).detach().requires_grad_()
        for value in (head.loss(output, torch.randn(4, 2)), head.distribution(output).rsample((3,)).sum()):
            (gradient,) = torch.autograd.grad(value, output)
            assert bool((gradient.abs().sum(-1) > 0).all())


def test_two_peaks_that_move_are_learned() -> None:
    """A posterior with two skewed peaks at places that depend on what is given; KL divergence below 0.05."""
    torch.manual_seed(0)
    head = SplineDensity(1, context=16, hidden=(32, 32), num_transforms=2, in_scalars=2)
    weights = torch.tensor([0.3, 0.7]).double()

    def log_density(x: Tensor, target: Tensor) -> Tensor:
        away = target - torch.stack([-3 + x[:, 0], 3 + x[:, 1]], dim=-1)
        normal = torch.distributions.Normal(torch.zeros(2).double(), torch.tensor([0.5, 1.0]).double())
        return torch.logsumexp(weights.log() + normal.log_prob(away), dim=-1)

    def drawn(n: int) -> tuple[Tensor, Tensor]:
        x = 2 * torch.rand(n, 2) - 1
        which = (torch.rand(n) < 0.7).double()
        first = -3 + x[:, 0] + 0.5 * torch.randn(n)
        second = 3 + x[:, 1] + torch.randn(n)
        return x, ((1 - which) * first + which * second).unsqueeze(-1)

    head.fit_statistics([batch(drawn(500)[1])])
    optimiser = torch.optim.Adam(head.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 160)
    events = alone(256)
    for _ in range(160):
        x, target = drawn(256)
        loss = head.loss(head(lz.Features.of_scalars(x), events), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    x, target = drawn(2000)
    with torch.no_grad():
        made = head.distribution(head(lz.Features.of_scalars(x), alone(2000)))
        log_p, mean = made.log_prob(target), made.mean
    assert float((log_density(x.double(), target) - log_p).mean()) < 0.05
    truth = 0.3 * (-3 + x[:, :1]) + 0.7 * (3 + x[:, 1:])
    assert float((mean - truth).abs().mean()) < 0.25


def test_it_is_a_head_of_any_backbone() -> None:
    """Composed by name, trained a step, saved and loaded; frames keep its group."""
    model = lz.compose(
        frames="lloca-polar",
        backbone="transformer:num_blocks=1,num_heads=2",
        head="spline-density:num_targets=2,hidden=[16,16]",
    )
    assert isinstance(model, lz.Model)
    assert isinstance(model.head, lz.DensityHead)
    cloud = random_cloud([3, 5, 4])
    target = torch.randn(3, 2, dtype=torch.float64)
    data = lz.Batch(cloud, target, torch.ones(3, dtype=torch.float64), torch.arange(3))
    model.fit_statistics([data])
    model.loss(data).backward()
    assert model.head.distribution(model(cloud)).sample((5,)).shape == (5, 3, 2)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"num_targets": 0}, "num_targets must be positive, not 0"),
        ({"num_targets": 2, "angles": [2]}, r"angles=\[2\], but the 2 targets are counted from 0"),
        ({"context": 0}, "context must be positive, not 0"),
        ({"transform": "coupling"}, "coupling needs two numbers or more, not 1"),
    ],
)
def test_what_cannot_be_is_refused(
    parameters: dict[str, int | list[int] | Literal["coupling"]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        SplineDensity(**parameters)  # type: ignore[arg-type]


def test_nothing_is_predicted_before_the_targets_are_known() -> None:
    head = SplineDensity(in_scalars=3)
    with pytest.raises(NotFittedError, match="statistics that were not fitted"):
        head.distribution(torch.zeros(2, head.out_scalars))

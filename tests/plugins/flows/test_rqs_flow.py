"""Are spline flows normalised densities of what they draw, and do they learn densities that are known?"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lorentzoo.densities import Tails
from lorentzoo.plugins.flows.conditioners import Backend
from lorentzoo.plugins.flows.flow import SplineFlow, Transform

EVERY = [
    (backend, transform, tails)
    for backend in ("zuko", "nflows")
    for transform in ("coupling", "autoregressive")
    for tails in ("linear", "bounded")
]


def made(
    backend: Backend = "zuko",
    transform: Transform = "coupling",
    tails: Tails = "linear",
    circular: tuple[bool, ...] = (False, True, False, True),
    context: int = 2,
    wild: float = 1.3,
) -> SplineFlow:
    torch.manual_seed(0)
    flow = SplineFlow(circular, context, transform, tails, 5, 4.0, (16, 16), 4, backend).double()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.mul_(wild)
    return flow


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("backend", "transform", "tails"), EVERY)
class TestEveryFlow:
    def test_densities_are_those_of_the_transport(
        self, backend: Backend, transform: Transform, tails: Tails
    ) -> None:
        """p(x) |dx/dz| of the dense Jacobian is the base's density."""
        flow = made(backend, transform, tails)
        context = torch.randn(3, 2, generator=rng(1), dtype=torch.float64)
        z = flow.base(3, rng())
        x = flow.transported(z, context)
        for row in range(3):

            def of(one: Tensor, row: int = row) -> Tensor:
                return flow.transported(one[None], context[row : row + 1])[0]

            jacobian = torch.autograd.functional.jacobian(of, z[row])
            wanted = flow.base_log_prob(z[row]).sum(-1) - torch.linalg.slogdet(jacobian)[1]
            found = flow.log_prob(x[row : row + 1], context[row : row + 1])[0]
            torch.testing.assert_close(found.detach(), wanted, rtol=1e-8, atol=1e-8)

    def test_angles_close(self, backend: Backend, transform: Transform, tails: Tails) -> None:
        """One turn further the density is the same, and there is no step on the way."""
        flow = made(backend, transform, tails)
        context = torch.randn(6, 2, generator=rng(1), dtype=torch.float64)
        x = flow.transported(flow.base(6, rng()), context).detach()
        before = flow.log_prob(x, context)
        turned = x + 2 * math.pi * torch.tensor([0.0, 1.0, 0.0, -2.0]).double()
        torch.testing.assert_close(flow.log_prob(turned, context), before, rtol=1e-9, atol=1e-9)
        for place in (1, 3):
            near = x[:, None].repeat(1, 2, 1)
            near[:, :, place] = torch.tensor([-1.0, 1.0]).double() * (math.pi - 1e-9)
            left, right = (flow.log_prob(near[:, i], context) for i in range(2))
            torch.testing.assert_close(left, right, rtol=0, atol=1e-5)


def test_densities_are_normalised() -> None:
    """On a grid in two dimensions, one of them a circle."""
    for tails, reach in (("linear", 9.0), ("bounded", 4.0)):
        flow = made(tails=tails, circular=(False, True), context=0, wild=1.2)  # type: ignore[arg-type]
        n = 600
        line = reach * (2 * (torch.arange(n, dtype=torch.float64) + 0.5) / n - 1)
        angle = math.pi * (2 * (torch.arange(n, dtype=torch.float64) + 0.5) / n - 1)
        grid = torch.cartesian_prod(line, angle)
        with torch.no_grad():
            density = flow.log_prob(grid, grid.new_zeros(len(grid), 0)).exp()
        total = float(density.sum()) * (2 * reach / n) * (2 * math.pi / n)
        assert total == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize(("backend", "transform", "tails"), EVERY)
def test_flows_are_made_on_the_meta_device(backend: Backend, transform: Transform, tails: Tails) -> None:
    real = made(backend, transform, tails)
    with torch.device("meta"):
        described = made(backend, transform, tails)
    assert all(tensor.is_meta for tensor in (*described.parameters(), *described.buffers()))
    shapes = {name: tensor.shape for name, tensor in real.state_dict().items()}
    assert {name: tensor.shape for name, tensor in described.state_dict().items()} == shapes


def test_tails() -> None:
    """Beyond the bound linear tails are those of the base, and bounded ones are empty."""
    far = torch.tensor([[4.5, 0.3, -4.2, 1.0]], dtype=torch.float64)
    context = torch.zeros(1, 2, dtype=torch.float64)
    assert made(tails="bounded").log_prob(far, context).item() == -math.inf
    assert math.isfinite(made(tails="linear").log_prob(far, context).item())
    draws = made(tails="bounded").transported(made(tails="bounded").base(500, rng()), context.expand(500, -1))
    assert bool((draws[:, [0, 2]].abs() <= 4).all())
    assert bool((draws[:, [1, 3]].abs() <= math.pi).all())


def test_what_makes_no_flow_is_refused() -> None:
    with pytest.raises(ValueError, match="coupling needs two numbers or more, not 1; take transform='auto"):
        SplineFlow([False])
    with pytest.raises(ValueError, match="one number without context"):
        SplineFlow([False], transform="autoregressive")
    with pytest.raises(ValueError, match=r"layers of one width, not hidden=\[8, 9\]"):
        SplineFlow([False] * 2, hidden=[8, 9], backend="nflows")
    with pytest.raises(ValueError, match="backend is one of zuko, nflows, not 'normflows'"):
        SplineFlow([False] * 2, backend="normflows")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="bound must be positive, not 0"):
        SplineFlow([False] * 2, bound=0)


def learned(
    flow: SplineFlow, draw: Callable[[torch.Generator], tuple[Tensor, Tensor]], steps: int = 300
) -> SplineFlow:
    """Trained on fresh draws (x, context)."""
    generator = rng(5)
    optimiser = torch.optim.Adam(flow.parameters(), 5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        loss = -flow.log_prob(*draw(generator)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return flow


def divergence(
    flow: SplineFlow,
    draw: Callable[[torch.Generator], tuple[Tensor, Tensor]],
    truth: Callable[[Tensor, Tensor], Tensor],
) -> tuple[float, float]:
    """Mean and mean square of ln p_true - ln p_flow over new draws."""
    x, context = draw(rng(99))
    with torch.no_grad():
        difference = truth(x, context) - flow.log_prob(x, context)
    return float(difference.mean()), float(difference.square().mean())


def mixture(rng: torch.Generator, n: int = 512) -> tuple[Tensor, Tensor]:
    """Two normal clouds, the one narrow and tilted."""
    z = torch.randn(n, 2, generator=rng, dtype=torch.float64)
    narrow = torch.stack([1.5 + 0.5 * z[:, 0], 1.0 + 0.4 * z[:, 0] + 0.3 * z[:, 1]], -1)
    wide = torch.tensor([-1.0, -0.5]) + 0.7 * z
    first = torch.rand(n, 1, generator=rng, dtype=torch.float64) < 0.5
    return torch.where(first, narrow, wide), z.new_zeros(n, 0)


def mixture_density(x: Tensor, context: Tensor) -> Tensor:
    a = (x[:, 0] - 1.5) / 0.5
    b = (x[:, 1] - 1.0 - 0.4 * a) / 0.3
    narrow = -(a.square() + b.square()) / 2 - math.log(0.5 * 0.3)
    wide = -((x - torch.tensor([-1.0, -0.5])) / 0.7).square().sum(-1) / 2 - 2 * math.log(0.7)
    return torch.logaddexp(narrow, wide) - math.log(2) - math.log(2 * math.pi)


def angle(rng: torch.Generator, n: int = 512) -> tuple[Tensor, Tensor]:
    """An angle about three from a second one, which is uniform: across the cut at π."""
    second = math.pi * (2 * torch.rand(n, generator=rng, dtype=torch.float64) - 1)
    # Wrapped normal of width 0.5 about the second angle plus three.
    first = second + 3.0 + 0.5 * torch.randn(n, generator=rng, dtype=torch.float64)
    wrapped = torch.remainder(first + math.pi, 2 * math.pi) - math.pi
    return torch.stack([wrapped, second], -1), second.new_zeros(n, 0)


def angle_density(x: Tensor, context: Tensor) -> Tensor:
    turns = 2 * math.pi * torch.arange(-3, 4).double()
    distance = (x[:, 0] - x[:, 1] - 3.0).unsqueeze(-1) + turns
    normal = -(distance / 0.5).square() / 2 - math.log(0.5 * math.sqrt(2 * math.pi))
    return normal.logsumexp(-1) - math.log(2 * math.pi)


def shifted(rng: torch.Generator, n: int = 512) -> tuple[Tensor, Tensor]:
    """Normal numbers whose mean and width are given."""
    context = 2 * torch.rand(n, 2, generator=rng, dtype=torch.float64) - 1
    z = torch.randn(n, 1, generator=rng, dtype=torch.float64)
    return context[:, :1] + 0.5 * z * torch.exp(0.7 * context[:, 1:]), context


def shifted_density(x: Tensor, context: Tensor) -> Tensor:
    z = 2 * (x - context[:, :1]) * torch.exp(-0.7 * context[:, 1:])
    return (-z.square() / 2 - 0.7 * context[:, 1:]).squeeze(-1) - 0.5 * math.log(math.pi / 2)


class TestRecovery:
    """Of ln p: Kullback-Leibler divergence below 0.03 nats, mean square error below 0.04, after a short training."""

    @pytest.mark.parametrize(
        ("backend", "transform"),
        [
            ("zuko", "coupling"),
            *(
                pytest.param(*case, marks=pytest.mark.slow)
                for case in [("zuko", "autoregressive"), ("nflows", "coupling"), ("nflows", "autoregressive")]
            ),
        ],
    )
    def test_a_mixture_in_the_plane(self, backend: Backend, transform: Transform) -> None:
        torch.manual_seed(0)
        flow = SplineFlow([False, False], 0, transform, num_transforms=4, hidden=(32, 32), backend=backend)
        self._close(flow, mixture, mixture_density)

    def test_two_angles(self) -> None:
        torch.manual_seed(0)
        flow = SplineFlow([True, True], 0, num_transforms=4, hidden=(32, 32))
        self._close(flow, angle, angle_density)

    def test_a_condition(self) -> None:
        torch.manual_seed(0)
        flow = SplineFlow([False], 2, "autoregressive", num_transforms=2, hidden=(32, 32))
        self._close(flow, shifted, shifted_density)

    @staticmethod
    def _close(
        flow: SplineFlow,
        draw: Callable[[torch.Generator], tuple[Tensor, Tensor]],
        truth: Callable[[Tensor, Tensor], Tensor],
    ) -> None:
        mean, square = divergence(
            learned(flow, draw),
            lambda rng: draw(rng, 10_000),
            truth,  # type: ignore[call-arg]
        )
        assert mean < 0.03
        assert square < 0.04

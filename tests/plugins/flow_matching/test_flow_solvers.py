"""Do solvers converge with their order, count, and name what fails? Is the divergence the dense one?"""

from __future__ import annotations

import math
import re
import sys

import pytest
import torch
from torch import Tensor

from lorentzoo.core.errors import MissingExtraError
from lorentzoo.core.layout import Packed
from lorentzoo.densities.solvers import Solver, counting_evaluations, integrate
from lorentzoo.plugins.flow_matching.divergence import tangent_noise, with_divergence
from lorentzoo.plugins.flow_matching.manifolds import Flat, Hyperboloid, Manifold, Sphere
from lorentzoo.plugins.flow_matching.transport import transport

ORDERS = {"euler": 1, "midpoint": 2, "heun": 2, "rk4": 4}
STAGES = {"euler": 1, "midpoint": 2, "heun": 2, "rk4": 4}


def rows(count: int) -> Packed:
    return Packed.from_lengths([1] * count)


def rotating(manifold: Manifold):  # type: ignore[no-untyped-def]
    """A velocity that depends on time and place, tangent to the manifold, and its divergence left out."""

    def velocity(t: float, x: Tensor) -> tuple[Tensor, Tensor]:
        axis = torch.tensor([math.cos(t), math.sin(2 * t), 0.5], dtype=x.dtype)[: manifold.ambient]
        ambient = torch.linalg.cross(axis.expand_as(x), x) + 0.5 * torch.sin(3 * x) + axis
        return manifold.tangent(x, ambient), x.new_zeros(len(x))

    return velocity


@pytest.mark.parametrize("method", ORDERS)
@pytest.mark.parametrize(
    "manifold", [Flat([math.inf, 2 * math.pi, math.inf]), Sphere()], ids=["flat", "sphere"]
)
def test_order_of_convergence(method: str, manifold: Manifold) -> None:
    x = manifold.project(torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    velocity, layout = rotating(manifold), rows(20)
    exact, _ = integrate(velocity, x, manifold, layout, Solver("rk4", 400))
    errors = []
    for steps in (16, 32):
        end, _ = integrate(velocity, x, manifold, layout, Solver(method, steps))  # type: ignore[arg-type]
        errors.append(float(manifold.log(exact, end).norm()))
    measured = math.log2(errors[0] / errors[1])
    assert measured == pytest.approx(ORDERS[method], abs=0.35)
    torch.testing.assert_close(manifold.project(end), end, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", STAGES)
def test_evaluations_are_counted(method: str) -> None:
    manifold = Sphere()
    x = manifold.project(torch.randn(8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    with counting_evaluations() as count:
        integrate(rotating(manifold), x, manifold, rows(8), Solver(method, 5))  # type: ignore[arg-type]
    assert count.calls == 5 * STAGES[method]
    assert count.events == 8 * count.calls
    assert count.per_event == count.calls
    integrate(rotating(manifold), x, manifold, rows(8), Solver("euler", 5))
    assert count.calls == 5 * STAGES[method]


def test_adaptive_solvers_agree_with_fixed_ones_and_count() -> None:
    pytest.importorskip("torchdiffeq")
    manifold = Sphere()
    x = manifold.project(torch.randn(8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    exact, _ = integrate(rotating(manifold), x, manifold, rows(8), Solver("rk4", 200))
    with counting_evaluations() as count:
        end, _ = integrate(rotating(manifold), x, manifold, rows(8), Solver("dopri5", rtol=1e-8, atol=1e-8))
    torch.testing.assert_close(end, exact, rtol=0, atol=1e-6)
    assert count.calls > 10


def test_without_torchdiffeq_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchdiffeq", None)
    x = torch.zeros(1, 1, dtype=torch.float64)
    with pytest.raises(MissingExtraError, match=r"pip install \"lorentzoo\[generative\]\".*solver=midpoint"):
        integrate(lambda t, y: (y, y[:, 0]), x, Flat([math.inf]), rows(1), Solver("dopri5"))


class TestFailures:
    """Events 3 and 5 run into a pole at t = 0.5; the others are fine."""

    layout = Packed.from_lengths([2] * 7)
    manifold = Flat([math.inf])

    def field(self, events: Tensor):  # type: ignore[no-untyped-def]
        bad = torch.isin(events, torch.tensor([3, 5]))

        def velocity(times: Tensor, x: Tensor) -> Tensor:
            layout = Packed.from_lengths([2] * len(events))
            pole = torch.where(bad & (times >= 0.5), math.nan, 1.0)
            return layout.spread(pole).unsqueeze(-1) * torch.ones_like(x)

        return velocity

    @pytest.mark.parametrize("method", ["midpoint", "dopri5"])
    @pytest.mark.parametrize("batch_size", [2, 100])
    def test_they_are_named_with_the_time_and_nothing_is_lost(self, method: str, batch_size: int) -> None:
        if method == "dopri5":
            pytest.importorskip("torchdiffeq")
        x = torch.zeros(14, 1, dtype=torch.float64)
        points, integral, failure = transport(
            self.field,
            x,
            self.manifold,
            self.layout,
            Solver(method, 10),  # type: ignore[arg-type]
            batch_size=batch_size,
        )
        assert failure is not None
        assert re.search(r"failed for 2 events: 3 \(t = .*, 5 \(t = .*silently", str(failure))
        assert failure.events == [3, 5]
        # An adaptive solver finds out in a trial step, which may be long.
        assert all(0.5 <= t <= (0.7 if method == "midpoint" else 1.0) for t in failure.times)
        lost = torch.zeros(7, dtype=torch.bool)
        lost[[3, 5]] = True
        assert torch.equal(integral.isnan(), lost)
        assert torch.equal(points.isnan().squeeze(1), lost.repeat_interleave(2))
        torch.testing.assert_close(points[~lost.repeat_interleave(2)], torch.ones(10, 1).double())

    def test_a_solver_that_gives_up_says_so(self) -> None:
        pytest.importorskip("torchdiffeq")
        x = torch.ones(2, 1, dtype=torch.float64)

        def stiff(events: Tensor):  # type: ignore[no-untyped-def]
            return lambda times, y: y.square() * 3

        *_, failure = transport(
            stiff, x, self.manifold, Packed.from_lengths([2]), Solver("dopri5", max_steps=200)
        )
        assert "failed for 1 events: 0" in str(failure)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no solver 'rk5'; there are euler"):
        Solver("rk5")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be positive"):
        Solver("euler", steps=0)


class TestDivergence:
    def mixing(self, layout: Packed, generator: int = 0):  # type: ignore[no-untyped-def]
        """A velocity of each particle that depends on all particles of its event, and on no other event."""
        weight = torch.randn(3, 3, generator=torch.Generator().manual_seed(generator), dtype=torch.float64)

        def velocity(x: Tensor) -> Tensor:
            event = layout.spread(layout.pool(torch.sin(x), "sum"))
            return torch.tanh(x @ weight) * event + x.square()

        return velocity

    def test_exact_is_the_trace_of_the_dense_jacobian_of_each_event(self) -> None:
        layout = Packed.from_lengths([3, 1, 0, 4])
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        velocity = self.mixing(layout)
        v, found = with_divergence(velocity, x, Flat([math.inf] * 3), layout)
        dense = torch.autograd.functional.jacobian(velocity, x)
        diagonal = torch.stack([dense[p, :, p, :].diagonal().sum() for p in range(8)])
        wanted = torch.stack([diagonal[0:3].sum(), diagonal[3], torch.zeros(()).double(), diagonal[4:].sum()])
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(v, velocity(x))
        assert not v.requires_grad

    def test_hutchinson_is_unbiased_and_given_by_its_generator(self) -> None:
        layout = Packed.from_lengths([3, 2])
        x = torch.randn(5, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        velocity, manifold = self.mixing(layout), Flat([math.inf] * 3)
        _, exact = with_divergence(velocity, x, manifold, layout)
        rng = torch.Generator().manual_seed(0)
        draws = torch.stack(
            [with_divergence(velocity, x, manifold, layout, tangent_noise(x, 3, rng))[1] for _ in range(1000)]
        )
        error = draws.std(0) / math.sqrt(len(draws))
        assert bool(((draws.mean(0) - exact).abs() < 4 * error).all())
        again = tangent_noise(x, 3, torch.Generator().manual_seed(0))
        assert torch.equal(with_divergence(velocity, x, manifold, layout, again)[1], draws[0])

    def test_known_ones_on_curved_manifolds(self) -> None:
        """div of the gradient of a coordinate: -2 z on the sphere, 3 E/m² on the mass shell."""
        sphere = Sphere()
        x = sphere.project(torch.randn(9, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
        up = torch.tensor([0.0, 0.0, 1.0]).double()
        _, found = with_divergence(lambda y: sphere.tangent(y, up.expand_as(y)), x, sphere, rows(9))
        torch.testing.assert_close(found, -2 * x[:, 2], rtol=1e-10, atol=1e-10)
        shell = Hyperboloid(2.0)
        p = shell.project(torch.randn(9, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
        time = torch.tensor([1.0, 0.0, 0.0, 0.0]).double()
        _, found = with_divergence(lambda y: -shell.tangent(y, time.expand_as(y)), p, shell, rows(9))
        torch.testing.assert_close(found, 3 * p[:, 0] / 4, rtol=1e-10, atol=1e-10)

    def test_what_does_not_depend_on_the_point_has_none(self) -> None:
        x = torch.randn(2, 1, dtype=torch.float64)
        _, found = with_divergence(torch.ones_like, x, Flat([math.inf]), rows(2))
        assert found.tolist() == [0.0, 0.0]

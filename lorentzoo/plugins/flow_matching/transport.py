"""How do flow matching, sampling and densities go together, whatever the points are?

`matching_loss` and `transport` serve events of particles; `ManifoldFlow` puts them around a network for densities on
a manifold alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from lorentzoo import Layout, Packed
from lorentzoo.densities import FIXED, Solver, SolverError, integrate
from lorentzoo.nn import draw_for_events, mean_loss
from lorentzoo.plugins.flow_matching.distributions import Base
from lorentzoo.plugins.flow_matching.divergence import Divergence, tangent_noise, with_divergence
from lorentzoo.plugins.flow_matching.manifolds import Manifold
from lorentzoo.plugins.flow_matching.paths import Path

__all__ = ["ManifoldFlow", "Velocities", "draw_times", "matching_loss", "transport"]

Velocities = Callable[[Tensor, Tensor], Tensor]
"""Velocities (P, A) at times (B,) and points (P, A)."""


def matching_loss(
    velocity: Velocities,
    start: Tensor,
    end: Tensor,
    manifold: Manifold,
    layout: Layout,
    path: Path,
    rng: torch.Generator | None = None,
) -> Tensor:
    """Squared distance of the velocity to that of the path from start to end, in the manifold's metric.

    Parameters
    ----------
    velocity
        The network.
    start, end
        Points of the base and of the data, (P, A).
    manifold, layout, path
        Where they live, to which event they belong, and how they are joined.
    rng
        Source of the times.

    Returns
    -------
    Mean over the dimensions of each event, (B,).
    """
    times = draw_for_events(layout, draw_times, rng, per_event=True).to(start)
    noise = draw_for_events(layout, partial(path.draw, manifold), rng) if path.noise else None
    x, wanted = path.at(manifold, start, end, layout.spread(times).unsqueeze(-1), noise)
    difference = velocity(times, x) - wanted
    square = manifold.squared_norm(x, difference) / manifold.dim
    return layout.pool(square.unsqueeze(-1), "mean").squeeze(-1)


def draw_times(count: int, rng: torch.Generator | None) -> Tensor:
    """Times of events, uniform, (B,)."""
    return torch.rand(count, generator=rng, dtype=torch.float64)


def transport(
    velocity: Callable[[Tensor], Velocities],
    x: Tensor,
    manifold: Manifold,
    layout: Packed,
    solver: Solver,
    *,
    backwards: bool = False,
    divergence: Divergence | None = None,
    rng: torch.Generator | None = None,
    batch_size: int = 1024,
) -> tuple[Tensor, Tensor, SolverError | None]:
    """Flow points from the base to the data, or backwards, in batches of events.

    Parameters
    ----------
    velocity
        Gives the velocities of a choice of events, by their numbers (b,), in that order.
    x
        Points (P, A).
    manifold, layout, solver
        Where they live, to which event they belong, how trajectories are solved.
    backwards
        From the data to the base.
    divergence
        ``"exact"`` or ``"hutchinson"`` integrates it; None leaves it out.
    rng
        Source of Hutchinson's noise, which is drawn once for all events.
    batch_size
        Events at a time.

    Returns
    -------
    Points (P, A), the integral of the divergence along the way (B,), zero without, and the error that names all events
    that failed, or None. Points and integrals of these are NaN, all others are solved.
    """
    noise = tangent_noise(x, manifold.dim, rng) if divergence == "hutchinson" else None
    points, integral = x.clone(), x.new_zeros(layout.num_events)
    lengths, ptr = list(layout.lengths), layout.ptr.tolist()
    failed: dict[int, float] = {}

    def rows(events: list[int]) -> Tensor:
        pieces = [torch.arange(ptr[e], ptr[e + 1]) for e in events]
        return (
            torch.cat(pieces).to(x.device) if pieces else torch.zeros(0, dtype=torch.int64, device=x.device)
        )

    def solve(events: list[int]) -> None:
        part = Packed.from_lengths([lengths[e] for e in events], device=x.device)
        index = rows(events)
        of_events = velocity(torch.tensor(events, dtype=torch.int64, device=x.device))

        def slope(t: float, y: Tensor) -> tuple[Tensor, Tensor]:
            times = y.new_full((part.num_events,), t)
            if divergence is None:
                with torch.no_grad():
                    return of_events(times, y), y.new_zeros(part.num_events)
            own = None if noise is None else noise[index]
            return with_divergence(lambda z: of_events(times, z), y, manifold, part, own)

        ends = (1.0, 0.0) if backwards else (0.0, 1.0)
        try:
            solved, total = integrate(slope, x[index], manifold, part, solver, *ends)
        except SolverError as error:
            if len(error.events) == len(events) > 1 and solver.method not in FIXED:
                # The events of a batch share their steps: halves tell which ones it was.
                solve(events[: len(events) // 2])
                solve(events[len(events) // 2 :])
                return
            failed.update(
                (events[place], time) for place, time in zip(error.events, error.times, strict=True)
            )
            rest = [e for place, e in enumerate(events) if place not in set(error.events)]
            if rest:
                solve(rest)
            return
        points[index], integral[events] = solved, total

    for first in range(0, layout.num_events, batch_size):
        solve(list(range(first, min(first + batch_size, layout.num_events))))
    if not failed:
        return points, integral, None
    names = sorted(failed)
    points[rows(names)], integral[names] = math.nan, math.nan
    times = [failed[e] for e in names]
    return points, integral, SolverError(names, times, solver.method, "no finite trajectory with these steps")


class ManifoldFlow(nn.Module):
    """A density on a manifold by flow matching: of directions, angles, momenta on a mass shell, without events around.

    Parameters
    ----------
    base
        The distribution at time zero; it knows the manifold.
    network
        Maps the time and the point side by side, (B, 1 + A), to velocities (B, A), whose tangential part counts.
    path, solver, divergence
        See `Path`, `Solver` (the defaults of which are taken), and `transport`.
    """

    def __init__(
        self,
        base: Base,
        network: nn.Module,
        path: Path | None = None,
        solver: Solver | None = None,
        divergence: Divergence = "exact",
    ) -> None:
        super().__init__()
        self.base, self.network = base, network
        self.path = Path() if path is None else path
        self.solver = Solver() if solver is None else solver
        self.divergence: Divergence = divergence

    @property
    def manifold(self) -> Manifold:
        """Where the points live."""
        return self.base.manifold

    def velocity(self, times: Tensor, x: Tensor) -> Tensor:
        """Tangent velocities (B, A) at times (B,) and points (B, A)."""
        dtype = next(self.network.parameters()).dtype
        out = self.network(torch.cat([times.unsqueeze(-1), x], dim=-1).to(dtype))
        return self.manifold.tangent(x, out.to(x))

    def loss(self, x: Tensor, weight: Tensor | None = None, rng: torch.Generator | None = None) -> Tensor:
        """Mean flow-matching loss of points (B, A), weighted by (B,)."""
        start = self.base.sample(len(x), rng).to(x)
        layout = Packed.from_lengths([1] * len(x), device=x.device)
        losses = matching_loss(self.velocity, start, x, self.manifold, layout, self.path, rng)
        return mean_loss(losses, weight)

    def sample(self, count: int, rng: torch.Generator | None = None, batch_size: int = 4096) -> Tensor:
        """Points (count, A)."""
        return self._flow(self.base.sample(count, rng), False, None, rng, batch_size)[0]

    def log_prob(self, x: Tensor, rng: torch.Generator | None = None, batch_size: int = 4096) -> Tensor:
        """Logarithm of the density at points (B, A), relative to the manifold's volume, (B,)."""
        start, integral = self._flow(x, True, self.divergence, rng, batch_size)
        return self.base.log_prob(start) + integral

    def _flow(
        self,
        x: Tensor,
        backwards: bool,
        divergence: Divergence | None,
        rng: torch.Generator | None,
        batch_size: int,
    ) -> tuple[Tensor, Tensor]:
        points, integral, failure = transport(
            lambda events: self.velocity,
            x,
            self.manifold,
            Packed.from_lengths([1] * len(x), device=x.device),
            self.solver,
            backwards=backwards,
            divergence=divergence,
            rng=rng,
            batch_size=batch_size,
        )
        if failure is not None:
            raise failure
        return points, integral

"""How is a velocity integrated, and what happens to events for which that fails?"""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, get_args

import torch
from torch import Tensor

from lorentzoo.core.errors import LorentzooError, MissingExtraError
from lorentzoo.core.layout import Layout

__all__ = [
    "FIXED",
    "Evaluations",
    "Method",
    "Solver",
    "SolverError",
    "Surface",
    "counting_evaluations",
    "integrate",
]

Method = Literal["euler", "midpoint", "heun", "rk4", "dopri5", "dopri8", "bosh3", "adaptive_heun"]
FIXED: Final = ("euler", "midpoint", "heun", "rk4")

_NOT_FINITE: Final = "NaN or infinite values"

Velocity = Callable[[float, Tensor], tuple[Tensor, Tensor]]
"""Velocity (P, A) and its divergence (B,) at a time and at points (P, A)."""

_TABLEAUS: Final[dict[str, tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]]] = {
    "euler": (((),), (1.0,)),
    "midpoint": (((), (1 / 2,)), (0.0, 1.0)),
    "heun": (((), (1.0,)), (1 / 2, 1 / 2)),
    "rk4": (((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6)),
}
"""Coefficients of the stages and of the step (Butcher)."""


class Surface(Protocol):
    """Where points live: a manifold in a space of numbers."""

    def project(self, x: Tensor) -> Tensor:
        """The point next to x."""


class SolverError(LorentzooError, RuntimeError):
    """Events whose trajectories could not be solved.

    Attributes
    ----------
    events
        Their numbers.
    times
        The time at which each failed.
    method, reason
        Of the solver, and why.
    """

    def __init__(self, events: list[int], times: list[float], method: str, reason: str) -> None:
        self.events, self.times, self.method, self.reason = events, times, method, reason
        shown = ", ".join(f"{e} (t = {t:.4g})" for e, t in list(zip(events, times, strict=True))[:5])
        more = f" and {len(events) - 5} more" if len(events) > 5 else ""
        super().__init__(
            f"the solver {method!r} failed for {len(events)} events: {shown}{more}: {reason}. Train longer, take more "
            "steps, or loosen the tolerances; no event was left out silently"
        )

    def counted_from(self, first: int) -> SolverError:
        """The same of a part of the events, which begins at the event `first`."""
        return SolverError([first + event for event in self.events], self.times, self.method, self.reason)


@dataclass(frozen=True)
class Solver:
    """How trajectories are solved.

    Parameters
    ----------
    method
        ``"euler"``, ``"midpoint"``, ``"heun"`` or ``"rk4"`` with a fixed number of steps: results do not depend on
        which events share a batch. ``"dopri5"``, ``"dopri8"``, ``"bosh3"`` or ``"adaptive_heun"`` with steps that all
        events of a batch share, chosen by torchdiffeq (extra ``lorentzoo[generative]``).
    steps
        Of the former.
    rtol, atol
        Tolerances of the latter.
    max_steps
        After which an adaptive solver gives up.
    """

    method: Method = "midpoint"
    steps: int = 32
    rtol: float = 1e-5
    atol: float = 1e-5
    max_steps: int = 2000

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ValueError(f"there is no solver {self.method!r}; there are {', '.join(get_args(Method))}")
        if self.steps < 1 or self.max_steps < 1 or not (self.rtol > 0 and self.atol > 0):
            raise ValueError("steps, max_steps, rtol and atol must be positive")


@dataclass
class Evaluations:
    """How often networks were evaluated within `counting_evaluations`.

    Attributes
    ----------
    calls
        Evaluations of the velocity of a batch.
    events
        The same times the events of the batch.
    """

    calls: int = 0
    events: int = 0
    _steps: list[float] = field(default_factory=list, repr=False)

    @property
    def per_event(self) -> float:
        """Evaluations per event, over all events seen at the starts of solves."""
        solved = sum(self._steps)
        return self.events / solved if solved else 0.0


_counter: contextvars.ContextVar[Evaluations | None] = contextvars.ContextVar("evaluations", default=None)


@contextlib.contextmanager
def counting_evaluations() -> Iterator[Evaluations]:
    """Count the function evaluations of everything that is solved inside.

    >>> with counting_evaluations() as count:
    ...     pass
    >>> count.calls
    0
    """
    count = Evaluations()
    token = _counter.set(count)
    try:
        yield count
    finally:
        _counter.reset(token)


def integrate(
    velocity: Velocity,
    x: Tensor,
    manifold: Surface | None,
    layout: Layout,
    solver: Solver,
    start: float = 0.0,
    end: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Solve dx/dt = velocity.

    Parameters
    ----------
    velocity
        Velocity and divergence at a time and at points.
    x
        Points at the start, (P, A), float64.
    manifold
        On which every row of x lies; None where any numbers will do.
    layout
        Which row belongs to which event.
    solver
        Method, steps, tolerances.
    start, end
        Times; backwards if the end is the earlier one.

    Returns
    -------
    Points at the end (P, A), and the integral of the divergence of each event (B,).

    Raises
    ------
    SolverError
        Naming the events (by their place in the layout) and the times; where an adaptive solver gives up, all events
        of the batch, which share its steps.
    """
    count = _counter.get()
    if count is not None:
        count._steps.append(layout.num_events)

    def counted(t: float, y: Tensor) -> tuple[Tensor, Tensor]:
        if count is not None:
            count.calls += 1
            count.events += layout.num_events
        return velocity(t, y)

    if solver.method in FIXED:
        return _fixed(counted, x, manifold, layout, solver, start, end)
    return _adaptive(counted, x, manifold, layout, solver, start, end)


def _fixed(
    velocity: Velocity,
    x: Tensor,
    manifold: Surface | None,
    layout: Layout,
    solver: Solver,
    start: float,
    end: float,
) -> tuple[Tensor, Tensor]:
    stages, weights = _TABLEAUS[solver.method]
    h = (end - start) / solver.steps
    total = x.new_zeros(layout.num_events)
    failed_at = x.new_full((layout.num_events,), math.nan)
    for step in range(solver.steps):
        t = start + step * h
        slopes: list[Tensor] = []
        change = torch.zeros_like(total)
        for row, weight in zip(stages, weights, strict=True):
            moved = x
            for a, slope in zip(row, slopes, strict=True):
                moved = moved + h * a * slope if a else moved
            # The velocity extended by projection: its trajectories stay on the manifold, and the order is kept.
            slope, divergence = velocity(t + h * sum(row), _on(manifold, moved) if slopes else x)
            slopes.append(slope)
            change = change + weight * divergence
        for weight, slope in zip(weights, slopes, strict=True):
            x = x + h * weight * slope
        x, total = _on(manifold, x), total + h * change
        lost = ~(_finite(x, layout) & torch.isfinite(total)) & failed_at.isnan()
        failed_at = torch.where(lost, t + h, failed_at)
    if not bool(failed_at.isnan().all()):
        events = (~failed_at.isnan()).nonzero().squeeze(1).tolist()
        raise SolverError(events, failed_at[events].tolist(), solver.method, _NOT_FINITE)
    return x, total


def _adaptive(
    velocity: Velocity,
    x: Tensor,
    manifold: Surface | None,
    layout: Layout,
    solver: Solver,
    start: float,
    end: float,
) -> tuple[Tensor, Tensor]:
    try:
        from torchdiffeq import odeint
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"the solver {solver.method!r} needs 'torchdiffeq', which is not installed; "
            'run: pip install "lorentzoo[generative]", or take a fixed-step solver, e.g. solver=midpoint'
        ) from error
    reached = start
    events = list(range(layout.num_events))
    if not events:
        return x, x.new_zeros(0)

    def slope(t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        nonlocal reached
        reached = float(t)
        change, divergence = velocity(reached, _on(manifold, state[0]))
        lost = ~(_finite(change, layout) & torch.isfinite(divergence))
        if bool(lost.any()):
            # Error estimates of NaN would make the steps of all other events meaningless.
            bad = lost.nonzero().squeeze(1).tolist()
            raise SolverError(bad, [reached] * len(bad), solver.method, _NOT_FINITE)
        return change, divergence

    times = torch.tensor([start, end], dtype=x.dtype, device=x.device)
    options = {"max_num_steps": solver.max_steps}
    try:
        points, totals = odeint(
            slope,
            (x, x.new_zeros(layout.num_events)),
            times,
            rtol=solver.rtol,
            atol=solver.atol,
            method=solver.method,
            options=options,
        )
    except AssertionError as error:  # torchdiffeq's way to say that its step became too small, or too many
        raise SolverError(
            events, [reached] * len(events), solver.method, str(error) or "step too small"
        ) from error
    return _on(manifold, points[-1]), totals[-1]


def _on(manifold: Surface | None, x: Tensor) -> Tensor:
    return x if manifold is None else manifold.project(x)


def _finite(x: Tensor, layout: Layout) -> Tensor:
    """Events all of whose numbers are finite, (P, A) to (B,)."""
    wrong = (~torch.isfinite(x)).any(-1, keepdim=True).to(x.dtype)
    return layout.pool(wrong, "sum").squeeze(-1) == 0

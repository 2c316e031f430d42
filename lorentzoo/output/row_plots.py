"""How do rows of a study look side by side: along their training, and quality against cost?

Every function draws on the axes it is given, or on new ones, and returns them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, StrMethodFormatter

from lorentzoo.output.metric import Metric
from lorentzoo.output.rows import Row
from lorentzoo.output.style import axes_or_new, legend_beside, plain_text, style

__all__ = ["find_front", "finish_axes", "plot_costs", "plot_history"]

_COSTS: Final = {
    "training_cpu_seconds": "Training [CPU-s]",
    "flops": "FLOPs per event (forward)",
    "forward_ms": "Forward [CPU-ms per event]",
    "training_ms": "Training step [CPU-ms per event]",
    "parameters": "Parameters",
    "memory_mb": "Peak memory of a training step [MB]",
}
_FRONT: Final = "#b9bec7"
_SPAN: Final = 30.0
"""From this ratio of the largest to the smallest value on, an axis of positive values is logarithmic."""
_QUANTITIES: Final = {
    "val_loss": "Loss (validation)",
    "loss": "Loss (training)",
    "learning_rate": "Learning rate",
}


def plot_history(
    rows: Sequence[Row],
    quantity: str = "val_loss",
    against: Literal["step", "cpu_seconds"] = "step",
    *,
    label: str | None = None,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """A quantity of the history against optimiser steps or CPU-seconds; bands are the spread over seeds.

    Parameters
    ----------
    rows
        Rows of a study.
    quantity
        Name of a column of the history, e.g. ``"val_loss"``, ``"loss"``, ``"learning_rate"``.
    against
        Horizontal axis.
    label
        Of the vertical axis; the quantity's usual name by default.
    legend
        Whether to name the rows beside the axes.
    ax
        Where to draw.
    """
    with style():
        ax = axes_or_new(ax)
        seen: list[float] = []
        for row in rows:
            look = row.look
            histories = [[point for point in history if quantity in point] for history in row.history]
            if not histories or not all(histories):
                continue
            # Seeds need not have the same points: curves are read off on a common grid, where all have some.
            start = max(history[0][against] for history in histories)
            end = min(history[-1][against] for history in histories)
            grid = np.linspace(start, max(start, end), max(len(histories[0]), 2))
            curves = np.array(
                [np.interp(grid, [p[against] for p in h], [p[quantity] for p in h]) for h in histories]
            )
            mean = curves.mean(0)
            seen += [*mean]
            marker = look.marker if len(histories[0]) == 1 else ""
            ax.plot(
                grid, mean, label=plain_text(row.label), color=look.colour, linestyle=look.line, marker=marker
            )
            if len(curves) > 1:
                spread = curves.std(0, ddof=1)
                ax.fill_between(
                    grid, mean - spread, mean + spread, color=look.colour, alpha=0.15, linewidth=0
                )
        ax.set_xlim(left=0)
        _scale_upwards(ax, seen)
        ax.set_xlabel({"step": "Optimiser steps", "cpu_seconds": "Training [CPU-s]"}[against])
        ax.set_ylabel(label or _QUANTITIES.get(quantity, quantity))
        finish_axes(ax, legend=legend)
    return ax


def plot_costs(
    rows: Sequence[Row],
    cost: str | Metric,
    metric: Metric,
    *,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """A metric of the test against a cost, with the Pareto front; error bars are the spread over seeds.

    Parameters
    ----------
    rows
        Rows of a study.
    cost
        ``"flops"``, ``"training_ms"``, ``"forward_ms"``, ``"parameters"``, ``"memory_mb"`` or ``"training_cpu_seconds"``;
        or a metric that is itself a cost.
    metric
        What is measured.
    legend
        Whether to name the rows beside the axes.
    ax
        Where to draw.
    """
    points: list[tuple[float, float]] = []
    with style():
        ax = axes_or_new(ax)
        for row in rows:
            values = row.values(metric.name)
            if not values:
                continue
            costs = row.values(cost.name) if isinstance(cost, Metric) else [each[cost] for each in row.costs]
            several = len(values) > 1
            points.append((float(np.mean(costs)), float(np.mean(values))))
            ax.errorbar(
                np.mean(costs),
                np.mean(values),
                xerr=np.std(costs, ddof=1) if several else None,
                yerr=np.std(values, ddof=1) if several else None,
                label=plain_text(row.label),
                color=row.look.colour,
                marker=row.look.marker,
                markersize=8,
                markerfacecolor=row.look.colour if row.look.is_filled else "white",
                linestyle="none",
                capsize=3,
            )
        front = [points[place] for place in find_front(points, metric)]
        if len(front) > 1:
            ax.step(
                *zip(*front, strict=True),
                where="post",
                color=_FRONT,
                linewidth=5.0,
                alpha=0.45,
                zorder=0,
                label="_front",
            )
        ax.set_xscale("log")
        _scale_upwards(ax, [value for _, value in points])
        ax.set_xlabel(cost.heading if isinstance(cost, Metric) else _COSTS[cost])
        ax.set_ylabel(plain_text(metric.heading))
        finish_axes(ax, legend=legend)
    return ax


def find_front(points: Sequence[tuple[float, float]], metric: Metric) -> list[int]:
    """Places of the points (cost, value) that no other point beats in one of both without losing in the other.

    In the order of rising cost; none for a metric that judges nothing. Points that are not finite count for nothing.

    >>> find_front([(1.0, 0.9), (2.0, 0.8), (3.0, 0.95)], Metric("auc", better="high"))
    [0, 2]
    """
    if metric.better == "none":
        return []
    found: list[int] = []
    known = [place for place, point in enumerate(points) if np.isfinite(point).all()]
    sign = -1.0 if metric.better == "high" else 1.0
    for place in sorted(known, key=lambda place: (points[place][0], sign * points[place][1])):
        if not found or metric.is_better(points[place][1], than=points[found[-1]][1]):
            found.append(place)
    return found


def finish_axes(ax: Axes, *, legend: bool) -> None:
    """Ticks that fit the scale, and a legend if wanted."""
    if legend:
        legend_beside(ax)
    if ax.get_xscale() == "linear":
        ax.minorticks_on()
        return
    low, high = _widen(ax)
    decades = np.log10(high / low)
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.5 else (1.0,)))
    ax.xaxis.set_major_formatter(EngFormatter(sep=" ") if high >= 1e3 else StrMethodFormatter("{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _scale_upwards(ax: Axes, values: Sequence[float]) -> None:
    """A logarithmic vertical axis for positive values of different orders; what spreads below them is cut off."""
    finite = [value for value in values if np.isfinite(value)]
    if not finite or min(finite) <= 0 or max(finite) < _SPAN * min(finite):
        return
    ax.set_yscale("log", nonpositive="clip")
    ax.set_ylim(min(finite) / 2, max(finite) * 2)


def _widen(ax: Axes) -> tuple[float, float]:
    """Make a logarithmic axis at least one decade long, so that equal costs look equal; returns its limits."""
    low, high = np.log10(ax.get_xlim())
    missing = max(1.0 - (high - low), 0.0) / 2
    limits = float(10 ** (low - missing)), float(10 ** (high + missing))
    ax.set_xlim(limits)
    return limits

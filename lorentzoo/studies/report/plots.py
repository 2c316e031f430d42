"""How do the rows of a study look side by side?

Every function draws on the axes it is given, or on new ones, and returns them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from lorentzoo.output.style import COLOURS, LINES, MARKERS, axes_or_new, legend_beside, style
from lorentzoo.studies.results import RowResult, StudyResult
from lorentzoo.tasks.classification.metrics import EFFICIENCY_GRID, rejection_curve

__all__ = ["legend_entries", "plot_costs", "plot_history", "plot_roc"]

Array = NDArray[np.float64]
Cost = Literal[
    "training_cpu_seconds",
    "flops",
    "forward_ms",
    "training_ms",
    "parameters",
    "memory_mb",
    "seconds_per_sample",
]

_COST_LABELS: Final = {
    "training_cpu_seconds": "Training [CPU-s]",
    "flops": "FLOPs per event (forward)",
    "forward_ms": "Forward [CPU-ms per event]",
    "training_ms": "Training step [CPU-ms per event]",
    "parameters": "Parameters",
    "memory_mb": "Peak memory of a training step [MB]",
    "seconds_per_sample": "Drawing an event [CPU-s]",
}


def plot_roc(result: StudyResult, *, signal: int = 1, legend: bool = True, ax: Axes | None = None) -> Axes:
    """Background rejection 1/ε_B against signal efficiency ε_S; bands are the spread over seeds.

    Parameters
    ----------
    result
        A study with classification runs.
    signal
        The class that is signal; all others are background.
    legend
        Whether to name the rows beside the axes.
    ax
        Where to draw.

    Notes
    -----
    Mean and spread are of log(1/ε_B). A curve begins where at least three background events pass in every seed.
    """
    with style():
        ax = axes_or_new(ax)
        for row, look in _looks(result):
            curves = np.array([_log_rejection(row, index, signal) for index in range(len(row.runs))])
            shown = np.isfinite(curves).all(0)
            mean = curves.mean(0)
            ax.plot(
                EFFICIENCY_GRID[shown],
                np.exp(mean[shown]),
                label=row.label,
                color=look.colour,
                linestyle=look.line,
            )
            if len(curves) > 1:
                spread = curves.std(0, ddof=1)
                low, high = np.exp(mean - spread), np.exp(mean + spread)
                ax.fill_between(
                    EFFICIENCY_GRID[shown],
                    low[shown],
                    high[shown],
                    color=look.colour,
                    alpha=0.15,
                    linewidth=0,
                )
        ax.set_yscale("log")
        ax.set_xlim(0, 1)
        ax.set_ylim(bottom=1)
        names = result.study.dataset["name"], _class_name(result, signal)
        ax.set_xlabel(rf"Signal efficiency $\varepsilon_S$ ({names[1]})")
        ax.set_ylabel(r"Background rejection $1/\varepsilon_B$")
        _finish(ax, result, legend)
    return ax


def plot_history(
    result: StudyResult,
    quantity: str = "val_auc",
    against: Literal["step", "cpu_seconds"] = "step",
    *,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """A quantity of the history against optimiser steps or CPU-seconds; bands are the spread over seeds.

    Parameters
    ----------
    result
        A study.
    quantity
        ``"val_auc"``, ``"val_loss"``, ``"val_accuracy"``, ``"loss"``, ``"learning_rate"``.
    against
        Horizontal axis.
    legend
        Whether to name the rows beside the axes.
    ax
        Where to draw.
    """
    with style():
        ax = axes_or_new(ax)
        for row, look in _looks(result):
            histories = [[point for point in run.history if quantity in point] for run in row.runs]
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
            single = len(histories[0]) == 1
            marker = look.marker if single else ""
            ax.plot(grid, mean, label=row.label, color=look.colour, linestyle=look.line, marker=marker)
            if len(curves) > 1:
                spread = curves.std(0, ddof=1)
                ax.fill_between(
                    grid, mean - spread, mean + spread, color=look.colour, alpha=0.15, linewidth=0
                )
        ax.set_xlim(left=0)
        ax.set_xlabel({"step": "Optimiser steps", "cpu_seconds": "Training [CPU-s]"}[against])
        ax.set_ylabel(_QUANTITIES.get(quantity, quantity))
        _finish(ax, result, legend)
    return ax


_QUANTITIES: Final = {
    "val_auc": "AUC (validation)",
    "val_loss": "Loss (validation)",
    "val_accuracy": "Accuracy (validation)",
    "loss": "Loss (training)",
    "learning_rate": "Learning rate",
}


def plot_costs(
    result: StudyResult,
    cost: Cost = "flops",
    metric: str = "auc",
    *,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """A metric of the test split against a cost; error bars are the spread over seeds."""
    with style():
        ax = axes_or_new(ax)
        for row, look in _looks(result):
            values = list(row.values(metric).values())
            if not values:
                continue
            costs = [_cost(row, index, cost) for index in range(len(row.runs))]
            several = len(values) > 1
            ax.errorbar(
                np.mean(costs),
                np.mean(values),
                xerr=np.std(costs, ddof=1) if several else None,
                yerr=np.std(values, ddof=1) if several else None,
                label=row.label,
                color=look.colour,
                marker=look.marker,
                markersize=8,
                markerfacecolor=look.colour if look.line == "-" else "white",
                linestyle="none",
                capsize=3,
            )
        ax.set_xscale("log")
        ax.set_xlabel(_COST_LABELS[cost])
        ax.set_ylabel(_METRICS.get(metric, metric))
        _finish(ax, result, legend)
    return ax


_METRICS: Final = {
    "auc": "AUC",
    "accuracy": "Accuracy",
    "nll": "Negative log-likelihood",
    "c2st_auc": "AUC of a classifier against the truth",
    "fpd": "Fréchet physics distance",
}


def legend_entries(result: StudyResult) -> list[tuple[str, str, str, str, bool]]:
    """Label, colour, line style, marker of every row, and whether the marker is filled."""
    return [
        (row.label, look.colour, look.line, look.marker, look.line == "-") for row, look in _looks(result)
    ]


# ---- looks --------------------------------------------------------------------------------------


class _Look:
    """How a row is drawn: the first axis of the study gives the line, all others together the colour."""

    def __init__(self, colour: int, line: int) -> None:
        self.colour = COLOURS[colour % len(COLOURS)]
        self.line = LINES[(line + colour // len(COLOURS)) % len(LINES)]
        self.marker = MARKERS[colour % len(MARKERS)]


def _looks(result: StudyResult) -> list[tuple[RowResult, _Look]]:
    varying = result.study.varying
    first = varying[0] if len(varying) > 1 else None
    lines: list[str] = []
    colours: list[tuple[object, ...]] = []
    looks = []
    for row in result.finished:
        line = row.choices[first] if first else ""
        rest = (row.train_size, *(row.choices[axis] for axis in varying if axis != first))
        lines += [line] * (line not in lines)
        colours += [rest] * (rest not in colours)
        looks.append((row, _Look(colours.index(rest), lines.index(line))))
    return looks


def _finish(ax: Axes, result: StudyResult, legend: bool) -> None:
    if legend:
        legend_beside(ax)
    if ax.get_xscale() == "linear":
        ax.minorticks_on()
    else:
        low, high = _widen(ax)
        decades = np.log10(high / low)
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.5 else (1.0,)))
        ax.xaxis.set_major_formatter(
            EngFormatter(sep="\N{THIN SPACE}") if high >= 1e3 else StrMethodFormatter("{x:g}")
        )
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_title(result.study.name, loc="left", fontweight="bold")
    ax.set_title(str(result.study.dataset["name"]), loc="right")


def _widen(ax: Axes) -> tuple[float, float]:
    """Make a logarithmic axis at least one decade long, so that equal costs look equal; returns its limits."""
    low, high = np.log10(ax.get_xlim())
    missing = max(1.0 - (high - low), 0.0) / 2
    limits = float(10 ** (low - missing)), float(10 ** (high + missing))
    ax.set_xlim(limits)
    return limits


def _class_name(result: StudyResult, signal: int) -> str:
    names: Sequence[str] = result.data.get("metadata", {}).get("class_names", ())
    return names[signal] if signal < len(names) else f"class {signal}"


def _log_rejection(row: RowResult, index: int, signal: int) -> Array:
    predictions = row.runs[index].predictions
    return rejection_curve(predictions.values[:, signal], predictions.target == signal, predictions.weight)


def _cost(row: RowResult, index: int, cost: Cost) -> float:
    run = row.runs[index]
    if cost == "seconds_per_sample":
        return float(run.metrics[cost])
    return float(run.training["cpu_seconds"] if cost == "training_cpu_seconds" else getattr(run.costs, cost))

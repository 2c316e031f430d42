"""How do predicted numbers look beside true ones?

Every function draws on the axes it is given, or on new ones, and returns them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from numpy.typing import NDArray

from lorentzoo.output.figure import ReportFigure
from lorentzoo.output.row_plots import finish_axes
from lorentzoo.output.rows import Row
from lorentzoo.output.style import COLOURS, axes_or_new, legend_beside, plain_text, style
from lorentzoo.output.weights import weighted_quantile
from lorentzoo.tasks.regression.metrics import relative_error
from lorentzoo.tasks.regression.predictions import ValuePredictions

__all__ = ["plot_errors", "plot_prediction", "plot_pulls", "plot_residuals", "regression_figures"]

Array = NDArray[np.float64]

_INK: Final = "#1c2430"
_BINS: Final = 60
_RESIDUAL_BINS: Final = 12
_DECADES: Final = 2.0
"""Targets of one sign that span more decades than this are looked at logarithmically."""


def plot_errors(
    runs: Mapping[Row, Sequence[ValuePredictions]],
    target: int = 0,
    *,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """The part of events whose error is larger than x, of several rows; bands are the spread over seeds.

    The error is |δ| = |prediction - truth|/|truth| where no true value is zero, and |prediction - truth| otherwise.

    Parameters
    ----------
    runs
        Predictions by row, one a seed.
    target
        Number of the target.
    legend
        Whether to name the rows beside the axes.
    ax
        Where to draw.
    """
    counted = {row: [one.counted() for one in each] for row, each in runs.items()}
    first = next(iter(counted.values()))[0]
    relative = bool((first.target[:, target] != 0).all())
    with style():
        ax = axes_or_new(ax)
        sizes = [_sizes(one, target, relative) for each in counted.values() for one in each]
        positive = np.concatenate([size[size > 0] for size in sizes])
        low, high = np.quantile(positive, [0.005, 1.0]) if len(positive) else (1e-3, 1.0)
        grid = np.geomspace(low, max(high, low * 10), 160)
        for row, each in counted.items():
            curves = np.array([_tail(_sizes(one, target, relative), one.weight, grid) for one in each])
            mean, look = curves.mean(0), row.look
            ax.plot(grid, mean, label=plain_text(row.label), color=look.colour, linestyle=look.line)
            if len(curves) > 1:
                spread = curves.std(0, ddof=1)
                ax.fill_between(
                    grid, mean - spread, mean + spread, color=look.colour, alpha=0.15, linewidth=0
                )
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_ylim(0.5 / max(len(first), 2), 1.5)
        name = plain_text(first.headings[target])
        ax.set_xlabel(f"|relative error| of {name}" if relative else f"|error| of {name}")
        ax.set_ylabel("Part of events above")
        finish_axes(ax, legend=legend)
    return ax


def plot_prediction(predictions: ValuePredictions, target: int = 0, *, ax: Axes | None = None) -> Axes:
    """Predicted against true values as a two-dimensional histogram; the line is perfect."""
    predictions = predictions.counted()
    true, predicted = predictions.target[:, target], predictions.values[:, target]
    with style():
        ax = axes_or_new(ax)
        edges, scale = _edges(true)
        # What is predicted beyond the true values is shown at the border.
        shown_at = np.clip(predicted, edges[0], edges[-1])
        counts, _, _ = np.histogram2d(true, shown_at, [edges, edges], weights=predictions.weight)
        shown = np.where(counts > 0, counts, np.nan).T
        mesh = ax.pcolormesh(edges, edges, shown, cmap="viridis", norm=LogNorm(), rasterized=True)
        ax.plot(edges[[0, -1]], edges[[0, -1]], color=_INK, linewidth=0.9, linestyle="--")
        for axis in ("x", "y"):
            getattr(ax, f"set_{axis}scale")(scale)
            getattr(ax, f"set_{axis}lim")(edges[0], edges[-1])
        name = plain_text(predictions.headings[target])
        ax.set_xlabel(f"True {name}")
        ax.set_ylabel(f"Predicted {name}")
        figure = ax.get_figure(root=True)
        assert figure is not None
        figure.colorbar(mesh, ax=ax, label="Events")
    return ax


def plot_residuals(
    predictions: ValuePredictions, target: int = 0, *, against: str | None = None, ax: Axes | None = None
) -> Axes:
    """Median and 68 % and 95 % bands of the residual in bins with equally many events.

    The residual is the relative one where no true value is zero, and prediction - truth otherwise.

    Parameters
    ----------
    predictions
        Of one network.
    target
        Number of the target.
    against
        One of `ValuePredictions.observables`, of which bins are made; the true value by default.
    ax
        Where to draw.
    """
    predictions = predictions.counted()
    true = predictions.target[:, target]
    place_in = true if against is None else predictions.observables[against]
    relative = bool((true != 0).all())
    residual = (
        relative_error(predictions.values[:, target], true)
        if relative
        else predictions.values[:, target] - true
    )
    with style():
        ax = axes_or_new(ax)
        edges = np.unique(np.quantile(place_in, np.linspace(0, 1, _RESIDUAL_BINS + 1)))
        place = np.clip(np.searchsorted(edges, place_in, side="right") - 1, 0, max(len(edges) - 2, 0))
        bands = np.array(
            [
                [
                    weighted_quantile(residual[place == k], predictions.weight[place == k], q)
                    for q in (0.025, 0.16, 0.5, 0.84, 0.975)
                ]
                for k in range(max(len(edges) - 1, 1))
            ]
        )
        if len(edges) > 1:
            for low, high, alpha in ((0, 4, 0.15), (1, 3, 0.3)):
                upper, lower = bands[:, high], bands[:, low]
                ax.stairs(upper, edges, baseline=lower, fill=True, color=COLOURS[0], alpha=alpha)
            ax.stairs(bands[:, 2], edges, baseline=None, color=COLOURS[0], linewidth=1.6, label="median")
            inner = float(np.nanmedian(np.abs(bands[:, (1, 3)])))
            if inner > 0 and float(np.nanmax(np.abs(bands))) > 30 * inner:
                ax.set_yscale("symlog", linthresh=inner)
        ax.axhline(0.0, color=_INK, linewidth=0.8, linestyle="--")
        ax.set_xscale(_edges(place_in)[1])
        name = plain_text(predictions.headings[target])
        ax.set_xlabel(f"True {name}" if against is None else plain_text(against))
        ax.set_ylabel("(prediction - truth)/truth" if relative else f"Prediction - truth: {name}")
    return ax


def plot_pulls(predictions: ValuePredictions, *, ax: Axes | None = None) -> Axes:
    """Distributions of the pulls (prediction - truth)/σ of all targets beside a unit normal one.

    Raises
    ------
    ValueError
        If the head predicted no uncertainty.
    """
    if predictions.deviation is None:
        raise ValueError("these predictions have no uncertainties, so there are no pulls")
    predictions = predictions.counted()
    assert predictions.deviation is not None
    edges = np.linspace(-5, 5, _BINS + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    pulls = (predictions.values - predictions.target) / predictions.deviation
    with style():
        ax = axes_or_new(ax)
        for d, heading in enumerate(predictions.headings):
            counts, _ = np.histogram(np.clip(pulls[:, d], -4.999, 4.999), edges, weights=predictions.weight)
            density = counts / counts.sum() / np.diff(edges)
            ax.stairs(
                density, edges, color=COLOURS[d % len(COLOURS)], linewidth=1.6, label=plain_text(heading)
            )
        ax.plot(
            centres,
            np.exp(-(centres**2) / 2) / np.sqrt(2 * np.pi),
            color=_INK,
            linestyle="--",
            linewidth=1.0,
            label="unit normal",
        )
        ax.set_xlim(-5, 5)
        ax.set_ylim(bottom=0)
        ax.set_xlabel("Pull (prediction - truth)/σ")
        ax.set_ylabel("Density of events")
        legend_beside(ax)
    return ax


def regression_figures(runs: Sequence[ValuePredictions]) -> list[ReportFigure]:
    """Everything that can be drawn of one network's predictions; of several seeds the first is shown.

    Returns
    -------
    For each target predicted against true and residuals, against the truth and against each observable that the events
    have; and pulls where there are uncertainties.
    """
    if not runs:
        return []
    first = runs[0]
    figures = []
    for d in range(first.target.shape[1]):
        end = f"-{d}" if first.target.shape[1] > 1 else ""
        name = first.headings[d]
        figures += [
            ReportFigure(
                f"prediction{end}",
                plot_prediction(first, d),
                f"Predicted against true {name}; on the line it is perfect.",
            ),
            ReportFigure(
                f"residuals{end}",
                plot_residuals(first, d),
                f"Residuals of {name} in bins of the truth with equally many events: median, 68 % and 95 %.",
            ),
            *(
                ReportFigure(
                    f"residuals{end}-{place + 1}",
                    plot_residuals(first, d, against=label),
                    f"Residuals of {name} against: {label}. Bins have equally many events; median, 68 % and 95 %.",
                )
                for place, label in enumerate(first.observables)
            ),
        ]
    if first.deviation is not None:
        caption = "Pulls beside a unit normal distribution, which they follow where uncertainties are right."
        figures.append(ReportFigure("pulls", plot_pulls(first), caption))
    return figures


def _sizes(predictions: ValuePredictions, target: int, relative: bool) -> Array:
    true, predicted = predictions.target[:, target], predictions.values[:, target]
    return np.abs(relative_error(predicted, true) if relative else predicted - true)


def _tail(sizes: Array, weight: Array, grid: Array) -> Array:
    """Part of the absolute weight at errors above each point of the grid."""
    order = np.argsort(sizes, kind="stable")
    below = np.concatenate([[0.0], np.cumsum(np.abs(weight[order]))])
    return 1.0 - below[np.searchsorted(sizes[order], grid, side="right")] / below[-1]


def _edges(values: Array) -> tuple[Array, str]:
    """Bins over all values, and the scale of their axis."""
    low, high = float(values.min()), float(values.max())
    if low > 0 and high > low * 10**_DECADES:
        return np.geomspace(low, high, _BINS + 1), "log"
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, _BINS + 1), "linear"

"""How do the errors of surrogates, the weights of the second step and unweighted events look?

Every function draws on the axes it is given, or on new ones, and returns them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from lorentzoo import Row
from lorentzoo.nn import COLOURS, axes_or_new, figure_style, finish_axes, plain_text, weighted_quantile
from lorentzoo.plugins.amplitudes.task.kinematics import OBSERVABLES
from lorentzoo.plugins.amplitudes.task.metrics import relative_errors
from lorentzoo.plugins.amplitudes.task.predictions import AmplitudePredictions
from lorentzoo.plugins.amplitudes.task.unweighting import draw_unweighted

__all__ = [
    "plot_coverage",
    "plot_second_step",
    "plot_second_weights",
    "plot_signed_errors",
    "plot_unweighted",
]

Array = NDArray[np.float64]

_INK: Final = "#1c2430"
_BINS: Final = 60
_DECADES: Final = 5
"""Of |δ|, below the largest one that is shown."""
_LARGEST: Final = 10.0
_GRID: Final = np.geomspace(0.1, 30.0, 200)
"""Of x over its mean."""
_OBSERVABLE_BINS: Final = 12
_DEVIATIONS: Final = np.linspace(0.0, 5.0, 101)
_DRAWN: Final = 2000
"""Unweighted events that are enough for a figure."""
_MOST_PASSES: Final = 1000


def plot_coverage(one: AmplitudePredictions, *, ax: Axes | None = None) -> Axes:
    """Part of the events within so many deviations, beside that of a normal distribution.

    Raises
    ------
    ValueError
        If there are no deviations.
    """
    if one.deviation is None:
        raise ValueError("these predictions have no uncertainties, so nothing is covered by them")
    there = one.weight != 0
    values, target, weight = one.arrays(there)
    pulls = np.abs(values - target) / np.maximum(one.deviation[there, 0], np.finfo(np.float64).tiny)
    order = np.argsort(pulls)
    share = np.cumsum(np.abs(weight)[order]) / np.abs(weight).sum()
    expected = [math.erf(x / 2**0.5) for x in _DEVIATIONS]
    with figure_style():
        ax = axes_or_new(ax)
        ax.step([0.0, *pulls[order]], [0.0, *share], where="post", color=COLOURS[0], label="found")
        ax.plot(_DEVIATIONS, expected, color=_INK, linestyle="--", linewidth=1.0, label="normal")
        ax.set_xlim(0.0, _DEVIATIONS[-1])
        ax.set_ylim(0.0, 1.02)
        ax.set_xlabel("|prediction - truth|/σ")
        ax.set_ylabel("Part of events below")
        ax.legend()
    return ax


def plot_signed_errors(one: AmplitudePredictions, *, ax: Axes | None = None) -> Axes:
    """Distribution of δ = (prediction - truth)/truth, on logarithmic axes to both sides of zero.

    What is beyond ± 10 is shown in the outermost bins, and what is below the smallest |δ| shown in the middle one.
    """
    values, target, weight = one.arrays(one.weight != 0)
    delta = np.clip(relative_errors(values, target), -0.9999 * _LARGEST, 0.9999 * _LARGEST)
    share = np.abs(weight[target != 0])
    least = _LARGEST * 10.0**-_DECADES
    half = np.geomspace(least, _LARGEST, _BINS // 2 + 1)
    edges = np.concatenate([-half[::-1], half])
    with figure_style():
        ax = axes_or_new(ax)
        counts, _ = np.histogram(delta, edges, weights=share)
        counts = counts / max(counts.sum(), 1e-300)
        ax.stairs(counts, edges, fill=True, color=COLOURS[0], alpha=0.3)
        ax.stairs(counts, edges, color=COLOURS[0], linewidth=1.4)
        ax.set_xscale("symlog", linthresh=least, linscale=0.3)
        ax.set_yscale("log")
        ax.set_xlim(-_LARGEST, _LARGEST)
        ax.set_ylim(bottom=0.5 / max(len(delta), 2))
        ax.axvline(0.0, color=_INK, linewidth=0.8)
        ticks = [10.0**power for power in range(2 - _DECADES, 2)]
        places = [-tick for tick in reversed(ticks)] + [0.0] + ticks
        ax.set_xticks(places, [f"{place:g}".replace("-", "−") for place in places])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel("δ = (prediction - truth)/truth")
        ax.set_ylabel("Part of events in a bin")
    return ax


def plot_second_step(
    runs: Mapping[Row, AmplitudePredictions], *, legend: bool = True, ax: Axes | None = None
) -> Axes:
    """The part of the accepted weight at points whose x = truth/surrogate is larger, of several rows.

    Read at 1 - quantile it is the maximum of the second step, in units of the mean of x over the points that the first
    step keeps: the further to the left it falls, the fewer evaluations of the truth are wasted.

    Parameters
    ----------
    runs
        Predictions of one seed by row; channels count by their points.
    legend
        Whether to name the rows beside the axes.
    ax
        Where to draw.
    """
    with figure_style():
        ax = axes_or_new(ax)
        for row, one in runs.items():
            ratio, _, accepted = _second_weights(one)
            order = np.argsort(ratio)
            below = np.concatenate([[0.0], np.cumsum(accepted[order])])
            above = 1.0 - below[np.searchsorted(ratio[order], _GRID, side="right")]
            ax.plot(
                _GRID,
                np.maximum(above, 1e-9),
                label=plain_text(row.label),
                color=row.look.colour,
                linestyle=row.look.line,
            )
        ax.axvline(1.0, color=_INK, linewidth=0.8)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_ylim(1e-4, 1.5)
        ax.set_xlim(_GRID[0], _GRID[-1])
        ax.set_xlabel("x = truth/surrogate, over its mean")
        ax.set_ylabel("Part of the accepted weight above")
        finish_axes(ax, legend=legend)
        ax.set_xlim(_GRID[0], _GRID[-1])
    return ax


def plot_second_weights(one: AmplitudePredictions, *, ax: Axes | None = None) -> Axes:
    """Distribution of x = truth/surrogate of the points that the first step keeps, and the maxima of the second step.

    In units of the mean of x; lines are the maxima of the quantiles. What is outside is in the outermost bins.
    """
    assert one.quantiles is not None
    ratio, kept, _ = _second_weights(one)
    edges = np.geomspace(_GRID[0], _GRID[-1], _BINS + 1)
    with figure_style():
        ax = axes_or_new(ax)
        at = np.clip(ratio, edges[0] * 1.0001, edges[-1] * 0.9999)
        counts, _ = np.histogram(at, edges, weights=kept)
        ax.stairs(counts, edges, fill=True, color=COLOURS[0], alpha=0.3)
        ax.stairs(counts, edges, color=COLOURS[0], linewidth=1.4)
        for number, quantile in enumerate(one.quantiles):
            each = [one.unweighting(chosen, float(quantile)).second_maximum for _, chosen in one.channels]
            # The largest of all channels: one line a quantile.
            ax.axvline(
                max(each),
                color=_INK,
                linestyle=("-", "--", ":", "-.")[number % 4],
                linewidth=1.0,
                label=f"maximum at {quantile:g}",
            )
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel("x = truth/surrogate, over its mean")
        ax.set_ylabel("Part of proposed points in a bin")
        finish_axes(ax, legend=True)
        ax.set_xlim(edges[0], edges[-1])
    return ax


def _second_weights(one: AmplitudePredictions) -> tuple[Array, Array, Array]:
    """x over its mean of the points that the first step proposes, their part of these, and of the accepted weight."""
    ratios, proposed, accepted = [], [], []
    for _, chosen in one.channels:
        steps = one.unweighting(chosen, one.headline)
        known = np.isfinite(steps.ratio) & (steps.first > 0)
        ratio, kept = steps.ratio[known], _normalise(steps.first[known])
        size = np.abs(steps.overweight * steps.first * steps.second)[known]
        ratios.append(ratio / max(float((kept * ratio).sum()), 1e-300))
        proposed.append(chosen.sum() * kept)
        accepted.append(chosen.sum() * _normalise(size))
    return np.concatenate(ratios), _normalise(np.concatenate(proposed)), _normalise(np.concatenate(accepted))


def plot_unweighted(one: AmplitudePredictions, name: str, *, axes: tuple[Axes, Axes] | None = None) -> Axes:
    """Distribution of an observable: all points with the truth as weight, with the surrogate, and unweighted events.

    Parameters
    ----------
    one
        Predictions of one network.
    name
        One of `OBSERVABLES`.
    axes
        Where to draw the distributions, and below them their ratios to the truth.

    Returns
    -------
    The upper axes. The band is √Σ w² of the points. Errors of the unweighted events, √Σ o² with their overweights o, are
    those of the procedure on these points, over which it goes until there are about 2,000. Channels count by points.
    """
    values = np.asarray(getattr(one, name))
    rng = np.random.default_rng(0 if one.seed is None else int(one.seed))
    truth, surrogate = np.zeros(len(one)), np.zeros(len(one))
    drawn: list[tuple[Array, Array]] = []
    for _, chosen in one.channels:
        predicted, true, weight = one.arrays(chosen)
        steps = one.unweighting(chosen, one.headline)
        expected = float((steps.first * steps.second).sum()) * len(one.channels)
        passes = int(np.clip(np.ceil(_DRAWN / max(expected, 1e-300)), 1, _MOST_PASSES))
        places, overweight = draw_unweighted(steps, rng, passes=passes)
        drawn.append((values[chosen][places], chosen.sum() * _normalise(overweight)))
        truth[chosen] = chosen.sum() * _normalise(weight * true)
        surrogate[chosen] = chosen.sum() * _normalise(weight * predicted)
    kept, overweights = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    low, high = (weighted_quantile(values, truth, quantile) for quantile in (0.002, 0.998))
    if not high > low:
        low, high = 0.9 * low - 0.5, 1.1 * high + 0.5
    is_log = low > 0 and high > 4 * low
    edges = (np.geomspace if is_log else np.linspace)(low, high, _OBSERVABLE_BINS + 1)
    centres = np.sqrt(edges[1:] * edges[:-1]) if is_log else (edges[1:] + edges[:-1]) / 2
    with figure_style():
        upper, lower = _pair_of_axes() if axes is None else axes
        reference, error = _histogram(values, truth, edges)
        filled = reference > 0
        relative = np.divide(error, reference, out=np.zeros_like(error), where=filled)
        upper.stairs(reference, edges, fill=True, color=_INK, alpha=0.12)
        upper.stairs(reference, edges, color=_INK, linewidth=1.2, label="truth as weight")
        lower.stairs(1 + relative, edges, baseline=1 - relative, fill=True, color=_INK, alpha=0.15)
        lower.axhline(1.0, color=_INK, linewidth=0.8)
        by_surrogate, _ = _histogram(values, surrogate, edges)
        by_steps, steps_error = _histogram(kept, overweights, edges)
        ratio, steps_ratio, steps_ratio_error = (
            np.divide(x, reference, out=np.full_like(x, np.nan), where=filled)
            for x in (by_surrogate, by_steps, steps_error)
        )
        upper.stairs(by_surrogate, edges, color=COLOURS[1], linestyle="--", label="surrogate as weight")
        lower.stairs(ratio, edges, color=COLOURS[1], linestyle="--", baseline=None)
        points: dict[str, Any] = {"fmt": "o", "color": COLOURS[0], "markersize": 4, "linewidth": 1.2}
        label = f"{len(kept):,} unweighted events"
        upper.errorbar(centres, by_steps, steps_error, label=label, **points)
        lower.errorbar(centres, steps_ratio, steps_ratio_error, **points)
        if is_log:
            lower.set_xscale("log")
        upper.set_ylim(bottom=0)
        upper.tick_params(labelbottom=False)
        lower.set_ylim(0.5, 1.5)
        lower.set_xlabel(OBSERVABLES[name])
        finish_axes(lower, legend=False)
        lower.set_xlim(edges[0], edges[-1])
        upper.set_ylabel("Part of the cross-section")
        lower.set_ylabel("Ratio")
        upper.legend(frameon=False)
    return upper


def _pair_of_axes() -> tuple[Axes, Axes]:
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1], "hspace": 0.0})
    return upper, lower


def _histogram(values: Array, weight: Array, edges: Array) -> tuple[Array, Array]:
    """Part of the weight in each bin, and its error."""
    share = _normalise(weight)
    contents, _ = np.histogram(values, edges, weights=share)
    squares, _ = np.histogram(values, edges, weights=np.square(share))
    return contents, np.sqrt(squares)


def _normalise(weight: Array) -> Array:
    """The same with sum one; as they are where they add up to nothing."""
    total = weight.sum()
    return weight / total if total != 0 else weight

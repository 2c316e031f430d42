"""How do generated events look beside true ones, and how well do weights make them alike?

Every function draws on the axes it is given, or on new ones, and returns them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import mplhep
import numpy as np
from hist import Hist
from hist.axis import Variable
from hist.storage import Weight
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.output.metric import Metric
from lorentzoo.output.rows import Row
from lorentzoo.output.style import COLOURS, LINES, axes_or_new, legend_beside, plain_text, style
from lorentzoo.tasks.generation.multiplicities import list_multiplicities
from lorentzoo.tasks.generation.observables import Observable
from lorentzoo.tasks.generation.two_sample import TwoSampleTest

__all__ = ["marginal_axes", "plot_marginal", "plot_marginals", "plot_multiplicities", "plot_weights"]

Array = NDArray[np.float64]

_TRUE: Final = "#1c2430"
_COLUMNS: Final = 3
_WEIGHT_BINS: Final = 40


def marginal_axes() -> tuple[Axes, Axes]:
    """New axes for a marginal and, below it, its ratio to the truth."""
    with style():
        figure = Figure(figsize=(6.4, 5.2), layout="constrained")
        upper, lower = figure.subplots(
            2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1], "hspace": 0.0}
        )
    return upper, lower


def plot_marginal(
    observable: Observable,
    true: ParticleCloud,
    generated: Mapping[str, ParticleCloud],
    *,
    true_weight: Array | None = None,
    weights: Mapping[str, Array] | None = None,
    legend: bool = True,
    axes: tuple[Axes, Axes] | None = None,
) -> tuple[Axes, Axes]:
    """Normalised distributions of an observable, and the ratio to the truth below.

    Parameters
    ----------
    observable
        What is shown; its bins are those of the true events.
    true
        The true events.
    generated
        Events of each generator by name.
    true_weight
        Weights of the true events, (B,).
    weights
        Weights of generated events by name, for those that have any.
    legend
        Whether to name the generators.
    axes
        Where to draw: the distributions, and the ratio.

    Returns
    -------
    Both axes. Errors are Poisson's, √Σw²; the band is that of the truth. What lies outside the range is part of the
    normalisation, and stated above the axes in percent, true events first.
    """
    values = observable(true)
    edges = observable.edges(values if true_weight is None else values[np.asarray(true_weight) != 0])
    reference = _histogram(edges, values, true_weight)
    given = weights or {}
    with style():
        upper, lower = marginal_axes() if axes is None else axes
        density, error = _density(reference)
        relative = np.divide(error, density, out=np.zeros_like(error), where=density > 0)
        upper.stairs(density, edges, color=_TRUE, fill=True, alpha=0.12)
        mplhep.histplot(
            density, edges, yerr=error, ax=upper, histtype="errorbar", color=_TRUE, markersize=3, label="true"
        )
        lower.stairs(1 + relative, edges, baseline=1 - relative, fill=True, color=_TRUE, alpha=0.18)
        lower.axhline(1.0, color=_TRUE, linewidth=0.8)
        outside = [_outside(reference)]
        for number, (name, cloud) in enumerate(generated.items()):
            histogram = _histogram(edges, observable(cloud), given.get(name))
            outside.append(_outside(histogram))
            found, found_error = _density(histogram)
            look = {
                "color": COLOURS[number % len(COLOURS)],
                "linestyle": LINES[number // len(COLOURS) % len(LINES)],
            }
            mplhep.histplot(found, edges, yerr=found_error, ax=upper, label=name, linewidth=1.5, **look)
            shown = density > 0
            ratio, ratio_error = (
                np.divide(x, density, out=np.full_like(x, np.nan), where=shown) for x in (found, found_error)
            )
            mplhep.histplot(ratio, edges, yerr=ratio_error, ax=lower, linewidth=1.2, **look)
        if observable.log:
            lower.set_xscale("log")
            wide = edges[-1] > 30 * edges[0]
            lower.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 3.0, 5.0)))
            lower.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            lower.xaxis.set_minor_formatter(NullFormatter())
        upper.set_xlim(edges[0], edges[-1])
        upper.set_ylim(bottom=0)
        upper.tick_params(labelbottom=False)
        lower.set_xlim(edges[0], edges[-1])
        lower.set_ylim(0.5, 1.5)
        upper.set_xlabel("")
        lower.set_xlabel(observable.label)
        upper.set_ylabel("Density")
        lower.set_ylabel("Ratio")
        upper.set_title(
            "outside [%]: " + ", ".join(f"{100 * part:.2g}" for part in outside), loc="right", fontsize=8.5
        )
        if legend:
            legend_beside(upper)
    return upper, lower


def plot_marginals(
    observables: Sequence[Observable],
    true: ParticleCloud,
    generated: Mapping[str, ParticleCloud],
    *,
    true_weight: Array | None = None,
    weights: Mapping[str, Array] | None = None,
) -> Figure:
    """Several observables on a page, each with its ratio, under one legend; parameters as for `plot_marginal`."""
    rows = -(-len(observables) // _COLUMNS)
    columns = min(len(observables), _COLUMNS)
    with style():
        # Panels of one size need no layout engine, which would take a minute for so many axes.
        height = 4.0 * rows + 0.6
        figure = Figure(figsize=(4.6 * columns, height))
        grid = figure.add_gridspec(
            rows, columns, left=0.2 / columns, right=0.995, bottom=0.6 / height, top=1 - 0.9 / height,
            hspace=0.3, wspace=0.26,
        )  # fmt: skip
        first: Axes | None = None
        for place, observable in enumerate(observables):
            cell = grid[place // columns, place % columns].subgridspec(
                2, 1, height_ratios=(3, 1), hspace=0.06
            )
            upper = figure.add_subplot(cell[0])
            pair = upper, figure.add_subplot(cell[1], sharex=upper)
            first = first or upper
            plot_marginal(
                observable,
                true,
                generated,
                true_weight=true_weight,
                weights=weights,
                legend=False,
                axes=pair,
            )
        assert first is not None, "there is at least one observable"
        handles, labels = first.get_legend_handles_labels()
        figure.legend(handles, labels, loc="upper center", ncols=min(len(labels), 5), frameon=False)
    return figure


def plot_multiplicities(
    rows: Sequence[Row], metric: Metric, *, legend: bool = True, ax: Axes | None = None
) -> Axes:
    """One of `BY_MULTIPLICITY` against the number of particles, a line for each row; error bars: spread over seeds.

    Parameters
    ----------
    rows
        Rows of a study.
    metric
        What is measured.
    legend
        Whether to name the rows beside the axes.
    ax
        Where to draw.
    """
    numbers = list_multiplicities(rows)
    with style():
        ax = axes_or_new(ax)
        for place, row in enumerate(rows):
            values = {n: found for n in numbers if (found := row.values(f"{metric.name}_{n}"))}
            if not values:
                continue
            # Error bars of several rows at one number would hide each other.
            shift = 0.16 * (place - (len(rows) - 1) / 2) / max(len(rows) - 1, 1)
            ax.errorbar(
                [n + shift for n in values],
                [float(np.mean(found)) for found in values.values()],
                yerr=[float(np.std(found, ddof=1)) if len(found) > 1 else 0.0 for found in values.values()],
                label=plain_text(row.label),
                color=row.look.colour,
                linestyle=row.look.line,
                marker=row.look.marker,
                markerfacecolor=row.look.colour if row.look.is_filled else "none",
                capsize=3,
            )
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_xlabel("Particles")
        ax.set_ylabel(plain_text(metric.heading))
        if legend:
            legend_beside(ax)
    return ax


def plot_weights(tests: Mapping[str, TwoSampleTest], *, ax: Axes | None = None) -> Axes:
    """Distribution of the classifier's weights p/q of generated events (lines) and of true ones (dotted).

    A good generator has weights about one. A tail to the left means events that it should not make, a tail of the true
    events to the right means events that it does not make.
    """
    edges = np.geomspace(1e-3, 1e3, _WEIGHT_BINS + 1)
    with style():
        ax = axes_or_new(ax)
        for number, (name, test) in enumerate(tests.items()):
            colour = COLOURS[number % len(COLOURS)]
            for target, line, what in ((0, "-", name), (1, ":", f"{name}, true events")):
                chosen = test.target == target
                # Saturated weights are shown in the outermost bins.
                ratio = np.exp(np.clip(test.log_ratio[chosen], *np.log((1.001e-3, 0.999e3))))
                counts, _ = np.histogram(ratio, edges, weights=test.weight[chosen])
                ax.stairs(
                    counts / counts.sum(), edges, color=colour, linestyle=line, linewidth=1.5, label=what
                )
        ax.axvline(1.0, color=_TRUE, linewidth=0.8)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlim(edges[0], edges[-1])
        ax.set_xlabel("Weight p/q of the classifier")
        ax.set_ylabel("Fraction of events")
        legend_beside(ax)
    return ax


def _histogram(edges: Array, values: Array, weight: Array | None) -> Hist:
    histogram = Hist(Variable(edges, underflow=True, overflow=True), storage=Weight())
    each = np.ones(len(values)) if weight is None else np.asarray(weight, dtype=np.float64)
    histogram.fill(values.ravel(), weight=np.repeat(each, values.shape[1]))
    return histogram


def _density(histogram: Hist) -> tuple[Array, Array]:
    """Density and its error in each bin, normalised over everything, also what lies outside."""
    scale = histogram.values(flow=True).sum() * np.diff(histogram.axes[0].edges)
    return histogram.values() / scale, np.sqrt(np.asarray(histogram.variances())) / scale


def _outside(histogram: Hist) -> float:
    """Fraction in underflow and overflow."""
    return float(1 - histogram.values().sum() / histogram.values(flow=True).sum())

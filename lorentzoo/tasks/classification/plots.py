"""How does a classifier look: what it rejects, confuses and scores, at which momenta, and how sure it is?

Every function draws on the axes it is given, or on new ones, and returns them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import mplhep
import numpy as np
from hist import Hist
from hist.axis import Regular
from hist.storage import Weight
from matplotlib.axes import Axes
from numpy.typing import NDArray

from lorentzoo.output.row_plots import finish_axes
from lorentzoo.output.rows import Row
from lorentzoo.output.style import (
    COLOURS,
    LINES,
    MARKERS,
    axes_or_new,
    legend_beside,
    plain_text,
    style,
)
from lorentzoo.tasks.classification.diagnostics import (
    BinnedEfficiency,
    binned_efficiency,
    confusion_matrix,
    equal_bins,
    qcd_class,
    reliability,
)
from lorentzoo.tasks.classification.metrics import (
    EFFICIENCY_GRID,
    log_odds,
    rejection_curve,
    signal_threshold,
)
from lorentzoo.tasks.classification.predictions import ClassPredictions
from lorentzoo.tasks.classification.tables import check_comparable, percent

__all__ = [
    "plot_calibration",
    "plot_confusion",
    "plot_efficiency",
    "plot_rejections",
    "plot_roc",
    "plot_scores",
]

Array = NDArray[np.float64]
Observable = Literal["pt", "mass"]

_OBSERVABLES: Final = {"pt": r"$p_T$ [GeV]", "mass": "Mass [GeV]"}
_BINS: Final = 10
_EVENTS_A_BIN: Final = 100
"""Bins of an observable hold about as many events of the rarest class at least, as long as there are two bins."""


def plot_roc(rows: Sequence[Row], *, signal: int = 1, legend: bool = True, ax: Axes | None = None) -> Axes:
    """Background rejection 1/ε_B against signal efficiency ε_S; bands are the spread over seeds.

    Parameters
    ----------
    rows
        Rows of classifiers.
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
    name = f"class {signal}"
    with style():
        ax = axes_or_new(ax)
        for row in rows:
            runs = [each for each in row.evaluations if isinstance(each, ClassPredictions)]
            curves = np.array([_log_rejection_of_all(run, signal) for run in runs])
            name = runs[0].predicted_classes[signal]
            shown = np.isfinite(curves).all(0)
            grid, curves = EFFICIENCY_GRID[shown], curves[:, shown]
            mean, look = curves.mean(0), row.look
            ax.plot(grid, np.exp(mean), label=plain_text(row.label), color=look.colour, linestyle=look.line)
            if len(curves) > 1:
                spread = curves.std(0, ddof=1)
                low, high = np.exp(mean - spread), np.exp(mean + spread)
                ax.fill_between(grid, low, high, color=look.colour, alpha=0.15, linewidth=0)
        ax.set_yscale("log")
        ax.set_xlim(0, 1)
        ax.set_ylim(bottom=1)
        ax.set_xlabel(rf"Signal efficiency $\varepsilon_S$ ({plain_text(name)})")
        ax.set_ylabel(r"Background rejection $1/\varepsilon_B$")
        finish_axes(ax, legend=legend)
    return ax


def plot_rejections(runs: Sequence[ClassPredictions], *, ax: Axes | None = None) -> Axes:
    """Background rejection 1/ε_B against signal efficiency ε_S; bands are the spread over seeds.

    With two classes the second is signal. With more, each class stands against that of QCD jets by p_S/(p_S + p_B),
    or against all others by p_S where no class is named QCD.

    Parameters
    ----------
    runs
        ClassPredictions for the same events, one a seed.
    ax
        Where to draw.
    """
    check_comparable(runs)
    names = runs[0].predicted_classes
    background = 0 if len(names) == 2 else qcd_class(names)
    with style():
        ax = axes_or_new(ax)
        for signal, name in enumerate(names):
            if signal == background:
                continue
            curves = np.array([_log_rejection(run, signal, background) for run in runs])
            shown = np.isfinite(curves).all(0)
            mean, spread = curves.mean(0)[shown], curves.std(0)[shown]
            ax.plot(EFFICIENCY_GRID[shown], np.exp(mean), label=name, color=_colour(signal))
            if len(runs) > 1:
                spread *= np.sqrt(len(runs) / (len(runs) - 1))
                ax.fill_between(
                    EFFICIENCY_GRID[shown],
                    np.exp(mean - spread),
                    np.exp(mean + spread),
                    color=_colour(signal),
                    alpha=0.15,
                    linewidth=0,
                )
        ax.set_yscale("log")
        ax.set_xlim(0, 1)
        ax.set_ylim(bottom=1)
        ax.minorticks_on()
        against = "all others" if background is None else names[background]
        ax.set_xlabel(r"Signal efficiency $\varepsilon_S$")
        ax.set_ylabel(rf"Rejection $1/\varepsilon_B$ of {against}")
        legend_beside(ax)
    return ax


def plot_scores(predictions: ClassPredictions, *, ax: Axes | None = None) -> Axes:
    """Distributions of the score, normalised for each true class, with the errors of finite numbers.

    With two classes the score is the probability of the second; with more, each class shows the probability given to
    itself.
    """
    check_comparable([predictions])
    predictions = predictions.counted()
    target, names = _target(predictions), predictions.predicted_classes
    with style():
        ax = axes_or_new(ax)
        histograms, labels, colours = [], [], []
        for label, name in enumerate(names):
            chosen = target == label
            if not chosen.any():
                continue
            score = predictions.values[chosen, 1 if len(names) == 2 else label]
            axis = Regular(25, 0.0, 1.0, underflow=False, overflow=False)
            histogram = Hist(axis, storage=Weight())
            # The last bin holds its upper edge: saturated probabilities do not overflow.
            histogram.fill(np.clip(score, 0.0, np.nextafter(1.0, 0.0)), weight=predictions.weight[chosen])
            histograms.append(histogram)
            labels.append(name)
            colours.append(_colour(label))
        mplhep.histplot(
            histograms, density=True, label=labels, color=colours, ax=ax, yerr=len(names) == 2, linewidth=1.4
        )
        ax.set_yscale("log")
        ax.set_xlim(0, 1)
        ax.set_xlabel(f"P({names[1]})" if len(names) == 2 else "Probability of the true class")
        ax.set_ylabel("Density of events")
        legend_beside(ax)
    return ax


def plot_confusion(predictions: ClassPredictions, *, ax: Axes | None = None) -> Axes:
    """Which class events of each true class (row) are taken for, in percent."""
    check_comparable([predictions])
    predictions = predictions.counted()
    names = predictions.predicted_classes
    matrix = 100 * confusion_matrix(predictions.values, _target(predictions), predictions.weight)
    with style():
        ax = axes_or_new(ax)
        ax.imshow(matrix, cmap="Blues", vmin=0, vmax=100, aspect="auto")
        for (true, taken), value in np.ndenumerate(matrix):
            # Of the two inks, the one that can be read on this shade.
            ink = "white" if value > 55 else "#1c2430"
            ax.text(taken, true, f"{value:.0f}", ha="center", va="center", color=ink, fontsize=10)
        ticks = np.arange(len(names))
        if len(names) > 4:
            ax.set_xticks(ticks, names, rotation=40, ha="right", rotation_mode="anchor")
        else:
            ax.set_xticks(ticks, names)
        ax.set_yticks(ticks, names)
        ax.tick_params(which="both", length=0)
        ax.minorticks_off()
        ax.set_xlabel("Most probable class")
        ax.set_ylabel("True class [%]")
    return ax


def plot_efficiency(
    predictions: ClassPredictions,
    observable: Observable = "pt",
    *,
    signal: str | None = None,
    signal_efficiency: float = 0.5,
    edges: Sequence[float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Efficiency of each class against transverse momentum or mass, with Clopper-Pearson intervals.

    Parameters
    ----------
    predictions
        With the momenta of the events beside them.
    observable
        ``"pt"`` or ``"mass"``.
    signal
        The class whose score is cut on. By default the second of two classes; with more classes, an event passes
        where its true class is the most probable one.
    signal_efficiency
        Of the cut, over all events of the signal. With more than two classes the score is p_S/(p_S + p_B) against QCD
        jets, and only the two classes are shown.
    edges
        Of the bins; by default bins hold equal numbers of events.
    ax
        Where to draw.

    Raises
    ------
    ValueError
        If the predictions have no momenta beside them, or the class is not known.
    """
    check_comparable([predictions])
    predictions = predictions.counted()
    values = getattr(predictions, observable)
    if values is None:
        raise ValueError(
            f"these predictions have no {observable} beside them; evaluate the run again "
            "(lorentzoo.studies.evaluate_run) to have it"
        )
    names, target = predictions.predicted_classes, _target(predictions)
    label = _label(names, signal) if signal is not None else (1 if len(names) == 2 else None)
    shown = [k for k in range(len(names)) if (target == k).any()]
    if label is None:
        passes = predictions.values.argmax(1) == target
        title = "Fraction classified right"
    else:
        background = 1 - label if len(names) == 2 else qcd_class(names)
        score = log_odds(predictions.logs, label)
        if background is not None and len(names) > 2:
            score = predictions.logs[:, label] - predictions.logs[:, background]
            shown = [k for k in shown if k in (label, background)]
        cut = signal_threshold(score[target == label], predictions.weight[target == label], signal_efficiency)
        passes = score >= cut
        title = rf"Efficiency at $\varepsilon_S$ = {percent(signal_efficiency)} ({names[label]})"
    rarest = min(int((target == k).sum()) for k in shown)
    chosen = np.isin(target, shown)
    bins = max(2, min(_BINS, rarest // _EVENTS_A_BIN))
    borders = equal_bins(values[chosen], bins) if edges is None else np.asarray(edges, np.float64)
    with style():
        ax = axes_or_new(ax)
        for place, k in enumerate(shown):
            of = target == k
            found = binned_efficiency(passes[of], values[of], predictions.weight[of], borders)
            _draw(ax, found, names[k], k, (place + 0.5) / len(shown))
        if label is not None and _small(ax):
            ax.set_yscale("log")
        ax.set_xlim(borders[0], borders[-1])
        ax.set_xlabel(_OBSERVABLES[observable])
        ax.set_ylabel(title)
        legend_beside(ax)
    return ax


def plot_calibration(predictions: ClassPredictions, *, bins: int = 10, ax: Axes | None = None) -> Axes:
    """How often that comes true which is predicted, with Clopper-Pearson intervals and the expected calibration error.

    With two classes the probability is that of the second; with more, that of the most probable class.
    """
    check_comparable([predictions])
    predictions = predictions.counted()
    values, target = predictions.values, _target(predictions)
    if values.shape[1] == 2:
        probability, is_true = values[:, 1], target == 1
        named = predictions.predicted_classes[1]
        titles = (f"Predicted P({named})", f"Fraction of {named}")
    else:
        probability, is_true = values.max(1), values.argmax(1) == target
        titles = ("Probability of the most probable class", "Fraction classified right")
    found = reliability(probability, is_true, predictions.weight, bins=bins)
    observed = found.observed
    filled = observed.events > 0
    errors = np.stack([observed.value - observed.low, observed.high - observed.value])[:, filled]
    with style():
        ax = axes_or_new(ax)
        ax.plot([0, 1], [0, 1], color="#94a4a2", linestyle="--", linewidth=1.2, label="perfect")
        ax.errorbar(
            found.predicted[filled],
            observed.value[filled],
            yerr=np.abs(errors),
            color=COLOURS[0],
            marker="o",
            capsize=2.5,
            label=f"ECE = {found.expected_error:.4f}",
        )
        ax.set_xlim(0, 1)
        ax.set_ylim(0, 1)
        ax.minorticks_on()
        ax.set_xlabel(titles[0])
        ax.set_ylabel(titles[1])
        # Calibration curves run along the diagonal, so this corner is free.
        ax.legend(loc="upper left", frameon=False)
    return ax


def _log_rejection(predictions: ClassPredictions, signal: int, background: int | None) -> Array:
    logs, target, weight = predictions.logs, _target(predictions), predictions.weight
    if background is None:
        return rejection_curve(log_odds(logs, signal), target == signal, weight)
    pair = np.isin(target, (signal, background))
    score = (logs[:, signal] - logs[:, background])[pair]
    return rejection_curve(score, target[pair] == signal, weight[pair])


def _log_rejection_of_all(predictions: ClassPredictions, signal: int) -> Array:
    return rejection_curve(
        log_odds(predictions.logs, signal), predictions.target == signal, predictions.weight
    )


def _target(predictions: ClassPredictions) -> NDArray[np.int64]:
    return predictions.target.astype(np.int64)


def _label(names: Sequence[str], name: str) -> int:
    if name not in names:
        raise ValueError(f"no class {name!r}; the classes are {', '.join(names)}")
    return names.index(name)


def _colour(label: int) -> str:
    return COLOURS[label % len(COLOURS)]


def _draw(ax: Axes, found: BinnedEfficiency, name: str, label: int, place: float) -> None:
    """Points of a class, a little beside those of the others, so that error bars do not cover each other."""
    filled = found.events > 0
    width = np.diff(found.edges)
    x = found.edges[:-1] + width * (0.35 + 0.3 * place)
    errors = np.stack([found.value - found.low, found.high - found.value])[:, filled]
    ax.errorbar(
        x[filled],
        found.value[filled],
        yerr=np.abs(errors),
        label=name,
        color=_colour(label),
        marker=MARKERS[label % len(MARKERS)],
        markersize=5,
        linestyle=LINES[label // len(MARKERS) % len(LINES)],
        linewidth=1.0,
        capsize=2,
    )


def _small(ax: Axes) -> bool:
    """Whether some curve lies so low that only a logarithmic axis shows it."""
    lowest = [line.get_ydata() for line in ax.get_lines()]
    positive = [float(y) for data in lowest for y in np.asarray(data, np.float64) if y > 0]
    return bool(positive) and min(positive) < 0.02

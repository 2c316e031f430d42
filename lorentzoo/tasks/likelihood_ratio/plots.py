"""How do ratios of densities look, and what do they make of events?

Every function draws on the axes it is given, or on new ones, and returns them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from lorentzoo.output.figure import ReportFigure
from lorentzoo.output.row_plots import finish_axes
from lorentzoo.output.rows import Row
from lorentzoo.output.style import COLOURS, axes_or_new, legend_beside, plain_text, style
from lorentzoo.output.weights import ratio_weights
from lorentzoo.tasks.classification.plots import plot_calibration
from lorentzoo.tasks.likelihood_ratio.predictions import RatioPredictions

__all__ = ["plot_closure", "plot_ratios", "ratio_figures"]

Array = NDArray[np.float64]

_INK: Final = "#1c2430"
_EDGES: Final = np.geomspace(1e-3, 1e3, 41)
_BINS: Final = 30
_LABELS: Final = {"pt": r"$p_T$ [GeV]", "mass": "Mass [GeV]"}


def plot_ratios(runs: Mapping[Row, RatioPredictions], *, legend: bool = True, ax: Axes | None = None) -> Axes:
    """Distributions of the ratio p/q of events of q (lines) and of p (dotted), by row."""
    with style():
        ax = axes_or_new(ax)
        for row, run in runs.items():
            for target, line in ((0, row.look.line), (1, ":")):
                chosen = run.target == target
                # Saturated ratios are shown in the outermost bins.
                ratio = np.exp(np.clip(run.log_ratios[chosen], *np.log((1.001e-3, 0.999e3))))
                counts, _ = np.histogram(ratio, _EDGES, weights=run.weight[chosen])
                label = plain_text(row.label) if target == 0 else None
                ax.stairs(counts / counts.sum(), _EDGES, color=row.look.colour, linestyle=line, label=label)
        ax.axvline(1.0, color=_INK, linewidth=0.8)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel("Ratio p/q")
        ax.set_ylabel("Fraction of events")
        finish_axes(ax, legend=legend)
    return ax


def plot_closure(run: RatioPredictions, observable: str, *, ax: Axes | None = None) -> Axes:
    """An observable in both samples, and in q weighted by the ratio, which is to be that of p.

    Parameters
    ----------
    run
        With the observable beside the ratios.
    observable
        ``"pt"`` or ``"mass"``.
    ax
        Where to draw.
    """
    run = run.counted()
    values = run.observables[observable]
    of_p, of_q = run.target == 1, run.target == 0
    weights = run.weight[of_q] * ratio_weights(run.log_ratios[of_q])
    names = run.predicted_classes if run.class_names else ("q", "p")
    with style():
        ax = axes_or_new(ax)
        low, high = np.quantile(values, [0.002, 0.998])
        edges = np.linspace(low, high, _BINS + 1)
        for chosen, weight, colour, line, label in (
            (of_p, run.weight[of_p], _INK, "-", f"p ({names[1]})"),
            (of_q, run.weight[of_q], COLOURS[1], "--", f"q ({names[0]})"),
            (of_q, weights, COLOURS[0], "-", "q reweighted"),
        ):
            counts, _ = np.histogram(values[chosen], edges, weights=weight)
            errors = np.sqrt(np.histogram(values[chosen], edges, weights=np.square(weight))[0])
            scale = weight.sum() * np.diff(edges)
            ax.stairs(
                counts / scale, edges, color=colour, linestyle=line, linewidth=1.5, label=plain_text(label)
            )
            low, high = (counts - errors) / scale, (counts + errors) / scale
            ax.stairs(high, edges, baseline=low, fill=True, color=colour, alpha=0.15)
        ax.set_xlabel(_LABELS[observable])
        ax.set_ylabel("Density of events")
        legend_beside(ax)
    return ax


def ratio_figures(run: RatioPredictions) -> list[ReportFigure]:
    """Calibration with both samples in equal parts, and the closure in each observable."""
    run = run.counted()
    total = np.bincount(run.target.astype(np.int64), run.weight, minlength=2)
    balanced = run.weight / total[run.target.astype(np.int64)] * len(run) / 2
    figures = [
        ReportFigure(
            "calibration",
            plot_calibration(replace(run, weight=balanced)),
            "How often an event is of p that is predicted to be, both samples in equal parts.",
        )
    ]
    for name in run.observables:
        caption = f"Closure in {name}: events of q, weighted by the ratio, beside those of p."
        figures.append(ReportFigure(f"closure-{name}", plot_closure(run, name), caption))
    return figures

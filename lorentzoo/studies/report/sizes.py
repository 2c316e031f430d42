"""What does each composition make of more training events?"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter

from lorentzoo.output.metric import Metric
from lorentzoo.output.style import axes_or_new, legend_beside, plain_text, style
from lorentzoo.output.style_names import COLOURS, LINES, MARKERS
from lorentzoo.studies.results import RowResult, StudyResult

__all__ = ["plot_train_sizes"]


def plot_train_sizes(
    result: StudyResult, metric: Metric, task: str | None = None, *, ax: Axes | None = None
) -> Axes:
    """A metric of the test against the number of training events, a line for each composition.

    Parameters
    ----------
    result
        Of a study with several training sizes.
    metric
        What is measured.
    task
        Of the rows that are drawn; all by default.
    ax
        Where to draw.

    Notes
    -----
    Error bars are the spread over seeds. The vertical axis is logarithmic where values are positive and span a decade.
    """
    curves: dict[tuple[str, ...], list[RowResult]] = {}
    for row in result.finished:
        if task is None or row.task == task:
            curves.setdefault(tuple(row.choices.values()), []).append(row)
    with style():
        ax = axes_or_new(ax)
        drawn = []
        for number, rows in enumerate(curves.values()):
            points = [
                (_count_events(row, result), found)
                for row in rows
                if (found := [*row.values(metric.name).values()])
            ]
            if not points:
                continue
            points.sort(key=lambda point: point[0])
            means = [float(np.mean(values)) for _, values in points]
            drawn += means
            ax.errorbar(
                [size for size, _ in points],
                means,
                yerr=[float(np.std(values, ddof=1)) if len(values) > 1 else 0.0 for _, values in points],
                label=plain_text(_name(rows[0], result)),
                color=COLOURS[number % len(COLOURS)],
                linestyle=LINES[number // len(COLOURS) % len(LINES)],
                marker=MARKERS[number % len(MARKERS)],
                capsize=3,
            )
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(EngFormatter(sep=" "))
        if drawn and min(drawn) > 0 and max(drawn) > 10 * min(drawn):
            ax.set_yscale("log")
        ax.set_xlabel("Training events")
        ax.set_ylabel(plain_text(metric.heading))
        legend_beside(ax)
    return ax


def _count_events(row: RowResult, result: StudyResult) -> int:
    return int(result.data["sizes"]["train"]) if row.train_size is None else row.train_size


def _name(row: RowResult, result: StudyResult) -> str:
    """The choices that vary, as the row's label has them without its size."""
    varying = result.study.varying
    return " · ".join(row.choices[axis] for axis in varying) or row.label

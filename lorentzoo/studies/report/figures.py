"""Which figures does a study give?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lorentzoo.output.figure import ReportFigure, with_texts
from lorentzoo.output.metric import Metric
from lorentzoo.output.row_plots import plot_costs, plot_history
from lorentzoo.output.rows import Row
from lorentzoo.studies.report.rows import TaskRows, group_by_task
from lorentzoo.studies.report.sizes import plot_train_sizes
from lorentzoo.studies.report.symmetries import plot_symmetries
from lorentzoo.studies.results import StudyResult

__all__ = ["StudyFigures", "study_figures"]


@dataclass(frozen=True)
class StudyFigures:
    """Figures of a study with the texts that it wants.

    Attributes
    ----------
    rows
        Of all rows together, which share one legend on a page.
    best
        Title and figures of the best row of each task, for which those of all rows would be too many.
    """

    rows: tuple[ReportFigure, ...]
    best: tuple[tuple[str, tuple[ReportFigure, ...]], ...]

    @property
    def all(self) -> list[ReportFigure]:
        """Every figure, each by a name of its own."""
        return [*self.rows, *(figure for _, figures in self.best for figure in figures)]


def study_figures(result: StudyResult) -> StudyFigures:
    """Draw everything that the report shows."""
    groups = group_by_task(result)
    taken: set[str] = set()

    def finish(group: TaskRows, figures: Sequence[ReportFigure]) -> list[ReportFigure]:
        finished = []
        for figure in figures:
            # Rows of two tasks may have figures of one name.
            name = figure.name if figure.name not in taken else f"{group.task.name}-{figure.name}"
            taken.add(name)
            finished.append(with_texts(figure._replace(name=name), result.study.report.of_figure(name)))
        return finished

    rows = [figure for group in groups for figure in finish(group, _compare_rows(result, group))]
    best = [
        (_title_details(group), tuple(found))
        for group in groups
        if group.best is not None and (found := finish(group, group.task.details(group.best.evaluations)))
    ]
    return StudyFigures(tuple(rows), tuple(best))


def _compare_rows(result: StudyResult, group: TaskRows) -> list[ReportFigure]:
    """Figures of all rows: quality against costs, training events, those of the task, the course of training."""
    rows, metric = group.rows, group.ranking
    figures = list(group.task.figures(rows))
    if metric is not None and len(result.study.train_sizes) > 1:
        figures[:0] = [_plot_sizes(result, group, metric, "train-sizes")] + [
            _plot_sizes(result, group, other, f"train-sizes-{other.name}")
            for other in group.task.metrics
            if other.name in group.task.ranking and other.name != metric.name and _is_recorded(rows, other)
        ]
    if metric is not None:
        label = metric.label or metric.name
        for place, (cost, what) in enumerate(
            (
                ("flops", "the arithmetic of one forward pass"),
                ("training_ms", "the processor time of training an event once"),
            )
        ):
            caption = (
                f"{label} of the test split against {what}; error bars: spread over seeds. The grey line joins the "
                "rows that no other row beats in both (Pareto front)."
            )
            axes = plot_costs(rows, cost, metric, legend=False)
            figures.insert(place, ReportFigure(f"costs-{cost}", axes, caption))
    looks = {row.label: row.look for row in rows}
    measured = [
        row for row in result.finished if row.label in looks and any(run.symmetry for run in row.runs)
    ]
    if measured:
        caption = (
            "How far the trained networks break each subgroup of the Lorentz group: derivatives relative to every "
            "particle moving on its own; error bars: spread over seeds. Dotted: no symmetry at all."
        )
        figures.append(
            ReportFigure("learned-symmetry", plot_symmetries(measured, looks, legend=False), caption)
        )
    recorded = {name for row in rows for history in row.history for point in history for name in point}
    if metric is not None and f"val_{metric.name}" in recorded:
        name, label = f"val_{metric.name}", f"{metric.heading} (validation)"
        caption = (
            f"Validation {metric.label or metric.name} in training, mean and spread over seeds, against processor time "
            "of training."
        )
        course = plot_history(rows, name, "cpu_seconds", label=label, legend=False)
        figures.append(ReportFigure("history", course, caption))
        course = plot_history(rows, name, "step", label=label, legend=False)
        figures.append(ReportFigure("history-steps", course, "The same against optimiser steps."))
    if "val_loss" in recorded:
        course = plot_history(rows, "val_loss", "step", legend=False)
        figures.append(ReportFigure("loss", course, "Validation loss against optimiser steps."))
    return figures


def _plot_sizes(result: StudyResult, group: TaskRows, metric: Metric, name: str) -> ReportFigure:
    """A metric against the number of training events."""
    caption = (
        f"{metric.label or metric.name} of the test split against the number of training events; error bars: spread "
        "over seeds."
    )
    return ReportFigure(name, plot_train_sizes(result, metric, group.task.name), caption)


def _is_recorded(rows: Sequence[Row], metric: Metric) -> bool:
    return any(row.values(metric.name) for row in rows)


def _title_details(group: TaskRows) -> str:
    best, metric = group.best, group.ranking
    if best is None or metric is None:
        return "In detail"
    extreme = "largest" if metric.better == "high" else "smallest"
    return f"In detail: {best.label}, the row with the {extreme} {metric.label or metric.name}"

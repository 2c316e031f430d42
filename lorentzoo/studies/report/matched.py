"""How do trainings compare where they had got equally much of what the budget does not fix?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lorentzoo.output.metric import Metric
from lorentzoo.output.rows import Row
from lorentzoo.output.table import Cell, spread_cell
from lorentzoo.studies.report.rows import TaskRows
from lorentzoo.studies.results import StudyResult

__all__ = ["MatchedColumn"]


@dataclass(frozen=True)
class MatchedColumn:
    """The ranking metric in validation, at an equal number of steps or CPU-seconds.

    Attributes
    ----------
    metric
        By which rows are ranked.
    axis
        Column of the history that is held equal.
    at
        Its value where the run with the least of it ended.
    """

    metric: Metric
    axis: str
    at: float

    @classmethod
    def of(cls, result: StudyResult, groups: list[TaskRows]) -> MatchedColumn | None:
        """None where rows are of several tasks, or their metric is not validated."""
        metric = groups[0].ranking if len(groups) == 1 else None
        # What learns without gradients has no course along which it could be compared.
        runs = [run for row in result.finished for run in row.runs if run.training["steps"]]
        if metric is None or len(runs) < 2:
            return None
        if not all(run.history and f"val_{metric.name}" in run.history[-1] for run in runs):
            return None
        axis = "step" if result.study.budget.cpu_seconds is not None else "cpu_seconds"
        return cls(metric, axis, min(run.history[-1][axis] for run in runs))

    @property
    def title(self) -> str:
        """Head of the column."""
        amount = f"{self.at:.0f} steps" if self.axis == "step" else f"{self.at:.1f} CPU-s"
        return f"{self.metric.heading} (val.) at {amount}"

    @property
    def note(self) -> str:
        """What it compares."""
        other = "optimiser steps" if self.axis == "step" else "CPU-seconds"
        label = self.metric.label or self.metric.name
        return (
            f"The last column compares at equal {other}: the validation {label} along the same trainings where the run "
            "with the fewest of them ended (interpolated between epochs; the learning rate has not come down there yet)."
        )

    def cell(self, row: Row) -> Cell:
        """Mean and spread over the seeds of a row."""
        name, values = f"val_{self.metric.name}", []
        for history in row.history:
            validated = [point for point in history if name in point]
            axis = [point[self.axis] for point in validated]
            if axis and axis[0] <= self.at:
                values.append(float(np.interp(self.at, axis, [point[name] for point in validated])))
        return Cell("–") if len(values) < len(row.seeds) else spread_cell(values)

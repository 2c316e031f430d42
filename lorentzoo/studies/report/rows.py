"""What do tasks see of a study's rows, and how is each row drawn?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lorentzoo.output.evaluation import Evaluation
from lorentzoo.output.metric import Metric
from lorentzoo.output.rows import Look, Row
from lorentzoo.output.style_names import COLOURS, LINES, MARKERS
from lorentzoo.output.task import Task, load_task
from lorentzoo.studies.results import RowResult, StudyResult

__all__ = ["TaskRows", "group_by_task", "view_rows"]


@dataclass(frozen=True)
class TaskRows:
    """The rows of a study that are trained for one task.

    Attributes
    ----------
    task
        That task.
    rows
        With at least one finished run, in the order of the study.
    columns
        The metrics that were recorded, in the order of tables.
    """

    task: Task
    rows: tuple[Row, ...]
    columns: tuple[Metric, ...]

    @property
    def ranking(self) -> Metric | None:
        """The metric by which the rows are ranked."""
        return self.task.rank_by({metric.name for metric in self.columns})

    @property
    def best(self) -> Row | None:
        """The best row by that metric; None where nothing is ranked."""
        metric = self.ranking
        rows = [] if metric is None else [row for row in self.rows if row.values(metric.name)]
        if metric is None or not rows:
            return None
        chosen = rows[0]
        for row in rows[1:]:
            if metric.is_better(row.mean(metric.name), than=chosen.mean(metric.name)):
                chosen = row
        return chosen


def group_by_task(result: StudyResult) -> list[TaskRows]:
    """Rows with finished runs by task, in the order in which tasks appear."""
    tasks = [row.task for row in result.finished]
    views = view_rows(result)
    groups = []
    for name in dict.fromkeys(tasks):
        task = load_task(name)
        rows = tuple(view for view, own in zip(views, tasks, strict=True) if own == name)
        recorded = dict.fromkeys(key for row in rows for each in row.metrics for key in each)
        groups.append(TaskRows(task, rows, tuple(task.columns(recorded, result.data))))
    return groups


def view_rows(result: StudyResult) -> list[Row]:
    """What tasks see of each row with a finished run."""
    return [_view(row, look) for row, look in zip(result.finished, _choose_looks(result), strict=True)]


def _view(row: RowResult, look: Look) -> Row:
    def open_evaluation(place: int) -> Evaluation:
        return row.runs[place].evaluation

    return Row(
        row.label,
        look,
        row.seeds,
        tuple(run.metrics for run in row.runs),
        tuple(_list_costs(run.costs.to_data(), run.training) for run in row.runs),
        tuple(run.history for run in row.runs),
        open_evaluation,
    )


def _list_costs(costs: Mapping[str, Any], training: Mapping[str, Any]) -> dict[str, float]:
    return {**costs, "training_cpu_seconds": float(training["cpu_seconds"])}


def _choose_looks(result: StudyResult) -> list[Look]:
    """The first axis of the study gives the line, all others together the colour."""
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
        colour, number = colours.index(rest), lines.index(line)
        looks.append(
            Look(
                COLOURS[colour % len(COLOURS)],
                LINES[(number + colour // len(COLOURS)) % len(LINES)],
                MARKERS[colour % len(MARKERS)],
            )
        )
    return looks

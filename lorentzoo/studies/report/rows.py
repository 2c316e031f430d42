"""What do tasks see of a study's rows, and how is each row drawn?"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lorentzoo.output.evaluation import Evaluation
from lorentzoo.output.metric import Metric
from lorentzoo.output.rows import Look, Row
from lorentzoo.output.style_names import COLOURS, LINES, MARKERS
from lorentzoo.output.task import Task, load_task
from lorentzoo.studies.results import RowResult, StudyResult

__all__ = ["TaskRows", "choose_looks", "group_by_task", "view_rows"]


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
    return [
        _view(row, look)
        for row, look in zip(
            result.finished, choose_looks(result.study.varying, result.finished), strict=True
        )
    ]


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


def choose_looks(varying: Sequence[str], rows: Sequence[RowResult]) -> list[Look]:
    """An axis of the study gives the line, all others together the colour; no two rows look alike.

    It is the first axis that has no more values than there are lines. Where colours do not suffice, rows are numbered.
    """
    by_line = next((axis for axis in varying if len({row.choices[axis] for row in rows}) <= len(LINES)), None)
    if len(varying) == 1:
        by_line = None
    lines = _number([row.choices[by_line] if by_line else "" for row in rows])
    colours = _number(
        [(row.train_size, *(row.choices[axis] for axis in varying if axis != by_line)) for row in rows]
    )
    if max(colours, default=0) >= len(COLOURS):
        colours = list(range(len(rows)))
        lines = [number // len(COLOURS) for number in colours]
    return [
        Look(COLOURS[colour % len(COLOURS)], LINES[line % len(LINES)], MARKERS[colour % len(MARKERS)])
        for line, colour in zip(lines, colours, strict=True)
    ]


def _number(values: Sequence[Hashable]) -> list[int]:
    """The place of each value among the different ones."""
    places = {value: place for place, value in enumerate(dict.fromkeys(values))}
    return [places[value] for value in values]

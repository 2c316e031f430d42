"""Every number of a study, for machines."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from lorentzoo.output.spreadsheet import to_csv
from lorentzoo.studies.report.rows import TaskRows, group_by_task
from lorentzoo.studies.results import RowResult, StudyResult

__all__ = ["study_csv", "study_data", "study_numbers"]

_TRAINING: Final = ("cpu_seconds", "steps", "epochs", "events")
_COSTS: Final = (
    "parameters",
    "flops",
    "multiplicity",
    "forward_ms",
    "training_ms",
    "memory_mb",
    "batch_size",
)


def study_numbers(result: StudyResult) -> list[dict[str, Any]]:
    """Every number of every row, in full precision."""
    groups = {group.task.name: group for group in group_by_task(result)}
    lines = []
    for row in result.rows:
        line: dict[str, Any] = {"label": row.label, **row.choices}
        line |= {"train_size": "all" if row.train_size is None else row.train_size}
        line |= {"status": _describe_status(row), "symmetry": row.symmetry}
        line |= {"seeds": " ".join(map(str, row.seeds))}
        lines.append(line | (_numbers(row, groups[row.task]) if row.runs else {}))
    return lines


def study_data(result: StudyResult) -> dict[str, Any]:
    """The study's name and place, and `study_numbers`, as plain data."""
    return {
        "study": result.study.name,
        "directory": str(result.directory),
        "rows": study_numbers(result),
    }


def study_csv(result: StudyResult) -> str:
    """`study_numbers` as CSV, one line a row."""
    return to_csv(study_numbers(result))


def _numbers(row: RowResult, group: TaskRows) -> dict[str, Any]:
    numbers: dict[str, Any] = {}
    for metric in group.columns:
        recorded = [run.metrics[metric.name] for run in row.runs if metric.name in run.metrics]
        numbers |= metric.to_numbers(recorded)
    for name in _TRAINING:
        numbers[name] = float(np.mean([run.training[name] for run in row.runs]))
    for name in _COSTS:
        numbers[name] = float(np.mean([getattr(run.costs, name) for run in row.runs]))
    learned = [run.symmetry["subgroups"] for run in row.runs if run.symmetry and "subgroups" in run.symmetry]
    for name in learned[0] if learned else ():
        numbers[f"breaks {name}"] = float(np.mean([each[name][0] for each in learned]))
    return numbers


def _describe_status(row: RowResult) -> str:
    if row.refusal:
        return f"refused: {row.refusal}"
    return "; ".join(row.problems) or "finished"

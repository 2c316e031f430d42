"""Does a task keep what training, tables and reports rely on?

>>> from lorentzoo.testing.tasks import check_task
>>> check_task("regression").passed
True
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from lorentzoo.core.errors import LorentzooError
from lorentzoo.output.metric import Metric
from lorentzoo.output.table import Cell
from lorentzoo.output.task import Settings, Task, load_task
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.testing.report import Report, require, run_check

__all__ = ["TASK_CHECKS", "check_task"]


def check_task(name: str) -> Report:
    """Run the checks on a task: metrics, settings, files, and that something can be trained for it.

    Parameters
    ----------
    name
        Of the task.
    """
    task = load_task(name)
    outcomes = [run_check(title, check, task) for title, check in TASK_CHECKS.items()]
    return Report(f"task {name}", tuple(outcomes))


def _metrics(task: Task) -> None:
    require(bool(task.metrics), "it states no metrics, so that nothing judges what is trained")
    require(all(isinstance(metric, Metric) for metric in task.metrics), "metrics are lorentzoo.Metric values")
    names = [metric.name for metric in task.metrics if not metric.family]
    twice = sorted({name for name in names if names.count(name) > 1})
    require(not twice, f"metrics {twice} are stated twice")
    known = {metric.name for metric in task.metrics}
    unknown = [name for name in task.ranking if name not in known]
    require(not unknown, f"it ranks by {unknown}, which are not among its metrics")
    ranking = task.rank_by(known)
    require(
        ranking is None or ranking.better != "none",
        "it ranks by a metric of which neither high nor low is better",
    )


def _columns(task: Task) -> None:
    recorded = [metric.name for metric in task.metrics] + ["a-number-that-no-metric-states"]
    columns = task.columns(recorded, {})
    require({metric.name for metric in columns} == set(recorded), "a recorded number has no column")
    for metric in columns:
        require(bool(metric.heading), f"metric {metric.name!r} has no heading")
        if metric.cell is Metric(metric.name).cell:
            require(
                isinstance(metric.cell([0.5, 0.25]), Cell), f"metric {metric.name!r} makes no cell of numbers"
            )


def _settings(task: Task) -> None:
    require(issubclass(task.settings, Settings), "its settings are not a subclass of lorentzoo.Settings")
    plain = task.read_settings(None).model_dump(mode="json")
    require(
        task.read_settings(plain) == task.read_settings(None),
        "settings do not go through plain data and back",
    )
    try:
        task.read_settings({"a_key_that_is_not_there": 1})
    except LorentzooError:
        return
    require(False, "settings take keys that are not there")


def _files(task: Task) -> None:
    require(
        task.file == Path(task.file).name and bool(Path(task.file).suffix),
        "its file is not a plain file name",
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / task.file
        path.write_bytes(b"not an evaluation")
        try:
            task.load(path)
        except Exception:  # any error will do, as long as nothing comes out
            return
    require(False, "it reads an evaluation out of a file that holds none")


def _trainable(task: Task) -> None:
    wanted = [
        component
        for kind in ("head", "generator")
        for component in catalogue().components(kind)
        if getattr(catalogue().target(component), "task", None) == task.name
    ]
    require(bool(wanted), "no head and no generator states this task, so that nothing can be trained for it")


def _judged(task: Task) -> None:
    require(isinstance(task.judges, tuple), "what else it judges is a tuple of names of tasks")
    unknown = sorted(set(task.judges) - set(catalogue().names("task")))
    require(not unknown, f"it judges networks of tasks that are not there: {', '.join(map(str, unknown))}")
    require(task.name not in task.judges, "it lists itself among the further tasks whose networks it judges")


def _texts(task: Task) -> None:
    require(isinstance(task.notes(task.read_settings(None)), list), "notes are a list of texts")
    require(isinstance(task.show_progress({"loss": 1.0}), str), "the progress line is not text")


TASK_CHECKS: Final[dict[str, Callable[[Any], None]]] = {
    "metrics are stated": _metrics,
    "every number has a column": _columns,
    "settings are checked": _settings,
    "files are checked": _files,
    "something is trained for it": _trainable,
    "what else it judges is there": _judged,
    "notes and progress are text": _texts,
}
"""What is asked of a task, by name."""

"""How is a study run, killed, continued and looked at?"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lorentzoo.core.errors import RunError, StudyError
from lorentzoo.output.files import digest_of, name_folder, write_json
from lorentzoo.output.progress import ProgressLine
from lorentzoo.registry.files import owned
from lorentzoo.registry.specs import parse_part
from lorentzoo.studies.grid import Study, load_study
from lorentzoo.studies.plan import Plan, RunSpec, make_plan
from lorentzoo.studies.report.write import write_report
from lorentzoo.studies.results import STUDY_FILE, StudyResult, describe_data, read_study
from lorentzoo.studies.runs import read_run_spec, record_failure, state_of
from lorentzoo.studies.worker import Worker, attempt
from lorentzoo.training.fitting import open_dataset

__all__ = ["run_study", "show_study"]


def run_study(
    source: Study | Mapping[str, Any] | str | Path,
    out: str | Path | None = None,
    workers: int | None = None,
    resume: bool = True,
    *,
    progress: bool = True,
) -> StudyResult:
    """Run a study and write its tables and report.

    Parameters
    ----------
    source
        A YAML file, a mapping or a `Study`.
    out
        Directory of the study; ``studies/<name>`` by default.
    workers
        Processes that run side by side, each with the threads that the recipe asks for; by default as many as
        fit the cores. Results do not depend on it, but for what a budget of CPU-seconds buys.
    resume
        Whether finished runs of this directory count and half-trained ones are continued.
    progress
        Whether to show how it goes.

    Returns
    -------
    Rows with metrics and costs. A run that fails is recorded, and the others go on.

    Raises
    ------
    StudyError
        Before anything trains: if the study makes no sense, or the directory belongs to another one.
    """
    study = load_study(source)
    directory = Path("studies") / name_folder(study.name) if out is None else Path(out)
    with ProgressLine(f"study {study.name}", show=progress) as line, _only_here(directory):
        plan = make_plan(study)
        for row in plan.rows:
            if row.refusal:
                line.line(f"{row.combination.label} refused: {row.refusal}")
        _claim(directory, plan)
        first = {
            run.key: (f"pre-training of {row.combination.label}", run)
            for row in plan.rows
            for run in plan.pretraining_runs(row)
        }
        runs = {run.key: (row.combination.label, run) for row in plan.rows for run in plan.runs(row)}
        # Rows that differ in what follows share their pre-training; all of it comes before they start.
        for kind, stage in (("pre-training runs", first), ("runs", runs)):
            if stage or kind == "runs":
                pending = _pending(directory, stage, resume, line)
                line.line(f"{len(stage)} {kind}, {len(stage) - len(pending)} of them finished before")
                _execute(directory, pending, _number_of_workers(workers, study, pending), line)
    result = show_study(directory)
    write_report(result)
    return result


def show_study(directory: str | Path) -> StudyResult:
    """What a study's directory holds, finished or not; nothing is trained.

    Raises
    ------
    StudyError
        If it is not a study's directory.
    """
    return read_study(Path(directory))


def _claim(directory: Path, plan: Plan) -> None:
    rows = [
        {
            "label": row.combination.label,
            "choices": {axis: choice.label for axis, choice in row.combination.choices.items()},
            "train_size": row.combination.train_size,
            "symmetry": row.symmetry,
            "refusal": row.refusal,
            "runs": [run.key for run in plan.runs(row)],
        }
        for row in plan.rows
    ]
    data = describe_data(open_dataset(parse_part(plan.study.dataset, "dataset")), plan.study)
    written = {"study": plan.study.model_dump(mode="json"), "rows": rows, "data": data}
    # Sealed as it will be read.
    stated = json.loads(json.dumps(written, ensure_ascii=False).encode(errors="replace"))
    write_json(directory / STUDY_FILE, {**stated, "seal": digest_of(stated)})


def _pending(
    directory: Path, runs: Mapping[str, tuple[str, RunSpec]], resume: bool, line: ProgressLine
) -> list[tuple[str, RunSpec]]:
    pending = []
    for key, (label, run) in runs.items():
        folder = directory / "runs" / key
        if not resume and folder.exists():
            shutil.rmtree(folder)
        state = state_of(folder)
        if state == "finished" and read_run_spec(folder).key != key:
            state = f"damaged: it holds run {read_run_spec(folder).key}"
        if state.startswith("damaged"):
            line.line(f"{label}, seed {run.config.seed}: run {key} is {state}; it is set aside and repeated")
            aside = folder.with_name(f"{key}.damaged")
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
        if state != "finished":
            pending.append((label, run))
    return pending


def _execute(directory: Path, pending: list[tuple[str, RunSpec]], workers: int, line: ProgressLine) -> None:
    done, failed = 0, 0
    lock = threading.Lock()

    def report(label: str, run: RunSpec, failure: str) -> None:
        nonlocal done, failed
        with lock:
            done += 1
            failed += bool(failure)
            name = f"{label}, seed {run.config.seed}"
            trouble = f", {failed} failed" if failed else ""
            if failure:
                line.line(f"{name} failed: {failure}")
            line.step(done / len(pending), f"{done}/{len(pending)} runs{trouble}, last {name}")

    if workers > 1:
        _side_by_side(directory, pending, workers, report)
        return
    for label, run in pending:
        inner = _RunLine(line, f"{label}, seed {run.config.seed}", done, len(pending))
        report(label, run, attempt(run, directory / "runs" / run.key, inner))


def _side_by_side(
    directory: Path,
    pending: list[tuple[str, RunSpec]],
    workers: int,
    report: Callable[[str, RunSpec, str], None],
) -> None:
    queue = iter(pending)
    lock = threading.Lock()
    stopping = threading.Event()
    crew = [Worker() for _ in range(workers)]

    def work(worker: Worker) -> None:
        while not stopping.is_set():
            with lock:
                item = next(queue, None)
            if item is None:
                return
            label, run = item
            folder = directory / "runs" / run.key
            try:
                failure = worker.execute(run, folder)
            except RunError as error:
                if stopping.is_set():
                    return
                failure = record_failure(folder, error)
            report(label, run, failure)

    pool = ThreadPoolExecutor(workers)
    try:
        for future in [pool.submit(work, worker) for worker in crew]:
            future.result()
    finally:
        stopping.set()
        for worker in crew:
            worker.stop()
        pool.shutdown()
        for worker in crew:
            worker.close()


class _RunLine(ProgressLine):
    """The line of one run, shown on the study's."""

    def __init__(self, line: ProgressLine, label: str, before: int, total: int) -> None:
        super().__init__(label, show=False)
        self._line, self._before, self._total = line, before, total

    @property
    def live(self) -> bool:
        return self._line.live

    def move(self, fraction: float, text: str) -> None:
        self._line.move((self._before + fraction) / self._total, f"{self.label} {text}")

    def step(self, fraction: float, text: str) -> None:
        self.move(fraction, text)

    def line(self, text: str) -> None:
        self._line.line(f"{self.label}: {text}")


def _number_of_workers(asked: int | None, study: Study, pending: list[tuple[str, RunSpec]]) -> int:
    if asked is not None and asked < 1:
        raise StudyError(f"workers must be at least 1, not {asked}")
    if not all(run.runs_anywhere for _, run in pending):
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    fitting = max(cores // study.config(0).num_threads, 1)
    return min(fitting if asked is None else asked, max(len(pending), 1))


@contextmanager
def _only_here(directory: Path) -> Iterator[None]:
    """Two processes never run the same study."""
    with ExitStack() as stack:
        try:
            stack.enter_context(owned(directory))
        except BlockingIOError:
            raise StudyError(
                f"another process is running the study in {directory}; wait for it or choose another directory"
            ) from None
        yield

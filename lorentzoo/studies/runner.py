"""How is a study run, killed, continued and looked at?"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lorentzoo.core.errors import StudyError
from lorentzoo.output.files import digest_of, name_folder, write_json
from lorentzoo.output.progress import ProgressLine
from lorentzoo.registry.composition import PartLike, make_part
from lorentzoo.registry.files import owned
from lorentzoo.registry.specs import parse_part
from lorentzoo.studies.executors.base import Executor, drive
from lorentzoo.studies.executors.local import Local
from lorentzoo.studies.grid import Study, load_study
from lorentzoo.studies.jobs import Job, write_job
from lorentzoo.studies.plan import Plan, make_plan
from lorentzoo.studies.report.write import write_report
from lorentzoo.studies.results import STUDY_FILE, StudyResult, describe_data, planned_runs, read_study
from lorentzoo.studies.runs import read_run_spec
from lorentzoo.studies.status import cancel, uncancel
from lorentzoo.training.fitting import open_dataset

__all__ = ["cancel_study", "run_study", "show_study"]


def run_study(
    source: Study | Mapping[str, Any] | str | Path,
    out: str | Path | None = None,
    workers: int | None = None,
    resume: bool = True,
    *,
    executor: PartLike | Executor | None = None,
    retries: int = 2,
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
        fit the cores. Results do not depend on it, but for what a budget of CPU-seconds buys. Of the executor ``local``
        alone.
    executor
        Where runs are executed: a name of ``lz.list_components("executor")`` with its parameters, e.g.
        ``"slurm:partition=gpu"``; by default on this machine. Whichever it is, nothing that finished is repeated.
    retries
        How often a run that was lost, because its process died, is tried again.
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
        uncancel(directory)
        first = [
            (f"pre-training of {row.combination.label}", row, run)
            for row in plan.rows
            for run in plan.pretraining_runs(row)
        ]
        runs = [(row.combination.label, row, run) for row in plan.rows for run in plan.runs(row)]
        # Rows that differ in what follows share their pre-training; all of it comes before they start.
        for kind, stage in (("pre-training runs", first), ("runs", runs)):
            jobs = {
                run.key: Job(
                    run, f"{label}, seed {run.config.seed}", directory, study.resources_of(row.combination)
                )
                for label, row, run in stage
            }
            if jobs or kind == "runs":
                pending = _pending(jobs, resume, line)
                line.line(f"{len(jobs)} {kind}, {len(jobs) - len(pending)} of them finished before")
                if pending:
                    drive(_choose_executor(executor, workers), directory, pending, retries, line)
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


def cancel_study(directory: str | Path) -> None:
    """Ask all who work on a study to stop, wherever they are; running it again goes on.

    Raises
    ------
    StudyError
        If it is not a study's directory.
    """
    planned_runs(Path(directory))
    cancel(Path(directory))


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
    before = list(dict.fromkeys(run.key for row in plan.rows for run in plan.pretraining_runs(row)))
    written = {"study": plan.study.model_dump(mode="json"), "rows": rows, "before": before, "data": data}
    # Sealed as it will be read.
    stated = json.loads(json.dumps(written, ensure_ascii=False).encode(errors="replace"))
    write_json(directory / STUDY_FILE, {**stated, "seal": digest_of(stated)})


def _choose_executor(executor: PartLike | Executor | None, workers: int | None) -> Executor:
    if isinstance(executor, Executor):
        return executor
    if executor is None:
        return Local(workers)
    made = make_part("executor", executor, Executor)
    if workers is not None:
        raise StudyError(
            "workers are of the executor 'local': write executor='local:workers=4', or leave one out"
        )
    return made


def _pending(jobs: Mapping[str, Job], resume: bool, line: ProgressLine) -> list[Job]:
    """Jobs that are not finished, written down for whoever executes them."""
    pending = []
    for key, job in jobs.items():
        folder = job.directory
        if not resume and folder.exists():
            shutil.rmtree(folder)
        state = job.state
        if state == "finished" and read_run_spec(folder).key != key:
            state = f"damaged: it holds run {read_run_spec(folder).key}"
        if state.startswith("damaged"):
            line.line(f"{job.label}: run {key} is {state}; it is set aside and repeated")
            aside = folder.with_name(f"{key}.damaged")
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
        if state != "finished":
            write_job(job)
            pending.append(job)
    return pending


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

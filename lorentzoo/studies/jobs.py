"""How does a process that knows nothing but a study's directory execute one of its runs?

``jobs/KEY.json`` in the study's directory holds the specification of a run, its label, what it asks for and the version
that planned it. Whoever sees the directory, or was sent the file, can `work` on it; how that ended stands in the run's
own directory, and in no answer that could be lost.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from lorentzoo.core.errors import RunError, StudyError, TrainingError
from lorentzoo.output.files import digest_of, write_json
from lorentzoo.output.progress import ProgressLine
from lorentzoo.registry.plain_data import read_json_file
from lorentzoo.registry.specs import distribution_version
from lorentzoo.studies.plan import RunSpec
from lorentzoo.studies.resources import Resources
from lorentzoo.studies.runs import execute_run, record_failure, state_of
from lorentzoo.studies.status import Cancelled, StatusLine, is_cancelled, read_status
from lorentzoo.training.resume import only_here

__all__ = ["Evicted", "Job", "Outcome", "execute", "give_up", "read_job", "work", "write_job"]

Outcome = Literal["finished", "failed", "again", "cancelled"]
"""How work on a run ended; ``"again"`` asks for another try, later or elsewhere."""
_FORMAT: Final = 1


class Evicted(BaseException):
    """The machine is taken away; the run goes on from its last checkpoint elsewhere."""


@dataclass(frozen=True)
class Job:
    """A run that is to be executed.

    Attributes
    ----------
    run
        Its full specification.
    label
        Row and seed, for people.
    study
        Directory of the study.
    resources
        What it asks for.
    """

    run: RunSpec
    label: str
    study: Path
    resources: Resources

    @property
    def key(self) -> str:
        """Hash of the run, and name of its directory."""
        return self.run.key

    @property
    def directory(self) -> Path:
        """Of the run."""
        return self.study / "runs" / self.key

    @property
    def state(self) -> str:
        """What its directory says, see `lorentzoo.studies.runs.state_of`."""
        return state_of(self.directory)


def write_job(job: Job) -> None:
    """Write what a process elsewhere needs."""
    stated = {
        "format": _FORMAT,
        "label": job.label,
        "run": job.run.to_data(),
        "resources": job.resources.model_dump(),
        "version": distribution_version("lorentzoo"),
    }
    write_json(_path(job.study, job.key), {**stated, "seal": digest_of(stated)})


def read_job(study: Path, key: str) -> Job:
    """Read what `write_job` wrote.

    Raises
    ------
    StudyError
        If the directory is not seen from here or is no study's, the study has no such run, the file is damaged, or it
        was written by another version of the package.
    """
    path = _path(study, key)
    if not path.parent.is_dir():
        raise StudyError(
            f"{study} is not seen from {socket.gethostname()}, or is no directory of a study with planned runs: "
            "it has no folder jobs"
        )
    try:
        stated: Any = read_json_file(path)
        seal = stated.pop("seal")
        if seal != digest_of(stated):
            raise ValueError("it does not have the contents it was written with")
        version = stated["version"]
        if version != (here := distribution_version("lorentzoo")):
            raise StudyError(
                f"run {key} was planned by {version}, and {socket.gethostname()} has {here}: install the same version, "
                "or plan the study again with this one"
            )
        job = Job(
            RunSpec.from_data(stated["run"]),
            str(stated["label"]),
            study,
            Resources.model_validate(stated["resources"]),
        )
    except FileNotFoundError:
        raise StudyError(f"the study in {study} has no run {key}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StudyError(f"{path} is damaged: {error}; run the study again to have it written anew") from None
    if job.key != key:
        raise StudyError(f"{path} holds run {job.key}")
    return job


def work(study: Path | str, key: str) -> tuple[Outcome, str]:
    """Execute a run, in this process.

    A signal SIGTERM ends it, so that it goes on from its last epoch when it is started again.

    Parameters
    ----------
    study
        Directory of the study.
    key
        Hash of the run.

    Returns
    -------
    How it ended, and why if it did not finish. A failure stands in the run's directory too.

    Raises
    ------
    StudyError
        As `read_job`.
    """
    job = read_job(Path(study), key)
    if is_cancelled(job.study):
        return "cancelled", "the study was cancelled"
    if job.state == "finished":
        return "finished", ""
    try:
        with _evictable():
            return execute(job)
    except Evicted:
        return "again", "it was told to end"


def execute(job: Job, inner: ProgressLine | None = None) -> tuple[Outcome, str]:
    """Execute a run that was read or planned; otherwise as `work`, but that SIGTERM does what it does in this process.

    Parameters
    ----------
    job
        The run.
    inner
        A line on which it is shown.
    """
    started = job.run.waits_for
    if started is not None and state_of(job.study / "runs" / started) != "finished":
        return "again", f"it starts from run {started}, which is not finished yet"
    status = read_status(job.directory)
    if status is not None and status.host != socket.gethostname() and status.is_alive:
        return "again", f"it is {status.describe()}"
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(only_here(job.directory))
        except TrainingError as error:
            return "again", str(error)
        try:
            line = StatusLine(job.directory, job.study, inner)
            with line.shown():
                failure = attempt(job.run, job.directory, line, devices=max(job.resources.gpus, 1))
        except Cancelled:
            return "cancelled", "the study was cancelled"
    return ("failed", failure) if failure else ("finished", "")


def attempt(run: RunSpec, directory: Path, line: ProgressLine, *, devices: int) -> str:
    """Execute a run on so many devices; a failure is recorded and returned as a reason, and nothing otherwise."""
    try:
        execute_run(run, directory, line, devices=devices)
    except Exception as error:
        return record_failure(directory, error)
    return ""


def give_up(job: Job, why: str) -> str:
    """Record that a run was lost too often, unless somebody else works on it; returns the reason in one line."""
    try:
        with only_here(job.directory):
            return record_failure(job.directory, RunError(why))
    except TrainingError as error:
        return str(error)


@contextlib.contextmanager
def _evictable() -> Iterator[None]:
    """SIGTERM raises `Evicted` inside the block; signals reach the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: Any) -> None:
        raise Evicted

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _path(study: Path, key: str) -> Path:
    return study / "jobs" / f"{key}.json"

"""What is an executor, and how are runs driven through one?

An executor starts runs somewhere and says which of them are over. How a run ended stands in its directory, so that no
answer can be lost: a run that is over and neither finished nor failed was lost, and is tried again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, NamedTuple

from typing_extensions import Self

from lorentzoo.core.errors import StudyError
from lorentzoo.output.progress import ProgressLine
from lorentzoo.studies.jobs import Job, give_up
from lorentzoo.studies.status import is_cancelled, read_status

__all__ = ["Ended", "Executor", "drive"]

_PATIENCE: Final = 0.5
"""Seconds between two looks."""
_SHOWN: Final = 3
"""Runs that are named while they run."""


class Ended(NamedTuple):
    """A run that is over, and what the executor knows of why."""

    job: Job
    why: str = ""


class Executor(ABC):
    """Starts runs somewhere, and says which are over.

    Its parameters are those of its constructor, set as ``"slurm:partition=gpu"``. It is entered as a context before the
    first run is submitted, and left after the last one.
    """

    waits: ClassVar[bool] = True
    """Whether runs are over when `drive` returns; otherwise somebody else executes them later."""

    knows_session: ClassVar[bool] = False
    """Whether runs may be of parts that were registered in this process alone."""

    @property
    def capacity(self) -> int:
        """How many runs may be submitted at a time."""
        return 1000

    def prepare(self, study: Path, jobs: Sequence[Job], line: ProgressLine) -> None:  # noqa: B027
        """Connect, before the first run is submitted; what people should know is said on the line.

        Raises
        ------
        StudyError
            In one line, if runs cannot be executed here.
        """

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Start a run, or queue it: whatever calls ``lorentzoo.studies.work(job.study, job.key)`` in some process."""

    @abstractmethod
    def ended(self, timeout: float) -> list[Ended]:
        """Runs that are over since the last call, however they ended; waits for one up to `timeout` seconds."""

    @abstractmethod
    def cancel(self) -> None:
        """End all runs that were submitted."""

    def close(self) -> None:  # noqa: B027
        """Release what `prepare` took, after the last run or an error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.cancel()
        self.close()


def drive(executor: Executor, study: Path, jobs: Sequence[Job], retries: int, line: ProgressLine) -> None:
    """Bring runs to their end.

    Parameters
    ----------
    executor
        Where they are executed.
    study
        Directory of the study.
    jobs
        In the order in which they are started.
    retries
        How often a run that was lost (its process died, its machine was taken away) is tried again. A run that failed
        with an error of its own would fail again, and is not.
    line
        Shows how it goes.

    Raises
    ------
    StudyError
        If the executor cannot be reached, does not know a run's parts, or the study is cancelled.
    """
    lost = [job.label for job in jobs if not job.run.runs_anywhere]
    if lost and not executor.knows_session:
        raise StudyError(
            f"{lost[0]} has parts that were registered in this session, which no other process knows: put them into a "
            "package, or take the executor 'local'"
        )
    waiting, running = deque(jobs), dict[str, Job]()
    tries: Counter[str] = Counter()
    done = failed = 0
    with executor:
        executor.prepare(study, jobs, line)
        while waiting or running:
            if is_cancelled(study):
                executor.cancel()
                raise StudyError(
                    f"the study in {study} was cancelled; run it again to go on with its {len(waiting) + len(running)} "
                    "remaining runs"
                )
            while waiting and len(running) < executor.capacity:
                job = waiting.popleft()
                running[job.key] = job
                executor.submit(job)
            if not executor.waits:
                running.clear()
                continue
            for job, why in executor.ended(_PATIENCE):
                del running[job.key]
                state = job.state
                if state != "finished" and not state.startswith("failed"):
                    tries[job.key] += 1
                    reason = why or "it ended without a word"
                    if tries[job.key] <= retries:
                        line.line(f"{job.label} is tried again: {reason}")
                        waiting.append(job)
                        continue
                    state = f"failed: {give_up(job, reason)}"
                done += 1
                if state != "finished":
                    failed += 1
                    line.line(f"{job.label} {state}")
                trouble = f", {failed} failed" if failed else ""
                line.step(done / len(jobs), f"{done}/{len(jobs)} runs{trouble}, last {job.label}")
            if line.live:
                _show(line, done, len(jobs), list(running.values()))


def _show(line: ProgressLine, done: int, total: int, running: Sequence[Job]) -> None:
    """Move the live line by what the runs say of themselves."""
    parts = 0.0
    texts = []
    for job in running:
        status = read_status(job.directory)
        if status is not None and status.is_alive:
            parts += status.fraction
            texts.append(f"{job.label} {status.text}".strip())
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    line.move((done + parts) / max(total, 1), f"{done}/{total} runs; " + "; ".join(texts[:_SHOWN]) + more)

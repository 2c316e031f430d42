"""How do runs share the cores of this machine?"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue

from lorentzoo.core.errors import RunError, StudyError
from lorentzoo.output.progress import ProgressLine
from lorentzoo.studies.executors.base import Ended, Executor
from lorentzoo.studies.executors.worker import Worker
from lorentzoo.studies.jobs import Job, execute

__all__ = ["Local", "count_workers"]


class Local(Executor):
    """Processes on this machine, each with the threads that the recipe asks for; they end when this one ends.

    Parameters
    ----------
    workers
        Processes side by side; by default as many as fit the cores. With one, runs are executed in this process, and so
        are those of parts that it alone knows (registered in a notebook).
    """

    knows_session = True

    def __init__(self, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise StudyError(f"workers must be at least 1, not {workers}")
        self._asked = workers
        self._workers = 1
        self._here: list[Job] = []
        self._idle: list[Worker] = []
        self._busy: dict[str, Worker] = {}
        self._over: SimpleQueue[Ended] = SimpleQueue()
        self._done = self._total = 0

    @property
    def capacity(self) -> int:
        """As many as there are processes."""
        return self._workers

    def prepare(self, study: Path, jobs: Sequence[Job], line: ProgressLine) -> None:
        """Start the processes."""
        self._line, self._total = line, len(jobs)
        self._workers = count_workers(self._asked, jobs)
        if self._workers > 1:
            self._idle = [Worker() for _ in range(self._workers)]

    def submit(self, job: Job) -> None:
        """Give the run to a process that has nothing to do."""
        if self._workers == 1:
            self._here.append(job)
            return
        worker = self._idle.pop()
        self._busy[job.key] = worker
        threading.Thread(target=self._wait_for, args=(worker, job), daemon=True).start()

    def ended(self, timeout: float) -> list[Ended]:
        """With one worker, the run is executed now."""
        if self._here:
            job = self._here.pop()
            _, why = execute(job, _RunLine(self._line, job.label, self._done, self._total))
            self._done += 1
            return [Ended(job, why)]
        try:
            over = [self._over.get(timeout=timeout)]
        except Empty:
            return []
        self._idle += [self._busy.pop(job.key) for job, _ in over]
        return over

    def cancel(self) -> None:
        """End the processes, whatever they do."""
        self._here.clear()
        for worker in (*self._idle, *self._busy.values()):
            worker.stop()

    def close(self) -> None:
        """End the processes."""
        self.cancel()
        for worker in self._idle:
            worker.close()
        self._idle.clear()

    def _wait_for(self, worker: Worker, job: Job) -> None:
        try:
            why = worker.execute(job.study, job.key)
        except RunError as error:
            why = str(error)
        self._over.put(Ended(job, why))


def count_workers(asked: int | None, jobs: Sequence[Job]) -> int:
    """How many processes run side by side."""
    if not all(job.run.runs_anywhere for job in jobs):
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    each = max((job.resources.cpus or 1 for job in jobs), default=1)
    return min(max(cores // each, 1) if asked is None else asked, max(len(jobs), 1))


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

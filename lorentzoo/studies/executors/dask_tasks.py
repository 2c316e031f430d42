"""How does a Dask cluster execute runs?"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dask.distributed import Client, Future, LocalCluster, wait

from lorentzoo.core.errors import StudyError
from lorentzoo.output.progress import ProgressLine
from lorentzoo.studies.executors.base import Ended, Executor
from lorentzoo.studies.jobs import Job, work

__all__ = ["DaskTasks"]


class DaskTasks(Executor):
    """One task a run; workers of the cluster should have one thread each, since a run has its own.

    Parameters
    ----------
    address
        Of the scheduler, e.g. ``"tcp://head:8786"``; None starts a cluster on this machine.
    workers
        Processes of the cluster that is started here.
    """

    def __init__(self, address: str | None = None, workers: int = 2) -> None:
        self._address, self._workers = address, workers
        self._client: Client | None = None
        self._cluster: LocalCluster | None = None
        self._tasks: dict[Future, Job] = {}

    def prepare(self, study: Path, jobs: Sequence[Job], line: ProgressLine) -> None:
        """Connect, or start a cluster."""
        try:
            if self._address is None:
                self._cluster = LocalCluster(
                    n_workers=self._workers, threads_per_worker=1, dashboard_address=None
                )
            self._client = Client(self._cluster or self._address, timeout=10)
        except (OSError, ValueError, asyncio.TimeoutError) as error:
            raise StudyError(
                f"there is no Dask scheduler at {self._address or 'this machine'}: {error}"
            ) from None
        line.line(f"Dask at {self._client.scheduler_info()['address']}")

    def submit(self, job: Job) -> None:
        """Queue a task; a lost one is tried again by us, who count and say it."""
        assert self._client is not None
        task = self._client.submit(work, os.fspath(job.study.resolve()), job.key, pure=False, retries=0)
        self._tasks[task] = job

    def ended(self, timeout: float) -> list[Ended]:
        """Tasks that are over."""
        try:
            done = wait(list(self._tasks), timeout=timeout, return_when="FIRST_COMPLETED").done
        except (asyncio.TimeoutError, TimeoutError):
            return []
        return [Ended(self._tasks.pop(task), _explain(task)) for task in done]

    def cancel(self) -> None:
        """End all tasks."""
        if self._client is not None:
            self._client.cancel(list(self._tasks), force=True)
        self._tasks.clear()

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        for held in (self._client, self._cluster):
            if held is not None:
                held.close()


def _explain(task: Any) -> str:
    """Why a task did not come to its end; empty where it answered."""
    try:
        _, why = task.result()
    except Exception as error:
        return f"its worker was lost: {type(error).__name__}"
    return str(why)

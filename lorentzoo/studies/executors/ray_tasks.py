"""How does a Ray cluster execute runs?"""

from __future__ import annotations

import logging
import os
import re
import socket
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import ray
from ray.exceptions import RayError

from lorentzoo.core.errors import StudyError
from lorentzoo.output.progress import ProgressLine
from lorentzoo.studies.executors.base import Ended, Executor
from lorentzoo.studies.jobs import Job, work

__all__ = ["RayTasks"]

_GB: Final = 1024**3
_PATIENCE: Final = 5.0
"""Seconds in which a cluster answers."""


class RayTasks(Executor):
    """One task a run, with the cores, GPUs and memory that its row asks for; Ray places them.

    Parameters
    ----------
    address
        Of a cluster, e.g. ``"auto"`` on one of its machines; None starts one on this machine, which ends with the study.
    workers
        Cores of the cluster that is started here; by default all.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        if address is not None and workers is not None:
            raise StudyError("workers are of a cluster that is started here; leave out address, or workers")
        self._address, self._workers = address, workers
        self._remote: Any = None
        self._tasks: dict[Any, Job] = {}

    def prepare(self, study: Path, jobs: Sequence[Job], line: ProgressLine) -> None:
        """Connect, or start a cluster."""
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        self._knock()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ray.init(
                    address=self._address or "local",
                    num_cpus=self._workers,
                    include_dashboard=False if self._address is None else None,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
        except (ConnectionError, RuntimeError, ValueError, TimeoutError, RayError) as error:
            where = self._address or "this machine"
            raise StudyError(
                f"there is no Ray cluster at {where}: {' '.join(str(error).split())[:200]}"
            ) from None
        have = ray.cluster_resources()
        line.line(
            f"Ray at {ray.get_runtime_context().gcs_address}: {have.get('CPU', 0):g} CPUs, {have.get('GPU', 0):g} GPUs"
        )
        for job in jobs:
            if (job.resources.cpus or 1) > have.get("CPU", 0) or job.resources.gpus > have.get("GPU", 0):
                ray.shutdown()
                raise StudyError(
                    f"{job.label} asks for {job.resources.cpus} CPUs and {job.resources.gpus} GPUs, which the "
                    "Ray cluster does not have"
                )
        # A process of its own for every run: none meets what another has left.
        self._remote = ray.remote(max_calls=1)(work)

    def _knock(self) -> None:
        """Ray itself would wait for minutes for a cluster that is not there."""
        found = re.fullmatch(r"(?:ray://)?\[?([^/\]]+)\]?:(\d+)", self._address or "")
        if found is None:
            return
        try:
            socket.create_connection((found[1], int(found[2])), timeout=_PATIENCE).close()
        except (OSError, OverflowError) as error:
            raise StudyError(f"there is no Ray cluster at {self._address}: {error}") from None

    def submit(self, job: Job) -> None:
        """Queue a task; a lost one is tried again by us, who count and say it."""
        needs = job.resources
        task = self._remote.options(
            num_cpus=needs.cpus or 1,
            num_gpus=needs.gpus,
            # Memory is what Ray schedules by, and one machine may have less than a study was written for.
            memory=None if self._address is None else int(needs.memory_gb * _GB),
            max_retries=0,
        ).remote(os.fspath(job.study.resolve()), job.key)
        self._tasks[task] = job

    def ended(self, timeout: float) -> list[Ended]:
        """Tasks that are over."""
        done, _ = ray.wait(list(self._tasks), num_returns=1, timeout=timeout)
        return [Ended(self._tasks.pop(task), _explain(task)) for task in done]

    def cancel(self) -> None:
        """End all tasks."""
        for task in self._tasks:
            ray.cancel(task, force=True)
        self._tasks.clear()

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        ray.shutdown()


def _explain(task: Any) -> str:
    """Why a task did not come to its end; empty where it answered."""
    try:
        _, why = ray.get(task)
    except StudyError as error:
        return str(error)
    except RayError as error:
        return f"its worker was lost: {type(error).__name__}"
    return str(why)

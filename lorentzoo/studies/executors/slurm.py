"""How does Slurm execute runs that are submitted and watched from here?"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import submitit

from lorentzoo.core.errors import StudyError
from lorentzoo.output.progress import ProgressLine
from lorentzoo.studies.executors.base import Ended, Executor
from lorentzoo.studies.jobs import Job, work

if TYPE_CHECKING:
    from submitit import Job as Submitted

__all__ = ["Slurm"]

_LOOK: Final = 0.2
"""Seconds between two looks at the jobs."""


class Slurm(Executor):
    """Jobs of Slurm by submitit, one a run; interrupted, this process cancels them.

    Parameters
    ----------
    partition, account, qos, constraint
        As of ``sbatch``.
    parallel
        Jobs that are submitted at a time.
    cluster
        ``"slurm"``; ``"local"`` starts processes here in the same way, ``"debug"`` executes runs in this process.
    """

    def __init__(
        self,
        partition: str | None = None,
        account: str | None = None,
        qos: str | None = None,
        constraint: str | None = None,
        parallel: int = 500,
        cluster: Literal["slurm", "local", "debug"] = "slurm",
    ) -> None:
        if parallel < 1:
            raise StudyError(f"parallel must be at least 1, not {parallel}")
        wanted = {"partition": partition, "account": account, "qos": qos, "constraint": constraint}
        self._options = {f"slurm_{name}": value for name, value in wanted.items() if value is not None}
        self._parallel, self._cluster = parallel, cluster
        self._jobs: dict[str, tuple[Job, Submitted[Any]]] = {}

    @property
    def capacity(self) -> int:
        """Jobs that are submitted at a time."""
        return 1 if self._cluster == "debug" else self._parallel

    def prepare(self, study: Path, jobs: Sequence[Job], line: ProgressLine) -> None:
        """See whether Slurm is there."""
        if self._cluster == "slurm" and shutil.which("sbatch") is None:
            raise StudyError(
                "there is no sbatch on this machine: run the study on a login node of the cluster, or write the batch "
                "files with the executor 'files'"
            )

    def submit(self, job: Job) -> None:
        """Submit a job with what the run asks for."""
        needs = job.resources
        made = submitit.AutoExecutor(folder=job.study / "batch" / "slurm", cluster=self._cluster)
        made.update_parameters(
            name=job.study.resolve().name,
            timeout_min=max(round(60 * needs.hours), 1),
            cpus_per_task=needs.cpus or 1,
            mem_gb=needs.memory_gb,
            gpus_per_node=needs.gpus,
            **({} if self._cluster != "slurm" else self._options),
        )
        try:
            self._jobs[job.key] = (job, made.submit(work, os.fspath(job.study.resolve()), job.key))
        except (submitit.core.utils.FailedSubmissionError, submitit.core.utils.FailedJobError) as error:
            raise StudyError(f"Slurm does not take the run: {' '.join(str(error).split())}") from None

    def ended(self, timeout: float) -> list[Ended]:
        """Jobs that Slurm, or what they left behind, says are over."""
        deadline = time.monotonic() + timeout
        while True:
            over = [
                Ended(job, _explain(submitted)) for job, submitted in self._jobs.values() if submitted.done()
            ]
            if over or time.monotonic() >= deadline:
                break
            time.sleep(_LOOK)
        for job, _ in over:
            del self._jobs[job.key]
        return over

    def cancel(self) -> None:
        """Cancel all jobs that were submitted."""
        for _, submitted in self._jobs.values():
            submitted.cancel(check=False)
        self._jobs.clear()


def _explain(submitted: Submitted[Any]) -> str:
    """Why a job did not come to its end; empty where it answered."""
    try:
        _, why = submitted.result()
    except Exception as error:
        last = [text for text in str(error).splitlines() if text.strip()]
        return f"job {submitted.job_id} was lost ({submitted.state}): {last[-1] if last else type(error).__name__}"
    return str(why)

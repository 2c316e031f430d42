"""How do batch systems execute runs of which nobody here takes care?

By files in ``batch/``: a list of runs, a script that executes one of them, and what HTCondor, Slurm and Snakemake need
to call it for each. The script tells them by its exit code whether a run is to be started again.
"""

from __future__ import annotations

import math
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import jinja2

from lorentzoo.core.errors import StudyError
from lorentzoo.output.files import name_folder, write_text
from lorentzoo.output.progress import ProgressLine
from lorentzoo.studies.executors.base import Ended, Executor
from lorentzoo.studies.jobs import Job, read_job
from lorentzoo.studies.resources import Resources

__all__ = ["AGAIN", "Files"]

AGAIN: Final = 75
"""Exit code of a run that is to be started again: EX_TEMPFAIL of sysexits.h."""
_LARGEST_ARRAY: Final = 1000
"""Jobs of one Slurm array; 1,001 is the limit unless a site has raised it."""
_ENVIRONMENT: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("lorentzoo.studies.executors", "templates"),
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=False,
)
_ENVIRONMENT.filters["quoted"] = shlex.quote


class Files(Executor):
    """Write what batch systems need, and nothing else: nothing is executed by the study.

    Parameters
    ----------
    shared
        Whether jobs see the directory of the study. Otherwise HTCondor sends each its file and brings its run back, for
        ``lorentzoo study collect``.
    tries
        How often a run is started in all before its batch system gives up.
    python
        Interpreter of the jobs; by default the one that runs now.
    """

    waits = False

    def __init__(self, shared: bool = True, tries: int = 5, python: str | None = None) -> None:
        if tries < 1:
            raise StudyError(f"tries must be at least 1, not {tries}")
        self._shared, self._tries = shared, tries
        self._python = sys.executable if python is None else python
        self._jobs: list[Job] = []

    def prepare(self, study: Path, jobs: Sequence[Job], line: ProgressLine) -> None:
        """Nothing is needed."""
        self._line = line

    def submit(self, job: Job) -> None:
        """Take note of a run."""
        self._jobs.append(job)

    def ended(self, timeout: float) -> list[Ended]:
        """None is executed."""
        return []

    def cancel(self) -> None:
        """Nothing was started."""
        self._jobs.clear()

    def close(self) -> None:
        """Write the files."""
        if not self._jobs:
            return
        study = self._jobs[0].study.resolve()
        folder = study / "batch"
        # Pre-training and what follows are planned one after another; a run comes after what it starts from.
        jobs = [*_read_earlier(folder, study), *self._jobs]
        unique = list({job.key: job for job in jobs}.values())
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        facts = {
            "study": name_folder(study.name),
            "directory": os.fspath(study),
            "python": shlex.quote(self._python),
            "tries": self._tries,
            "again": AGAIN,
            "shared": self._shared,
            "gpus": any(job.resources.gpus for job in unique),
        }
        _write(folder / "runs.txt", "runs.txt", jobs=[_describe(job) for job in unique])
        _write(folder / "job.sh", "job.sh", **facts)
        (folder / "job.sh").chmod(0o755)
        _write(folder / "condor.sub", "condor.sub", **facts)
        _write(folder / "Snakefile", "Snakefile", **facts)
        arrays = _group(unique)
        for number, (needs, keys) in enumerate(arrays, 1):
            write_text(folder / f"slurm-{number}.txt", "".join(f"{key}\n" for key in keys))
            _write(
                folder / f"slurm-{number}.sh",
                "slurm.sh",
                **facts,
                number=number,
                count=len(keys),
                **_ask(needs),
            )
        for stale in folder.glob("slurm-*.*"):
            if int(stale.stem.removeprefix("slurm-")) > len(arrays):
                stale.unlink()
        self._line.line(f"{len(unique)} runs are written to {folder}; start them by one of")
        self._line.line(f"  condor_submit {folder / 'condor.sub'}")
        for number, _ in enumerate(arrays, 1):
            self._line.line(f"  sbatch {folder / f'slurm-{number}.sh'}")
        self._line.line(f"  snakemake --snakefile {folder / 'Snakefile'} --directory {study} --cores 8")
        self._line.line(f"and look at them by  lorentzoo study show {study}")


def _read_earlier(folder: Path, study: Path) -> list[Job]:
    """Pre-training runs that are not finished, which the same planning wrote before."""
    path = folder / "runs.txt"
    if not path.is_file():
        return []
    keys = [text.split(",")[0] for text in path.read_text(encoding="utf-8").splitlines() if text.strip()]
    found = []
    for key in keys:
        try:
            job = read_job(study, key)
        except StudyError:
            continue
        if job.state != "finished":
            found.append(job)
    return found


def _write(path: Path, template: str, **facts: Any) -> None:
    write_text(path, _ENVIRONMENT.get_template(f"{template}.j2").render(**facts))


def _ask(needs: Resources) -> dict[str, Any]:
    return {
        "cpus": needs.cpus or 1,
        "gpus_each": needs.gpus,
        "memory_mb": math.ceil(1024 * needs.memory_gb),
        "seconds": math.ceil(3600 * needs.hours),
        "minutes": max(math.ceil(60 * needs.hours), 1),
    }


def _describe(job: Job) -> dict[str, Any]:
    return {"key": job.key, **_ask(job.resources)}


def _group(jobs: Sequence[Job]) -> list[tuple[Resources, list[str]]]:
    """Arrays of runs that ask for the same, none too long."""
    groups: dict[str, tuple[Resources, list[str]]] = {}
    for job in jobs:
        groups.setdefault(job.resources.model_dump_json(), (job.resources, []))[1].append(job.key)
    return [
        (needs, keys[first : first + _LARGEST_ARRAY])
        for needs, keys in groups.values()
        for first in range(0, len(keys), _LARGEST_ARRAY)
    ]

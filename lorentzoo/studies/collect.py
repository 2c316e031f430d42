"""How do runs that were executed elsewhere come back into their study?"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorentzoo.core.errors import LorentzooError, StudyError
from lorentzoo.studies.results import planned_runs
from lorentzoo.studies.runs import read_run_spec, state_of
from lorentzoo.training.resume import only_here

__all__ = ["Collected", "collect_runs"]


@dataclass(frozen=True)
class Collected:
    """What was found.

    Attributes
    ----------
    taken
        Hashes of the finished runs that the study did not have yet.
    known
        Of those that it had.
    refused
        Why directories were left where they are, by their paths.
    """

    taken: tuple[str, ...]
    known: tuple[str, ...]
    refused: dict[str, str]


def collect_runs(study: Path | str, sources: Sequence[Path | str] = ()) -> Collected:
    """Take finished runs into a study; what it has is never replaced, and nothing is removed elsewhere.

    Parameters
    ----------
    study
        Directory of the study.
    sources
        Directories of runs, or directories that hold some, at most two levels below; by default the study itself, into
        which batch systems bring runs back beside ``runs``.

    Raises
    ------
    StudyError
        If it is no study's directory, or a source is none.
    """
    directory = Path(study)
    planned = set(planned_runs(directory))
    taken, known, refused = [], [], {}
    for source in map(Path, sources or [directory]):
        if not source.is_dir():
            raise StudyError(f"{source} is not a directory")
        for folder in _find_runs(source):
            target = directory / "runs" / folder.name
            if folder.resolve() == target.resolve():
                continue
            reason, key = _judge(folder, planned)
            if reason:
                refused[os.fspath(folder)] = reason
            elif state_of(directory / "runs" / key) == "finished":
                known.append(key)
            else:
                _take(folder, directory / "runs" / key)
                taken.append(key)
    return Collected(tuple(taken), tuple(known), refused)


def _find_runs(source: Path) -> Iterator[Path]:
    """Directories with a run's specification, here and two levels below."""
    for pattern in ("run.json", "*/run.json", "*/*/run.json"):
        for path in sorted(source.glob(pattern)):
            yield path.parent


def _judge(folder: Path, planned: set[str]) -> tuple[str, str]:
    """Why a directory is not taken, and the hash of its run."""
    try:
        key = read_run_spec(folder).key
    except (LorentzooError, ValueError, KeyError, TypeError) as error:
        return f"its run.json cannot be read: {error}", ""
    if key not in planned:
        return f"run {key} is none of the study's", key
    state = state_of(folder)
    return ("" if state == "finished" else state), key


def _take(folder: Path, target: Path) -> None:
    """Copy a run, completely or not at all."""
    with only_here(target):
        aside = target.with_name(f"{target.name}.incoming")
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(folder, aside)
        shutil.rmtree(target)
        aside.rename(target)

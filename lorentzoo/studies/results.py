"""What came out of a study?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from lorentzoo.core.errors import LorentzooError, StudyError
from lorentzoo.data.events import EventData
from lorentzoo.output.files import digest_of
from lorentzoo.output.metric import value_of
from lorentzoo.registry.plain_data import read_json_file
from lorentzoo.studies.grid import Study, load_study
from lorentzoo.studies.runs import RunRecord, read_run, state_of
from lorentzoo.studies.status import read_status

__all__ = ["STUDY_FILE", "RowResult", "StudyResult", "describe_data", "planned_runs", "read_study"]

STUDY_FILE: Final = "study.json"


@dataclass(frozen=True)
class RowResult:
    """One combination of a study.

    Attributes
    ----------
    label, choices, train_size
        What was combined; `choices` by axis.
    symmetry
        Name of the computed symmetry.
    refusal
        Why the combination makes no sense; empty where it does.
    runs
        Finished runs, by rising seed.
    problems
        What is to be said of the other runs: unfinished, failed, damaged.
    """

    label: str
    choices: Mapping[str, str]
    train_size: int | None
    symmetry: str
    refusal: str
    runs: tuple[RunRecord, ...]
    problems: tuple[str, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the finished runs."""
        return tuple(run.run.config.seed for run in self.runs)

    @property
    def task(self) -> str:
        """Name of the task that judged its runs; empty where none has finished."""
        return self.runs[0].run.task.name if self.runs else ""

    def values(self, metric: str) -> dict[int, float]:
        """A metric by seed."""
        found = {run.run.config.seed: value_of(run.metrics.get(metric)) for run in self.runs}
        return {seed: value for seed, value in found.items() if value is not None}


@dataclass(frozen=True)
class StudyResult:
    """All rows of a study.

    Attributes
    ----------
    study
        What was asked.
    directory
        Where it is.
    rows
        In the order of the axes.
    data
        What the events are: metadata of the data set and sizes of its splits.
    """

    study: Study
    directory: Path
    rows: tuple[RowResult, ...]
    data: dict[str, Any]

    @property
    def finished(self) -> tuple[RowResult, ...]:
        """Rows with at least one finished run."""
        return tuple(row for row in self.rows if row.runs)

    @property
    def refused(self) -> tuple[RowResult, ...]:
        """Rows that make no sense."""
        return tuple(row for row in self.rows if row.refusal)

    @property
    def is_complete(self) -> bool:
        """Whether every run that was planned has finished."""
        return not any(row.problems for row in self.rows)


def read_study(directory: Path) -> StudyResult:
    """What a directory holds; runs that are missing, failed or damaged are named in their rows.

    Raises
    ------
    StudyError
        If it is not a study's directory, or its own file is damaged.
    """
    path = directory / STUDY_FILE
    stored = _read_stored(path)
    try:
        study = load_study(stored["study"])
        rows = tuple(_read_row(directory, row) for row in stored["rows"])
        data = dict(stored["data"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error
    return StudyResult(study, directory, rows, data)


def planned_runs(directory: Path) -> list[str]:
    """Hashes of all runs that a study needs, those of pre-training among them.

    Raises
    ------
    StudyError
        As in `read_study`.
    """
    path = directory / STUDY_FILE
    stored = _read_stored(path)
    try:
        rows = [key for row in stored["rows"] for key in row["runs"]]
        return list(dict.fromkeys([*stored.get("before", []), *rows]))
    except (KeyError, TypeError) as error:
        raise _damaged(path, error) from error


def _read_stored(path: Path) -> dict[str, Any]:
    try:
        stored = read_json_file(path)
        seal = stored.pop("seal", None) if isinstance(stored, dict) else None
        # Studies of earlier versions have no seal.
        if seal is not None and seal != digest_of(stored):
            raise ValueError("it does not have the contents it was written with")
    except (FileNotFoundError, NotADirectoryError):
        raise StudyError(f"{path.parent} is not a study's directory: it has no {STUDY_FILE}") from None
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    return stored


def _damaged(path: Path, error: Exception) -> StudyError:
    return StudyError(f"{path} is damaged: {error}; run the study again, finished runs are not repeated")


def describe_data(dataset: EventData, study: Study) -> dict[str, Any]:
    """What the report says of the events."""
    sizes, classes = {}, {}
    for name in ("train", "validation", "test"):
        part = dataset.split(name)
        sizes[name] = len(part)
        # Of a stream nobody has counted them.
        if dataset.class_names and part.at_hand is part:
            counts = np.bincount(part.target.numpy().astype(np.int64), minlength=len(dataset.class_names))
            classes[name] = dict(zip(dataset.class_names, counts.tolist(), strict=True))
    few = dataset.at_hand
    return {
        "dataset": study.dataset,
        "sizes": sizes,
        "classes": classes,
        "weighted": bool((few.weight != few.weight[0]).any()) if len(few) else False,
        "mean_multiplicity": float(few.lengths.double().mean()),
        "target_names": list(dataset.target_names),
        "target_units": list(dataset.target_units),
        "metadata": dict(dataset.metadata),
    }


def _read_of(folder: Path, key: str) -> RunRecord:
    """The run of a folder, which must be the one that the study means."""
    record = read_run(folder)
    if record.run.key != key:
        raise StudyError(f"the folder {folder.name} holds run {record.run.key}, not {key}")
    return record


def _read_row(directory: Path, row: Mapping[str, Any]) -> RowResult:
    runs, problems = [], []
    for key in row["runs"]:
        folder = directory / "runs" / key
        state = state_of(folder)
        try:
            if state == "finished":
                runs.append(_read_of(folder, key))
                continue
        except (LorentzooError, ValueError, KeyError, TypeError) as error:
            state = f"damaged: {error}"
        doing = read_status(folder) if state == "unfinished" else None
        problems.append(f"run {key} {state}" + ("" if doing is None else f" ({doing.describe()})"))
    runs.sort(key=lambda run: run.run.config.seed)
    return RowResult(
        row["label"],
        dict(row["choices"]),
        row["train_size"],
        row["symmetry"],
        row["refusal"],
        tuple(runs),
        tuple(problems),
    )

"""What came out of a study?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lorentzoo.core.errors import LorentzooError
from lorentzoo.data.events import EventData
from lorentzoo.output.files import write_text
from lorentzoo.studies.errors import StudyError
from lorentzoo.studies.grid import Study, load_study
from lorentzoo.studies.runs import RunRecord, read_run, state_of

if TYPE_CHECKING:
    from lorentzoo.studies.report.tables import Table

__all__ = ["STUDY_FILE", "RowResult", "StudyResult", "describe_data", "read_study"]

STUDY_FILE: Final = "study.json"
_REPORT: Final = "report.html"


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

    def values(self, metric: str) -> dict[int, float]:
        """A metric by seed; ``rejection_...`` gives its value."""
        found = {}
        for run in self.runs:
            value = run.metrics.get(metric)
            if isinstance(value, dict):
                value = value["value"]
            if value is not None:
                found[run.run.config.seed] = float(value)
        return found


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

    def tables(self) -> dict[str, Table]:
        """Tables by name; see `tables.study_tables` and `class_tables.study_class_tables`."""
        from lorentzoo.studies.report import tables
        from lorentzoo.tasks.classification import tables as class_tables

        return tables.study_tables(self) | class_tables.study_class_tables(self)

    def to_text(self, width: int = 160) -> str:
        """All tables for a terminal."""
        return "\n".join(table.to_text(width) for table in self.tables().values())

    def __str__(self) -> str:
        report = self.directory / _REPORT
        return self.to_text() + (f"report: {report}\n" if report.is_file() else "")

    def to_data(self) -> dict[str, Any]:
        """Every number of every row, as plain data."""
        from lorentzoo.studies.report import tables

        return {
            "study": self.study.name,
            "directory": str(self.directory),
            "rows": tables.study_numbers(self),
        }

    def to_csv(self) -> str:
        """Every number of every row, in full precision."""
        from lorentzoo.studies.report import tables

        return tables.study_csv(self)

    def write(self) -> Path:
        """Write tables (text, Markdown, LaTeX, CSV) and ``report.html`` into the directory; returns the report."""
        from lorentzoo.studies.report.page import report_html

        tables = self.tables().values()
        write_text(self.directory / "tables.txt", self.to_text())
        write_text(self.directory / "tables.md", "\n".join(table.to_markdown() for table in tables))
        write_text(self.directory / "tables.tex", "\n".join(table.to_latex() for table in tables))
        write_text(self.directory / "results.csv", self.to_csv())
        report = self.directory / _REPORT
        write_text(report, report_html(self))
        return report


def read_study(directory: Path) -> StudyResult:
    """What a directory holds; runs that are missing, failed or damaged are named in their rows.

    Raises
    ------
    StudyError
        If it is no study's directory, or its own file is damaged.
    """
    path = directory / STUDY_FILE
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        study = load_study(stored["study"])
        rows = tuple(_read_row(directory, row) for row in stored["rows"])
        data = dict(stored["data"])
    except (FileNotFoundError, NotADirectoryError):
        raise StudyError(f"{directory} is no study's directory: it has no {STUDY_FILE}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(
            f"{path} is damaged: {error}; run the study again, finished runs are not repeated"
        ) from error
    return StudyResult(study, directory, rows, data)


def describe_data(dataset: EventData, study: Study) -> dict[str, Any]:
    """What the report says of the events."""
    sizes, classes = {}, {}
    for name in ("train", "validation", "test"):
        part = dataset.split(name)
        sizes[name] = len(part)
        if dataset.class_names:
            counts = np.bincount(part.target.numpy().astype(np.int64), minlength=len(dataset.class_names))
            classes[name] = dict(zip(dataset.class_names, counts.tolist(), strict=True))
    return {
        "dataset": study.dataset,
        "sizes": sizes,
        "classes": classes,
        "weighted": bool((dataset.weight != dataset.weight[0]).any()) if len(dataset) else False,
        "mean_multiplicity": float(dataset.lengths.double().mean()),
        "metadata": dict(dataset.metadata),
    }


def _read_row(directory: Path, row: Mapping[str, Any]) -> RowResult:
    runs, problems = [], []
    for key in row["runs"]:
        folder = directory / "runs" / key
        state = state_of(folder)
        try:
            if state == "finished":
                runs.append(read_run(folder))
                continue
        except (LorentzooError, ValueError, KeyError, TypeError) as error:
            state = f"damaged: {error}"
        problems.append(f"run {key} {state}")
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

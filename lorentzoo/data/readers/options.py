"""What does one say to open files of events, and which files are meant?"""

from __future__ import annotations

import glob
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, Literal, TypeAlias

from lorentzoo.core.cloud import Units
from lorentzoo.core.errors import MissingFileError
from lorentzoo.data.events import Split
from lorentzoo.data.readers.columns import ColumnNames, as_names
from lorentzoo.data.readers.labels import LabelRule
from lorentzoo.data.readers.source import EventFileError, Source

__all__ = ["EventFiles", "LabelledFiles", "Names", "OnBad", "Paths", "find_files"]

OnBad = Literal["error", "skip"]
_LIST: Final = ".txt"
Paths: TypeAlias = str | Sequence[str]
Names: TypeAlias = str | Sequence[str]


@dataclass(frozen=True)
class EventFiles(ABC):
    """Files of events, and how they are read. What all formats have in common; a format adds its own.

    Parameters
    ----------
    path, validation, test
        Files, patterns, folders, or lists of these: ``path="train.h5", validation="val.h5", test="test.h5"``. A text file
        (``.txt``) lists them one a line, relative to its own folder. With `path` alone, events are split 60:15:25 by a
        hash of file and row (or of `event_id`), within every class.
    split
        ``"train"``, ``"validation"`` or ``"test"``; None takes all events.
    num_jets
        Only the first events.
    max_constituents
        Only the hardest constituents of each jet.
    units
        Units of the momenta in the files.
    check_units
        Refuse momenta that look like another unit.
    on_bad
        ``"error"`` at events with values that are not finite or with space-like momenta; ``"skip"`` leaves them out and
        says how many.
    in_memory
        Keep all events in memory instead of reading blocks as they are needed.
    stream
        Never hold more than a part of the events: row groups of many files are read in shuffled windows, once an epoch.
        Training and validation read so; the test is that of files which are not streamed.
    memory_gb
        Bound of what a stream holds in memory, in 10⁹ bytes.
    validation_jets
        Validate a stream on at most so many events, evenly spread over the files, which are kept in memory; without,
        all are read anew for each validation.
    target
        Column or columns of values to predict, instead of the class.
    target_units
        Unit of each column of `target`.
    weight
        Column of event weights of either sign; all one by default.
    context
        Column or columns of numbers of each event that networks are given.
    event_id
        Column of event numbers; file and row by default.
    """

    path: Paths
    validation: Paths | None = None
    test: Paths | None = None
    split: Split | None = None
    num_jets: int | None = None
    max_constituents: int | None = None
    units: Units = "GeV"
    check_units: bool = True
    on_bad: OnBad = "error"
    in_memory: bool = False
    stream: bool = False
    memory_gb: float = 1.0
    validation_jets: int | None = None
    target: Names | None = None
    target_units: Names = ()
    weight: str | None = None
    context: Names | None = None
    event_id: str | None = None

    suffixes: ClassVar[tuple[str, ...]]
    """Endings of such files, for folders."""

    @abstractmethod
    def source(self, path: Path) -> Source:
        """One of the files."""

    @property
    def columns(self) -> ColumnNames:
        """Which columns are target, weight, context and number of the events."""
        return ColumnNames(as_names(self.target), self.weight, as_names(self.context), self.event_id)

    def find(self) -> list[tuple[int, Path]]:
        """All files with their roles: 0 train, 1 validation, 2 test.

        Raises
        ------
        FileNotFoundError
            Naming what has no file.
        EventFileError
            If a file is named twice: its events would be counted twice, or be in two splits.
        """
        given = ((0, self.path), (1, self.validation), (2, self.test))
        found = [
            (role, file)
            for role, where in given
            if where is not None
            for file in find_files(where, self.suffixes)
        ]
        seen: dict[tuple[int, int], Path] = {}
        for _, file in found:
            status = file.stat()
            first = seen.setdefault((status.st_dev, status.st_ino), file)
            if first is not file:
                also = "" if str(first) == str(file) else f" (as {first})"
                raise EventFileError(
                    file,
                    f"it is named twice{also}, so its events would be counted twice or be in two splits; "
                    "name each file once, without links to it",
                )
        return found

    @property
    def has_roles(self) -> bool:
        """Whether files are named for validation or test, so that files are the splits."""
        return self.validation is not None or self.test is not None


@dataclass(frozen=True)
class LabelledFiles(EventFiles):
    """Files whose classes are said by a column, by conditions, or by their names.

    Parameters
    ----------
    label
        Column with the number of the class, from 0; `class_names` names them.
    classes
        Condition of each class on columns with one number (or text) an event, ``{"qcd": "is_top == 0", "top":
        "is_top == 1 and jet_pt > 500"}``; exactly one must be true.
    class_files
        Pattern of the file names of each class, ``{"qcd": "*qcd*", "top": "*ttbar*"}``; exactly one must match.
    class_names
        Names of the classes of `label`.
    """

    label: str | None = None
    classes: Mapping[str, str] = field(default_factory=dict)
    class_files: Mapping[str, str] = field(default_factory=dict)
    class_names: Sequence[str] = ()

    @property
    def rule(self) -> LabelRule:
        """How the class is said."""
        return LabelRule(self.label, self.classes, self.class_files, self.class_names)


def find_files(path: Paths, suffixes: Sequence[str]) -> list[Path]:
    """Files of a path, a pattern, a folder (searched through), or a list of these, in alphabetical order each.

    A text file lists these one a line, relative to its own folder; what follows a ``#`` means nothing. A pattern that
    matches folders means the files in them.

    Raises
    ------
    MissingFileError
        Naming what has no file.
    EventFileError
        If something is a pipe or a device instead of a file.
    """
    if not isinstance(path, str | os.PathLike) and not path:
        raise MissingFileError(
            "no file is named: give a path, a pattern, a folder, or a list of at least one of these"
        )
    found: list[Path] = []
    for item in [path] if isinstance(path, str | os.PathLike) else path:
        place = Path(item).expanduser()
        if place.suffix == _LIST and place.is_file():
            found += find_files(_read_list(place), suffixes)
            continue
        matches = (
            [place]
            if place.exists()
            else sorted(Path(match) for match in glob.glob(str(place), recursive=True))
        )
        files = [file for match in matches for file in _files_of(match, suffixes)]
        if not files:
            raise MissingFileError(
                f"{item} is not a file, not a pattern that matches one, and not a folder with "
                f"{' or '.join(suffixes)} files"
            )
        found += dict.fromkeys(files)
    return found


def _read_list(path: Path) -> list[str]:
    """What a text file lists, relative to its own folder."""
    try:
        lines = [line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise EventFileError(path, f"it is not a text with a file a line ({error.reason})") from error
    named = [path.parent / Path(line).expanduser() for line in lines if line]
    if not named:
        raise EventFileError(path, "it lists no file; write one path, pattern or folder a line")
    for item in named:
        if item.suffix == _LIST:
            raise EventFileError(path, f"it lists the list {item}; name that one beside it instead")
    return [str(item) for item in named]


def _files_of(place: Path, suffixes: Sequence[str]) -> list[Path]:
    if place.is_dir():
        return sorted(
            file for file in place.rglob("*") if file.name.endswith(tuple(suffixes)) and file.is_file()
        )
    if not place.is_file():
        raise EventFileError(place, "it is a pipe or a device, not a file; copy its contents to a file first")
    return [place]

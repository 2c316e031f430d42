"""Which class does an event have, by a column, by conditions on columns, or by the name of its file?"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from lorentzoo.core.errors import InputError
from lorentzoo.data.readers.expressions import Expression
from lorentzoo.data.readers.source import EventFileError, check_classes

__all__ = ["EventValues", "LabelRule", "Labels", "evaluate"]

_HOW: Final = (
    "say what the class is: label= a column of whole numbers, classes={'qcd': 'is_top == 0', ...}, class_files={'qcd': "
    "'*qcd*', ...}; or name values with target="
)


@dataclass(frozen=True)
class LabelRule:
    """How the class of an event is said, in one of three ways.

    Attributes
    ----------
    label, class_names
        Column with the number of the class, and names of the classes.
    classes
        Condition of each class on columns.
    class_files
        Pattern of the files of each class.
    """

    label: str | None = None
    classes: Mapping[str, str] = field(default_factory=dict)
    class_files: Mapping[str, str] = field(default_factory=dict)
    class_names: Sequence[str] = ()

    @property
    def ways(self) -> int:
        """How many of the ways are taken."""
        return sum([bool(self.classes), bool(self.class_files), self.label is not None])


class EventValues(Protocol):
    """What has columns with one number, or one text, an event."""

    path: Path

    @property
    def num_events(self) -> int:
        """How many events there are."""

    def resolve(self, name: str, purpose: str) -> str:
        """The column that a written name means; an error names those that there are."""

    def event_values(self, names: Sequence[str], start: int, stop: int) -> Mapping[str, NDArray[Any]]:
        """Columns of events `start` to `stop` with one entry an event, (n,)."""


class Labels:
    """Classes of the events of a file.

    Parameters
    ----------
    events
        The columns.
    rule
        How the class is said.

    Attributes
    ----------
    names
        Names of the classes.
    counted
        Whether they are only counted in this file: another one may have more.

    Raises
    ------
    EventFileError
        If the class is said in no way or in several, or needs columns that are not there.
    """

    def __init__(self, events: EventValues, rule: LabelRule) -> None:
        self._events, self._rule = events, rule
        if rule.ways != 1:
            raise EventFileError(events.path, _HOW if not rule.ways else f"{_HOW}, and only one of these")
        self._conditions = {name: Expression(text) for name, text in rule.classes.items()}
        self.counted = False
        if rule.class_files:
            self.names = tuple(rule.class_files)
            self._of_file()
        elif rule.label is not None:
            self._column = events.resolve(rule.label, "classes")
            self.names = tuple(rule.class_names)
            self.counted = not self.names
            if self.counted:
                largest = int(self.read(0, events.num_events).max(initial=-1))
                self.names = tuple(f"class_{number}" for number in range(largest + 1))
        else:
            self.names = tuple(self._conditions)
            for each in self._conditions.values():
                for name in each.names:
                    events.resolve(name, "the conditions of classes")

    def read(self, start: int, stop: int) -> NDArray[np.int64]:
        """Classes of events `start` to `stop`, shape (n,).

        Raises
        ------
        EventFileError
            Naming the first event that is of no class, or of several.
        """
        if self._rule.class_files:
            return np.full(stop - start, self._of_file(), dtype=np.int64)
        if self._rule.label is not None:
            labels = self._events.event_values([self._column], start, stop)[self._column]
            return check_classes(self._events.path, start, labels, self.names, repr(self._rule.label))
        flags = np.stack(
            [evaluate(self._events, each, start, stop) for each in self._conditions.values()], axis=-1
        )
        unclear = np.flatnonzero(flags.sum(-1) != 1)
        if len(unclear):
            row = int(unclear[0])
            which = [name for name, flag in zip(self._conditions, flags[row], strict=True) if flag]
            raise EventFileError(
                self._events.path,
                f"row {start + row} is of {' and '.join(which) or 'none'} of the classes {', '.join(self._conditions)} "
                f"({len(unclear)} of the rows {start} to {stop}); let the conditions be true for one class each",
            )
        return flags.argmax(-1).astype(np.int64)

    def _of_file(self) -> int:
        path, patterns = self._events.path, self._rule.class_files
        full = path.resolve().as_posix()
        found = [
            number
            for number, pattern in enumerate(patterns.values())
            if fnmatch.fnmatchcase(path.name, pattern) or fnmatch.fnmatchcase(full, pattern)
        ]
        if len(found) != 1:
            which = [list(patterns)[number] for number in found]
            raise EventFileError(
                path,
                f"the patterns of class_files make it {' and '.join(which) or 'none'} of the classes "
                f"{', '.join(patterns)}; let one match, e.g. '*{path.stem}*'",
            )
        return found[0]


def evaluate(
    events: EventValues, condition: Expression, start: int, stop: int, count: int | None = None
) -> NDArray[np.bool_]:
    """Which of events `start` to `stop` a condition chooses, shape (n,); `count` is n where it is not their number.

    Raises
    ------
    EventFileError
        If its columns are missing, or cannot be compared so.
    """
    columns = {name: events.resolve(name, "the conditions of classes") for name in condition.names}
    read = events.event_values(list(columns.values()), start, stop)
    try:
        return condition.evaluate(
            {name: read[column] for name, column in columns.items()}, stop - start if count is None else count
        )
    except InputError as error:
        raise EventFileError(events.path, str(error)) from error

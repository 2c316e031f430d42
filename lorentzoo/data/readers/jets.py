"""How do jets that lie in events become the events of a data set, with their constituents as particles?

A row is a jet. One pass over a file notes which jets are wanted, where each of them lies and how many constituents it
has; constituents are then read for some events at a time.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo.core.name_lists import list_names
from lorentzoo.data.ragged import event_index
from lorentzoo.data.readers.column_files import Column
from lorentzoo.data.readers.columns import ColumnNames
from lorentzoo.data.readers.expressions import Expression
from lorentzoo.data.readers.labels import LabelRule, Labels, evaluate
from lorentzoo.data.readers.source import EventFileError, Events, Source

__all__ = ["EVENTS_AT_ONCE", "JetChoice", "JetFile", "JetSource"]

EVENTS_AT_ONCE: Final = 1024
"""Events of which all candidates are in memory together: about 100 MB where an event has 2,000 of them."""
_PLACED: Final = re.compile(r"(.+)\[(\d+)\]")
_NOT_WANTED: Final = -1


@dataclass(frozen=True)
class JetChoice:
    """Which jets are read, and what their classes are.

    Attributes
    ----------
    select
        Condition on the jets that are read; all are without.
    rule
        Classes by column, condition or file.
    truth
        Whether the class is what the file's generator particles or flavours say, where the rule says nothing.
    skip_empty
        Whether jets without constituents are left out instead of being an error.
    """

    select: str | None
    rule: LabelRule
    truth: bool
    skip_empty: bool


class JetFile(ABC):
    """A file of events with jets: what a format says of them.

    Attributes
    ----------
    path
        The file.
    jets
        Name of the collection of jets.
    scalar_names
        Names of the numbers of each constituent.
    truth_names
        Classes that the file says of jets; none where it says nothing of them.
    """

    path: Path
    jets: str
    scalar_names: tuple[str, ...] = ()
    truth_names: tuple[str, ...] = ()

    @property
    @abstractmethod
    def num_entries(self) -> int:
        """How many events the file has."""

    @property
    def borders(self) -> NDArray[np.int64]:
        """Events between which the file is read at once."""
        return np.append(np.arange(0, self.num_entries, EVENTS_AT_ONCE), self.num_entries)

    @property
    @abstractmethod
    def names(self) -> Sequence[str]:
        """Columns that can be named."""

    @property
    @abstractmethod
    def prefix(self) -> str:
        """What the names of columns of these jets begin with; it may be left out."""

    @abstractmethod
    def read_columns(self, names: Sequence[str], start: int, stop: int) -> dict[str, Column]:
        """Columns of events `start` to `stop`."""

    @abstractmethod
    def read_lengths(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Jets of events `start` to `stop`: event i has ``ptr[i]:ptr[i + 1]``; and numbers of their constituents."""

    @abstractmethod
    def read_constituents(self, start: int, stop: int) -> Events:
        """Constituents of all jets of events `start` to `stop`, jet by jet, in GeV."""

    def read_truth(self, start: int, stop: int) -> NDArray[np.int64]:
        """Classes of all jets of events `start` to `stop` by `truth_names`; -1 for jets that are of none."""
        raise NotImplementedError

    @abstractmethod
    def close(self) -> None:
        """Close the file until its next use."""

    def settings(self) -> Mapping[str, Any]:
        """How the file is read, as plain data."""
        return {"jets": self.jets, "scalars": list(self.scalar_names)}


@dataclass(frozen=True, eq=False)
class _Index:
    """Jets that are wanted: event, number among all jets of the file, constituents, class by truth, each (n,).

    Event i of the file has the jets ``offsets[i]:offsets[i + 1]``; `empty` is how many were left out for having none.
    """

    offsets: NDArray[np.int64]
    empty: int
    event: NDArray[np.int64]
    number: NDArray[np.int64]
    length: NDArray[np.int32]
    truth: NDArray[np.int16]


class JetSource(Source):
    """Jets of a file, one a row; `EVENTS_AT_ONCE` events are in memory at a time.

    Parameters
    ----------
    file
        The file.
    columns
        As for `Source`. Any column with one number a jet, or an event, can be named, that of jets without their prefix;
        ``name[2]`` is the third of a list an event.
    choice
        Which jets are read, and their classes.
    """

    def __init__(self, file: JetFile, columns: ColumnNames, choice: JetChoice) -> None:
        super().__init__(file.path, columns)
        self._file, self._choice = file, choice
        self.scalar_names = file.scalar_names
        self._select = None if choice.select is None else Expression(choice.select)
        for name in () if self._select is None else self._select.names:
            self.resolve(name, "select")
        for name in columns.all:
            self.resolve(name, "target, weight, context or event_id")
        self._labels: Labels | None = None
        self._truth = choice.truth and not choice.rule.ways and not columns.target
        if columns.target:
            return
        if choice.rule.ways:
            self._labels = Labels(self, choice.rule)
            self.class_names, self.classes_counted = self._labels.names, self._labels.counted
        elif self._truth:
            self.class_names = self._wanted_truth
        else:
            self.class_names = ("jets",)

    @cached_property
    def num_events(self) -> int:
        """Jets that are read."""
        return len(self._index.event)

    @property
    def borders(self) -> NDArray[np.int64]:
        """Jets between which the file is best read at once."""
        return np.unique(np.searchsorted(self._index.event, self._file.borders))

    @property
    def why_empty(self) -> str:
        """What a file without such jets has."""
        if not self._file.num_entries:
            return "it holds no events"
        found = int(self._index.offsets[-1])
        chosen = "" if self._choice.select is None else f"that {self._choice.select!r} chooses "
        classes = f"of the classes {', '.join(self.class_names)} " if self._truth else ""
        return (
            f"its {self._file.num_entries} events have {found} jets of {self._file.jets!r}, none {chosen}{classes}"
            "with constituents: name other jets (jets=...) or loosen the choice (select=..., truth=...)"
        )

    def close(self) -> None:
        """Close the file until its next use."""
        self._file.close()

    def read(self, start: int, stop: int) -> Events:
        """Constituents of jets `start` to `stop`."""
        parts = []
        for first, last, rows in self._pieces(start, stop):
            jets = self._file.read_constituents(first, last)
            parts.append(jets.choose(self._index.number[rows] - self._index.offsets[first]))
        return Events.join(parts, len(self.scalar_names))

    def read_lengths(self, start: int, stop: int) -> NDArray[np.int64]:
        """Numbers of constituents, which are known."""
        return self._index.length[start:stop].astype(np.int64)

    def read_classes(self, start: int, stop: int) -> NDArray[np.int64]:
        """The class that a column, a condition, the name of the file or the generator's particles say."""
        if self._labels is not None:
            return self._labels.read(start, stop)
        return self._index.truth[start:stop].astype(np.int64)

    def read_values(self, names: Sequence[str], start: int, stop: int) -> Mapping[str, NDArray[np.generic]]:
        """Columns with one number a jet or an event, or the same number of them for every event."""
        resolved = {name: self.resolve(name, "values of jets") for name in names}
        found = self._read_by_jet(list(dict.fromkeys(resolved.values())), start, stop)
        return {name: found[column] for name, column in resolved.items()}

    @property
    def left_out(self) -> int:
        """Jets without constituents."""
        return self._index.empty

    def row_numbers(self, start: int, stop: int) -> NDArray[np.int64]:
        """Events of jets `start` to `stop`: jets of one event are in one split."""
        return self._index.event[start:stop]

    def settings(self) -> Mapping[str, Any]:
        """How the file is read, and which jets of it."""
        return {**self._file.settings(), "select": self._choice.select, "skip_empty": self._choice.skip_empty}

    # ---- what labels ask ------------------------------------------------------------------

    def resolve(self, name: str, purpose: str) -> str:
        """The column that a name means: that of the jets, or any of the file.

        Raises
        ------
        EventFileError
            If there is none; the message lists those of the jets.
        """
        match = _PLACED.fullmatch(name)
        base, place = (match[1], f"[{match[2]}]") if match else (name, "")
        for column in (self._file.prefix + base, base):
            if column in self._known:
                return column + place
        own = sorted(
            item[len(self._file.prefix) :] for item in self._known if item.startswith(self._file.prefix)
        )
        raise EventFileError(
            self.path,
            f"{name!r} missing, needed for {purpose}; jets of {self._file.jets!r} have "
            f"{', '.join(list_names(own, [base])) or 'nothing'}, "
            f"and the file has {len(self._known) - len(own)} other columns",
        )

    def event_values(self, names: Sequence[str], start: int, stop: int) -> dict[str, NDArray[Any]]:
        """Columns with one entry a jet (n,)."""
        found = self._read_by_jet(names, start, stop)
        for name, values in found.items():
            if values.ndim > 1:
                raise EventFileError(
                    self.path,
                    f"column {name!r} has {values.shape[1]} entries a jet, not one: write {name}[0]",
                )
        return found

    # ---- helpers --------------------------------------------------------------------------

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self._file.names)

    @cached_property
    def _wanted_truth(self) -> tuple[str, ...]:
        """Classes by truth, in the order in which they are wanted."""
        wanted, known = tuple(self._choice.rule.class_names), self._file.truth_names
        unknown = [name for name in wanted if name not in known]
        if unknown:
            raise EventFileError(
                self.path, f"class_names has {unknown[0]!r}; its jets are of the classes {', '.join(known)}"
            )
        return wanted or known

    @cached_property
    def _index(self) -> _Index:
        counts, parts, before, empty = [np.zeros(1, np.int64)], [], 0, 0
        for start, stop in pairwise(self._file.borders.tolist()):
            ptr, columns, without = self._list_jets(start, stop, before)
            empty += without
            counts.append(np.diff(ptr))
            parts.append(columns)
            before += int(ptr[-1])
        joined = (
            [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else [np.zeros(0)] * 4
        )
        types = (np.int64, np.int64, np.int32, np.int16)
        return _Index(
            np.cumsum(np.concatenate(counts)),
            empty,
            *(part.astype(kind) for part, kind in zip(joined, types, strict=True)),
        )

    def _list_jets(
        self, start: int, stop: int, before: int
    ) -> tuple[NDArray[np.int64], tuple[NDArray[np.int64], ...], int]:
        """Jets of some events; event, number, constituents and class of those that are wanted; and how many are empty."""
        ptr, lengths = self._file.read_lengths(start, stop)
        events = event_index(ptr)
        wanted = np.ones(len(events), dtype=bool)
        if self._select is not None and len(events):
            wanted = evaluate(_AllJets(self, events, ptr), self._select, start, stop, len(events))
        truth = np.zeros(len(events), dtype=np.int64)
        if self._truth:
            found = self._file.read_truth(start, stop)
            if len(found) != len(events):
                raise EventFileError(
                    self.path,
                    f"the events {start} to {stop} have {len(events)} jets of {self._file.jets!r} by their constituents, "
                    f"but {len(found)} by what says their class: the file is damaged; copy or make it again",
                )
            truth = self._number_truth(found)
            wanted = wanted & (truth != _NOT_WANTED)
        empty = wanted & (lengths == 0)
        if empty.any() and not self._choice.skip_empty:
            first = int(np.argmax(empty))
            raise EventFileError(
                self.path,
                f"jet {first - int(ptr[events[first]])} of {self._file.jets!r} in event {start + int(events[first])} has "
                f"no constituents ({int(empty.sum())} of the {len(empty)} jets of the events {start} to {stop}); leave "
                "such jets out with on_bad='skip', or by a condition, select='pt > 20'",
            )
        kept = np.flatnonzero(wanted & ~empty)
        return ptr, (start + events[kept], before + kept, lengths[kept], truth[kept]), int(empty.sum())

    def _number_truth(self, found: NDArray[np.int64]) -> NDArray[np.int64]:
        """Classes of the file as those that are wanted."""
        known = self._file.truth_names
        numbers = [
            self._wanted_truth.index(name) if name in self._wanted_truth else _NOT_WANTED for name in known
        ]
        return np.array([*numbers, _NOT_WANTED])[found]

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[int, int, slice]]:
        """Rows `start` to `stop` in pieces of few events: the first event, the one after the last, and the rows."""
        events, borders, row = self._index.event, self._file.borders, start
        while row < stop:
            first = int(events[row])
            border = borders[np.searchsorted(borders, first, side="right")]
            end = min(int(np.searchsorted(events, border)), stop)
            yield first, int(events[end - 1]) + 1, slice(row, end)
            row = end

    def _read_by_jet(self, names: Sequence[str], start: int, stop: int) -> dict[str, NDArray[Any]]:
        parts: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
        for first, last, rows in self._pieces(start, stop):
            index = self._index
            ptr = index.offsets[first : last + 1] - index.offsets[first]
            events, jets = index.event[rows] - first, index.number[rows] - index.offsets[first]
            for name, (by_jet, values) in self.columns_of(names, first, last, ptr).items():
                parts[name].append(values[jets] if by_jet else values[events])
        return {name: np.concatenate(each) if each else np.zeros(0) for name, each in parts.items()}

    def columns_of(
        self, names: Sequence[str], first: int, last: int, ptr: NDArray[np.int64]
    ) -> dict[str, tuple[bool, NDArray[Any]]]:
        """Columns of events `first` to `last`: whether they have an entry a jet (else an event), and the entries."""
        split = {name: _PLACED.fullmatch(name) for name in names}
        base = {name: match[1] if match else name for name, match in split.items()}
        read = self._file.read_columns(list(dict.fromkeys(base.values())), first, last)
        found: dict[str, tuple[bool, NDArray[Any]]] = {}
        for name, match in split.items():
            column = read[base[name]]
            if match:
                found[name] = False, self._take_place(base[name], column, int(match[2]), first)
            elif column.ptr is None:
                found[name] = False, column.values
            elif np.array_equal(column.ptr, ptr):
                found[name] = True, column.values
            else:
                found[name] = False, self._by_event(name, column)
        return found

    def _take_place(self, name: str, column: Column, place: int, first: int) -> NDArray[Any]:
        """One of the entries of a list in each event."""
        if column.ptr is None:
            raise EventFileError(
                self.path, f"column {name!r} has one number an event: leave out the [{place}]"
            )
        short = np.flatnonzero(np.diff(column.ptr) <= place)
        if len(short):
            row = int(short[0])
            raise EventFileError(
                self.path,
                f"event {first + row} has {int(np.diff(column.ptr)[row])} entries in {name!r}, none at [{place}]",
            )
        return column.values[column.ptr[:-1] + place]

    def _by_event(self, name: str, column: Column) -> NDArray[Any]:
        """A column with equally many entries in every event: (n,) of one, (n, k) of several."""
        assert column.ptr is not None
        widths = np.diff(column.ptr)
        if len(widths) and (widths != widths[0]).any():
            raise EventFileError(
                self.path,
                f"column {name!r} has another number of values in each event, neither one a jet of {self._file.jets!r} "
                f"nor one an event: {name}[0] is the first",
            )
        wide = column.values.reshape(len(widths), -1)
        return wide[:, 0] if wide.shape[1] == 1 else wide


class _AllJets:
    """All jets of some events, before any is chosen."""

    def __init__(self, source: JetSource, events: NDArray[np.int64], ptr: NDArray[np.int64]) -> None:
        self.path, self._source, self._events, self._ptr = source.path, source, events, ptr

    @property
    def num_events(self) -> int:
        return len(self._events)

    def resolve(self, name: str, purpose: str) -> str:
        return self._source.resolve(name, purpose)

    def event_values(self, names: Sequence[str], start: int, stop: int) -> dict[str, NDArray[Any]]:
        found = self._source.columns_of(names, start, stop, self._ptr)
        return {name: values if by_jet else values[self._events] for name, (by_jet, values) in found.items()}

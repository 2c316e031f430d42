"""What is a file of events, and what may be wrong with it?"""

from __future__ import annotations

import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lorentzoo.core.cloud import Units
from lorentzoo.core.errors import LorentzooError, MissingExtraError
from lorentzoo.core.name_lists import list_names
from lorentzoo.core.units import doubt_units
from lorentzoo.data.ragged import event_index, gather, hardest
from lorentzoo.data.readers.columns import ColumnNames, EventColumns

__all__ = [
    "BLOCK_SIZE",
    "EventFileError",
    "Events",
    "Source",
    "check_classes",
    "check_size",
    "check_units",
    "find_bad",
    "need",
    "require_columns",
]

BLOCK_SIZE = 4096
"""Events that are read at once, where the format does not say how many."""
_LIGHT_CONE_TOLERANCE = 1e-5
"""Part of its energy by which float32 storage may put a massless particle outside the light cone."""
_MOST_EVENTS, _MOST_CLASSES = 1 << 32, 10_000
"""Events of a file and classes that are believed."""
_MOST_PACKED = 10_000
"""Bytes of contents for each byte of a file that are believed: zlib makes at most 1032 of one."""
_SMALLEST_GEV = 1.0
"""Sum of transverse momenta below which no median jet of a hadron collider lies."""


class EventFileError(LorentzooError, ValueError):
    """A file of events cannot be used: missing columns, other units, damaged, or values that are not events."""

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        self.path = Path(path)
        # What uproot and others say of damaged bytes goes over many lines.
        self.reason = " ".join(reason.split())
        super().__init__(f"{self.path}: {self.reason}")


@dataclass(frozen=True, eq=False)
class Events:
    """Particles of consecutive events of a file, without padding.

    Attributes
    ----------
    momenta : ndarray, shape (P, 4), float64
        (E, px, py, pz) in the file's units.
    ptr : ndarray, shape (n + 1,), int64
        Event ``i`` owns the rows ``ptr[i]:ptr[i + 1]``.
    scalars : ndarray, shape (P, S), float32
    """

    momenta: NDArray[np.float64]
    ptr: NDArray[np.int64]
    scalars: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ptr) - 1

    @classmethod
    def from_padded(
        cls,
        momenta: NDArray[np.floating],
        scalars: NDArray[np.floating] | None = None,
        mask: NDArray[np.bool_] | None = None,
    ) -> Events:
        """Events from padded arrays (n, N, 4) and (n, N, S); without a mask (n, N), places of zeros are padding."""
        real = (np.abs(momenta) > 0).any(-1) if mask is None else mask
        # NaN is not zero: it counts as a particle, and is then found to be bad.
        real = real | np.isnan(momenta).any(-1) if mask is None else real
        ptr = np.concatenate([[0], np.cumsum(real.sum(-1))]).astype(np.int64)
        rows = (
            np.zeros((int(ptr[-1]), 0), np.float32) if scalars is None else scalars[real].astype(np.float32)
        )
        return cls(momenta[real].astype(np.float64), ptr, rows)

    @classmethod
    def join(cls, parts: Sequence[Events], num_scalars: int) -> Events:
        """Events of several parts one after another."""
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return cls(np.zeros((0, 4)), np.zeros(1, np.int64), np.zeros((0, num_scalars), np.float32))
        lengths = np.concatenate([np.diff(part.ptr) for part in parts])
        return cls(
            np.concatenate([part.momenta for part in parts]),
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            np.concatenate([part.scalars for part in parts]),
        )

    def choose(self, events: NDArray[np.integer]) -> Events:
        """Some of the events, in the given order."""
        if len(events) == len(self) and (events == np.arange(len(self))).all():
            return self
        rows, ptr = gather(self.ptr, events)
        return Events(self.momenta[rows], ptr, self.scalars[rows])

    def keep_hardest(self, maximum: int | None) -> Events:
        """Particles by falling transverse momentum, at most `maximum` of each event."""
        rows, ptr = hardest(np.hypot(self.momenta[:, 1], self.momenta[:, 2]), self.ptr, maximum)
        if len(rows) == len(self.momenta) and (rows[1:] > rows[:-1]).all():
            return self
        return replace(self, momenta=self.momenta[rows], ptr=ptr, scalars=self.scalars[rows])

    def in_order(self, names: Sequence[str], wanted: Sequence[str]) -> Events:
        """Scalars in another order, by their names."""
        if tuple(names) == tuple(wanted):
            return self
        return replace(self, scalars=self.scalars[:, [list(names).index(name) for name in wanted]])

    def on_light_cone(self) -> Events:
        """Energies that rounding has put below |p| raised to |p|, in float64."""
        energy, momentum = self.momenta[:, 0], _lengths_of(self.momenta[:, 1:])
        with np.errstate(invalid="ignore"):
            rounded = (energy < momentum) & (energy >= (1 - _LIGHT_CONE_TOLERANCE) * momentum)
        if not rounded.any():
            return self
        momenta = self.momenta.copy()
        momenta[rounded, 0] = momentum[rounded]
        return replace(self, momenta=momenta)


class Source(ABC):
    """One file of events, read from anywhere in it; the file is opened when it is first read.

    Parameters
    ----------
    path
        The file.
    columns
        Which columns are target, weight, context and number of the events.

    Attributes
    ----------
    scalar_names, class_names
        Names of the columns of particles and of the classes.
    classes_counted
        Whether the classes are only counted in this file: another one may have more.
    """

    scalar_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    classes_counted: bool = False

    def __init__(self, path: Path, columns: ColumnNames) -> None:
        self.path, self.columns = path, columns

    @property
    @abstractmethod
    def num_events(self) -> int:
        """How many events the file holds."""

    @abstractmethod
    def read(self, start: int, stop: int) -> Events:
        """Particles of events `start` to `stop`.

        Raises
        ------
        EventFileError
            If the file cannot be read.
        """

    def read_lengths(self, start: int, stop: int) -> NDArray[np.int64]:
        """Numbers of particles of events `start` to `stop`, as cheaply as the format allows."""
        return np.diff(self.read(start, stop).ptr)

    @abstractmethod
    def read_classes(self, start: int, stop: int) -> NDArray[np.int64]:
        """Classes of events `start` to `stop`, shape (n,)."""

    @abstractmethod
    def read_values(self, names: Sequence[str], start: int, stop: int) -> Mapping[str, NDArray[np.generic]]:
        """Columns by name, with one number (n,) or several (n, k) an event, of events `start` to `stop`."""

    def read_columns(self, start: int, stop: int) -> EventColumns:
        """Target, weight, context and number of events `start` to `stop`.

        Raises
        ------
        EventFileError
            If there are no such columns, or they do not hold one number, or one row of numbers, an event.
        """
        names, count = self.columns, stop - start
        values = self.read_values(names.all, start, stop) if names.all else {}
        for name, column in values.items():
            single = name in (names.weight, names.event_id)
            if column.ndim not in ((1,) if single else (1, 2)) or len(column) != count:
                raise EventFileError(
                    self.path,
                    f"column {name!r} has shape {(self.num_events, *column.shape[1:])}, not one number an event"
                    + ("" if single else " or one row of numbers"),
                )
            if column.dtype.kind not in "biuf":
                raise EventFileError(self.path, f"column {name!r} holds {column.dtype}, not numbers")
        classes = None if names.target else self.read_classes(start, stop)
        return EventColumns.collect(names, values, count, classes)

    @property
    def borders(self) -> NDArray[np.int64]:
        """Rows between which the file is best read at once, from 0 to the number of events: its row groups.

        Anywhere is as good in most formats.
        """
        return np.append(np.arange(0, self.num_events, BLOCK_SIZE), self.num_events)

    def row_numbers(self, start: int, stop: int) -> NDArray[np.int64]:
        """What numbers events `start` to `stop` in this file, (n,): events of one number are in one split."""
        return np.arange(start, stop)

    @property
    def why_empty(self) -> str:
        """What to say of a file without events."""
        return "it holds no events"

    @property
    def left_out(self) -> int:
        """How many events the file holds that cannot be used and are not counted: jets without constituents."""
        return 0

    @abstractmethod
    def close(self) -> None:
        """Close the file, for instance because others are to be opened; the next reading opens it again."""

    def settings(self) -> Mapping[str, Any]:
        """How the file is read, as plain data: what a fingerprint needs beside the file's contents."""
        return {}


def need(module: str, purpose: str) -> Any:
    """An optional package.

    Raises
    ------
    MissingExtraError
        Naming the extra that has it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as cause:
        raise MissingExtraError(
            f"reading {purpose} needs {(cause.name or module)!r}, which is not installed: "
            'pip install "lorentzoo[readers]"'
        ) from cause


def require_columns(path: Path, found: Iterable[str], needed: Sequence[str], purpose: str) -> None:
    """Refuse a file that lacks columns.

    Raises
    ------
    EventFileError
        Naming those that are missing, what they are for, and what there is.
    """
    present = list(found)
    missing = [name for name in needed if name not in present]
    if missing:
        raise EventFileError(
            path,
            f"{', '.join(map(repr, missing))} missing, needed for {purpose}; "
            f"the file has {', '.join(list_names(present, missing)) or 'nothing'}",
        )


def check_size(path: Path, rows: int, row_bytes: int) -> int:
    """The number of rows that a file declares, if the file can hold them.

    Raises
    ------
    EventFileError
        If it declares more than can be packed into its size, or more events than can be numbered.
    """
    size = path.stat().st_size
    if rows > _MOST_EVENTS or rows * row_bytes > _MOST_PACKED * max(size, 1):
        raise EventFileError(
            path,
            f"it declares {rows} rows of {row_bytes} bytes but has {size} bytes: damaged, or rows that were never "
            "written; copy or download it again",
        )
    return rows


def check_classes(
    path: Path, start: int, labels: NDArray[np.generic], names: Sequence[str], what: str
) -> NDArray[np.int64]:
    """Labels of events as classes, (n,).

    Raises
    ------
    EventFileError
        Naming the first row with a label that is not the number of a class, and what else can be done with it.
    """
    if labels.dtype.kind not in "biuf":
        raise EventFileError(path, f"{what} holds {labels.dtype}, not numbers of classes")
    most = len(names) or _MOST_CLASSES
    values = labels.astype(np.float64)
    with np.errstate(invalid="ignore"):
        wrong = ~((values >= 0) & (values < most) & (values == np.floor(values)))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise EventFileError(
            path,
            f"row {start + row} of {what} is {labels[row].item()}, not the number of a class, 0 to {most - 1}; "
            f"number the classes from 0, or read it as a value with target={what}",
        )
    return labels.astype(np.int64)


def find_bad(events: Events) -> NDArray[np.int64]:
    """Events with a value that is not finite, an energy that is not positive, or a space-like momentum."""
    energy, momentum = events.momenta[:, 0], _lengths_of(events.momenta[:, 1:])
    with np.errstate(invalid="ignore", over="ignore"):
        good = (energy > 0) & (energy >= (1 - _LIGHT_CONE_TOLERANCE) * momentum) & (energy < np.inf)
        # A sum is finite only where all of it is: rows are looked at one by one only where there is a reason to.
        if not (np.isfinite(events.momenta.sum()) and np.isfinite(events.scalars.sum(dtype=np.float64))):
            good &= np.isfinite(events.momenta).all(-1) & np.isfinite(events.scalars).all(-1)
    return np.unique(event_index(events.ptr)[~good])


def check_units(path: Path, events: Events, units: Units) -> None:
    """Refuse momenta that look like another unit.

    Raises
    ------
    EventFileError
        Saying the median sum of transverse momenta and the unit that it suggests.
    """
    each = np.hypot(events.momenta[:, 1], events.momenta[:, 2])
    activities = np.bincount(event_index(events.ptr), each, len(events))
    doubt = doubt_units(torch.from_numpy(activities), units, smallest=_SMALLEST_GEV)
    if doubt is not None:
        reason, likelier = doubt
        raise EventFileError(path, f"{reason}; pass units={likelier!r}, or check_units=False if it is right")


def _lengths_of(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Euclidean norm of each row."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(np.sqrt(np.einsum("ij,ij->i", vectors, vectors)))

"""How is a data frame of particles read: one row a particle, or one row an event?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorentzoo.core.errors import InputError, ParameterError
from lorentzoo.core.momentum_columns import find_columns, join_momenta

__all__ = ["ParticleTable", "is_table", "read_table"]

_NUMBERED: Final = re.compile(r"(.*?)_?(\d+)")
"""Name and number of a column of the particles of events."""


@dataclass(frozen=True)
class ParticleTable:
    """What a data frame holds.

    Attributes
    ----------
    momenta
        (E, px, py, pz), shape (P, 4), float64.
    ptr
        Event ``i`` owns the rows ``ptr[i]:ptr[i + 1]``, shape (B + 1,).
    scalars
        Shape (P, S), float32.
    event_id
        The event's number, as the table has it, shape (B,); None where there is none.
    """

    momenta: Tensor
    ptr: NDArray[np.int64]
    scalars: NDArray[np.float32]
    event_id: NDArray[Any] | None
    _columns: Mapping[str, NDArray[Any]]
    """Columns of the table with one number an event (B,), or one a row (P,)."""
    _rows: NDArray[np.int64] | None
    """Row of the table of each particle; None where a row is an event."""

    def value(self, name: str, what: str) -> NDArray[Any]:
        """A column with one number, or one text, an event, shape (B,).

        Raises
        ------
        InputError
            If there is no such column, or the rows of an event differ in it.
        """
        if name not in self._columns:
            raise InputError(
                f"the table has no column {name!r}, wanted as {what}; it has {sorted(self._columns)}"
            )
        column = self._columns[name]
        if self._rows is None:
            return column
        column = column[self._rows]
        firsts = column[self.ptr[:-1]]
        same = column == np.repeat(firsts, np.diff(self.ptr))
        if not bool(np.all(same)):
            event = int(np.searchsorted(self.ptr, int(np.argmin(same)), side="right")) - 1
            raise InputError(
                f"column {name!r} is wanted as {what}, one number an event, but differs between the rows of event {event}"
            )
        return firsts

    def event_numbers(self) -> NDArray[np.int64] | None:
        """The event's number (B,), where the table has whole numbers."""
        known = self.event_id is not None and self.event_id.dtype.kind in "iu"
        return self.event_id.astype(np.int64) if known and self.event_id is not None else None

    def values(self, names: Sequence[str], what: str) -> NDArray[np.float64]:
        """Columns with one number an event, shape (B, C)."""
        return np.stack([_numbers(self.value(name, what), name) for name in names], axis=1)


def is_table(data: Any) -> bool:
    """Whether something is a data frame: it has columns by name, each of which gives an array."""
    return hasattr(data, "columns") and hasattr(data, "__getitem__") and not hasattr(data, "batch")


def read_table(
    frame: Any,
    event: str | None = None,
    momentum: Mapping[str, str] | None = None,
    scalars: Sequence[str] = (),
) -> ParticleTable:
    """Momenta, offsets and scalars of a data frame, see `ParticleCloud.from_pandas`.

    Raises
    ------
    InputError
        If columns are missing, do not hold numbers, or nothing says to which event a row belongs.
    """
    if isinstance(scalars, str):
        raise ParameterError(f"scalars must be a list of names, not {scalars!r}")
    columns = {str(name): np.asarray(frame[name]) for name in _names_of(frame)}
    ids = _events_of_rows(frame, columns, event)
    if ids is None:
        return _read_numbered(columns, momentum, scalars)
    return _read_rows(columns, ids, momentum, scalars)


def _names_of(frame: Any) -> list[Any]:
    """Names of the columns of a data frame; of pyarrow's tables, too, whose ``columns`` are arrays."""
    if not is_table(frame):
        raise ParameterError(f"expected a data frame, with columns by name, not {type(frame).__name__}")
    return list(getattr(frame, "column_names", frame.columns))


def _events_of_rows(frame: Any, columns: Mapping[str, NDArray[Any]], event: str | None) -> Any:
    """The event of each row; None where a row is an event."""
    if event is not None:
        if event in columns:
            return columns[event]
        levels = list(getattr(getattr(frame, "index", None), "names", ()))
        if event in levels:
            return np.asarray(frame.index.get_level_values(event))
        raise InputError(f"the table has no column {event!r} for events; it has {sorted(columns)}")
    if getattr(getattr(frame, "index", None), "nlevels", 1) > 1:
        return np.asarray(frame.index.get_level_values(0))
    return None


def _read_rows(
    columns: Mapping[str, NDArray[Any]],
    ids: NDArray[Any],
    momentum: Mapping[str, str] | None,
    scalars: Sequence[str],
) -> ParticleTable:
    """One row a particle."""
    _, first, event = np.unique(ids, return_index=True, return_inverse=True)
    # Events in the order of their first rows, and rows of an event in their own.
    place = np.empty(len(first), dtype=np.int64)
    place[np.argsort(first)] = np.arange(len(first))
    event = place[event.reshape(-1)]
    rows = np.argsort(event, kind="stable")
    ptr = np.concatenate([[0], np.cumsum(np.bincount(event, minlength=len(first)))]).astype(np.int64)
    found = find_columns(columns, momentum, what="the table")
    missing = [name for name in scalars if name not in columns]
    if missing:
        raise InputError(f"the table has no column {missing}; it has {sorted(columns)}")
    momenta = join_momenta(
        {part: torch.from_numpy(_numbers(columns[name], name)[rows]) for part, name in found.items()}
    )
    stacked = [_numbers(columns[name], name)[rows] for name in scalars]
    return ParticleTable(momenta, ptr, _side_by_side(stacked, len(rows)), ids[rows[ptr[:-1]]], columns, rows)


def _read_numbered(
    columns: Mapping[str, NDArray[Any]], momentum: Mapping[str, str] | None, scalars: Sequence[str]
) -> ParticleTable:
    """One row an event, with numbered columns."""
    places: dict[str, dict[int, str]] = {}
    for name in columns:
        match = _NUMBERED.fullmatch(name)
        if match and match[1]:
            places.setdefault(match[1], {})[int(match[2])] = name
    try:
        found = find_columns(places, momentum, what="the table")
    except InputError as error:
        raise InputError(
            f"{error}. With one row a particle, name the column that says of which event it is (event=...); with one row "
            "an event, columns are numbered: pt_0, eta_0, phi_0, mass_0, pt_1, ..."
        ) from None
    missing = [name for name in scalars if name not in places]
    if missing:
        raise InputError(f"the table has no numbered columns {missing}; it has {sorted(places)}")
    numbers = sorted(set().union(*(places[name] for name in found.values())))
    for name in [*found.values(), *scalars]:
        gaps = [number for number in numbers if number not in places[name]]
        if gaps:
            raise InputError(f"the table has no column for {name!r} of particle {gaps[0]}")

    def stack(name: str) -> NDArray[np.float64]:
        own = places[name]
        return np.stack([_numbers(columns[own[number]], own[number]) for number in numbers], axis=1)

    parts = {part: stack(name) for part, name in found.items()}
    empty = np.logical_and.reduce([(values == 0) | np.isnan(values) for values in parts.values()])
    momenta = join_momenta({part: torch.from_numpy(values[~empty]) for part, values in parts.items()})
    ptr = np.concatenate([[0], np.cumsum((~empty).sum(1))]).astype(np.int64)
    stacked = [stack(name)[~empty] for name in scalars]
    return ParticleTable(momenta, ptr, _side_by_side(stacked, int(ptr[-1])), None, columns, None)


def _numbers(column: NDArray[Any], name: str) -> NDArray[np.float64]:
    if column.dtype.kind not in "biuf":
        raise InputError(
            f"column {name!r} of the table holds {column.dtype}, not numbers; drop or fill what is missing"
        )
    return column.astype(np.float64)


def _side_by_side(columns: Sequence[NDArray[np.float64]], rows: int) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what float32 cannot hold is refused with all that is not finite
        return np.stack(columns, axis=1).astype(np.float32) if columns else np.zeros((rows, 0), np.float32)

"""Which columns of a file are target, weight, context and number of its events?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ColumnNames", "EventColumns", "as_names", "join_columns"]


@dataclass(frozen=True)
class ColumnNames:
    """Names of columns with a number, or several numbers, an event.

    Attributes
    ----------
    target
        What is to be predicted; without any, it is the class.
    weight, event_id
        Weight and number of the event; all one, and file and row, without.
    context
        Numbers of the event that networks are given.
    """

    target: tuple[str, ...] = ()
    weight: str | None = None
    context: tuple[str, ...] = ()
    event_id: str | None = None

    @property
    def all(self) -> tuple[str, ...]:
        """Every column that is named, once."""
        single = tuple(name for name in (self.weight, self.event_id) if name is not None)
        return tuple(dict.fromkeys((*self.target, *self.context, *single)))


@dataclass(frozen=True, eq=False)
class EventColumns:
    """Columns of consecutive events.

    Attributes
    ----------
    target : ndarray, shape (n,) or (n, D)
        Classes (n,) as int64, or values: whole numbers as int64, others as float64.
    weight : ndarray, shape (n,), float64
    context : ndarray, shape (n, C), float64
    event_id : ndarray, shape (n,), or None
        As in the file.
    target_names, context_names
        Name of each column; no `target_names` for classes.
    """

    target: NDArray[np.generic]
    weight: NDArray[np.float64]
    context: NDArray[np.float64]
    event_id: NDArray[np.generic] | None = None
    target_names: tuple[str, ...] = ()
    context_names: tuple[str, ...] = ()

    @classmethod
    def collect(
        cls,
        names: ColumnNames,
        values: Mapping[str, NDArray[np.generic]],
        count: int,
        classes: NDArray[np.int64] | None,
    ) -> EventColumns:
        """Columns by name, (n,) or (n, D) each, put in their places.

        Parameters
        ----------
        names
            Which column is what.
        values
            The columns.
        count
            Number of events n.
        classes
            The class of each event, where no column is named as target.
        """
        target, target_names = _side_by_side(names.target, values, count)
        context, context_names = _side_by_side(names.context, values, count)
        weight = np.ones(count) if names.weight is None else values[names.weight].astype(np.float64)
        if classes is not None:
            target, target_names = classes, ()
        elif len(names.target) == 1 and values[names.target[0]].ndim == 1:
            target = target[:, 0]
        return cls(
            target if target.dtype.kind == "i" else target.astype(np.float64),
            weight,
            context.astype(np.float64),
            None if names.event_id is None else values[names.event_id],
            target_names,
            context_names,
        )

    def find_bad(self) -> NDArray[np.int64]:
        """Events whose target, weight or context is not finite."""
        bad = np.zeros(len(self.weight), dtype=bool)
        for column in (self.target, self.weight, self.context):
            bad |= ~np.isfinite(column.reshape(len(bad), -1).astype(np.float64)).all(-1)
        return np.flatnonzero(bad)

    def choose(self, events: NDArray[np.integer]) -> EventColumns:
        """Some of the events, in the given order."""
        return EventColumns(
            self.target[events],
            self.weight[events],
            self.context[events],
            None if self.event_id is None else self.event_id[events],
            self.target_names,
            self.context_names,
        )


def as_names(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """One name, several, or none, as a tuple."""
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else tuple(given)


def join_columns(parts: Sequence[NDArray[np.generic]]) -> NDArray[np.generic]:
    """Parts of one column one after another, in the byte order of this machine."""
    joined = np.concatenate(parts)
    return joined.astype(joined.dtype.newbyteorder("="), copy=False)


def _side_by_side(
    names: Sequence[str], values: Mapping[str, NDArray[np.generic]], count: int
) -> tuple[NDArray[np.generic], tuple[str, ...]]:
    """Columns (n, D), and the name of each; those of an array (n, k) are called after it and numbered."""
    columns, found = [], []
    for name in names:
        values_of = values[name]
        wide = values_of.reshape(count, -1) if values_of.ndim > 1 else values_of[:, None]
        columns.append(wide.astype(np.int64) if wide.dtype.kind in "biu" else wide)
        found += [name] if values_of.ndim == 1 else [f"{name}_{number}" for number in range(wide.shape[1])]
    return (np.concatenate(columns, axis=1) if columns else np.zeros((count, 0))), tuple(found)

"""What may stand in a column of events, and which events does an index mean?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from lorentzoo.core.errors import LorentzooError

__all__ = [
    "EventIndex",
    "EventIndexError",
    "EventValueError",
    "count_classes",
    "event_column",
    "event_indices",
    "id_column",
    "target_column",
    "to_tensor",
    "weight_column",
]

EventIndex: TypeAlias = "int | slice | Sequence[int] | Sequence[bool] | range | NDArray[Any] | Tensor"
"""One event, a slice, a mask (B,) or numbers (b,) of events."""

_MOST_CLASSES = 10_000
"""Classes that are believed."""
_LARGEST_EXACT = 2.0**53
"""Whole numbers beyond it are not all floating-point numbers."""


class EventIndexError(LorentzooError, IndexError):
    """An index that means no event."""


class EventValueError(LorentzooError, ValueError):
    """Values of events that cannot be used: another number of them, not finite, or not numbers."""


def event_indices(indices: EventIndex, count: int) -> Tensor:
    """Numbers of the events that an index means, as numpy does it, shape (b,), int64.

    Parameters
    ----------
    indices
        A whole number (negative ones count from the end), a slice, a mask (B,) of truth values, or numbers (b,) in any
        order; lists, tuples, ranges, numpy arrays and tensors alike. A single number means one event.
    count
        Number of events B.

    Raises
    ------
    EventIndexError
        On numbers beyond the events, masks of another length, fractions, and more than one dimension.
    """
    if isinstance(indices, slice):
        return torch.from_numpy(np.arange(count)[indices].copy())
    given = indices.detach().cpu().numpy() if isinstance(indices, Tensor) else np.asarray(indices)
    if given.ndim == 1 and given.size == 0 and given.dtype.kind != "b":
        return torch.zeros(0, dtype=torch.int64)
    if given.ndim == 1 and given.dtype.kind == "b":
        if len(given) != count:
            raise EventIndexError(f"a mask of {len(given)} truth values cannot choose among {count} events")
        return torch.from_numpy(np.flatnonzero(given))
    if given.ndim > 1 or given.dtype.kind not in "iu":
        raise EventIndexError(
            "events are chosen by whole numbers, a slice, or a mask with one truth value an event, "
            f"not by {given.dtype} of shape {given.shape}"
        )
    beyond = (given < -count) | (given >= count)
    if beyond.any():
        wrong = np.atleast_1d(given)[np.atleast_1d(beyond)][0]
        raise EventIndexError(f"there is no event {wrong}: the data set has {count}, numbered from 0")
    chosen = np.atleast_1d(given).astype(np.int64)
    return torch.from_numpy(np.where(chosen < 0, chosen + count, chosen))


def to_tensor(values: Tensor | ArrayLike, what: str) -> Tensor:
    """Numbers as a tensor; arrays of either byte order and of any strides are taken as they are.

    Raises
    ------
    EventValueError
        On masked values, and on what is not made of real numbers.
    """
    if isinstance(values, Tensor):
        array: Any = values
        real = not values.dtype.is_complex
    else:
        if isinstance(values, np.ma.MaskedArray) and np.ma.getmaskarray(values).any():
            raise EventValueError(
                f"{what} has masked values; leave these events out, or fill them (`.filled(...)`)"
            )
        array = np.asarray(values)
        real = array.dtype.kind in "biuf"
    if not real:
        raise EventValueError(f"{what} must be real numbers, not {array.dtype}")
    if isinstance(array, Tensor):
        return array
    if array.dtype.kind == "u" and array.dtype.itemsize == 8:
        if (array > np.iinfo(np.int64).max).any():
            raise EventValueError(f"{what} has whole numbers beyond 2^63 - 1, which a tensor cannot hold")
        array = array.astype(np.int64)
    elif array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)
    elif array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return torch.as_tensor(np.ascontiguousarray(native) if native.ndim else native)


def event_column(values: Tensor | ArrayLike, count: int, what: str) -> Tensor:
    """A column with one entry an event, as a tensor.

    Raises
    ------
    EventValueError
        If it has another number of entries, or holds what is not a number.
    """
    column = to_tensor(values, what)
    if column.ndim == 0 or len(column) != count:
        given = tuple(column.shape)
        raise EventValueError(f"{what} must have one entry per event ({count}), not shape {given}")
    return column


def target_column(values: Tensor | ArrayLike, count: int) -> Tensor:
    """Targets (B,) or (B, D): whole numbers as int64, others in their floating-point type (at least float32).

    Raises
    ------
    EventValueError
        On another shape, and on values that are not finite; the first such event is named.
    """
    column = event_column(values, count, "target")
    if column.ndim > 2:
        raise EventValueError(f"target must have shape (B,) or (B, D), not {tuple(column.shape)}")
    if not column.is_floating_point():
        return column.to(torch.int64)
    _require_finite(column, "target")
    return column.to(torch.float32) if column.itemsize < 4 else column


def count_classes(
    values: Any, class_names: Sequence[str], target_names: Sequence[str], count: int
) -> tuple[Any, tuple[str, ...]]:
    """Targets as they are, or classes given as text as their numbers; and the names of the classes, empty for values.

    Parameters
    ----------
    values
        Numbers, or names of classes, one an event. None stands for events without a target: all are of one class.
    class_names
        Names of the classes in the order of their numbers; by default those of the text in alphabetical order, and
        ``class_0``, ... up to the largest number.
    target_names
        Names of values: whole numbers are then no classes.
    count
        Number of events B.

    Raises
    ------
    EventValueError
        Naming a text that is not the name of a class.
    """
    if values is None:
        return np.zeros(count, dtype=np.int64), tuple(class_names) or ("events",)
    column = values if isinstance(values, Tensor) else np.asarray(values)
    if not isinstance(column, Tensor) and column.dtype.kind in "OUST" and column.ndim == 1:
        odd = [value for value in column if not isinstance(value, str)]
        if odd:
            raise EventValueError(
                f"target holds {odd[0]!r}; classes are whole numbers or text, values are numbers"
            )
        names = tuple(class_names) or tuple(sorted(set(column.tolist())))
        unknown = sorted(set(column.tolist()) - set(names))
        if unknown:
            raise EventValueError(
                f"target names the class {unknown[0]!r}; class_names are {', '.join(names)}"
            )
        return np.array([names.index(value) for value in column.tolist()], dtype=np.int64), names
    target = target_column(values, count)
    if class_names and target.is_floating_point() and bool((target == target.round()).all()):
        target = target.to(torch.int64)  # tables keep whole numbers as floating-point ones
    if class_names or target_names or target.is_floating_point() or target.ndim != 1 or not count:
        return target, tuple(class_names)
    largest = int(target.max())
    if int(target.min()) < 0 or largest >= _MOST_CLASSES:
        raise EventValueError(
            f"target holds whole numbers from {int(target.min())} to {largest}, which number no classes: map labels such "
            "as -1 and +1 to 0 and 1; where they are values, name them (target_names=...)"
        )
    return target, tuple(f"class_{number}" for number in range(largest + 1))


def weight_column(values: Tensor | ArrayLike | None, count: int) -> Tensor:
    """Event weights (B,) of either sign in float64; all one where none are given.

    Raises
    ------
    EventValueError
        On another shape, and on values that are not finite; the first such event is named.
    """
    if values is None:
        return torch.ones(count, dtype=torch.float64)
    column = _one_dimensional(event_column(values, count, "weight"), "weight").to(torch.float64)
    _require_finite(column, "weight")
    return column


def id_column(values: Tensor | ArrayLike | None, count: int) -> Tensor:
    """Identifiers of events (B,) as int64; their positions where none are given.

    Raises
    ------
    EventValueError
        On another shape, and on numbers that are not whole.
    """
    if values is None:
        return torch.arange(count)
    column = _one_dimensional(event_column(values, count, "event_id"), "event_id")
    if column.is_floating_point():
        whole = (column == column.round()) & (column.abs() <= _LARGEST_EXACT)
        if not bool(whole.all()):
            raise EventValueError(
                f"event_id must be whole numbers, but event {int((~whole).nonzero()[0])} has "
                f"{column[~whole][0].item()}"
            )
    return column.to(torch.int64)


def _one_dimensional(column: Tensor, what: str) -> Tensor:
    if column.ndim != 1:
        raise EventValueError(f"{what} must have shape (B,), not {tuple(column.shape)}")
    return column


def _require_finite(column: Tensor, what: str) -> None:
    bad = (~torch.isfinite(column)).reshape(len(column), -1).any(1)
    if bool(bad.any()):
        event = int(bad.nonzero()[0])
        raise EventValueError(
            f"{what} of event {event} is {column[event].tolist()}, which is not finite "
            f"({int(bad.sum())} of {len(column)} events); leave such events out"
        )

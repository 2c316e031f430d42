"""Which columns of a file are momenta, numbers of particles and classes of its events? (ROOT, Parquet and HDF5)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lorentzoo.core.errors import InputError
from lorentzoo.core.intake import MOMENTUM_ORDER
from lorentzoo.core.momentum_columns import find_columns, join_momenta, read_order
from lorentzoo.data.readers.column_files import Column, ColumnFile
from lorentzoo.data.readers.columns import ColumnNames
from lorentzoo.data.readers.labels import LabelRule, Labels
from lorentzoo.data.readers.source import EventFileError, Events, Source, require_columns

__all__ = ["ColumnMap", "MappedColumns"]


@dataclass(frozen=True)
class ColumnMap:
    """Which columns are what.

    Attributes
    ----------
    momentum
        Column of each component of the momenta; by default they are found by their names.
    momenta, order
        One column whose rows are (N, 4), instead, and the order of its components.
    scalars
        Column of each scalar by its name.
    mask
        Column that is not zero where there is a particle; without one, places of zeros are padding.
    labels
        How the class is said.
    """

    momentum: Mapping[str, str] | None = None
    momenta: str | None = None
    order: str | Sequence[str] = MOMENTUM_ORDER
    scalars: Mapping[str, str] = field(default_factory=dict)
    mask: str | None = None
    labels: LabelRule = field(default_factory=LabelRule)


class MappedColumns(Source):
    """Columns of a file as a map says.

    Parameters
    ----------
    file
        The file.
    columns
        As for `Source`; any column with one number an event, or a fixed number of them, can be named.
    chosen
        Which columns are momenta, scalars and classes.
    """

    def __init__(self, file: ColumnFile, columns: ColumnNames, chosen: ColumnMap) -> None:
        super().__init__(file.path, columns)
        self._file, self._map = file, chosen
        self.scalar_names = tuple(chosen.scalars)
        self._check_names()
        self._labels: Labels | None = None
        if not columns.target:
            self._labels = Labels(self, chosen.labels)
            self.class_names, self.classes_counted = self._labels.names, self._labels.counted

    @cached_property
    def num_events(self) -> int:
        """Rows of the file."""
        return self._file.num_rows

    @cached_property
    def borders(self) -> NDArray[np.int64]:
        """Where row groups end, if the file has such."""
        own = self._file.borders
        return super().borders if own is None else own

    def close(self) -> None:
        """Close the file until its next use."""
        self._file.close()

    @cached_property
    def _components(self) -> dict[str, str]:
        """The column of each component of the momenta; empty where one column holds all."""
        if self._map.momenta is not None:
            if self._map.momentum is not None:
                raise EventFileError(
                    self.path, "momentum= and momenta= both say what the momenta are: leave one out"
                )
            return {}
        try:
            return find_columns(self._file.names, self._map.momentum, what="the file")
        except InputError as error:
            raise EventFileError(self.path, str(error)) from error

    def read(self, start: int, stop: int) -> Events:
        """Particles of events `start` to `stop`."""
        chosen = self._map
        single = [name for name in (chosen.momenta, chosen.mask) if name is not None]
        wanted = [*self._components.values(), *single, *chosen.scalars.values()]
        found = self._file.read(list(dict.fromkeys(wanted)), start, stop)
        first = wanted[0]
        ptr = found[first].ptr
        for name in wanted:
            own = found[name].ptr
            if own is None or ptr is None:
                alone = first if ptr is None else name
                raise EventFileError(self.path, f"{alone!r} has one number a row, not one for each particle")
            if not np.array_equal(own, ptr):
                row = int(np.argmax(np.diff(own) != np.diff(ptr)))
                raise EventFileError(
                    self.path,
                    f"row {start + row} has {np.diff(ptr)[row]} particles by {first!r}, but {np.diff(own)[row]} by "
                    f"{name!r}",
                )
        assert ptr is not None
        parts = self._read_components(found)
        values = np.stack(list(parts.values()), axis=-1).astype(np.float64)
        if chosen.mask is None:
            # NaN is not zero: it counts as a particle, and is then found to be bad.
            real = (values != 0).any(-1)
        else:
            real = found[chosen.mask].values.astype(np.float64) > 0
        momenta = join_momenta(
            {name: torch.from_numpy(values[real, place]) for place, name in enumerate(parts)}
        ).numpy()
        lengths = (
            np.add.reduceat(np.append(real, False).astype(np.int64), ptr[:-1])
            if len(real)
            else np.diff(ptr) * 0
        )
        lengths = np.where(np.diff(ptr) > 0, lengths, 0)
        scalars = [found[name].values[real].astype(np.float32) for name in chosen.scalars.values()]
        return Events(
            momenta,
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            np.stack(scalars, axis=-1) if scalars else np.zeros((len(momenta), 0), np.float32),
        )

    def read_classes(self, start: int, stop: int) -> NDArray[np.int64]:
        """The class that a column, a condition, or the name of the file says."""
        assert self._labels is not None
        return self._labels.read(start, stop)

    def read_values(self, names: Sequence[str], start: int, stop: int) -> Mapping[str, NDArray[np.generic]]:
        """Columns with one number an event, or the same number of them for every event."""
        found = {}
        for name, column in self._file.read(list(names), start, stop).items():
            if column.ptr is None:
                found[name] = column.values
                continue
            widths = np.diff(column.ptr)
            if len(widths) and (widths != widths[0]).any():
                raise EventFileError(
                    self.path, f"column {name!r} has another number of values in each row, not one an event"
                )
            found[name] = column.values.reshape(len(widths), -1)
        return found

    def settings(self) -> Mapping[str, Any]:
        """Which columns are read."""
        chosen = self._map
        return {
            "momentum": self._components or [chosen.momenta, list(read_order(chosen.order))],
            "scalars": dict(chosen.scalars),
            "mask": chosen.mask,
        }

    # ---- helpers --------------------------------------------------------------------------

    def _check_names(self) -> None:
        chosen = self._map
        for what, names in (
            ("momenta", [name for name in (chosen.momenta, *self._components.values()) if name is not None]),
            ("scalars", list(chosen.scalars.values())),
            ("the mask", [name for name in (chosen.mask,) if name is not None]),
            ("target, weight, context or event_id", list(self.columns.all)),
        ):
            require_columns(self.path, self._file.names, names, what)

    def resolve(self, name: str, purpose: str) -> str:
        """The column that a name in a condition means; a point may stand for a folder."""
        for column in (name, name.replace(".", "/")):
            if column in self._file.names:
                return column
        require_columns(self.path, self._file.names, [name], purpose)
        return name

    def event_values(self, names: Sequence[str], start: int, stop: int) -> dict[str, NDArray[Any]]:
        """Columns with one entry an event (n,)."""
        found = self._file.read(list(dict.fromkeys(names)), start, stop)
        for name, column in found.items():
            if column.ptr is not None:
                raise EventFileError(self.path, f"column {name!r} has lists, not one entry an event")
        return {name: column.values for name, column in found.items()}

    def _read_components(self, found: Mapping[str, Column]) -> dict[str, NDArray[Any]]:
        if self._components:
            columns = {part: found[name].values for part, name in self._components.items()}
        else:
            name, order = str(self._map.momenta), read_order(self._map.order)
            values = found[name].values
            if values.ndim != 2 or values.shape[1] != len(order):
                raise EventFileError(
                    self.path,
                    f"{name!r} has rows of shape {('N', *values.shape[1:])}, not (N, {len(order)}): {', '.join(order)}",
                )
            columns = {part: values[:, place] for place, part in enumerate(order)}
        for part, column in columns.items():
            if column.dtype.kind not in "biuf" or column.ndim != 1:
                raise EventFileError(
                    self.path, f"{self._components.get(part, part)!r} holds no numbers of particles"
                )
        return columns

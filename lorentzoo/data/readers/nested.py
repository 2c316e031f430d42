"""How are jets read from nested columns, jets in events or a jet a row? (Parquet)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from lorentzoo.core.errors import InputError
from lorentzoo.core.momentum_columns import find_columns, join_momenta
from lorentzoo.data.readers.column_files import Column, ParquetColumns
from lorentzoo.data.readers.jets import JetFile
from lorentzoo.data.readers.source import EventFileError, Events, require_columns

__all__ = ["NestedChoice", "NestedJets"]

_LISTS: Final = (1, 2)
"""Lists in which constituents are: of a jet a row, or of the jets of an event a row."""


@dataclass(frozen=True)
class NestedChoice:
    """Which columns are what.

    Attributes
    ----------
    constituents
        Structure of the constituents, ``"jet.constituents"``; by default the one that is deepest in lists.
    momentum
        Column of each component of their momenta; by default they are found by their names in that structure.
    scalars
        Columns of further numbers of the constituents by name.
    """

    constituents: str | None = None
    momentum: Mapping[str, str] | None = None
    scalars: Mapping[str, str] = field(default_factory=dict)


class NestedJets(JetFile):
    """Jets of a Parquet file whose rows are events with lists of jets with lists of constituents, or jets.

    Parameters
    ----------
    path
        The file.
    choice
        Which columns are what.
    """

    def __init__(self, path: Path, choice: NestedChoice) -> None:
        self.path = path
        self._file = ParquetColumns(path)
        self._components = self._find_momentum(choice)
        first = next(iter(self._components.values()))
        self._scalars = {name: self._resolve(column, first) for name, column in choice.scalars.items()}
        self.scalar_names = tuple(self._scalars)
        self._depth = self._file.depths[first]
        for name in (*self._components.values(), *self._scalars.values()):
            if self._file.depths[name] != self._depth or self._depth not in _LISTS:
                raise EventFileError(
                    path,
                    f"column {name!r} has numbers in {self._file.depths[name]} lists one in another; constituents are "
                    f"in 1 (a jet a row) or 2 (jets in events)"
                    + (f", as {first!r} is in {self._depth}" if name != first else ""),
                )
        above = first.split(".")[:-2]
        self.jets = ".".join(above) or ("jets" if self._depth == 2 else "rows")
        self._prefix = "".join(f"{part}." for part in above)

    @property
    def num_entries(self) -> int:
        """Rows of the file."""
        return self._file.num_rows

    @property
    def borders(self) -> NDArray[np.int64]:
        """Where row groups end."""
        own = self._file.borders
        return super().borders if own is None else np.unique(own)

    @property
    def names(self) -> Sequence[str]:
        """Columns of the file."""
        return self._file.names

    @property
    def prefix(self) -> str:
        """The structure in which the constituents are, ``jet.``; empty without one."""
        return self._prefix

    def close(self) -> None:
        """Close the file until its next use."""
        self._file.close()

    def read_columns(self, names: Sequence[str], start: int, stop: int) -> dict[str, Column]:
        """Columns of rows `start` to `stop`."""
        return self._file.read(names, start, stop)

    def read_lengths(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Jets of rows `start` to `stop`, and numbers of their constituents."""
        name = next(iter(self._components.values()))
        ptr, inner = self._jets_of(self._file.read_nested([name], start, stop)[name])
        return ptr, np.diff(inner)

    def read_constituents(self, start: int, stop: int) -> Events:
        """Constituents of all jets of rows `start` to `stop`."""
        names = [*self._components.values(), *self._scalars.values()]
        read = self._file.read_nested(names, start, stop)
        ptr, inner = self._jets_of(read[names[0]])
        for name in names[1:]:
            other, own = self._jets_of(read[name])
            if not (np.array_equal(ptr, other) and np.array_equal(inner, own)):
                raise EventFileError(
                    self.path,
                    f"in the rows {start} to {stop} {names[0]!r} and {name!r} have lists of different lengths",
                )
        momenta = join_momenta(
            {
                part: torch.from_numpy(read[name].values.astype(np.float64))
                for part, name in self._components.items()
            }
        ).numpy()
        scalars = np.zeros((len(momenta), len(self._scalars)), np.float32)
        for place, name in enumerate(self._scalars.values()):
            scalars[:, place] = read[name].values
        return Events(momenta, inner, scalars)

    def settings(self) -> Mapping[str, Any]:
        """Which columns are read."""
        return {**super().settings(), "momentum": dict(self._components), "columns": dict(self._scalars)}

    # ---- helpers --------------------------------------------------------------------------

    def _jets_of(self, column: Column) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where jets of each row begin, and constituents of each jet; a row may be a jet."""
        assert column.ptr is not None
        if column.inner is not None:
            return column.ptr, column.inner
        return np.arange(len(column.ptr)), column.ptr

    def _find_momentum(self, choice: NestedChoice) -> dict[str, str]:
        if choice.momentum is not None:
            try:
                return find_columns(self._file.names, choice.momentum, what="the file")
            except InputError as error:
                raise EventFileError(self.path, str(error)) from error
        groups = self._groups
        if choice.constituents is not None:
            if choice.constituents not in groups:
                raise EventFileError(
                    self.path,
                    f"no momenta in {choice.constituents!r}; there are some in "
                    f"{', '.join(map(repr, groups)) or 'nothing'}: choose "
                    "with constituents=..., or name the columns with momentum={'pt': ...}",
                )
            return groups[choice.constituents]
        depth = {name: self._file.depths[next(iter(columns.values()))] for name, columns in groups.items()}
        deepest = [name for name in groups if depth[name] == max(depth.values())]
        if len(deepest) != 1:
            raise EventFileError(
                self.path,
                f"constituents may be {', '.join(map(repr, deepest))}: choose with constituents=..."
                if deepest
                else f"no columns of momenta in lists; it has {', '.join(self._file.names)}: name them with "
                "momentum={'pt': ..., 'eta': ..., 'phi': ...} (massless without 'mass' or 'E')",
            )
        return groups[deepest[0]]

    @cached_property
    def _groups(self) -> dict[str, dict[str, str]]:
        """Structures (or none, ``""``) whose columns make momenta in lists, and these columns."""
        in_lists = sorted((name for name in self._file.names if self._file.depths[name]), key=_structure)
        found = {}
        for structure, columns in groupby(in_lists, key=_structure):
            own = {name.rpartition(".")[2]: name for name in columns}
            try:
                parts = find_columns(own)
            except InputError:
                continue
            found[structure] = {part: own[name] for part, name in parts.items()}
        return found

    def _resolve(self, name: str, beside: str) -> str:
        """A column by its whole name, or by its name in the structure of the constituents."""
        inside = f"{_structure(beside)}.{name}"
        if inside in self._file.names:
            return inside
        require_columns(self.path, self._file.names, [name], "scalars")
        return name


def _structure(name: str) -> str:
    return name.rpartition(".")[0]

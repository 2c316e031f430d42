"""How are columns of any ROOT, Parquet or HDF5 file read, by name and by rows?"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.readers.handles import PerProcess
from lorentzoo.data.readers.hdf5 import HDF5File
from lorentzoo.data.readers.jetclass import find_tree, list_trees, open_parquet, open_root
from lorentzoo.data.readers.source import EventFileError, check_size, need

__all__ = ["Column", "ColumnFile", "HDF5Columns", "ParquetColumns", "ROOTColumns"]

_LEAST_BYTES: Final = 4
"""Bytes of a row that are believed to be there at least."""


@dataclass(frozen=True, eq=False)
class Column:
    """Rows of a column.

    Attributes
    ----------
    values : ndarray
        One entry a row (n,), or all entries of lists one after another (P,) or (P, k).
    ptr : ndarray, shape (n + 1,), int64
        Row ``i`` has the entries ``ptr[i]:ptr[i + 1]``; None where a row is one entry.
    """

    values: NDArray[Any]
    ptr: NDArray[np.int64] | None


class ColumnFile(ABC):
    """A file whose columns have one row an event."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    @abstractmethod
    def num_rows(self) -> int:
        """How many rows the file has."""

    @cached_property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Names of all columns."""

    @abstractmethod
    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, Column]:
        """Rows `start` to `stop` of some columns.

        Raises
        ------
        EventFileError
            If the file is damaged, or a column has missing values or lists in lists of different lengths.
        """

    @property
    def borders(self) -> NDArray[np.int64] | None:
        """Rows between which the file is best read at once; None where anywhere is as good."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Close the file until its next use."""


class _AwkwardFile(ColumnFile):
    """A file whose columns come as awkward arrays."""

    @abstractmethod
    def _arrays(self, names: Sequence[str], start: int, stop: int) -> Mapping[str, Any]:
        """Rows of some columns; raises whatever the package raises."""

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, Column]:
        """Rows `start` to `stop` of some columns."""
        try:
            arrays = self._arrays(list(names), start, stop)
        except Exception as error:
            raise EventFileError(
                self.path, f"rows {start} to {stop} cannot be read, the file is damaged: {error}"
            ) from error
        return {name: self._flatten(name, arrays[name], start) for name in names}

    def _flatten(self, name: str, array: Any, start: int) -> Column:
        awkward = need("awkward", "columns")
        kind = str(array.type)
        if "?" in kind or "option" in kind:
            flat = array if array.ndim == 1 else awkward.any(awkward.is_none(array, axis=1), axis=1)
            missing = awkward.is_none(array, axis=0)
            if array.ndim > 1:
                missing = missing | awkward.fill_none(flat, False)
            if bool(awkward.any(missing)):
                row = int(np.argmax(awkward.to_numpy(missing)))
                raise EventFileError(
                    self.path,
                    f"row {start + row} has missing values in {name!r}; fill them, or leave these rows out",
                )
        try:
            if array.ndim == 1:
                return Column(np.ma.getdata(awkward.to_numpy(array)), None)
            ptr = np.concatenate([[0], np.cumsum(awkward.to_numpy(awkward.num(array)))]).astype(np.int64)
            return Column(np.ma.getdata(awkward.to_numpy(awkward.flatten(array))), ptr)
        except Exception as error:
            raise EventFileError(
                self.path, f"column {name!r} is {kind}, not a number or a list of numbers in each row"
            ) from error


class ROOTColumns(_AwkwardFile):
    """A tree (TTree or RNTuple) of a ROOT file.

    Parameters
    ----------
    path
        The file.
    tree
        Name of the tree; the only one by default.
    """

    def __init__(self, path: Path, tree: str | None = None) -> None:
        super().__init__(path)
        self._tree_name = tree
        self._file = PerProcess(partial(open_root, path))

    @cached_property
    def _found_name(self) -> str:
        if self._tree_name is not None:
            return self._tree_name
        trees = list_trees(self._file(), self.path)
        if len(trees) != 1:
            raise EventFileError(
                self.path, f"it has the trees {', '.join(trees) or 'none'}: choose one with tree=..."
            )
        return trees[0]

    def _tree(self) -> Any:
        return find_tree(self._file(), self.path, self._found_name)

    @cached_property
    def num_rows(self) -> int:
        """Entries of the tree."""
        return check_size(self.path, int(self._tree().num_entries), _LEAST_BYTES)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Branches of the tree."""
        return tuple(self._tree().keys())

    @property
    def borders(self) -> NDArray[np.int64] | None:
        """Where clusters of an RNTuple end; baskets of a tree end where each branch likes."""
        clusters = getattr(self._tree(), "cluster_summaries", None)
        return (
            None if clusters is None else np.array([0, *np.cumsum([each.num_entries for each in clusters])])
        )

    def close(self) -> None:
        """Close the file until its next use."""
        self._file.close()

    def _arrays(self, names: Sequence[str], start: int, stop: int) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._tree().arrays(
            names, entry_start=start, entry_stop=stop, library="ak", how=dict
        )
        return found


class ParquetColumns(_AwkwardFile):
    """A Parquet file; columns in structures are named with points, ``jet.pt``."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file = PerProcess(partial(open_parquet, path))

    @cached_property
    def num_rows(self) -> int:
        """Rows of the file."""
        return check_size(self.path, int(self._file().metadata.num_rows), 1)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Columns of the file."""
        return tuple(self._file().schema_arrow.names)

    @cached_property
    def _group_ends(self) -> NDArray[np.int64]:
        metadata = self._file().metadata
        sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        return np.cumsum(np.array(sizes, dtype=np.int64))

    @property
    def borders(self) -> NDArray[np.int64] | None:
        """Where row groups end."""
        return np.append(0, self._group_ends)

    def close(self) -> None:
        """Close the file until its next use."""
        self._file.close()

    def _arrays(self, names: Sequence[str], start: int, stop: int) -> Mapping[str, Any]:
        awkward, ends = need("awkward", "Parquet files"), self._group_ends
        first, last = np.searchsorted(ends, [start, max(start, stop - 1)], side="right")
        offset = int(ends[first - 1]) if first else 0
        rows = awkward.from_arrow(
            self._file().read_row_groups(list(range(first, last + 1)), columns=list(names))
        )
        chosen = rows[start - offset : stop - offset]
        return {name: chosen[name] for name in names}


class HDF5Columns(ColumnFile):
    """Data sets of an HDF5 file with one row an event, and fields of its compound ones: ``jets/pt``, ``tracks/pt``.

    Rows of shape (n, N) or (n, N, k) are lists of N entries.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file = HDF5File(path)

    def close(self) -> None:
        """Close the file until its next use."""
        self._file.close()

    @cached_property
    def _places(self) -> dict[str, tuple[str, str | None]]:
        """Data set and field of each column."""
        found: dict[str, tuple[str, str | None]] = {}
        for path in self._file.datasets():
            fields = self._file.dataset(path).dtype.names
            if fields is None:
                found[path] = path, None
            else:
                found |= {f"{path}/{field}": (path, field) for field in fields}
        return found

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Data sets, and fields of compound ones."""
        return tuple(self._places)

    @cached_property
    def num_rows(self) -> int:
        """Rows of the largest number of data sets; others are not columns of events."""
        lengths = [shape[0] for path in self._file.datasets() if (shape := self._file.dataset(path).shape)]
        if not lengths:
            raise EventFileError(self.path, "it holds no data set with rows")
        return max(set(lengths), key=lambda length: (lengths.count(length), -length))

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, Column]:
        """Rows `start` to `stop` of some columns."""
        return {name: self._read(name, start, stop) for name in names}

    def _read(self, name: str, start: int, stop: int) -> Column:
        path, field = self._places[name]
        rows = self._file.dataset(path).shape[:1]
        if rows != (self.num_rows,):
            raise EventFileError(
                self.path,
                f"{name!r} has {rows[0] if rows else 'no'} rows, but there are {self.num_rows} events",
            )
        table = self._file.rows(path, start, stop)
        values = table if field is None else table[field]
        if values.dtype.kind == "S":
            values = np.char.decode(values, "utf-8", "replace")
        elif values.dtype.kind == "O":
            raise EventFileError(
                self.path, f"{name!r} holds lists of different lengths or objects; store it padded, (n, N)"
            )
        if values.ndim == 1:
            return Column(values, None)
        ptr = np.arange(len(values) + 1, dtype=np.int64) * values.shape[1]
        return Column(values.reshape(-1, *values.shape[2:]), ptr)

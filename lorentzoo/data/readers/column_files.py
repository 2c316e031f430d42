"""How are columns of any ROOT, Parquet or HDF5 file read, by name and by rows?"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
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

__all__ = [
    "AwkwardFile",
    "Column",
    "ColumnFile",
    "HDF5Columns",
    "ParquetColumns",
    "ROOTColumns",
    "find_lists",
]

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
    inner : ndarray, shape (L + 1,), int64
        Of lists in lists: entry ``i`` has the values ``inner[i]:inner[i + 1]``; None where an entry is one value.
    """

    values: NDArray[Any]
    ptr: NDArray[np.int64] | None
    inner: NDArray[np.int64] | None = None


def find_lists(path: Path, read: Mapping[str, Column], names: Sequence[str], start: int) -> NDArray[np.int64]:
    """Where the entries of each row begin in columns that belong together, shape (n + 1,).

    Raises
    ------
    EventFileError
        Naming the first row in which they are not equally many, or the column that has no lists.
    """
    first = read[names[0]].ptr
    for name in names:
        own = read[name].ptr
        if own is None or first is None:
            alone = names[0] if first is None else name
            raise EventFileError(path, f"{alone!r} has one number a row, not a list: another format?")
        if not np.array_equal(own, first):
            row = int(np.argmax(np.diff(own) != np.diff(first)))
            raise EventFileError(
                path,
                f"row {start + row} has {np.diff(first)[row]} entries in {names[0]!r}, but {np.diff(own)[row]} in "
                f"{name!r}: the file is damaged; copy or make it again",
            )
    assert first is not None
    return first


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


class AwkwardFile(ColumnFile):
    """A file whose columns come as awkward arrays."""

    @abstractmethod
    def _arrays(self, names: Sequence[str], start: int, stop: int) -> Mapping[str, Any]:
        """Rows of some columns; raises whatever the package raises."""

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, Column]:
        """Rows `start` to `stop` of some columns."""
        return self._read(names, start, stop, nested=False)

    def read_nested(self, names: Sequence[str], start: int, stop: int) -> dict[str, Column]:
        """Rows `start` to `stop` of columns that may hold lists in lists of different lengths.

        Raises
        ------
        EventFileError
            If the file is damaged, or a column has missing values or more than lists in lists.
        """
        return self._read(names, start, stop, nested=True)

    def _read(self, names: Sequence[str], start: int, stop: int, nested: bool) -> dict[str, Column]:
        arrays = self._read_arrays(names, start, stop)
        return {name: self._flatten(name, arrays[name], start, nested) for name in names}

    def _read_arrays(self, names: Sequence[str], start: int, stop: int) -> Mapping[str, Any]:
        try:
            return self._arrays(list(dict.fromkeys(names)), start, stop)
        except Exception as error:
            raise EventFileError(
                self.path,
                f"rows {start} to {stop} of {', '.join(names)} cannot be read, the file is damaged: {error}",
            ) from error

    def _flatten(self, name: str, array: Any, start: int, nested: bool) -> Column:
        awkward = need("awkward", "columns")
        kind = str(array.type)
        if "?" in kind or "option" in kind:
            self._refuse_missing(name, array, start)
        try:
            if array.ndim == 1:
                return Column(np.ma.getdata(awkward.to_numpy(array)), None)
            ptr = _offsets(awkward.num(array))
            if not nested or array.ndim == 2:
                return Column(np.ma.getdata(awkward.to_numpy(awkward.flatten(array))), ptr)
            lists = awkward.flatten(array)
            values = np.ma.getdata(awkward.to_numpy(awkward.flatten(lists)))
            return Column(values, ptr, _offsets(awkward.num(lists)))
        except Exception as error:
            wanted = "lists of lists of numbers" if nested else "a number or a list of numbers in each row"
            more = "; jets in events are read by jets-parquet" if not nested and array.ndim > 2 else ""
            raise EventFileError(self.path, f"column {name!r} is {kind}, not {wanted}{more}") from error

    def _refuse_missing(self, name: str, array: Any, start: int) -> None:
        awkward = need("awkward", "columns")
        missing = awkward.is_none(array, axis=0)
        for axis in range(1, array.ndim):
            inside = awkward.is_none(array, axis=axis)
            for _ in range(axis):
                inside = awkward.any(inside, axis=-1)
            missing = missing | awkward.fill_none(inside, False)
        if bool(awkward.any(missing)):
            row = int(np.argmax(awkward.to_numpy(missing)))
            raise EventFileError(
                self.path,
                f"row {start + row} has missing values in {name!r}; fill them, or leave these rows out",
            )


def _offsets(counts: Any) -> NDArray[np.int64]:
    """Where each list begins, by their lengths."""
    lengths = np.ma.getdata(need("awkward", "columns").to_numpy(counts))
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


class ROOTColumns(AwkwardFile):
    """A tree (TTree or RNTuple) of a ROOT file.

    Parameters
    ----------
    path
        The file.
    tree
        Name of the tree; the only one by default.
    call
        From the name of a branch to what it is called here; as in the file by default.
    """

    def __init__(self, path: Path, tree: str | None = None, call: Callable[[str], str] | None = None) -> None:
        super().__init__(path)
        self._tree_name, self._call = tree, call
        self._found: tuple[Any, Any] | None = None
        self._file = PerProcess(partial(open_root, path))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_found": None}

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
        """The tree of this process's file; reading what it consists of takes a second where it has 2,000 branches."""
        file = self._file()
        if self._found is None or self._found[0] is not file:
            self._found = file, find_tree(file, self.path, self._found_name)
        return self._found[1]

    @cached_property
    def num_rows(self) -> int:
        """Entries of the tree."""
        return check_size(self.path, int(self._ask(lambda tree: tree.num_entries)), _LEAST_BYTES)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Branches of the tree."""
        return tuple(self._branches)

    @cached_property
    def _branches(self) -> dict[str, str]:
        """Branches by what they are called."""
        keys = self._ask(lambda tree: list(tree.keys()))
        if self._call is None:
            return {key: key for key in keys}
        # Of branches that are called alike the first is meant: the one that is not in another.
        return {self._call(key): key for key in reversed(keys)}

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        """What the tree says of itself; an RNTuple reads its lists only then."""
        tree = self._tree()
        try:
            return question(tree)
        except Exception as error:
            raise EventFileError(
                self.path, f"its tree is damaged or truncated ({error}); copy or download it again"
            ) from error

    def read_records(self, name: str, fields: Sequence[str], start: int, stop: int) -> dict[str, Column]:
        """Rows `start` to `stop` of fields of a branch of objects, such as references in lists in lists.

        Raises
        ------
        EventFileError
            If the file is damaged, or the branch holds something else.
        """
        array = self._read_arrays([name], start, stop)[name]
        there = need("awkward", "columns").fields(array)
        if not set(fields) <= set(there):
            raise EventFileError(
                self.path,
                f"branch {name!r} is {array.type}, without {', '.join(fields)}: another version of the format?",
            )
        return {field: self._flatten(f"{name}.{field}", array[field], start, nested=True) for field in fields}

    @property
    def borders(self) -> NDArray[np.int64] | None:
        """Where clusters of an RNTuple end; baskets of a tree end where each branch likes."""
        clusters = self._ask(lambda tree: getattr(tree, "cluster_summaries", None))
        return (
            None if clusters is None else np.array([0, *np.cumsum([each.num_entries for each in clusters])])
        )

    def close(self) -> None:
        """Close the file until its next use."""
        self._file.close()
        self._found = None

    def _arrays(self, names: Sequence[str], start: int, stop: int) -> Mapping[str, Any]:
        tree, keys = self._tree(), {name: self._branches[name] for name in names}
        found = tree.arrays(list(keys.values()), entry_start=start, entry_stop=stop, library="ak", how=dict)
        # Fields in collections of an RNTuple come as records of the collection.
        return {
            name: found[key] if key in found else tree[key].array(entry_start=start, entry_stop=stop)
            for name, key in keys.items()
        }


class ParquetColumns(AwkwardFile):
    """A Parquet file; columns in structures are named with points, also in lists: ``jet.pt``, ``jet.constituents.pt``."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file = PerProcess(partial(open_parquet, path))

    @cached_property
    def num_rows(self) -> int:
        """Rows of the file."""
        return check_size(self.path, int(self._file().metadata.num_rows), 1)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Columns of the file, those in structures too."""
        return tuple(self._leaves)

    @cached_property
    def _leaves(self) -> dict[str, tuple[tuple[str, ...], str]]:
        """Fields that lead to each column, and how Parquet calls it."""
        physical = self._file().metadata.schema
        return {
            ".".join(way): (way, physical.column(place).path) for place, (way, _) in enumerate(self._ways)
        }

    @cached_property
    def depths(self) -> dict[str, int]:
        """In how many lists one in another the numbers of each column are."""
        return {".".join(way): depth for way, depth in self._ways}

    @cached_property
    def _ways(self) -> tuple[tuple[tuple[str, ...], int], ...]:
        schema = self._file().schema_arrow
        return tuple(way for item in schema for way in _list_leaves(item.type, (item.name,), 0))

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
        columns = [self._leaves[name][1] for name in names]
        table = self._file().read_row_groups(list(range(first, last + 1)), columns=columns)
        found = {}
        for name in names:
            (top, *fields), _ = self._leaves[name]
            array = awkward.from_arrow(table[top])[start - offset : stop - offset]
            for field in fields:
                array = array[field]
            found[name] = array
        return found


def _list_leaves(kind: Any, fields: tuple[str, ...], depth: int) -> Iterator[tuple[tuple[str, ...], int]]:
    """Fields that lead to each column of numbers in a type of Arrow, and in how many lists they are."""
    types = need("pyarrow.types", "Parquet files")
    if types.is_struct(kind):
        for field in kind:
            yield from _list_leaves(field.type, (*fields, field.name), depth)
    elif types.is_map(kind):
        yield from _list_leaves(kind.key_type, (*fields, "key"), depth + 1)
        yield from _list_leaves(kind.item_type, (*fields, "value"), depth + 1)
    elif types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        yield from _list_leaves(kind.value_type, fields, depth + 1)
    else:
        yield fields, depth


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

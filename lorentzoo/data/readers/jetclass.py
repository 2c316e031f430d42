"""How are files of JetClass read, and of anything with its columns? (ROOT and Parquet, arXiv:2202.03772)"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.readers.columns import ColumnNames
from lorentzoo.data.readers.handles import PerProcess
from lorentzoo.data.readers.source import EventFileError, Events, Source, check_size, need, require_columns

__all__ = [
    "CLASSES",
    "JetClassParquet",
    "JetClassROOT",
    "Particles",
    "find_tree",
    "list_trees",
    "open_parquet",
    "open_root",
]

Particles = Literal["fourmomenta", "pid", "displacements", "default"]

CLASSES: Final = ("QCD", "Hbb", "Hcc", "Hgg", "H4q", "Hqql", "Tbqq", "Tbl", "Wqq", "Zqq")
"""Classes in the order of arXiv:2508.14898; their columns are ``label_<class>``."""
_MOMENTUM: Final = ("part_energy", "part_px", "part_py", "part_pz")
_PID: Final = {
    "charge": "part_charge",
    "is_charged_hadron": "part_isChargedHadron",
    "is_neutral_hadron": "part_isNeutralHadron",
    "is_photon": "part_isPhoton",
    "is_electron": "part_isElectron",
    "is_muon": "part_isMuon",
}
_DISPLACEMENTS: Final = {
    "tanh_d0": "part_d0val",
    "d0_error": "part_d0err",
    "tanh_dz": "part_dzval",
    "dz_error": "part_dzerr",
}
_FEATURES: Final[dict[str, dict[str, str]]] = {
    "fourmomenta": {},
    "pid": _PID,
    "displacements": _DISPLACEMENTS,
    "default": {**_PID, **_DISPLACEMENTS},
}
_TREES: Final = ("TTree", "ROOT::RNTuple", "ROOT::Experimental::RNTuple")
_MULTIPLICITY: Final = "jet_nparticles"
_LABELS: Final = tuple(f"label_{name}" for name in CLASSES)


class _JetClass(Source):
    """Columns of JetClass.

    Parameters
    ----------
    path, columns
        As for `Source`; any column with one number a jet, or a fixed number of them, can be named.
    features
        Scalars of each particle: none, charge and kind (6), impact parameters (4; tanh of the values, errors cut
        to 0..1), or all ten in the order of arXiv:2508.14898.
    """

    class_names = CLASSES

    def __init__(self, path: Path, columns: ColumnNames, features: Particles = "default") -> None:
        super().__init__(path, columns)
        self._features = _FEATURES[features]
        self.scalar_names = tuple(self._features)

    def read(self, start: int, stop: int) -> Events:
        """Particles of events `start` to `stop`."""
        # Column by column: what a file holds of one is let go before the next is read.
        ptr, energy = self._column(_MOMENTUM[0], start, stop)
        if _MULTIPLICITY in self._names:
            self._check_counter(np.diff(ptr), self._column(_MULTIPLICITY, start, stop)[1], start)
        momenta = np.empty((int(ptr[-1]), len(_MOMENTUM)))
        momenta[:, 0] = energy
        for place, name in enumerate(_MOMENTUM[1:], 1):
            momenta[:, place] = self._jagged(name, ptr, start, stop)
        scalars = np.empty((len(momenta), len(self._features)), np.float32)
        for place, (name, column) in enumerate(self._features.items()):
            scalars[:, place] = _transformed(name, self._jagged(column, ptr, start, stop))
        return Events(momenta, ptr, scalars)

    def read_lengths(self, start: int, stop: int) -> NDArray[np.int64]:
        """Numbers of particles, without reading momenta where ``jet_nparticles`` is there."""
        counted = _MULTIPLICITY if _MULTIPLICITY in self._names else _MOMENTUM[0]
        ptr, values = self._columns([counted], start, stop)[counted]
        return values.astype(np.int64) if counted == _MULTIPLICITY else np.diff(ptr)

    def read_classes(self, start: int, stop: int) -> NDArray[np.int64]:
        """Which of the flags ``label_<class>`` is set."""
        columns = self._columns(_LABELS, start, stop)
        flags = np.stack([columns[name][1] for name in _LABELS], axis=-1).astype(np.float64)
        unclear = np.flatnonzero((flags != 0).sum(-1) != 1)
        if len(unclear):
            raise EventFileError(
                self.path,
                f"row {start + int(unclear[0])} has not exactly one of the labels {', '.join(CLASSES)}",
            )
        return flags.argmax(-1).astype(np.int64)

    def read_values(self, names: Sequence[str], start: int, stop: int) -> Mapping[str, NDArray[np.generic]]:
        """Columns with one number a jet, or the same number of them for every jet."""
        found = {}
        for name, (ptr, values) in self._columns(list(names), start, stop).items():
            widths = np.diff(ptr)
            if len(widths) and (widths != widths[0]).any():
                raise EventFileError(
                    self.path, f"column {name!r} has another number of values in each row, not one an event"
                )
            alone = not len(widths) or (widths[0] == 1 and len(values) == len(widths))
            found[name] = values if alone else values.reshape(len(widths), -1)
        return found

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """Columns of the file; those that are needed are all there."""
        names = self._list_columns()
        labels = () if self.columns.target else _LABELS
        require_columns(self.path, names, [*_MOMENTUM, *labels], "momenta and classes")
        require_columns(self.path, names, self.columns.all, "target, weight, context or event_id")
        wanted = list(self._features.values())
        require_columns(
            self.path,
            names,
            wanted,
            f"the scalars {', '.join(self._features)} (choose others with features=...)",
        )
        return tuple(names)

    def _column(self, name: str, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
        return self._columns([name], start, stop)[name]

    def _jagged(self, name: str, ptr: NDArray[np.int64], start: int, stop: int) -> NDArray[Any]:
        own, values = self._column(name, start, stop)
        if not np.array_equal(own, ptr):
            raise EventFileError(self.path, f"{name!r} does not have as many particles as {_MOMENTUM[0]!r}")
        return values

    def _check_counter(self, found: NDArray[np.int64], said: NDArray[Any], start: int) -> None:
        wrong = np.flatnonzero(found != said)
        if len(wrong):
            row = int(wrong[0])
            raise EventFileError(
                self.path,
                f"row {start + row} has {found[row]} particles, but {_MULTIPLICITY} says {said[row]:g}; leave that "
                "column out of the file, and they are counted anew",
            )

    def settings(self) -> Mapping[str, Any]:
        """Which scalars are read."""
        return {"features": dict(self._features)}

    def _flatten(self, name: str, array: Any, start: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Offsets and values of an awkward column; a column of numbers has one value a row.

        Raises
        ------
        EventFileError
            Naming the first row with a missing value.
        """
        awkward = need("awkward", "columns")
        if array.ndim > 2:
            raise EventFileError(
                self.path, f"column {name!r} has lists in lists, not one list of numbers a row"
            )
        optional = any(mark in str(array.type) for mark in ("?", "option"))
        missing = awkward.to_numpy(awkward.is_none(array, axis=0)) if optional else np.zeros(0, bool)
        if optional and array.ndim == 2:
            inside = awkward.any(awkward.is_none(array, axis=1), axis=1)
            missing = missing | awkward.to_numpy(awkward.fill_none(inside, False))
        if missing.any():
            raise EventFileError(
                self.path,
                f"row {start + int(np.argmax(missing))} has missing values in {name!r} ({int(missing.sum())} of "
                f"{len(missing)} rows read); fill them, or leave these rows out of the file",
            )
        if array.ndim == 1:
            return np.arange(len(array) + 1), np.asarray(awkward.to_numpy(array))
        ptr = np.concatenate([[0], np.cumsum(awkward.to_numpy(awkward.num(array)))]).astype(np.int64)
        return ptr, np.asarray(awkward.to_numpy(awkward.flatten(array)))

    @abstractmethod
    def _list_columns(self) -> list[str]:
        """Names of all columns."""

    @abstractmethod
    def _columns(
        self, names: Sequence[str], start: int, stop: int
    ) -> dict[str, tuple[NDArray[np.int64], NDArray[Any]]]:
        """Rows of columns, each as offsets (n + 1,) and values one after another."""


class JetClassROOT(_JetClass):
    """A ROOT file with a tree (TTree or RNTuple) of the columns of JetClass, read with uproot.

    Parameters
    ----------
    path, columns, features
        As for the Parquet form.
    tree
        Name of the tree.
    """

    def __init__(
        self, path: Path, columns: ColumnNames, features: Particles = "default", tree: str = "tree"
    ) -> None:
        super().__init__(path, columns, features)
        self._tree_name = tree
        self._found: tuple[Any, Any] | None = None
        self._file = PerProcess(partial(open_root, path))

    @cached_property
    def num_events(self) -> int:
        """Entries of the tree."""
        _ = self._names
        return check_size(self.path, int(self._tree().num_entries), len(_MOMENTUM))

    @cached_property
    def borders(self) -> NDArray[np.int64]:
        """Where baskets of all columns end, or clusters of an RNTuple."""
        tree = self._tree()
        if not hasattr(tree, "common_entry_offsets"):
            return np.array([0, *np.cumsum([item.num_entries for item in tree.cluster_summaries])])
        wanted = [*_MOMENTUM, *self._features.values()]
        common = np.array(tree.common_entry_offsets(filter_name=wanted), np.int64)
        # Where baskets end nowhere together, one place is as good as another.
        aligned = len(common) > 2 or len(tree[_MOMENTUM[0]].entry_offsets) <= 2
        return common if aligned else super().borders

    def close(self) -> None:
        """Close the file until its next use."""
        self._file.close()
        self._found = None

    def _list_columns(self) -> list[str]:
        return list(self._tree().keys())

    def _tree(self) -> Any:
        file = self._file()
        if self._found is None or self._found[0] is not file:
            self._found = file, find_tree(file, self.path, self._tree_name)
        return self._found[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_found": None}

    def _columns(
        self, names: Sequence[str], start: int, stop: int
    ) -> dict[str, tuple[NDArray[np.int64], NDArray[Any]]]:
        try:
            arrays = self._tree().arrays(names, entry_start=start, entry_stop=stop, library="ak", how=dict)
        except Exception as error:
            raise EventFileError(
                self.path, f"rows {start} to {stop} cannot be read, the file is damaged: {error}"
            ) from error
        return {name: self._flatten(name, array, start) for name, array in arrays.items()}

    def settings(self) -> Mapping[str, Any]:
        """Which scalars are read, of which tree."""
        return {**super().settings(), "tree": self._tree_name}


class JetClassParquet(_JetClass):
    """A Parquet file with the columns of JetClass, read with pyarrow; checksums of its pages are checked."""

    def __init__(self, path: Path, columns: ColumnNames, features: Particles = "default") -> None:
        super().__init__(path, columns, features)
        self._file = PerProcess(partial(open_parquet, path))

    @cached_property
    def num_events(self) -> int:
        """Rows of the file."""
        _ = self._names
        return check_size(self.path, int(self._file().metadata.num_rows), len(_MOMENTUM))

    @cached_property
    def _group_ends(self) -> NDArray[np.int64]:
        metadata = self._file().metadata
        return np.cumsum([metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)])

    @property
    def borders(self) -> NDArray[np.int64]:
        """Where row groups end."""
        return np.append(0, self._group_ends)

    def close(self) -> None:
        """Close the file until its next use."""
        self._file.close()

    def _list_columns(self) -> list[str]:
        return list(self._file().schema_arrow.names)

    def _columns(
        self, names: Sequence[str], start: int, stop: int
    ) -> dict[str, tuple[NDArray[np.int64], NDArray[Any]]]:
        awkward = need("awkward", "Parquet files")
        first, last = np.searchsorted(self._group_ends, [start, max(start, stop - 1)], side="right")
        offset = int(self._group_ends[first - 1]) if first else 0
        try:
            table = self._file().read_row_groups(list(range(first, last + 1)), columns=list(names))
        except Exception as error:
            raise EventFileError(
                self.path, f"rows {start} to {stop} cannot be read, the file is damaged: {error}"
            ) from error
        rows = awkward.from_arrow(table)[start - offset : stop - offset]
        return {name: self._flatten(name, rows[name], start) for name in names}


def open_root(path: Path) -> Any:
    """A ROOT file, opened.

    Raises
    ------
    EventFileError
        If it is not one, or damaged.
    """
    uproot = need("uproot", "ROOT files")
    try:
        # Blocks are kept by the data set; what uproot would keep beside them, file by file, is unbounded.
        return uproot.open(path, array_cache=None, object_cache=None)
    except Exception as error:  # uproot raises a dozen kinds on damaged bytes
        raise EventFileError(
            path, f"not a ROOT file, or truncated ({error}); copy or download it again"
        ) from error


def list_trees(file: Any, path: Path) -> list[str]:
    """Names of the trees of an opened ROOT file.

    Raises
    ------
    EventFileError
        If its list of trees is damaged.
    """
    try:
        keys = [key for kind in _TREES for key in file.keys(filter_classname=kind)]
        return list(dict.fromkeys(key.split(";")[0] for key in keys))
    except Exception as error:
        raise _damaged_list(path, error) from error


def find_tree(file: Any, path: Path, name: str) -> Any:
    """A tree of an opened ROOT file.

    Raises
    ------
    EventFileError
        If there is none of that name; the message lists those that there are.
    """
    trees = list_trees(file, path)
    if name in trees:
        try:
            return file[name]
        except Exception as error:
            raise _damaged_list(path, error) from error
    raise EventFileError(
        path, f"there is no tree {name!r}; it has {', '.join(trees) or 'none'}: choose one with tree=..."
    )


def _damaged_list(path: Path, error: Exception) -> EventFileError:
    return EventFileError(path, f"its list of trees is damaged ({error}); copy or download it again")


def open_parquet(path: Path) -> Any:
    """A Parquet file, opened; pages are checked where it has their checksums.

    Raises
    ------
    EventFileError
        If it is not one, or damaged.
    """
    parquet = need("pyarrow.parquet", "Parquet files")
    try:
        return parquet.ParquetFile(path, page_checksum_verification=True)
    except Exception as error:
        raise EventFileError(
            path, f"not a Parquet file, or truncated ({error}); copy or download it again"
        ) from error


def _transformed(name: str, values: NDArray[Any]) -> NDArray[Any]:
    if name.startswith("tanh"):
        return np.tanh(values)
    return np.clip(values, 0, 1) if name.endswith("error") else values

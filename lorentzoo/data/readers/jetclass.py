"""How are files of JetClass read, and of anything with its columns? (ROOT and Parquet, arXiv:2202.03772)"""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.readers.source import EventFileError, Events, Source, need, require_columns

__all__ = ["CLASSES", "JetClassParquet", "JetClassROOT", "Particles"]

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
_MULTIPLICITY: Final = "jet_nparticles"


class _JetClass(Source):
    """Columns of JetClass.

    Parameters
    ----------
    path
        The file.
    features
        Scalars of each particle: none, charge and kind (6), impact parameters (4; tanh of the values, errors cut
        to 0..1), or all ten in the order of arXiv:2508.14898.
    """

    class_names = CLASSES

    def __init__(self, path: Path, features: Particles = "default") -> None:
        super().__init__(path)
        self._features = _FEATURES[features]
        self.scalar_names = tuple(self._features)

    def read(self, start: int, stop: int) -> Events:
        """Events `start` to `stop`."""
        labels = [f"label_{name}" for name in CLASSES]
        columns = self._columns([*_MOMENTUM, *self._features.values(), *labels], start, stop)
        ptr, _ = columns[_MOMENTUM[0]]
        momenta = np.stack([self._jagged(columns, name, ptr) for name in _MOMENTUM], axis=-1)
        scalars = [
            _transformed(name, self._jagged(columns, column, ptr)) for name, column in self._features.items()
        ]
        stacked = np.stack(scalars, axis=-1) if scalars else np.zeros((len(momenta), 0))
        return Events(
            momenta.astype(np.float64), ptr, self._labels(columns, start), stacked.astype(np.float32)
        )

    def summary(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Numbers of particles and labels, without reading momenta where ``jet_nparticles`` is there."""
        labels = [f"label_{name}" for name in CLASSES]
        counted = _MULTIPLICITY if _MULTIPLICITY in self._names else _MOMENTUM[0]
        columns = self._columns([counted, *labels], start, stop)
        ptr, values = columns[counted]
        lengths = values.astype(np.int64) if counted == _MULTIPLICITY else np.diff(ptr)
        return lengths, self._labels(columns, start)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """Columns of the file; those that are needed are all there."""
        names = self._list_columns()
        labels = [f"label_{name}" for name in CLASSES]
        require_columns(self.path, names, [*_MOMENTUM, *labels], "momenta and classes")
        wanted = list(self._features.values())
        require_columns(
            self.path,
            names,
            wanted,
            f"the scalars {', '.join(self._features)} (choose others with features=...)",
        )
        return tuple(names)

    def _labels(
        self, columns: dict[str, tuple[NDArray[np.int64], NDArray[Any]]], start: int
    ) -> NDArray[np.int64]:
        flags = np.stack([columns[f"label_{name}"][1] for name in CLASSES], axis=-1).astype(np.float64)
        unclear = np.flatnonzero((flags != 0).sum(-1) != 1)
        if len(unclear):
            raise EventFileError(
                self.path,
                f"row {start + int(unclear[0])} has not exactly one of the labels {', '.join(CLASSES)}",
            )
        return flags.argmax(-1).astype(np.int64)

    def _jagged(
        self, columns: dict[str, tuple[NDArray[np.int64], NDArray[Any]]], name: str, ptr: NDArray[np.int64]
    ) -> NDArray[Any]:
        own, values = columns[name]
        if not np.array_equal(own, ptr):
            raise EventFileError(self.path, f"{name!r} does not have as many particles as {_MOMENTUM[0]!r}")
        return values

    @abstractmethod
    def _list_columns(self) -> list[str]:
        """Names of all columns."""

    @abstractmethod
    def _columns(
        self, names: list[str], start: int, stop: int
    ) -> dict[str, tuple[NDArray[np.int64], NDArray[Any]]]:
        """Rows of columns, each as offsets (n + 1,) and values one after another."""


class JetClassROOT(_JetClass):
    """A ROOT file with a tree of the columns of JetClass, read with uproot.

    Parameters
    ----------
    path, features
        As for the Parquet form.
    tree
        Name of the tree.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".root",)

    def __init__(self, path: Path, features: Particles = "default", tree: str = "tree") -> None:
        super().__init__(path, features)
        self._tree_name = tree
        self._opened: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    @cached_property
    def num_events(self) -> int:
        """Entries of the tree."""
        _ = self._names
        return int(self._tree().num_entries)

    def _list_columns(self) -> list[str]:
        return list(self._tree().keys())

    def _tree(self) -> Any:
        if self._opened is None:
            uproot = need("uproot", "ROOT files")
            try:
                # Blocks are kept by the data set; what uproot would keep beside them, file by file, is unbounded.
                file = uproot.open(self.path, array_cache=None, object_cache=None)
                trees = [key.split(";")[0] for key in file.keys(filter_classname="TTree")]
                if self._tree_name not in trees:
                    raise EventFileError(
                        self.path,
                        f"there is no tree {self._tree_name!r}; it has {', '.join(trees) or 'none'}",
                    )
                self._opened = file[self._tree_name]
            except EventFileError:
                raise
            except Exception as error:  # uproot raises a dozen kinds on damaged bytes
                raise EventFileError(
                    self.path, f"no ROOT file, or truncated ({error}); copy or download it again"
                ) from error
        return self._opened

    def _columns(
        self, names: list[str], start: int, stop: int
    ) -> dict[str, tuple[NDArray[np.int64], NDArray[Any]]]:
        try:
            arrays = self._tree().arrays(names, entry_start=start, entry_stop=stop, library="ak", how=dict)
        except Exception as error:
            raise EventFileError(
                self.path, f"rows {start} to {stop} cannot be read, the file is damaged: {error}"
            ) from error
        return {name: _flat(array) for name, array in arrays.items()}


class JetClassParquet(_JetClass):
    """A Parquet file with the columns of JetClass, read with pyarrow."""

    suffixes: ClassVar[tuple[str, ...]] = (".parquet",)

    @cached_property
    def num_events(self) -> int:
        """Rows of the file."""
        _ = self._names
        return int(self._file().metadata.num_rows)

    @cached_property
    def _group_ends(self) -> NDArray[np.int64]:
        metadata = self._file().metadata
        return np.cumsum([metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)])

    def _list_columns(self) -> list[str]:
        return list(self._file().schema_arrow.names)

    def _file(self) -> Any:
        parquet = need("pyarrow.parquet", "Parquet files")
        try:
            return parquet.ParquetFile(self.path)
        except Exception as error:
            raise EventFileError(
                self.path, f"no Parquet file, or truncated ({error}); copy or download it again"
            ) from error

    def _columns(
        self, names: list[str], start: int, stop: int
    ) -> dict[str, tuple[NDArray[np.int64], NDArray[Any]]]:
        awkward = need("awkward", "Parquet files")
        first, last = np.searchsorted(self._group_ends, [start, stop - 1], side="right")
        offset = int(self._group_ends[first - 1]) if first else 0
        try:
            table = self._file().read_row_groups(list(range(first, last + 1)), columns=names)
        except Exception as error:
            raise EventFileError(
                self.path, f"rows {start} to {stop} cannot be read, the file is damaged: {error}"
            ) from error
        rows = awkward.from_arrow(table)[start - offset : stop - offset]
        return {name: _flat(rows[name]) for name in names}


def _flat(array: Any) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Offsets and values of an awkward column; a column of numbers has one value a row."""
    awkward = need("awkward", "columns")
    if array.ndim == 1:
        return np.arange(len(array) + 1), awkward.to_numpy(array)
    ptr = np.concatenate([[0], np.cumsum(awkward.to_numpy(awkward.num(array)))]).astype(np.int64)
    return ptr, awkward.to_numpy(awkward.flatten(array))


def _transformed(name: str, values: NDArray[Any]) -> NDArray[Any]:
    if name.startswith("tanh"):
        return np.tanh(values)
    return np.clip(values, 0, 1) if name.endswith("error") else values

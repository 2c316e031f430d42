"""How are rows taken out of an HDF5 file, and what does a damaged one say?"""

from __future__ import annotations

import contextlib
import importlib
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from lorentzoo.data.readers.handles import PerProcess
from lorentzoo.data.readers.source import EventFileError, check_size, need

__all__ = ["HDF5File"]

_OF_PLUGIN: Final = {
    307: "bzip2",
    32000: "lzf",
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32013: "zfp",
    32015: "zstd",
    32026: "blosc2",
}
"""Filters that `hdf5plugin` brings, by their registered numbers."""
_PYTABLES: Final = {305: "lzo"}


class HDF5File:
    """An HDF5 file that is opened at its first use, in each process anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = PerProcess(partial(_open, path))
        self._last: tuple[tuple[str, int, int], np.ndarray] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": None}

    def close(self) -> None:
        """Close it until its next use."""
        self._file.close()
        self._last = None

    def datasets(self) -> list[str]:
        """Paths of all data sets in the file."""
        found: list[str] = []
        self._file().visititems(lambda name, item: found.append(name) if hasattr(item, "dtype") else None)
        return found

    def dataset(self, name: str) -> Any:
        """A data set of the file.

        Raises
        ------
        EventFileError
            If its contents lie in another file, or it declares more rows than the file can hold.
        """
        found = self._file()[name]
        if found.external or found.is_virtual or Path(found.file.filename) != Path(self._file().filename):
            raise EventFileError(
                self.path, f"the contents of {name!r} lie in another file; copy them into this one (h5repack)"
            )
        if found.ndim:
            check_size(
                self.path, len(found), int(np.prod(found.shape[1:], dtype=float)) * found.dtype.itemsize
            )
        return found

    def rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows of a data set of the file; the last ones are kept, since several columns are often in one table.

        Raises
        ------
        EventFileError
            If they cannot be read.
        """
        if self._last is None or self._last[0] != (name, start, stop):
            self._last = (name, start, stop), self._read(name, start, stop)
        return self._last[1]

    def _read(self, name: str, start: int, stop: int) -> np.ndarray:
        dataset = self.dataset(name)
        try:
            return np.asarray(dataset[start:stop])
        except (OSError, RuntimeError) as error:
            lacking = self._name_missing_filter(dataset)
            if lacking:
                raise EventFileError(self.path, f"{name!r} is compressed with {lacking}") from error
            raise EventFileError(
                self.path, f"rows {start} to {stop} of {name} cannot be read, the file is damaged: {error}"
            ) from error

    def _name_missing_filter(self, dataset: Any) -> str | None:
        """The compression that this installation of HDF5 lacks, and the package that has it; None if it has all."""
        h5py = need("h5py", "HDF5")
        properties = dataset.id.get_create_plist()
        for place in range(properties.get_nfilters()):
            number, _, _, text = properties.get_filter(place)
            if h5py.h5z.filter_avail(number):
                continue
            name = (
                _OF_PLUGIN.get(number) or _PYTABLES.get(number) or text.decode(errors="replace") or "unknown"
            )
            if number in _OF_PLUGIN:
                remedy = "pip install hdf5plugin"
            elif number in _PYTABLES:
                remedy = "copy the file with the package tables (ptrepack --complib zlib)"
            else:
                remedy = (
                    "find the plugin of this filter, or copy the file with another one (h5repack -f GZIP=5)"
                )
            return f"the filter {name} (number {number}), which this HDF5 lacks: {remedy}"
        return None


def _open(path: Path) -> Any:
    h5py = need("h5py", "HDF5")
    # Where it is installed, it brings the filters that h5py lacks.
    with contextlib.suppress(ImportError):
        importlib.import_module("hdf5plugin")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise EventFileError(
            path, f"not an HDF5 file, or truncated ({error}); copy or download it again"
        ) from error

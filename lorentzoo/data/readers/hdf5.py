"""How are rows taken out of an HDF5 file, and what does a damaged one say?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lorentzoo.data.readers.source import EventFileError, need

__all__ = ["HDF5File"]


class HDF5File:
    """An HDF5 file that is opened at its first use, in each process anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_opened": None}

    def datasets(self) -> list[str]:
        """Paths of all data sets in the file."""
        found: list[str] = []
        self._file().visititems(lambda name, item: found.append(name) if hasattr(item, "dtype") else None)
        return found

    def dataset(self, name: str) -> Any:
        """A data set of the file."""
        return self._file()[name]

    def rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows of a data set of the file.

        Raises
        ------
        EventFileError
            If they cannot be read.
        """
        try:
            return np.asarray(self._file()[name][start:stop])
        except (OSError, RuntimeError) as error:
            raise EventFileError(
                self.path, f"rows {start} to {stop} of {name} cannot be read, the file is damaged: {error}"
            ) from error

    def _file(self) -> Any:
        if self._opened is None:
            h5py = need("h5py", "HDF5")
            try:
                self._opened = h5py.File(self.path, "r")
            except OSError as error:
                raise EventFileError(
                    self.path, f"no HDF5 file, or truncated ({error}); copy or download it again"
                ) from error
        return self._opened

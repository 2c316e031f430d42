"""How is the top-tagging reference data set read? (pandas table in HDF5, arXiv:1902.09914)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.readers.columns import ColumnNames
from lorentzoo.data.readers.hdf5 import HDF5File
from lorentzoo.data.readers.source import EventFileError, Events, Source, check_classes, require_columns

__all__ = ["TopTaggingReference"]

_PLACES = 200
_TABLE = "table/table"
_MOMENTA, _LABELS = "values_block_0", "values_block_1"
_TRUTH: Final = ("truthE", "truthPX", "truthPY", "truthPZ")
_FLAGS: Final = ("ttv", "is_signal_new")


class TopTaggingReference(Source):
    """``train.h5``, ``val.h5`` or ``test.h5``: 200 places of (E, px, py, pz) in GeV, then the true top and the label.

    Columns with a number an event are ``truthE``, ``truthPX``, ``truthPY``, ``truthPZ``, ``ttv`` and ``is_signal_new``.
    """

    class_names = ("qcd", "top")

    def __init__(self, path: Path, columns: ColumnNames) -> None:
        super().__init__(path, columns)
        self._file = HDF5File(path)

    @cached_property
    def num_events(self) -> int:
        """Rows of the table."""
        require_columns(self.path, self._file.datasets(), [_TABLE], "the pandas table of the data set")
        table = self._file.dataset(_TABLE)
        require_columns(self.path, table.dtype.names or (), [_MOMENTA, _LABELS], "momenta and labels")
        widths = [table.dtype[name].shape for name in (_MOMENTA, _LABELS)]
        if widths != [(4 * _PLACES + 4,), (2,)]:
            raise EventFileError(
                self.path,
                f"values_block_0 and values_block_1 have widths {widths}, not {4 * _PLACES + 4} "
                f"({_PLACES} particles and the top) and 2 (ttv, is_signal_new): another data set?",
            )
        require_columns(
            self.path, (*_TRUTH, *_FLAGS), self.columns.all, "target, weight, context or event_id"
        )
        return len(table)

    def close(self) -> None:
        """Close the file until its next use."""
        self._file.close()

    def read(self, start: int, stop: int) -> Events:
        """Particles of events `start` to `stop`; places without energy are padding."""
        rows = self._file.rows(_TABLE, start, stop)
        momenta: NDArray[np.float32] = rows[_MOMENTA][:, : 4 * _PLACES].reshape(-1, _PLACES, 4)
        return Events.from_padded(momenta)

    def read_classes(self, start: int, stop: int) -> NDArray[np.int64]:
        """1 for tops."""
        labels = self._file.rows(_TABLE, start, stop)[_LABELS][:, 1]
        return check_classes(self.path, start, labels, self.class_names, "'is_signal_new'")

    def read_values(self, names: Sequence[str], start: int, stop: int) -> Mapping[str, NDArray[np.generic]]:
        """Numbers of the true top, and flags."""
        rows = self._file.rows(_TABLE, start, stop)
        found = {name: rows[_MOMENTA][:, 4 * _PLACES + place] for place, name in enumerate(_TRUTH)}
        found |= {name: rows[_LABELS][:, place] for place, name in enumerate(_FLAGS)}
        return {name: found[name] for name in names}

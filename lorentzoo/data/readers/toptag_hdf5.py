"""How is the top-tagging reference data set read? (pandas table in HDF5, arXiv:1902.09914)"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.readers.hdf5 import HDF5File
from lorentzoo.data.readers.source import EventFileError, Events, Source, require_columns

__all__ = ["TopTaggingReference"]

_PLACES = 200
_TABLE = "table/table"


class TopTaggingReference(Source):
    """``train.h5``, ``val.h5`` or ``test.h5``: 200 places of (E, px, py, pz) in GeV, then the true top and the label."""

    class_names = ("qcd", "top")
    suffixes: ClassVar[tuple[str, ...]] = (".h5", ".hdf5")

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file = HDF5File(path)

    @cached_property
    def num_events(self) -> int:
        """Rows of the table."""
        require_columns(self.path, self._file.datasets(), [_TABLE], "the pandas table of the data set")
        table = self._file.dataset(_TABLE)
        require_columns(
            self.path, table.dtype.names or (), ["values_block_0", "values_block_1"], "momenta and labels"
        )
        widths = [table.dtype[name].shape for name in ("values_block_0", "values_block_1")]
        if widths != [(4 * _PLACES + 4,), (2,)]:
            raise EventFileError(
                self.path,
                f"values_block_0 and values_block_1 have widths {widths}, not {4 * _PLACES + 4} "
                f"({_PLACES} particles and the top) and 2 (ttv, is_signal_new): another data set?",
            )
        return len(table)

    def read(self, start: int, stop: int) -> Events:
        """Events `start` to `stop`; places without energy are padding."""
        rows = self._file.rows(_TABLE, start, stop)
        momenta: NDArray[np.float32] = rows["values_block_0"][:, : 4 * _PLACES].reshape(-1, _PLACES, 4)
        return Events.from_padded(momenta, rows["values_block_1"][:, 1])

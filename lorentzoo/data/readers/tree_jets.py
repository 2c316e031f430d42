"""What do files with jets in the events of a tree have in common?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from lorentzoo.data.readers.column_files import Column, ROOTColumns
from lorentzoo.data.readers.jets import JetFile

__all__ = ["TreeJets"]


class TreeJets(JetFile):
    """Jets in the events of a tree of a ROOT file, which a subclass opens as `_file`."""

    _file: ROOTColumns

    @property
    def num_entries(self) -> int:
        """Events of the file."""
        return self._file.num_rows

    @property
    def names(self) -> Sequence[str]:
        """Branches of the tree."""
        return self._file.names

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self._file.names)

    def read_columns(self, names: Sequence[str], start: int, stop: int) -> dict[str, Column]:
        """Branches of events `start` to `stop`, as in the file."""
        return self._file.read(names, start, stop)

    def close(self) -> None:
        """Close the file until its next use."""
        self._file.close()

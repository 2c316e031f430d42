"""How do the events of a part of a row group get into memory, and several parts into one window?"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorentzoo.data.readers.blocks import Block, BlockReader, require_same_columns
from lorentzoo.data.readers.columns import EventColumns, join_columns
from lorentzoo.data.readers.source import EventFileError
from lorentzoo.data.streaming.plan import Piece

__all__ = ["Part", "PieceReader", "Rows", "join_parts"]

_PER_PARTICLE: Final = ("momenta", "scalars")
_PER_EVENT: Final = ("lengths", "target", "weight", "context", "event_id")


@dataclass(frozen=True, eq=False)
class Rows:
    """Events one after another: particles (P, ...) and columns (n, ...)."""

    momenta: Tensor
    scalars: Tensor
    lengths: Tensor
    target: Tensor
    weight: Tensor
    context: Tensor
    event_id: Tensor
    target_names: tuple[str, ...] = ()
    context_names: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Part:
    """The events of a piece that can be used, and the place of each among all that the piece has."""

    rows: Rows
    places: Tensor
    planned: int

    def take(self, places: Tensor) -> Part:
        """Only the events at some places."""
        chosen = torch.isin(self.places, places)
        particles = torch.repeat_interleave(chosen, self.rows.lengths)
        kept = {name: getattr(self.rows, name)[particles] for name in _PER_PARTICLE}
        kept |= {name: getattr(self.rows, name)[chosen] for name in _PER_EVENT}
        return Part(replace(self.rows, **kept), self.places[chosen], self.planned)


@dataclass(eq=False)
class PieceReader:
    """Reads pieces of row groups; a bounded number of files is open at a time.

    Parameters
    ----------
    blocks
        All row groups.
    reader
        How they are read.
    choose
        From identifiers of events (n,) to whether they are wanted (n,); all are without.
    files_open
        Files that stay open.
    """

    blocks: Sequence[Block]
    reader: BlockReader
    choose: Callable[[NDArray[np.int64]], NDArray[np.bool_]] | None
    files_open: int
    _open: list[int] = field(default_factory=list)
    _first: tuple[Block, EventColumns] | None = None
    _warned: bool = False

    def read(self, piece: Piece) -> Part:
        """The events of a piece; those of weight zero are not there.

        Raises
        ------
        EventFileError
            Naming the file, if it is damaged, or holds events that cannot be used.
        """
        block = self.blocks[piece.chunk]
        self._keep_open(block)
        columns, bad = self.reader.read_columns(block)
        events = self.reader.read(block)
        bad = np.union1d(bad, self.reader.find_bad(block, events))
        if self._first is None:
            self._first = block, columns.choose(np.arange(0))
        require_same_columns(block, columns, *self._first)
        ids = self.reader.event_ids(block, columns)
        wanted = np.arange(len(block)) if self.choose is None else np.flatnonzero(self.choose(ids))
        wanted = wanted[piece.first : piece.last]
        if len(wanted) != len(piece):
            raise EventFileError(
                block.source.path,
                "it is not the file that it was when it was opened; open the data set again",
            )
        left_out = np.isin(wanted, bad)
        if left_out.any() and not self._warned:
            self._warned = True
            warnings.warn(
                f"{block.source.path}: {int(left_out.sum())} of the events {block.start} to {block.stop} are left out "
                "(values that are not finite, energies that are not positive, or space-like momenta), and so are others "
                "after these",
                stacklevel=2,
            )
        places = np.flatnonzero(~left_out & (columns.weight[wanted] != 0))
        kept = wanted[places]
        chosen, values = self.reader.prepare(events.choose(kept)), columns.choose(kept)
        rows = Rows(
            torch.from_numpy(chosen.momenta),
            torch.from_numpy(chosen.scalars),
            torch.from_numpy(np.diff(chosen.ptr)),
            torch.from_numpy(join_columns([values.target])),
            torch.from_numpy(join_columns([values.weight])),
            torch.from_numpy(join_columns([values.context])),
            torch.from_numpy(ids[kept]),
            values.target_names,
            values.context_names,
        )
        return Part(rows, torch.from_numpy(places), len(piece))

    def close(self) -> None:
        """Close all files that are open."""
        while self._open:
            self._close(self._open.pop())

    def _keep_open(self, block: Block) -> None:
        """Close the file that was used longest ago, where too many are open."""
        if block.file in self._open:
            self._open.remove(block.file)
        self._open.append(block.file)
        if len(self._open) > self.files_open:
            self._close(self._open.pop(0))

    def _close(self, file: int) -> None:
        next(item for item in self.blocks if item.file == file).source.close()


def join_parts(waiting: list[Part]) -> tuple[Rows, Tensor]:
    """All events of some parts, and for each planned event its place among them, -1 for those that were left out.

    The list is emptied: parts are let go one by one as they are copied, so that no more than one is in memory twice.
    """
    places = torch.full((sum(part.planned for part in waiting),), -1)
    planned = there = 0
    for part in waiting:
        places[planned + part.places] = there + torch.arange(len(part.places))
        planned, there = planned + part.planned, there + len(part.places)
    first = waiting[0].rows
    joined: dict[str, Tensor] = {}
    for names in (_PER_PARTICLE, _PER_EVENT):
        total = sum(len(getattr(part.rows, names[0])) for part in waiting)
        joined |= {
            name: torch.empty((total, *getattr(first, name).shape[1:]), dtype=getattr(first, name).dtype)
            for name in names
        }
    target_names, context_names = first.target_names, first.context_names
    at = dict.fromkeys(joined, 0)
    del first
    waiting.reverse()
    while waiting:
        rows = waiting.pop().rows
        for name, out in joined.items():
            column = getattr(rows, name)
            out[at[name] : at[name] + len(column)] = column
            at[name] += len(column)
    return Rows(**joined, target_names=target_names, context_names=context_names), places

"""How do files of any size become batches, in bounded memory?

One pass over the files takes the number of particles and the columns of every event. Particles are then read in blocks
of consecutive events; a few blocks are kept, and the order of training goes through the files block by block.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorentzoo.core.cloud import Batch
from lorentzoo.data.batching import BLOCKS_TOGETHER
from lorentzoo.data.columns import target_column, weight_column
from lorentzoo.data.dataset import JetDataset
from lorentzoo.data.events import EventData, Split, name_targets
from lorentzoo.data.readers.blocks import (
    Block,
    BlockReader,
    common_classes,
    common_scalars,
    require_same_columns,
)
from lorentzoo.data.readers.columns import EventColumns, as_names, join_columns
from lorentzoo.data.readers.options import EventFiles
from lorentzoo.data.readers.source import BLOCK_SIZE, EventFileError, Events, Source
from lorentzoo.data.sample import SPLITS
from lorentzoo.output.files import checksum
from lorentzoo.output.progress import ProgressLine

__all__ = ["Choose", "FileDataset"]

_MOST_OPEN = 2 * BLOCKS_TOGETHER
"""Files that stay open: what a reader knows of an open file may be megabytes, and a process has few handles."""

Choose: TypeAlias = Callable[[NDArray[np.int64]], NDArray[np.bool_]]


class FileDataset(EventData):
    """Events in files, read in blocks.

    Parameters
    ----------
    files
        The files and how they are read, all with the same columns and classes. Named for validation or test, files are
        the splits; else events are split 60:15:25 by a hash of their identifiers, within every class.
    block_size
        Events that are read at once.
    progress
        Whether to show how far the pass over the files is.
    only
        Only the events of one split: files that are named for it, or what `choose` says.
    choose
        From identifiers of events (n,) to whether they are wanted (n,); all are without.

    Raises
    ------
    EventFileError
        Naming the file and what is wrong with it.
    """

    _per_event: ClassVar[tuple[str, ...]] = (*EventData._per_event, "_rows")

    def __init__(
        self,
        files: EventFiles,
        *,
        block_size: int = BLOCK_SIZE,
        progress: bool = True,
        only: Split | None = None,
        choose: Choose | None = None,
    ) -> None:
        if files.max_constituents is not None and files.max_constituents < 1:
            raise ValueError(f"max_constituents must be at least 1, not {files.max_constituents}")
        found = files.find()
        if only is not None and files.has_roles:
            found = [(role, path) for role, path in found if role == SPLITS.index(only)]
        sources, blocks = _open_all(files, [path for _, path in found], block_size)
        self.units = files.units
        self.scalar_names = common_scalars(sources)
        self.class_names = () if files.target else common_classes(sources)
        self.num_scalars = len(self.scalar_names)
        if not blocks:
            raise EventFileError(found[0][1], sources[0].why_empty)
        self._blocks = _Blocks(blocks, files, self.scalar_names, choose)
        scanned = self._scan(blocks, progress)
        self.lengths = torch.from_numpy(_join(each.lengths for each in scanned))
        self.block = torch.from_numpy(
            _join(np.full(len(each.rows), number) for number, each in enumerate(scanned))
        )
        self._rows = torch.from_numpy(_join(each.rows for each in scanned))
        self.event_id = torch.from_numpy(_join(each.event_ids for each in scanned))
        self._take_columns(files, blocks, [each.columns for each in scanned])
        if files.has_roles:
            roles = [
                np.full(len(each.rows), found[item.file][0])
                for item, each in zip(blocks, scanned, strict=True)
            ]
            self.splits = torch.from_numpy(_join(roles))
        elif only is not None:
            self.splits = torch.full_like(self.lengths, SPLITS.index(only))
        else:
            self.splits = self.splits_by_hash()
        skipped = sum(each.skipped for each in scanned) + sum(source.left_out for source in sources)
        self.metadata = {"files": [str(source.path) for source in sources], "skipped": skipped}
        if skipped:
            warnings.warn(
                f"{skipped} of {skipped + len(self)} events were left out: values that are not finite, energies that "
                "are not positive, space-like momenta, or jets without constituents",
                stacklevel=3,
            )

    def _scan(self, blocks: Sequence[Block], progress: bool) -> list[_Summary]:
        """What is kept of the events of every block."""
        total = sum(len(item) for item in blocks)
        found = []
        with ProgressLine(
            blocks[0].source.path.parent.name, show=progress, total=total, items="jets"
        ) as line:
            for number, item in enumerate(blocks):
                found.append(self._blocks.summarise(number))
                line.count(len(item))
        return found

    def _take_columns(
        self, files: EventFiles, blocks: Sequence[Block], columns: Sequence[EventColumns]
    ) -> None:
        """Target, weight and context of all events, and their names."""
        count, first = len(self.lengths), columns[0]
        for item, part in zip(blocks, columns, strict=True):
            require_same_columns(item, part, blocks[0], first)
        self.target = target_column(join_columns([part.target for part in columns]), count)
        self.weight = weight_column(join_columns([part.weight for part in columns]), count)
        self.context = torch.from_numpy(join_columns([part.context for part in columns]).astype(np.float64))
        self.context_names, self.num_context = first.context_names, len(first.context_names)
        self.target_names, self.target_units = name_targets(
            self.target, first.target_names, as_names(files.target_units)
        )

    def gather(self, chosen: Tensor) -> Batch:
        """Events `chosen` (shape (b,)), in that order, as a packed batch; reads the blocks that hold them."""
        return self.subset(chosen).load().gather(torch.arange(len(chosen)))

    def load(self) -> JetDataset:
        """All events in memory, in the same order."""
        assert self.block is not None
        present, which = self.block.unique(return_inverse=True)
        parts = [
            self._blocks.events(int(number)).choose(self._rows[which == place].numpy())
            for place, number in enumerate(present)
        ]
        # Events stand block by block now; put them back in their order.
        standing = torch.argsort(which, stable=True)
        joined = Events.join(parts, self.num_scalars).choose(torch.argsort(standing).numpy())
        return JetDataset(
            joined.momenta,
            joined.ptr,
            self.target,
            self.weight,
            self.event_id,
            scalars=joined.scalars,
            context=self.context,
            units=self.units,
            scalar_names=self.scalar_names,
            context_names=self.context_names,
            class_names=self.class_names,
            target_names=self.target_names,
            target_units=self.target_units,
            splits=self.splits,
            metadata=self.metadata,
            validate=False,
        )

    def _identify_particles(self, digest: hashlib._Hash) -> None:
        # Momenta are not parsed for a hash: the bytes of the files that hold these events stand for them, and how they
        # are read. That is as safe, and as fast as the disk.
        assert self.block is not None
        places = self._blocks.locate(self.block.numpy(), self._rows.numpy())
        contents = [(_hash_file(source.path), dict(source.settings())) for source in places.sources]
        digest.update(json.dumps([contents, self._blocks.settings()], sort_keys=True, default=str).encode())
        digest.update(places.file.tobytes() + places.row.tobytes())


@dataclass(frozen=True, eq=False)
class _Summary:
    """What one pass over the files takes of a block: its good events that are wanted, and how many were not good."""

    lengths: NDArray[np.int64]
    columns: EventColumns
    event_ids: NDArray[np.int64]
    rows: NDArray[np.int64]
    skipped: int


@dataclass(frozen=True, eq=False)
class _Places:
    """Files that hold some events, and file and row of each."""

    sources: list[Source]
    file: NDArray[np.int64]
    row: NDArray[np.int64]


class _Blocks:
    """Reads blocks and keeps those of two groups of the training order."""

    def __init__(
        self, blocks: Sequence[Block], files: EventFiles, scalar_names: tuple[str, ...], choose: Choose | None
    ) -> None:
        self._blocks, self._reader, self._choose = blocks, BlockReader(files, scalar_names), choose
        self._most = files.max_constituents
        self._kept: OrderedDict[int, Events] = OrderedDict()
        self._open: OrderedDict[int, Source] = OrderedDict()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_kept": OrderedDict(), "_open": OrderedDict()}

    def settings(self) -> dict[str, object]:
        """How particles are read, beside what a source says of itself."""
        return self._reader.settings()

    def summarise(self, number: int) -> _Summary:
        """Numbers of particles, columns, numbers and rows in the block of the events of a block that are kept."""
        block, reader = self._blocks[number], self._reader
        self._keep_few_open(block)
        columns, bad = reader.read_columns(block)
        if reader.skips_bad:
            events = reader.read(block)
            bad = np.union1d(bad, reader.find_bad(block, events))
            lengths = np.diff(events.ptr)
        else:
            lengths = block.source.read_lengths(block.start, block.stop)
        ids = reader.event_ids(block, columns)
        wanted = np.arange(len(block)) if self._choose is None else np.flatnonzero(self._choose(ids))
        kept = np.setdiff1d(wanted, bad)
        if self._most is not None:
            lengths = np.minimum(lengths, self._most)
        return _Summary(lengths[kept], columns.choose(kept), ids[kept], kept, len(wanted) - len(kept))

    def events(self, number: int) -> Events:
        """All events of a block, as they are used."""
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        block = self._blocks[number]
        self._keep_few_open(block)
        events = self._reader.read(block)
        self._reader.find_bad(block, events)
        self._kept[number] = events = self._reader.prepare(events)
        while len(self._kept) > 2 * BLOCKS_TOGETHER:
            self._kept.popitem(last=False)
        return events

    def _keep_few_open(self, block: Block) -> None:
        """Close the files that were used longest ago, where too many would be open with that of a block."""
        self._open[block.file] = block.source
        self._open.move_to_end(block.file)
        while len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)[1].close()

    def locate(self, block: NDArray[np.int64], rows: NDArray[np.int64]) -> _Places:
        """In which files events are, by their block and their row in it."""
        starts = np.array([item.start for item in self._blocks])
        files = np.array([item.file for item in self._blocks])[block]
        present, place = np.unique(files, return_inverse=True)
        by_file = {item.file: item.source for item in self._blocks}
        return _Places([by_file[int(file)] for file in present], place.astype(np.int64), starts[block] + rows)


def _open_all(files: EventFiles, paths: Sequence[Path], block_size: int) -> tuple[list[Source], list[Block]]:
    """All files and their blocks; the first few stay open."""
    sources, blocks = [], []
    for number, path in enumerate(paths):
        source = files.source(path)
        count = source.num_events
        blocks += [
            Block(number, source, start, min(start + block_size, count))
            for start in range(0, count, block_size)
        ]
        sources.append(source)
        if number >= _MOST_OPEN:
            source.close()
    return sources, blocks


def _hash_file(path: Path) -> str:
    """SHA-256 of a file's contents, computed once a process as long as the file stays as it is."""
    status = os.stat(path)
    return _hash_unchanged(str(path), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@lru_cache(maxsize=4096)
def _hash_unchanged(path: str, *identity: int) -> str:
    return checksum(Path(path))


def _join(parts: Iterable[NDArray[np.integer]]) -> NDArray[np.int64]:
    listed = list(parts)
    return np.concatenate(listed).astype(np.int64) if listed else np.zeros(0, np.int64)

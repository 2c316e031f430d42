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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorentzoo.core.cloud import Batch
from lorentzoo.data.batching import BLOCKS_TOGETHER
from lorentzoo.data.columns import EventValueError, id_column, target_column, weight_column
from lorentzoo.data.dataset import JetDataset
from lorentzoo.data.events import EventData, name_targets
from lorentzoo.data.readers.columns import EventColumns, as_names, join_columns
from lorentzoo.data.readers.options import EventFiles
from lorentzoo.data.readers.source import EventFileError, Events, Source, check_units, find_bad
from lorentzoo.output.files import checksum
from lorentzoo.output.progress import ProgressLine

__all__ = ["BLOCK_SIZE", "FileDataset"]

BLOCK_SIZE = 4096
"""Events that are read at once."""
_ROWS_PER_FILE = 1 << 32


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

    Raises
    ------
    EventFileError
        Naming the file and what is wrong with it.
    """

    _per_event: ClassVar[tuple[str, ...]] = (*EventData._per_event, "_rows")

    def __init__(self, files: EventFiles, *, block_size: int = BLOCK_SIZE, progress: bool = True) -> None:
        if files.max_constituents is not None and files.max_constituents < 1:
            raise ValueError(f"max_constituents must be at least 1, not {files.max_constituents}")
        found = files.find()
        sources = [files.source(path) for _, path in found]
        self.units = files.units
        self.scalar_names = _common_scalars(sources)
        self.class_names = () if files.target else _common_classes(sources)
        self.num_scalars = len(self.scalar_names)
        blocks = [
            _Block(number, source, start, min(start + block_size, source.num_events))
            for number, source in enumerate(sources)
            for start in range(0, source.num_events, block_size)
        ]
        if not blocks:
            raise EventFileError(found[0][1], "it holds no events")
        self._blocks = _Blocks(blocks, files, self.scalar_names)
        lengths, columns, good = self._scan(blocks, progress)
        self.lengths = torch.from_numpy(_join(lengths))
        self.block = torch.from_numpy(_join(np.full(len(rows), number) for number, rows in enumerate(good)))
        self._rows = torch.from_numpy(_join(good))
        self._take_columns(files, blocks, columns, good)
        roles = _join(
            np.full(len(rows), found[item.file][0]) for item, rows in zip(blocks, good, strict=True)
        )
        self.splits = torch.from_numpy(roles) if files.has_roles else self.splits_by_hash()
        skipped = sum(item.stop - item.start for item in blocks) - len(self)
        self.metadata = {"files": [str(source.path) for source in sources], "skipped": skipped}
        if skipped:
            warnings.warn(
                f"{skipped} of {skipped + len(self)} events were left out: values that are not finite, energies that "
                "are not positive, or space-like momenta",
                stacklevel=3,
            )

    def _scan(
        self, blocks: Sequence[_Block], progress: bool
    ) -> tuple[list[NDArray[np.int64]], list[EventColumns], list[NDArray[np.int64]]]:
        """Numbers of particles, columns, and rows in the block, of the good events of every block."""
        lengths, columns, good = [], [], []
        total = sum(item.stop - item.start for item in blocks)
        with ProgressLine(
            blocks[0].source.path.parent.name, show=progress, total=total, items="jets"
        ) as line:
            for number, item in enumerate(blocks):
                counts, values, rows = self._blocks.summarise(number)
                lengths.append(counts)
                columns.append(values)
                good.append(rows)
                line.count(item.stop - item.start)
        return lengths, columns, good

    def _take_columns(
        self,
        files: EventFiles,
        blocks: Sequence[_Block],
        columns: Sequence[EventColumns],
        good: Sequence[NDArray[np.int64]],
    ) -> None:
        """Target, weight, context and identifiers of all events, and their names."""
        count, first = len(self.lengths), columns[0]
        for item, part in zip(blocks, columns, strict=True):
            if (part.target_names, part.context_names) != (first.target_names, first.context_names):
                raise EventFileError(
                    item.source.path,
                    f"its columns {[*part.target_names, *part.context_names]} are not those of "
                    f"{blocks[0].source.path}, {[*first.target_names, *first.context_names]}",
                )
        self.target = target_column(join_columns([part.target for part in columns]), count)
        self.weight = weight_column(join_columns([part.weight for part in columns]), count)
        self.context = torch.from_numpy(join_columns([part.context for part in columns]).astype(np.float64))
        self.context_names, self.num_context = first.context_names, len(first.context_names)
        self.target_names, self.target_units = name_targets(
            self.target, first.target_names, as_names(files.target_units)
        )
        numbers = [part.event_id for part in columns if part.event_id is not None]
        if not numbers:
            numbers = [
                item.file * _ROWS_PER_FILE + item.start + rows
                for item, rows in zip(blocks, good, strict=True)
            ]
        try:
            self.event_id = id_column(join_columns(numbers), count)
        except EventValueError as error:
            raise EventFileError(blocks[0].source.path, f"column {files.event_id!r}: {error}") from error

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
        joined = _concatenate(parts, self.num_scalars).choose(torch.argsort(standing).numpy())
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


@dataclass(frozen=True)
class _Block:
    """Consecutive events of one file."""

    file: int
    source: Source
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class _Places:
    """Files that hold some events, and file and row of each."""

    sources: list[Source]
    file: NDArray[np.int64]
    row: NDArray[np.int64]


class _Blocks:
    """Reads blocks and keeps those of two groups of the training order."""

    def __init__(self, blocks: Sequence[_Block], files: EventFiles, scalar_names: tuple[str, ...]) -> None:
        self._blocks, self._files, self._scalar_names = blocks, files, scalar_names
        self._kept: OrderedDict[int, Events] = OrderedDict()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_kept": OrderedDict()}

    def settings(self) -> dict[str, object]:
        """How particles are read, beside what a source says of itself."""
        return {"max_constituents": self._files.max_constituents, "scalars": self._scalar_names}

    def summarise(self, number: int) -> tuple[NDArray[np.int64], EventColumns, NDArray[np.int64]]:
        """Numbers of particles, columns and rows in the block of its good events."""
        block = self._blocks[number]
        columns = block.source.read_columns(block.start, block.stop)
        bad = columns.find_bad()
        if self._files.on_bad == "skip":
            events = self._read(block)
            bad = np.union1d(bad, find_bad(events))
            lengths = np.diff(events.ptr)
        else:
            if len(bad):
                raise EventFileError(
                    block.source.path,
                    f"row {block.start + int(bad[0])} has a target, weight or context that is not finite "
                    f"({len(bad)} of the events {block.start} to {block.stop}); on_bad='skip' leaves such events out",
                )
            lengths = block.source.read_lengths(block.start, block.stop)
        good = np.setdiff1d(np.arange(block.stop - block.start), bad)
        if self._files.max_constituents is not None:
            lengths = np.minimum(lengths, self._files.max_constituents)
        return lengths[good], columns.choose(good), good

    def events(self, number: int) -> Events:
        """All events of a block, as they are used."""
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        block = self._blocks[number]
        events = self._read(block)
        if self._files.on_bad == "error" and len(bad := find_bad(events)):
            raise EventFileError(
                block.source.path,
                f"{len(bad)} of the events {block.start} to {block.stop} hold values that are not finite, energies that "
                f"are not positive or space-like momenta, first row {block.start + int(bad[0])}; pass on_bad='skip' to "
                "leave such events out",
            )
        self._kept[number] = events = events.keep_hardest(self._files.max_constituents).on_light_cone()
        while len(self._kept) > 2 * BLOCKS_TOGETHER:
            self._kept.popitem(last=False)
        return events

    def locate(self, block: NDArray[np.int64], rows: NDArray[np.int64]) -> _Places:
        """In which files events are, by their block and their row in it."""
        starts = np.array([item.start for item in self._blocks])
        files = np.array([item.file for item in self._blocks])[block]
        present, place = np.unique(files, return_inverse=True)
        by_file = {item.file: item.source for item in self._blocks}
        return _Places([by_file[int(file)] for file in present], place.astype(np.int64), starts[block] + rows)

    def _read(self, block: _Block) -> Events:
        events = block.source.read(block.start, block.stop)
        if self._files.check_units:
            check_units(block.source.path, events, self._files.units)
        return events.in_order(block.source.scalar_names, self._scalar_names)


def _common_scalars(sources: Sequence[Source]) -> tuple[str, ...]:
    """Names of the scalars that all files have, in the order of the first one."""
    first = sources[0]
    for source in sources[1:]:
        if sorted(source.scalar_names) != sorted(first.scalar_names):
            raise EventFileError(
                source.path,
                f"its scalars {list(source.scalar_names)} are not those of {first.path}, {list(first.scalar_names)}",
            )
    return first.scalar_names


def _common_classes(sources: Sequence[Source]) -> tuple[str, ...]:
    """Names of the classes of all files; where they are only counted, as many as in the file with most."""
    most = max(sources, key=lambda source: len(source.class_names))
    for source in sources:
        same = most.class_names[: len(source.class_names)] == source.class_names
        if not same or (source.class_names != most.class_names and not source.classes_counted):
            raise EventFileError(
                source.path,
                f"its classes {list(source.class_names)} are not those of {most.path}, {list(most.class_names)}",
            )
    return most.class_names


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


def _concatenate(parts: Sequence[Events], num_scalars: int) -> Events:
    if not parts:
        return Events(np.zeros((0, 4)), np.zeros(1, np.int64), np.zeros((0, num_scalars), np.float32))
    lengths = np.concatenate([np.diff(part.ptr) for part in parts])
    return Events(
        np.concatenate([part.momenta for part in parts]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate([part.scalars for part in parts]),
    )

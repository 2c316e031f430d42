"""How do files of any size become batches, in bounded memory?

One pass over the files takes the number of particles and the label of every event. Particles are then read in blocks
of consecutive events; a few blocks are kept, and the order of training goes through the files block by block.
"""

from __future__ import annotations

import glob
import hashlib
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorentzoo.core.cloud import Batch, Units
from lorentzoo.data.batching import BLOCKS_TOGETHER
from lorentzoo.data.dataset import JetDataset
from lorentzoo.data.events import EventData
from lorentzoo.data.progress import Progress
from lorentzoo.data.readers.source import EventFileError, Events, Source, check_units, find_bad
from lorentzoo.data.splits import stratified_splits

__all__ = ["BLOCK_SIZE", "FileDataset", "OnBad", "find_files"]

OnBad = Literal["error", "skip"]

BLOCK_SIZE = 4096
"""Events that are read at once."""
_ROWS_PER_FILE = 1 << 32


class FileDataset(EventData):
    """Labelled events in files.

    Parameters
    ----------
    sources
        The files, all with the same columns and classes.
    roles
        Split of each file (0 train, 1 validation, 2 test); None splits 60:15:25 in every class by a hash of file and row.
    max_constituents
        Keep at most this many particles of each event, by falling transverse momentum.
    units
        Units of the momenta in the files.
    check
        Whether to refuse momenta that look like another unit.
    on_bad
        What to do with events that hold NaN, infinite or space-like momenta, or energies that are not positive:
        ``"error"`` stops at the first block with one; ``"skip"`` reads everything once beforehand, leaves them out and
        warns how many they were.
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

    def __init__(
        self,
        sources: Sequence[Source],
        roles: Sequence[int] | None = None,
        *,
        max_constituents: int | None = None,
        units: Units = "GeV",
        check: bool = True,
        on_bad: OnBad = "error",
        block_size: int = BLOCK_SIZE,
        progress: bool = True,
    ) -> None:
        first = sources[0]
        for source in sources[1:]:
            if (source.scalar_names, source.class_names) != (first.scalar_names, first.class_names):
                raise EventFileError(source.path, f"its columns or classes are not those of {first.path}")
        if max_constituents is not None and max_constituents < 1:
            raise ValueError(f"max_constituents must be at least 1, not {max_constituents}")
        self.units = units
        self.scalar_names, self.class_names, self.context_names = first.scalar_names, first.class_names, ()
        self.num_scalars, self.num_context = len(first.scalar_names), 0
        blocks = [
            _Block(number, source, start, min(start + block_size, source.num_events))
            for number, source in enumerate(sources)
            for start in range(0, source.num_events, block_size)
        ]
        self._blocks = _Blocks(blocks, max_constituents, units, check, on_bad)
        lengths, labels, rows, block, ids, role = [], [], [], [], [], []
        skipped = 0
        with Progress(first.path.parent.name, sum(b.stop - b.start for b in blocks), enabled=progress) as bar:
            for number, item in enumerate(blocks):
                counts, targets, good = self._blocks.summary(number)
                skipped += item.stop - item.start - len(good)
                lengths.append(counts)
                labels.append(targets)
                rows.append(good)
                block.append(np.full(len(good), number))
                ids.append(item.file * _ROWS_PER_FILE + item.start + good)
                role.append(np.full(len(good), 0 if roles is None else roles[item.file], np.uint8))
                bar.advance(item.stop - item.start)
        self.lengths = torch.from_numpy(_joined(lengths))
        self.target = torch.from_numpy(_joined(labels))
        self.event_id = torch.from_numpy(_joined(ids))
        self.weight = torch.ones(len(self.target), dtype=torch.float64)
        self.block = torch.from_numpy(_joined(block))
        self._rows = torch.from_numpy(_joined(rows))
        codes = (
            stratified_splits(self.target.numpy(), self.event_id.numpy()) if roles is None else _joined(role)
        )
        self.splits = torch.from_numpy(codes.astype(np.int64))
        self._files = [(str(source.path), source.path.stat().st_size) for source in sources]
        self.metadata = {"files": [name for name, _ in self._files], "skipped": skipped}
        if skipped:
            warnings.warn(
                f"{skipped} of {skipped + len(self)} events were left out: values that are not finite, energies that "
                "are not positive, or space-like momenta",
                stacklevel=3,
            )

    def batch(self, indices: Sequence[int] | Tensor) -> Batch:
        """Events `indices` (shape (b,)), in that order, as a packed batch; reads the blocks that hold them."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        return self.subset(chosen).load().batch(torch.arange(len(chosen)))

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
        joined = _concatenated(parts, self.num_scalars).choose(torch.argsort(standing).numpy())
        return JetDataset(
            joined.momenta,
            joined.ptr,
            joined.labels,
            self.weight,
            self.event_id,
            scalars=joined.scalars,
            units=self.units,
            scalar_names=self.scalar_names,
            class_names=self.class_names,
            splits=self.splits,
            metadata=self.metadata,
            validate=False,
        )

    def _update_fingerprint(self, digest: hashlib._Hash) -> None:
        # The particles of a million events are not read for a hash: names and sizes of the files stand for them.
        digest.update(repr([(Path(name).name, size) for name, size in self._files]).encode())


class _Block:
    """Consecutive events of one file."""

    def __init__(self, file: int, source: Source, start: int, stop: int) -> None:
        self.file, self.source, self.start, self.stop = file, source, start, stop


class _Blocks:
    """Reads blocks and keeps those of two groups of the training order."""

    def __init__(
        self, blocks: Sequence[_Block], maximum: int | None, units: Units, check: bool, on_bad: OnBad
    ) -> None:
        self._blocks, self._maximum, self._units = blocks, maximum, units
        self._check, self._on_bad = check, on_bad
        self._kept: OrderedDict[int, Events] = OrderedDict()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_kept": OrderedDict()}

    def summary(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Numbers of particles, labels and rows in the block of its good events."""
        block = self._blocks[number]
        if self._on_bad == "skip":
            events = self._read(block)
            good = np.setdiff1d(np.arange(len(events)), find_bad(events))
            lengths, labels = np.diff(events.ptr)[good], events.labels[good]
        else:
            lengths, labels = block.source.summary(block.start, block.stop)
            good = np.arange(block.stop - block.start)
        if self._maximum is not None:
            lengths = np.minimum(lengths, self._maximum)
        return lengths, labels, good

    def events(self, number: int) -> Events:
        """All events of a block, as they are used."""
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        block = self._blocks[number]
        events = self._read(block)
        if self._on_bad == "error" and len(bad := find_bad(events)):
            raise EventFileError(
                block.source.path,
                f"{len(bad)} of the events {block.start} to {block.stop} hold values that are not finite, energies that "
                f"are not positive or space-like momenta, first row {block.start + int(bad[0])}; pass on_bad='skip' to "
                "leave such events out",
            )
        self._kept[number] = events = events.keep_hardest(self._maximum).on_light_cone()
        while len(self._kept) > 2 * BLOCKS_TOGETHER:
            self._kept.popitem(last=False)
        return events

    def _read(self, block: _Block) -> Events:
        events = block.source.read(block.start, block.stop)
        if self._check:
            check_units(block.source.path, events, self._units)
        return events


def find_files(path: str | Sequence[str], suffixes: Sequence[str]) -> list[Path]:
    """Files of a path, a pattern, a folder (searched through), or a list of these, in alphabetical order each.

    Raises
    ------
    FileNotFoundError
        Naming what has no file.
    """
    found: list[Path] = []
    for item in [path] if isinstance(path, str) else path:
        place = Path(item).expanduser()
        if place.is_file():
            files = [place]
        elif place.is_dir():
            files = sorted(file for file in place.rglob("*") if file.suffix in suffixes)
        else:
            files = sorted(Path(match) for match in glob.glob(str(place), recursive=True))
        if not files:
            raise FileNotFoundError(
                f"{item} is no file, no pattern that matches one, and no folder with {' or '.join(suffixes)} files"
            )
        found += files
    return found


def open_files(
    make: Callable[[Path], Source],
    suffixes: Sequence[str],
    path: str | Sequence[str],
    validation: str | Sequence[str] | None,
    test: str | Sequence[str] | None,
) -> tuple[list[Source], list[int] | None]:
    """Sources of all files and, where some are named for validation or test, the split of each."""
    given = [(0, path), (1, validation), (2, test)]
    files = [
        (role, file) for role, where in given if where is not None for file in find_files(where, suffixes)
    ]
    sources = [make(file) for _, file in files]
    return sources, None if validation is None and test is None else [role for role, _ in files]


def _joined(parts: Iterable[NDArray[np.integer]]) -> NDArray[np.int64]:
    listed = list(parts)
    return np.concatenate(listed).astype(np.int64) if listed else np.zeros(0, np.int64)


def _concatenated(parts: Sequence[Events], num_scalars: int) -> Events:
    if not parts:
        empty = np.zeros(0, np.int64)
        return Events(np.zeros((0, 4)), np.zeros(1, np.int64), empty, np.zeros((0, num_scalars), np.float32))
    lengths = np.concatenate([np.diff(part.ptr) for part in parts])
    return Events(
        np.concatenate([part.momenta for part in parts]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.scalars for part in parts]),
    )

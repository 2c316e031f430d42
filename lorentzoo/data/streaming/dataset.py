"""What is a data set whose events are streamed from files, in bounded memory?"""

from __future__ import annotations

import copy
import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from lorentzoo.data.dataset import JetDataset
from lorentzoo.data.events import EventData, Split
from lorentzoo.data.readers.blocks import Block, BlockReader, common_classes, common_scalars
from lorentzoo.data.readers.columns import as_names
from lorentzoo.data.readers.files import FileDataset
from lorentzoo.data.readers.options import EventFiles
from lorentzoo.data.readers.source import BLOCK_SIZE, EventFileError, Source
from lorentzoo.data.sample import SPLITS
from lorentzoo.data.sharding import Shard
from lorentzoo.data.splits import scattered_splits
from lorentzoo.data.streaming.loader import StreamLoader
from lorentzoo.data.streaming.parts import PieceReader, Rows, join_parts
from lorentzoo.data.streaming.plan import Chunks, Piece, Window, plan_pass
from lorentzoo.data.streams import EventStream
from lorentzoo.output.progress import ProgressLine

__all__ = ["FILES_TOGETHER", "StreamedData"]

FILES_TOGETHER: Final = 64
"""Files that are read, and open, at the same time."""
_AT_HAND: Final = 20_000
"""Events that stand for all."""
_SAMPLED_CHUNKS: Final = 32
"""Row groups from which these are taken, at least."""
_HELD: Final = 0.25
"""Part of the memory that the events at hand may take."""
_USED: Final = 0.6
"""Part of the memory that is planned with; the rest is for what the allocator keeps."""
_READING: Final = 3
"""Row groups in memory beside a window: the one by which it may be larger, and what reading another takes."""
_MIXED: Final = 4
"""Row groups that a window should hold, so that it mixes files."""
_ENDS: Final = 1 << 16
"""Bytes at either end of a file that identify it, with its size and number of events."""


class StreamedData(EventStream):
    """Events of many files of which a window is in memory at a time.

    Parameters
    ----------
    files
        The files, and how they are read. Named for validation or test, files are the splits; else each event is in one
        of them by a hash of its identifier, 60:15:25 on average.
    progress
        Whether to show how far the opening of the files is.

    Raises
    ------
    EventFileError
        Naming the file and what is wrong with it.
    """

    def __init__(self, files: EventFiles, *, progress: bool = True) -> None:
        _require_fitting(files)
        found = files.find()
        self._files = files
        self._code: int | None = None
        self._blocks, self._roles, sources = _open_blocks(files, found, progress)
        self.units = files.units
        self.scalar_names = common_scalars(sources)
        self.class_names = () if files.target else common_classes(sources)
        self.num_scalars = len(self.scalar_names)
        self._reader = BlockReader(files, self.scalar_names)
        self._counts = self._count(progress)
        self.num_events = int(self._counts.sum())
        self.metadata = {"files": [str(source.path) for source in sources], "streamed": True}
        self._at_hand: JetDataset | None = None
        self._most_held = self._count_held()
        few = self.sample(_AT_HAND)
        self.target_names, self.target_units = few.target_names, few.target_units
        self.context_names, self.num_context = few.context_names, few.num_context
        self.window = self._fit_window(few)

    # ---- what a training asks -------------------------------------------------------------------

    @property
    def at_hand(self) -> JetDataset:
        """Events that stand for all: at most 20,000, evenly spread over the files, until the next pass begins."""
        if self._at_hand is None:
            self._at_hand = self.sample(_AT_HAND)
        return self._at_hand

    def loader(
        self, batch_size: int, *, shuffle: bool, seed: int, num_workers: int, shard: Shard | None = None
    ) -> StreamLoader:
        """Batches of one of several processes, by default of this one."""
        of_each = batch_size if shard is None else max(batch_size // shard.size, 1)
        return StreamLoader(self, of_each, shuffle=shuffle, seed=seed, num_workers=num_workers, shard=shard)

    def split(self, name: Split) -> EventData:  # type: ignore[override]
        """The events of one of the fixed splits.

        Training events are a stream; so are those of validation, or at most `validation_jets` of them in memory. Those
        of the test are as without ``stream``: read block by block, columns of events in memory.
        """
        if name not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {name!r}")
        if self._code is not None:
            raise ValueError(f"these are the {SPLITS[self._code]} events already")
        if name == "test":
            return self._test
        part = copy.copy(self)
        part._code, part._at_hand = SPLITS.index(name), None
        part.num_events = int(part._chunks.events.sum())
        if not part.num_events:
            raise ValueError(
                f"there are no {name} events: name files for them ({name}=...)"
                if self._files.has_roles
                else f"there are no {name} events among {len(self)}"
            )
        limit = self._files.validation_jets
        return part if name == "train" or limit is None else part._hold_evenly(limit)

    def sample(self, count: int) -> JetDataset:  # type: ignore[override]
        """At most `count` events that stand for all, evenly spread over the files, within a quarter of the memory."""
        return self._hold_evenly(min(count, self._most_held))

    def _hold_evenly(self, count: int) -> JetDataset:
        events = self._chunks.events
        there = np.flatnonzero(events)
        share = min(count / max(len(self), 1), 1.0)
        needed = max(_SAMPLED_CHUNKS, int(np.ceil(4 * share * len(there))))
        chosen = there[np.unique(np.linspace(0, len(there) - 1, min(needed, len(there))).astype(int))]
        held = int(events[chosen].sum())
        reader, parts, before = self.piece_reader(), [], 0
        for chunk in chosen:
            part = reader.read(Piece(int(chunk), 0, int(events[chunk])))
            # Which of all events of these row groups are taken: every nth, whatever row group it is in.
            wanted = np.arange(min(count, held)) * held // max(min(count, held), 1) - before
            wanted = wanted[(wanted >= 0) & (wanted < events[chunk])]
            parts.append(part.take(torch.from_numpy(wanted)))
            before += int(events[chunk])
        reader.close()
        return self.hold(join_parts(parts)[0])

    def fingerprint(self) -> str:
        """Hash of what a training sees: which files, how they are read, and how much of them is in memory together.

        A file is known by its size, its number of events and 64 kB at either end, where headers, keys and footers are:
        reading 10⁸ events for a hash would take as long as an epoch.
        """
        files = dict.fromkeys(block.source for block in self._blocks)
        settings = {
            "files": [_identify(source, role) for source, role in zip(files, self._roles, strict=True)],
            "reader": self._reader.settings(),
            "columns": [*map(list, (self._files.columns.target, self._files.columns.context))],
            "single": [self._files.columns.weight, self._files.columns.event_id],
            "names": [list(self.class_names), list(self.target_units), self.units, self._files.on_bad],
            "order": [self.window, FILES_TOGETHER],
            "split": self._code,
        }
        text = json.dumps(settings, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    # ---- what its loader asks -------------------------------------------------------------------

    def plan(self, seed: int | None, epoch: int, shard: Shard) -> tuple[Window, ...]:
        """Windows of a share of a pass. Those in the order of the files are of one row group: nothing is shuffled."""
        window = 1 if seed is None else self.window
        return plan_pass(
            self._chunks, window, seed=seed, epoch=epoch, shard=shard, files_together=FILES_TOGETHER
        )

    def piece_reader(self) -> PieceReader:
        """What reads row groups, with files of its own open."""
        return PieceReader(self._blocks, self._reader, _chooser(self._files, self._code), FILES_TOGETHER)

    def hold(self, rows: Rows) -> JetDataset:
        """Events that were read, as a data set in memory."""
        return JetDataset(
            rows.momenta,
            torch.cat([rows.lengths.new_zeros(1), rows.lengths.cumsum(0)]),
            rows.target,
            rows.weight,
            rows.event_id,
            scalars=rows.scalars,
            context=rows.context,
            units=self.units,
            scalar_names=self.scalar_names,
            context_names=rows.context_names,
            class_names=self.class_names,
            target_names=rows.target_names,
            target_units=as_names(self._files.target_units),
            validate=False,
        )

    def let_go(self) -> None:
        """Forget the events at hand; they are read again if they are asked for."""
        self._at_hand = None

    @cached_property
    def _test(self) -> FileDataset:
        return FileDataset(self._files, only="test", choose=_chooser(self._files, SPLITS.index("test")))

    # ---- opening --------------------------------------------------------------------------------

    @property
    def _chunks(self) -> Chunks:
        counts = self._counts.sum(0) if self._code is None else self._counts[self._code]
        return Chunks(np.array([block.file for block in self._blocks]), counts)

    def _count(self, progress: bool) -> NDArray[np.int64]:
        """Events of each row group in each split, shape (3, n)."""
        sizes = np.array([len(block) for block in self._blocks])
        if self._files.has_roles:
            roles = np.array([self._roles[block.file] for block in self._blocks])
            return np.where(roles == np.arange(len(SPLITS))[:, None], sizes, 0)
        counts = np.zeros((len(SPLITS), len(sizes)), np.int64)
        named = self._files.event_id is not None
        with ProgressLine("splits", show=progress and named, total=int(sizes.sum()), items="jets") as line:
            for number, block in enumerate(self._blocks):
                # Numbers that are made of file and row are known without reading.
                columns = self._reader.read_columns(block)[0] if named else None
                codes = scattered_splits(self._reader.event_ids(block, columns))
                counts[:, number] = np.bincount(codes, minlength=len(SPLITS))
                if named:
                    block.source.close()
                line.count(len(block))
        return counts

    def _count_held(self) -> int:
        """How many events may be at hand, by the size of those of one row group."""
        there = np.flatnonzero(self._chunks.events)
        if not len(there):
            raise EventFileError(self._blocks[0].source.path, "it holds no events")
        chunk = int(there[len(there) // 2])
        reader = self.piece_reader()
        piece = Piece(chunk, 0, int(self._chunks.events[chunk]))
        rows, _ = join_parts([reader.read(piece)])
        reader.close()
        each = _size_of(self.hold(rows)) if len(rows.lengths) else 1.0
        return max(1, int(_HELD * 1e9 * self._files.memory_gb / each))

    def _fit_window(self, few: JetDataset) -> int:
        """Events of a window that fit into the memory.

        Raises
        ------
        EventFileError
            If not even one row group fits.
        """
        each = _size_of(few)
        largest = max(self._blocks, key=len)
        # While it is put together, a window is there twice: as parts and as a whole.
        window = (int(_USED * 1e9 * self._files.memory_gb / each) - _READING * len(largest)) // 2
        if window < len(largest):
            needed = (_READING + 2) * len(largest) * each / _USED / 1e9
            digits = 1 - int(np.floor(np.log10(needed)))
            raise EventFileError(
                largest.source.path,
                f"its rows {largest.start} to {largest.stop} are one row group of {len(largest) * each / 1e9:.2g} GB: "
                f"with memory_gb={self._files.memory_gb:g} no window holds it; pass memory_gb="
                f"{np.ceil(needed * 10.0**digits) / 10.0**digits:g}, or write the file with smaller row groups",
            )
        files = len({block.file for block in self._blocks})
        together = window // len(largest)
        if together < min(_MIXED, files):
            warnings.warn(
                f"windows of {window:,} events mix only {together} row groups of up to {len(largest):,} events, so that "
                "files of one class each are hardly mixed: pass a larger memory_gb, or write smaller row groups",
                stacklevel=4,
            )
        return window


def _size_of(events: JetDataset) -> float:
    """Bytes of an event."""
    columns = (events.lengths, events.lengths, events.target, events.weight, events.event_id, events.context)
    return sum(column.nbytes for column in (events.momenta, events.scalars, *columns)) / len(events)


def _require_fitting(files: EventFiles) -> None:
    if files.in_memory or files.num_jets is not None:
        other = "in_memory=true" if files.in_memory else f"num_jets={files.num_jets}"
        raise ValueError(
            f"stream=true and {other} exclude each other: name fewer files, or leave out one of them"
        )
    if not files.memory_gb > 0:
        raise ValueError(f"memory_gb must be positive, not {files.memory_gb}")
    if files.validation_jets is not None and files.validation_jets < 1:
        raise ValueError(f"validation_jets must be at least 1, not {files.validation_jets}")
    if files.max_constituents is not None and files.max_constituents < 1:
        raise ValueError(f"max_constituents must be at least 1, not {files.max_constituents}")


def _open_blocks(
    files: EventFiles, found: Sequence[tuple[int, Path]], progress: bool
) -> tuple[list[Block], list[int], list[Source]]:
    """Row groups of all files, the role of each file, and the files; each is opened once and closed again."""
    blocks, roles, sources = [], [], []
    with ProgressLine("files", show=progress, total=len(found), items="files") as line:
        for number, (role, path) in enumerate(found):
            source = files.source(path)
            borders = _merge_small(source.borders)
            blocks += [Block(number, source, int(a), int(b)) for a, b in pairwise(borders)]
            roles.append(role)
            sources.append(source)
            source.close()
            line.count(1)
    if not blocks:
        raise EventFileError(found[0][1], sources[0].why_empty)
    return blocks, roles, sources


def _merge_small(borders: NDArray[np.int64]) -> list[int]:
    """Borders between row groups, of which small ones are read together."""
    kept = [0]
    for border in borders[1:]:
        if border - kept[-1] >= BLOCK_SIZE:
            kept.append(int(border))
    if len(borders) > 1 and borders[-1] > kept[-1]:
        kept.append(int(borders[-1]))
    return kept


def _chooser(files: EventFiles, code: int | None) -> Callable[[NDArray[np.int64]], NDArray[np.bool_]] | None:
    """Which events are of a split, by their identifiers, where files are not the splits."""
    return None if files.has_roles or code is None else partial(_has_code, code)


def _has_code(code: int, event_ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.asarray(scattered_splits(event_ids) == code)


def _identify(source: Source, role: int) -> list[object]:
    """What a file is known by."""
    size = source.path.stat().st_size
    digest = hashlib.sha256()
    with open(source.path, "rb") as stream:
        digest.update(stream.read(_ENDS))
        stream.seek(max(0, size - _ENDS))
        digest.update(stream.read(_ENDS))
    return [role, size, source.num_events, digest.hexdigest(), dict(source.settings())]

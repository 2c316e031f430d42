"""In which order are the row groups of many files read, and by whom? A pure function of seed, epoch and share.

A pass over the files is a line on which the row groups stand in an order drawn at random. Every process takes an equal
stretch of the line, and cuts it into windows; the events of a window are in memory together, and shuffled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.sharding import ALL, Shard

__all__ = ["Chunks", "Piece", "Window", "order_chunks", "plan_pass", "spread_evenly"]

_CHUNKS, _EVENTS = 0, 1
"""What is drawn: the order of the row groups, the order of the events of a window."""


@dataclass(frozen=True, eq=False)
class Chunks:
    """Row groups of all files, in the order of the files.

    Attributes
    ----------
    file : ndarray, shape (n,), int64
        Number of the file of each.
    events : ndarray, shape (n,), int64
        How many events of each are wanted; none is allowed.
    """

    file: NDArray[np.int64]
    events: NDArray[np.int64]


@dataclass(frozen=True)
class Piece:
    """Wanted events `first` to `last` of a row group: all of them, but where two shares meet."""

    chunk: int
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first


@dataclass(frozen=True)
class Window:
    """Row groups whose events are in memory together.

    Attributes
    ----------
    pieces
        What is read, in this order.
    first
        How many events of the share come before.
    key
        What the order of its events is drawn from; None for the order of the files.
    """

    pieces: tuple[Piece, ...]
    first: int
    key: tuple[int, ...] | None

    def __len__(self) -> int:
        return sum(map(len, self.pieces))

    def order(self) -> NDArray[np.int64]:
        """Places of the events, as they are read, in the order in which they are used, shape (n,)."""
        if self.key is None:
            return np.arange(len(self))
        return np.random.default_rng(self.key).permutation(len(self))


def plan_pass(
    chunks: Chunks,
    window: int,
    *,
    seed: int | None,
    epoch: int = 0,
    shard: Shard = ALL,
    files_together: int = 64,
) -> tuple[Window, ...]:
    """Windows of one share of one pass over all files.

    Over all shares every event comes exactly once. Equal arguments give equal windows.

    Parameters
    ----------
    chunks
        The row groups.
    window
        Events that a window holds, up to one row group more.
    seed
        Of the order; None keeps the order of the files.
    epoch
        Number of the pass.
    shard
        Whose part.
    files_together
        Files that are read at the same time; a file is read from its first to its last row group before others follow.
    """
    if seed is None:
        order = np.flatnonzero(chunks.events)
    else:
        order = order_chunks(chunks, files_together, np.random.default_rng([seed, epoch, _CHUNKS]))
    ends = np.cumsum(chunks.events[order])
    begin, end = shard.bounds(int(ends[-1]) if len(ends) else 0)
    starts = ends - chunks.events[order]
    mine = np.flatnonzero(np.minimum(ends, end) > np.maximum(starts, begin))
    pieces = [
        Piece(
            int(order[place]),
            int(max(begin, starts[place]) - starts[place]),
            int(min(end, ends[place]) - starts[place]),
        )
        for place in mine
    ]
    count = max(1, -(-(end - begin) // max(window, 1)))
    middle = np.array([(max(begin, starts[place]) + min(end, ends[place])) / 2 - begin for place in mine])
    number = np.minimum(middle * count // max(end - begin, 1), count - 1).astype(np.int64)
    found, first = [], 0
    for value in np.unique(number):
        part = tuple(piece for piece, own in zip(pieces, number, strict=True) if own == value)
        key = None if seed is None else (seed, epoch, _EVENTS, shard.rank, shard.size, int(value))
        found.append(Window(part, first, key))
        first += len(found[-1])
    return tuple(found)


def order_chunks(chunks: Chunks, files_together: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """An order of the row groups that hold events in which neighbouring files are far apart.

    Files that follow each other often hold the same class. Groups of files that are read together are therefore spread
    evenly over the list of files, and so is where each of them begins within the group: every window then holds all
    files of its group in proportion.
    """
    there = np.flatnonzero(chunks.events)
    files, of = np.unique(chunks.file[there], return_inverse=True)
    if not len(files):
        return there
    count = -(-len(files) // files_together)
    rank = np.empty(len(files), np.int64)
    rank[np.argsort(spread_evenly(len(files), rng))] = np.arange(len(files))
    group = rank * count // len(files)
    begins = np.empty(len(files))
    for value in range(count):
        members = np.flatnonzero(group == value)
        begins[members] = spread_evenly(len(members), rng)
    # The row groups of a file in an order drawn at random, at equal distances.
    shuffled = rng.permutation(len(there))
    by_file = shuffled[np.argsort(of[shuffled], kind="stable")]
    sizes = np.bincount(of)
    turn = np.empty(len(there), np.int64)
    turn[by_file] = np.arange(len(there)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    place = (turn + begins[of]) / sizes[of]
    return np.asarray(there[np.lexsort((place, rng.permutation(count)[group[of]]))])


def spread_evenly(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Random numbers in [0, 1), shape (count,), of which neighbours are far apart.

    The sequence of van der Corput with digits permuted at random (Owen 1995, doi:10.1007/978-1-4612-2552-2_19): each is
    uniform, and any aligned 2^k that follow each other lie one in each of 2^k equal parts of the interval.
    """
    index = np.arange(count)
    digits = max(count - 1, 1).bit_length()
    values = rng.random(count) / (1 << digits)
    for level in range(digits):
        flip = rng.integers(0, 2, 1 << level)[index & ((1 << level) - 1)]
        values += (((index >> level) & 1) ^ flip) / (2 << level)
    return values

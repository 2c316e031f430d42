"""In which order do events come, and which of them share a batch?

Events of similar length share a batch, so that little is lost where they must stand side by side (attention,
pairs). The order is a pure function of seed and epoch: a run continues inside an epoch by saying where.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from lorentzoo.data.events import EventData
from lorentzoo.data.sharding import ALL, Shard
from lorentzoo.data.streams import BatchLoader, EventStream

__all__ = ["BLOCKS_TOGETHER", "LengthBatchSampler", "make_loader"]

BLOCKS_TOGETHER = 8
"""Blocks of a file among which events are shuffled."""


class LengthBatchSampler(Sampler[Tensor]):
    """Batches of event indices; every event comes exactly once per epoch.

    With `shuffle`, events are shuffled, sorted by length within runs of `sort_within` batches, cut into
    batches, and the batches shuffled. Without, events come in their own order.

    Events that are read in blocks are shuffled among `BLOCKS_TOGETHER` blocks at a time, the blocks themselves
    in a new order every epoch: a batch then needs at most twice as many blocks, and the next one mostly the same.

    Parameters
    ----------
    lengths
        Number of particles of each event, shape (B,).
    batch_size
        Events per batch.
    shuffle
        New order in every epoch.
    seed
        Equal seeds give equal orders.
    drop_last
        Leave out a batch that is not full (the events left out differ from epoch to epoch).
    sort_within
        Batches among which events are sorted; 1 is a plain shuffle. More makes lengths in a batch more alike, but also
        the events themselves: batches then lean to one class, and batch norms learn statistics that no other batch
        has. It is hardly faster, since layouts sort inside a batch.
    block
        Block of each event, shape (B,), where events are read in blocks.
    shard
        Which part of every batch is given, where several processes share it.

    Notes
    -----
    The epoch advances by itself when an iteration is exhausted, so a plain loop gets a new order each time.
    `set_epoch` fixes it, as trainers do.
    """

    def __init__(
        self,
        lengths: Tensor | ArrayLike,
        batch_size: int,
        *,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
        sort_within: int = 1,
        block: Tensor | ArrayLike | None = None,
        shard: Shard = ALL,
    ) -> None:
        if batch_size < 1 or sort_within < 1:
            raise ValueError(
                f"batch_size and sort_within must be at least 1, not {batch_size} and {sort_within}"
            )
        # Copies: torch moves the memory of a tensor that goes to a spawned process, and views would read freed memory.
        self._lengths = np.asarray(lengths).copy()
        self._block = None if block is None else np.asarray(block).copy()
        if drop_last and len(self._lengths) < batch_size:
            raise ValueError(
                f"drop_last leaves nothing of {len(self._lengths)} events in batches of {batch_size}"
            )
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.drop_last, self.sort_within, self.shard = drop_last, sort_within, shard
        self.epoch = 0
        self._first_batch = 0

    def __len__(self) -> int:
        full, rest = divmod(len(self._lengths), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Tensor]:
        epoch, first = self.epoch, self._first_batch
        self._first_batch = 0  # a later iteration starts at the beginning again
        for batch in self.batches(epoch)[first:]:
            start, stop = self.shard.bounds(len(batch))
            yield batch[start:stop]
        self.epoch = epoch + 1

    def set_epoch(self, epoch: int, first_batch: int = 0) -> None:
        """Choose the epoch of the next iteration and, to resume a run, the batch at which it starts."""
        if not 0 <= first_batch <= len(self):
            raise ValueError(
                f"first_batch must be 0 to {len(self)}, the batches of an epoch, not {first_batch}"
            )
        self.epoch, self._first_batch = epoch, first_batch

    def batches(self, epoch: int) -> list[Tensor]:
        """All batches of an epoch, whole: indices of shape (b,), int64, with b = `batch_size` but for one."""
        order = np.arange(len(self._lengths))
        rng = np.random.default_rng([self.seed, epoch])
        if self.shuffle:
            order = rng.permutation(order)
            order = self._sort_in_runs(order if self._block is None else self._by_blocks(order, rng))
        cuts = np.arange(self.batch_size, len(order), self.batch_size)
        batches = [torch.from_numpy(part) for part in np.split(order, cuts)] if len(order) else []
        if self.drop_last:
            batches = [batch for batch in batches if len(batch) == self.batch_size]
        if not self.shuffle:
            return batches
        if self._block is None:
            return [batches[i] for i in rng.permutation(len(batches))]
        run = np.arange(len(batches)) // self.sort_within
        return [batches[i] for i in np.lexsort((rng.random(len(batches)), run))]

    def _by_blocks(self, order: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The same events with those of a group of blocks together."""
        assert self._block is not None
        group = rng.permutation(int(self._block.max(initial=0)) + 1) // BLOCKS_TOGETHER
        return order[np.argsort(group[self._block[order]], kind="stable")]

    def _sort_in_runs(self, order: np.ndarray) -> np.ndarray:
        run = np.arange(len(order)) // (self.batch_size * self.sort_within)
        # The sort is stable, so events of equal length stay shuffled.
        return order[np.lexsort((self._lengths[order], run))] if self.sort_within > 1 else order


def make_loader(
    dataset: EventData,
    batch_size: int,
    *,
    shuffle: bool = False,
    seed: int = 0,
    drop_last: bool = False,
    sort_within: int = 1,
    num_workers: int = 0,
    shard: Shard | None = None,
    pin_memory: bool = False,
) -> BatchLoader:
    """A loader of batches; `lorentzoo.data.streams.start_at` chooses the epoch and where in it to start.

    Parameters
    ----------
    dataset
        Events, in memory or in files, or a stream.
    batch_size, shuffle, seed, drop_last, sort_within
        As in `LengthBatchSampler`. Without `shuffle`, predictions come in the order of the data set. A stream knows
        the first three.
    num_workers
        Processes that gather batches, or read row groups of a stream. Gathering is fast: 0 is right unless it is seen to
        hold up training. They are kept from epoch to epoch.
    shard
        Which part of every batch is given, where several processes share it; all of it by default, of a stream that of
        this process, as `torch.distributed` and a loader's worker say.
    pin_memory
        Whether batches wait in page-locked memory, from which CUDA fetches them.
    """
    if isinstance(dataset, EventStream):
        return dataset.loader(batch_size, shuffle=shuffle, seed=seed, num_workers=num_workers, shard=shard)
    shard = ALL if shard is None else shard
    sampler = LengthBatchSampler(
        dataset.lengths,
        batch_size,
        shuffle=shuffle,
        seed=seed,
        drop_last=drop_last,
        sort_within=sort_within,
        block=dataset.block,
        shard=shard,
    )
    # Else every iteration draws from the global generator: when it begins would change what is random in training.
    own = torch.Generator().manual_seed(seed)
    return DataLoader(
        dataset,
        sampler=sampler,
        batch_size=None,
        num_workers=num_workers,
        multiprocessing_context=shard.start_method if num_workers else None,
        generator=own,
        pin_memory=pin_memory,
        persistent_workers=num_workers > 0,
    )

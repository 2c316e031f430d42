"""How do windows of a stream become batches, in this process and from any place in a pass?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from lorentzoo.core.cloud import Batch, ParticleCloud
from lorentzoo.core.errors import TrainingError
from lorentzoo.data.dataset import JetDataset
from lorentzoo.data.sharding import Shard
from lorentzoo.data.streaming.parts import Part, PieceReader, join_parts
from lorentzoo.data.streaming.plan import Piece, Window

if TYPE_CHECKING:
    from lorentzoo.data.streaming.dataset import StreamedData

__all__ = ["StreamLoader", "shard_of_this_process"]

_AHEAD = 2
"""Row groups that each worker process reads ahead."""


def shard_of_this_process() -> Shard:
    """The part of this process among those of `torch.distributed`, and of this worker among those of its loader."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    rank, size = (torch.distributed.get_rank(), torch.distributed.get_world_size()) if distributed else (0, 1)
    worker = get_worker_info()
    if worker is None:
        return Shard(rank, size)
    return Shard(rank * worker.num_workers + worker.id, size * worker.num_workers)


class StreamLoader:
    """Batches of a share of a stream; each pass is a function of seed, number of the pass and share alone.

    A share has as many batches as any other, of equal size up to one event. Which events they hold does not depend on
    the number of worker processes.

    Parameters
    ----------
    data
        The stream.
    batch_size
        Events of a batch of this process, at most. Events that are left out when they are read make theirs smaller.
    shuffle
        A new order in every pass; without, that of the files.
    seed
        Equal seeds give equal orders.
    num_workers
        Processes that read row groups ahead of the batches; 0 reads them when they are needed.
    shard
        Whose batches; by default those of this process, as `torch.distributed` says, and inside a loader's worker the
        worker's.

    Notes
    -----
    The pass advances by itself when an iteration is exhausted. `set_epoch` fixes it and where it starts: a training
    that stopped after n batches of pass e continues with ``set_epoch(e, n)``, and reads no window that is over.
    """

    def __init__(
        self,
        data: StreamedData,
        batch_size: int,
        *,
        shuffle: bool = True,
        seed: int = 0,
        num_workers: int = 0,
        shard: Shard | None = None,
    ) -> None:
        if batch_size < 1 or num_workers < 0:
            raise ValueError(
                f"batch_size must be at least 1 and num_workers not negative, not {batch_size} and {num_workers}"
            )
        self.data, self.batch_size, self.shuffle, self.seed = data, batch_size, shuffle, seed
        self.num_workers = num_workers
        self.epoch = 0
        self._given, self._first_batch = shard, 0

    @property
    def shard(self) -> Shard:
        """Whose batches these are."""
        return shard_of_this_process() if self._given is None else self._given

    def __len__(self) -> int:
        largest = -(-len(self.data) // self.shard.size)
        return -(-largest // self.batch_size)

    def set_epoch(self, epoch: int, first_batch: int = 0) -> None:
        """Choose the pass of the next iteration and the batch at which it starts."""
        if not 0 <= first_batch <= len(self):
            raise ValueError(
                f"first_batch must be 0 to {len(self)}, the batches of a pass, not {first_batch}"
            )
        self.epoch, self._first_batch = epoch, first_batch

    def __iter__(self) -> Iterator[Batch]:
        epoch, first = self.epoch, self._first_batch
        self._first_batch = 0  # a later iteration starts at the beginning again
        yield from self._batches(epoch, first)
        self.epoch = epoch + 1

    def _batches(self, epoch: int, first_batch: int) -> Iterator[Batch]:
        begin, end = self.shard.bounds(len(self.data))
        total, count = end - begin, len(self)
        cuts = [total * number // count for number in range(first_batch, count + 1)] if count else []
        windows = [
            window
            for window in self.data.plan(self.seed if self.shuffle else None, epoch, self.shard)
            if window.first + len(window) > cuts[0]
        ]
        self.data.let_go()
        parts = self._read([piece for window in windows for piece in window.pieces])
        kept: list[Batch] = []
        number = 0
        for window in windows:
            events, order = self._assemble(window, [next(parts) for _ in window.pieces])
            while number + 1 < len(cuts):
                start = max(cuts[number] - window.first, 0)
                stop = cuts[number + 1] - window.first
                chosen = order[start:stop]
                kept.append(events.gather(chosen[chosen >= 0]))
                if stop > len(window):
                    break  # the next window has the rest
                yield self._finish(kept)
                kept, number = [], number + 1
                if stop == len(window):
                    break
            # Two windows are never in memory together.
            del events

    def _read(self, pieces: Sequence[Piece]) -> Iterator[Part]:
        reader = self.data.piece_reader()
        if not self.num_workers or len(pieces) < 2:
            try:
                yield from map(reader.read, pieces)
            finally:
                reader.close()
            return
        yield from DataLoader(
            _Pieces(reader, pieces),
            batch_size=None,
            num_workers=min(self.num_workers, len(pieces)),
            multiprocessing_context=self.shard.start_method,
            prefetch_factor=_AHEAD,
            collate_fn=_as_it_is,
            # Else every iteration draws from the global generator, which training uses.
            generator=torch.Generator().manual_seed(self.seed),
        )

    def _assemble(self, window: Window, parts: list[Part]) -> tuple[JetDataset, Tensor]:
        """The events of a window, and their places in the order in which they come, -1 for those left out."""
        rows, places = join_parts(parts)
        return self.data.hold(rows), places[torch.from_numpy(window.order())]

    def _finish(self, kept: Sequence[Batch]) -> Batch:
        batch = kept[0] if len(kept) == 1 else _join_batches(kept)
        if not len(batch):
            raise TrainingError(
                "no event of a batch can be used: all of them have weight zero, or were left out by on_bad=skip; "
                "take such events out of the files, or take a larger batch_size"
            )
        return batch


class _Pieces(Dataset[Part]):
    """Pieces of a pass in their order, for worker processes."""

    def __init__(self, reader: PieceReader, pieces: Sequence[Piece]) -> None:
        self._reader, self._pieces = reader, pieces

    def __len__(self) -> int:
        return len(self._pieces)

    def __getitem__(self, number: int) -> Part:
        return self._reader.read(self._pieces[number])


def _as_it_is(part: Any) -> Any:
    return part


def _join_batches(batches: Sequence[Batch]) -> Batch:
    """Batches of the same data, one after another."""
    clouds = [batch.cloud for batch in batches]
    lengths = torch.cat([cloud.layout.counts() for cloud in clouds])
    first = clouds[0]
    cloud = ParticleCloud.from_packed(
        torch.cat([cloud.momenta for cloud in clouds]),
        torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]),
        torch.cat([cloud.scalars for cloud in clouds]),
        torch.cat([cloud.context for cloud in clouds]),
        units=first.units,
        scalar_names=first.scalar_names,
        context_names=first.context_names,
        validate=False,
    )
    target, weight, event_id = (
        torch.cat([getattr(batch, name) for batch in batches]) for name in ("target", "weight", "event_id")
    )
    return Batch(cloud, target, weight, event_id)

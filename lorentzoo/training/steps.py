"""What has each process, and each of its pieces, of the batch of a step?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lorentzoo.core.cloud import Batch
from lorentzoo.core.layout import Packed
from lorentzoo.core.shares import Share
from lorentzoo.core.trainable import Trainable
from lorentzoo.data.sharding import Shard
from lorentzoo.training.world import World

__all__ = ["Piece", "Sharing"]


@dataclass(frozen=True)
class Piece:
    """Events that a model is run on at once.

    Attributes
    ----------
    batch
        The events; with one of weight zero where there are none.
    share
        What they are of the step; None where they are all of it.
    is_first, is_last
        Of this process's pieces of the step.
    """

    batch: Batch
    share: Share | None = None
    is_first: bool = True
    is_last: bool = True

    @property
    def is_empty(self) -> bool:
        """Whether it has no event of the step."""
        return self.share is not None and self.share.stands_in

    @property
    def num_events(self) -> int:
        """Events of the whole step."""
        return len(self.batch) if self.share is None else len(self.share.lengths)


class Sharing:
    """Cuts the batches of a process into pieces that know of the others.

    Parameters
    ----------
    world
        Processes that share each batch.
    pieces
        Pieces of each process's part.
    most
        Events of the largest batch.
    stand_in
        A batch of one event, for a piece without any.
    """

    def __init__(self, world: World, pieces: int, most: int, stand_in: Batch) -> None:
        self.world, self.pieces, self._most = world, pieces, most
        self._width = -(-most // world.size)
        self._stand_in = replace(stand_in, weight=torch.zeros_like(stand_in.weight))

    @property
    def is_whole(self) -> bool:
        """Whether every batch is worked on in one piece by one process."""
        return self.world.size == 1 and self.pieces == 1

    def of_batches(self, most: int) -> Sharing:
        """The same for other batches, of which nothing is kept for a backward pass and one piece is enough."""
        return Sharing(self.world, 1, most, self._stand_in)

    def cut(
        self, batches: Iterable[Batch], rng: torch.Generator, model: Trainable | None = None
    ) -> Iterator[Piece]:
        """Pieces of each batch.

        Parameters
        ----------
        batches
            This process's part of the batches that all share, equally many everywhere.
        rng
            Source of the random numbers of all events of a step.
        model
            Whose loss of the whole step is wanted; None where each piece has a loss of its own.
        """
        for batch in batches:
            if self.is_whole:
                yield Piece(batch)
                continue
            own = batch.weight.new_zeros(len(batch), 0) if model is None else model.loss_weights(batch)
            every = torch.cat([own, batch.weight.unsqueeze(-1)], dim=-1).abs().double()
            lengths, first, sums = self._tell(batch, every.sum(0))
            for number in range(self.pieces):
                start, stop = Shard(number, self.pieces).bounds(len(batch))
                part = batch if stop - start == len(batch) else batch.part(start, stop)
                part = part if stop > start else self._stand_in
                assert isinstance(part.cloud.layout, Packed)
                share = Share(
                    lengths,
                    first + start,
                    stop - start,
                    part.cloud.layout.lengths,
                    rng,
                    self.world.size,
                    None if model is None else sums[:-1],
                    every[start:stop, :-1].sum(0),
                    float(sums[-1]),
                )
                yield Piece(part, share, number == 0, number == self.pieces - 1)

    def _tell(self, batch: Batch, sums: Tensor) -> tuple[tuple[int, ...], int, Tensor]:
        """Lengths of all events of the step, where those of this process begin, and sums over all."""
        assert isinstance(batch.cloud.layout, Packed)
        lengths = batch.cloud.layout.lengths
        if self.world.size == 1:
            return lengths, 0, sums
        if len(lengths) > self._width:
            raise ValueError(f"a process has {len(lengths)} events of a batch, more than {self._width}")
        row = torch.zeros(1 + len(sums) + self._width, dtype=torch.float64)
        row[0], row[1 : 1 + len(sums)] = len(lengths), sums
        row[1 + len(sums) : 1 + len(sums) + len(lengths)] = torch.tensor(lengths, dtype=torch.float64)
        rows = self.world.gather_rows(row)
        counts = rows[:, 0].long().tolist()
        known = [rows[rank, 1 + len(sums) :][:count] for rank, count in enumerate(counts)]
        whole = tuple(torch.cat(known).long().tolist())
        return whole, sum(counts[: self.world.rank]), rows[:, 1 : 1 + len(sums)].sum(0)

"""What is a data set that can only be read in an order of its own?

Training asks little of its events: batches, pass after pass, and a sample that stands for all. A stream offers these
and no more; what needs the columns of all events, or events by number, is refused in one line.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, Final, NoReturn, Protocol

from torch import Tensor

from lorentzoo.core.cloud import Batch
from lorentzoo.core.errors import LorentzooError
from lorentzoo.data.events import EventData
from lorentzoo.data.sharding import Shard

__all__ = ["BatchLoader", "EventStream", "StreamError", "most_events", "start_at"]

_COLUMNS: Final = ("lengths", "target", "weight", "event_id", "context", "splits")


class StreamError(LorentzooError, TypeError):
    """What needs events by number, or all of them at once, is asked of a stream."""


class BatchLoader(Protocol):
    """Batches of an epoch; `start_at` chooses which."""

    def __len__(self) -> int:
        """Batches of an epoch."""

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the epoch that is chosen."""


def start_at(loader: BatchLoader, epoch: int, first_batch: int = 0) -> None:
    """Choose the epoch of the next iteration of a loader, and the batch at which it starts."""
    order: Any = getattr(loader, "sampler", loader)
    order.set_epoch(epoch, first_batch)


def most_events(loader: BatchLoader, processes: int) -> int:
    """Events of the largest batch, of all processes together."""
    sampler: Any = getattr(loader, "sampler", None)
    if sampler is not None:
        return int(sampler.batch_size)
    # Each process has batches of its own.
    of_each: Any = loader
    return int(of_each.batch_size) * processes


class EventStream(EventData):
    """Events that come batch by batch, in an order of their own.

    A subclass sets names, units and widths as any `EventData`, and `num_events`; columns of events it has none.
    """

    num_events: int
    """How many events a pass has, but for those that are left out when they are read."""

    def __len__(self) -> int:
        return self.num_events

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} events, streamed; {self._describe_target()})"

    @abstractmethod
    def loader(
        self, batch_size: int, *, shuffle: bool, seed: int, num_workers: int, shard: Shard | None
    ) -> BatchLoader:
        """Batches of one of several processes, pass after pass, `batch_size` that of all; of this one with None."""

    @property
    def has_classes(self) -> bool:
        """Whether the targets are indices of classes."""
        return self.at_hand.has_classes

    @property
    def num_targets(self) -> int:
        """Columns of the target."""
        return self.at_hand.num_targets

    def gather(self, chosen: Tensor) -> NoReturn:
        """Refused: events of a stream have no numbers."""
        raise self._refuse("events by number")

    def subset(self, indices: Any) -> NoReturn:
        """Refused: events of a stream have no numbers."""
        raise self._refuse("a choice of events by number")

    def __getattr__(self, name: str) -> Any:
        if name in _COLUMNS:
            raise self._refuse(f"the {name} of all its events")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _refuse(self, what: str) -> StreamError:
        return StreamError(
            f"a stream of {len(self):,} events does not offer {what}: it trains and validates; take its test split, "
            "`sample(count)`, or the same files without stream=true"
        )

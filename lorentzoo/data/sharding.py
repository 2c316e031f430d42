"""Which of the events of a batch are whose?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["ALL", "Shard"]


@dataclass(frozen=True)
class Shard:
    """One of `size` parts that differ by at most one event and are, one after the other, the whole.

    A loader of a training on several processes gives, step by step, this process's part of a batch that all share:
    equally many batches on each, in the same order, some perhaps without an event.

    Parameters
    ----------
    rank
        Which part, from 0.
    size
        How many there are.
    """

    rank: int = 0
    size: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.size:
            raise ValueError(f"rank must be 0 to {self.size - 1} of {self.size} parts, not {self.rank}")

    @property
    def start_method(self) -> str | None:
        """How processes that load for a part are started; None as usual.

        Processes that share a training have threads that talk to each other, beside which a fork may hang.
        """
        return "spawn" if self.size > 1 else None

    def bounds(self, count: int) -> tuple[int, int]:
        """Where the part of `count` events begins and ends."""
        return self.rank * count // self.size, (self.rank + 1) * count // self.size


ALL: Final = Shard()
"""Everything is one's own."""

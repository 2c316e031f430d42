"""How do events stand side by side in dense blocks?

Where particles of an event meet (attention, pairs, neighbours), a layout forms *blocks*: groups of events of similar
length, each a dense (b, n, ...) tensor with a mask. A padded layout is one such block. What a block holds in its padded
places is real data of some other particle, so that nothing computed there is ever infinite; it is masked out of every
sum and dropped at the end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from lorentzoo.core.errors import ShapeError
from lorentzoo.core.layout.grouping import MAX_BLOCK_PAIRS, Groups
from lorentzoo.core.modes import leave_modes

__all__ = ["Blocks"]

T = TypeVar("T")


class Blocks(ABC):
    """Events as dense blocks and back: the part of a layout that pairs of particles need."""

    def __init__(self) -> None:
        self._cache: dict[Hashable, Any] = {}

    @property
    @abstractmethod
    def num_events(self) -> int:
        """Number of events B."""

    @property
    @abstractmethod
    def lead(self) -> tuple[int, ...]:
        """Leading shape of particle tensors."""

    @abstractmethod
    def groups(self, max_pairs: int = MAX_BLOCK_PAIRS, together: bool = False) -> Groups:
        """Which events share a block: those of similar length, or as many as fit `together`."""

    @abstractmethod
    def split_blocks(self, x: Tensor, groups: Groups) -> list[Tensor]:
        """Dense blocks of particles. Shape (*lead, ...) -> [(b, n, ...)]."""

    @abstractmethod
    def merge_blocks(self, blocks: Sequence[Tensor], groups: Groups) -> Tensor:
        """Undo `split_blocks`. Shape [(b, n, ...)] -> (*lead, ...)."""

    @abstractmethod
    def block_masks(self, groups: Groups) -> list[Tensor | None]:
        """Which places of each block hold a particle, [(b, n)]; None where all do."""

    @abstractmethod
    def merge_events(self, blocks: Sequence[Tensor], groups: Groups) -> Tensor:
        """One row an event from those of each block. Shape [(b, ...)] -> (B, ...)."""

    def map_events(
        self, fn: Callable[..., Tensor], *inputs: Tensor, max_pairs: int = MAX_BLOCK_PAIRS
    ) -> Tensor:
        """Evaluate a function of whole events on dense blocks of many of them.

        Parameters
        ----------
        fn
            ``fn(mask, *dense) -> (b, ...)`` with a mask (b, n) or None and the inputs as (b, n, ...).
        inputs
            Tensors of particles, (*lead, ...).
        max_pairs
            Upper bound on b·n² in a block of several events. As many as fit share one, however much is padded:
            this is for functions that cost by the call.

        Returns
        -------
        Shape (B, ...).
        """
        groups = self.groups(max_pairs, together=True)
        columns = [self.split_blocks(x, groups) for x in inputs]
        masks = self.block_masks(groups)
        outputs = [fn(mask, *[column[b] for column in columns]) for b, mask in enumerate(masks)]
        return self.merge_events(outputs, groups)

    def map_blocks(
        self,
        fn: Callable[..., Tensor],
        *inputs: Tensor,
        recompute: bool = False,
        max_pairs: int = MAX_BLOCK_PAIRS,
    ) -> Tensor:
        """Evaluate a function on dense blocks of events.

        Parameters
        ----------
        fn
            ``fn(mask, *dense) -> (b, n, ...)`` with a mask (b, n) or None and the inputs as
            (b, n, ...). It must keep padded places out of what it gives to real ones.
        inputs
            Tensors of particles, (*lead, ...).
        recompute
            Evaluate again in the backward pass instead of storing intermediate results, so that
            memory follows the largest block and not the sum of all pairs.
        max_pairs
            Upper bound on b·n² in a block of several events.

        Returns
        -------
        Shape (*lead, ...).
        """
        groups = self.groups(max_pairs)
        columns = [self.split_blocks(x, groups) for x in inputs]
        masks = self.block_masks(groups)
        recompute = recompute and torch.is_grad_enabled() and not torch.compiler.is_compiling()
        outputs = []
        for b, mask in enumerate(masks):
            dense = [column[b] for column in columns]
            if recompute:
                outputs.append(checkpoint(fn, mask, *dense, use_reentrant=False, preserve_rng_state=False))
            else:
                outputs.append(fn(mask, *dense))
        return self.merge_blocks(outputs, groups)

    def require_rows(self, x: Tensor, verb: str) -> None:
        """Refuse a tensor that does not begin with the leading shape: kernels below read by row without asking.

        Raises
        ------
        ShapeError
            Naming the verb, the shape wanted and the shape given.
        """
        self._require(x, self.lead, verb, "a row for each particle")

    def require_events(self, x: Tensor, verb: str) -> None:
        """Refuse a tensor that has not one row an event.

        Raises
        ------
        ShapeError
            As `require_rows`.
        """
        self._require(x, (self.num_events,), verb, "a row for each event")

    def require_pairs(self, x: Tensor, of: Tensor, verb: str) -> None:
        """Refuse what a function of pairs gives for a block (b, n, ...), unless it is (b, n, n, C).

        Raises
        ------
        ShapeError
            As `require_rows`.
        """
        b, n = of.shape[:2]
        if torch.compiler.is_compiling() or (x.ndim == 4 and tuple(x.shape[:3]) == (b, n, n)):
            return
        raise ShapeError(
            f"{verb} of {self!r} takes a function that gives a value for each pair, shape ({b}, {n}, {n}, C), not "
            f"{tuple(x.shape)}"
        )

    def require_count(self, count: int, verb: str, least: int = 0) -> None:
        """Refuse a negative number of rows, which would count from the end.

        Raises
        ------
        ShapeError
            Naming the verb and the number.
        """
        if not torch.compiler.is_compiling() and count < least:
            raise ShapeError(f"{verb} of {self!r} takes a number of at least {least}, not {count}")

    def has_events_of(self, other: Blocks) -> bool:
        """Whether rows of both belong to the same places of the same events, as far as the host knows."""
        return other is self or other.lead == self.lead

    def _require(self, x: Tensor, lead: tuple[int, ...], verb: str, meaning: str) -> None:
        # Traced shapes are symbols, and the operations that follow state what must be equal.
        if torch.compiler.is_compiling() or tuple(x.shape[: len(lead)]) == lead:
            return
        wanted = ", ".join(str(size) for size in (*lead, "..."))
        message = f"{verb} of {self!r} takes {meaning}, shape ({wanted}), not {tuple(x.shape)}"
        if x.shape[:1] == (self.num_events,) and meaning.endswith("particle"):
            message += "; one row an event comes from something that pools: a part that does so declares `pools = True`"
        raise ShapeError(message)

    def _cached(self, key: Hashable, make: Callable[[], T]) -> T:
        if torch.compiler.is_compiling():
            return make()
        if key not in self._cache:
            # Later calls on the same events are in other modes: a backward pass could not save inference tensors.
            with leave_modes():
                self._cache[key] = make()
        return self._cache[key]  # type: ignore[no-any-return]

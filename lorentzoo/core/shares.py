"""A share of a step: what does a process that works on some of its events know of the others?

The events of one step may be worked on by several processes, and by each in several pieces. A training is the same
however they are shared out: random numbers of events are drawn for all of them and cut, losses are divided by the
weights of all, and batch norms see all that are worked on at the same time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from lorentzoo.core.errors import TrainingError
from lorentzoo.core.layout import Layout, Packed

__all__ = ["Share", "active_share", "draw_for_events", "draw_for_parameters", "merge_moments"]


@dataclass
class Share:
    """Some of the events of a step.

    Attributes
    ----------
    lengths
        Particles of every event of the step.
    first, count
        Which of them are here: ``lengths[first:first + count]``.
    here
        Particles of the events that are worked on here: those, or of an event without weight that stands in for none.
    rng
        Source of numbers for all events of the step; in the same state wherever they are worked on.
    processes
        How many work on the step at the same time.
    totals
        What the loss of the whole step is divided by, one number for each mean in it, (M,); None where losses are of
        these events alone.
    own
        The same of these events, (M,).
    weight
        Sum of the absolute weights of all events of the step.
    """

    lengths: tuple[int, ...]
    first: int
    count: int
    here: tuple[int, ...]
    rng: torch.Generator
    processes: int = 1
    totals: Tensor | None = None
    own: Tensor | None = None
    weight: float = 0.0
    _means: int = field(default=0, repr=False)

    @contextlib.contextmanager
    def worked_on(self) -> Iterator[None]:
        """Inside the block a model runs on these events."""
        self._means = 0
        token = _ACTIVE.set(self)
        try:
            yield
        finally:
            _ACTIVE.reset(token)

    @property
    def stands_in(self) -> bool:
        """Whether the event that is worked on is there for form's sake."""
        return self.count == 0

    def divisor(self, total: Tensor) -> Tensor:
        """What the next mean of a loss of several is divided by; `total`, of the events here, where there is one."""
        if self.totals is None or len(self.totals) == 1:
            return total
        if self._means == len(self.totals):
            raise TrainingError(f"the loss has more means than the {self._stated}")
        self._means += 1
        return self.totals[self._means - 1].to(total)

    def part_of_loss(self, loss: Tensor) -> Tensor:
        """What the loss of these events adds to that of the step."""
        assert self.totals is not None
        assert self.own is not None
        if len(self.totals) > 1:
            # Its means were divided by the step's own totals.
            if self._means < len(self.totals):
                raise TrainingError(
                    f"the loss has {self._means} calls of `mean_loss` instead of the {self._stated}"
                )
            return loss
        return loss * (self.own[0] / self.totals[0] if self.totals[0] > 0 else self.own[0]).to(loss)

    @property
    def _stated(self) -> str:
        assert self.totals is not None
        return (
            f"{len(self.totals)} that `loss_weights` of its head states, and cannot be shared out among processes or "
            "pieces"
        )

    def whole_of(self, layout: Layout) -> Packed | None:
        """The layout of all events of the step, of which `layout` has those that are here; None where it is not known.

        Rows that are not the particles, e.g. layers of a shower, are known where each event has equally many.
        """
        if not isinstance(layout, Packed) or layout.num_events != len(self.here):
            return None
        if layout.lengths == self.here:
            return Packed.from_lengths(self.lengths, device=layout.device)
        if len(set(layout.lengths)) == 1:
            return Packed.from_lengths(layout.lengths[:1] * len(self.lengths), device=layout.device)
        return None


_ACTIVE: ContextVar[Share | None] = ContextVar("share of a step", default=None)


def active_share() -> Share | None:
    """What is worked on, inside `Share.worked_on`; None where all events of a step are, in one piece."""
    return _ACTIVE.get()


def draw_for_events(
    layout: Layout,
    draw: Callable[[Any, torch.Generator | None], Tensor],
    rng: torch.Generator | None = None,
    *,
    per_event: bool = False,
) -> Tensor:
    """Random numbers of events, the same whichever process has which events.

    Parameters
    ----------
    layout
        Of the events that are here.
    draw
        ``draw(layout, rng)`` gives a row for each particle of a packed layout; with `per_event`, ``draw(count, rng)``
        gives one for each of so many events. It is called for all events of the step.
    rng
        Source of the numbers; by default the step's, or torch's own.
    per_event
        Whether a row is of an event.

    Returns
    -------
    The rows of the events that are here.
    """
    share = _ACTIVE.get()
    if share is None:
        return draw(layout.num_events if per_event else layout, rng)
    source = share.rng if rng is None else rng
    if per_event and layout.num_events == len(share.here):
        drawn = draw(len(share.lengths), source)
        start, stop = share.first, share.first + share.count
    else:
        whole = None if per_event else share.whole_of(layout)
        if whole is None:
            return draw(layout.num_events if per_event else layout, rng)
        drawn = draw(whole, source)
        ptr = [0]
        for length in whole.lengths:
            ptr.append(ptr[-1] + length)
        start, stop = ptr[share.first], ptr[share.first + share.count]
    # What stands in for no event has numbers that nobody else has, and the source has moved on as everywhere.
    return draw(layout.num_events if per_event else layout, None) if share.stands_in else drawn[start:stop]


@contextlib.contextmanager
def draw_for_parameters() -> Iterator[None]:
    """Inside the block torch's own generator on the host gives the same numbers wherever a step is worked on."""
    share = _ACTIVE.get()
    if share is None:
        yield
        return
    before = torch.get_rng_state()
    torch.set_rng_state(share.rng.get_state())
    try:
        yield
    finally:
        share.rng.set_state(torch.get_rng_state())
        torch.set_rng_state(before)


def merge_moments(mean: Tensor, variance: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (C,), biased variance (C,) and number () of rows over all processes that work on the step now.

    From those of each, by Σ n m / Σ n and Σ n (v + (m - M)²) / Σ n, with their gradients.
    """
    share = _ACTIVE.get()
    if share is None or share.processes == 1:
        return mean, variance, count
    if share.stands_in:
        count = torch.zeros_like(count)
    rows = _Gather.apply(torch.cat([mean, variance, count.reshape(1).to(mean)]))
    width = len(mean)
    counts = rows[:, 2 * width :]
    number = counts.sum()
    parts = counts / number.clamp(min=1)
    means, variances = rows[:, :width], rows[:, width : 2 * width]
    merged = (parts * means).sum(0)
    return merged, (parts * (variances + (means - merged).square())).sum(0), number


class _Gather(torch.autograd.Function):
    """A tensor of each process, stacked by rank; gradients go back to where a tensor came from."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        found = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(found, own.contiguous())
        return torch.stack(found)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        return gradient[dist.get_rank()]

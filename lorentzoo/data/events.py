"""What does every data set offer, wherever its particles are?

The columns of events (lengths, targets, weights, identifiers, splits) are in memory; particles come as packed
batches of chosen events. Subsets and splits are choices of events and copy no particle.
"""

from __future__ import annotations

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.utils.data import Dataset

from lorentzoo.core.cloud import Batch, Units
from lorentzoo.data.sample import SPLITS

__all__ = ["EventData", "Split"]

Split = Literal["train", "validation", "test"]
Self = TypeVar("Self", bound="EventData")


class EventData(Dataset[Batch], ABC):
    """Labelled events.

    Attributes
    ----------
    lengths
        Number of particles of each event, shape (B,), int64.
    target
        Class indices (B,), or values (B, ...) in floating point.
    weight
        Event weights (B,), float64.
    event_id
        Identifiers (B,), int64.
    splits
        0 train, 1 validation, 2 test, shape (B,); None where there are none.
    units
        Units of the momenta.
    scalar_names, context_names, class_names
        Names of the columns and of the classes.
    num_scalars, num_context
        Further numbers of each particle and of each event.
    metadata
        Where the events come from, as plain data.
    block
        Block of each event, shape (B,), where events are read in blocks; None where each is as near as any other.
    tasks
        Names of the tasks that the events are meant for, the usual one first; empty for any that fits them.
    particle_names
        What the particles are, where all events have the same ones in the same order; empty otherwise.
    resonances
        By name of a resonance the places of the particles into which it decays, one group for each of its copies, in
        corresponding order, e.g. ``{"W": ((1, 2), (4, 5))}``; empty where particles have no places.
    """

    lengths: Tensor
    target: Tensor
    weight: Tensor
    event_id: Tensor
    splits: Tensor | None
    units: Units
    scalar_names: tuple[str, ...]
    context_names: tuple[str, ...]
    class_names: tuple[str, ...]
    target_names: tuple[str, ...] = ()
    target_units: tuple[str, ...] = ()
    num_scalars: int
    num_context: int
    metadata: Mapping[str, Any]
    block: Tensor | None = None
    tasks: tuple[str, ...] = ()
    particle_names: tuple[str, ...] = ()
    resonances: Mapping[str, tuple[tuple[int, ...], ...]] = MappingProxyType({})

    _per_event: ClassVar[tuple[str, ...]] = ("lengths", "target", "weight", "event_id", "splits", "block")
    """Columns that a choice of events cuts; subclasses add their own."""

    def __len__(self) -> int:
        return len(self.lengths)

    def __repr__(self) -> str:
        classes = ", ".join(self.class_names) or "no class names"
        return f"{type(self).__name__}({len(self)} events, {int(self.lengths.sum())} particles; {classes})"

    def __getitem__(self, indices: int | Sequence[int] | Tensor) -> Batch:
        """The batch of these events; a single index makes a batch of one."""
        return self.batch([indices] if isinstance(indices, int) else indices)

    @abstractmethod
    def batch(self, indices: Sequence[int] | Tensor) -> Batch:
        """Events `indices` (shape (b,)), in that order, as a packed batch."""

    @abstractmethod
    def _update_fingerprint(self, digest: hashlib._Hash) -> None:
        """Feed what identifies the particles."""

    def fingerprint(self) -> str:
        """Hash of the events: lengths, targets, weights, identifiers, splits and what identifies the particles."""
        digest = hashlib.sha256()
        for column in (self.lengths, self.target, self.weight, self.event_id, self.splits):
            if column is not None:
                digest.update(column.contiguous().numpy().tobytes())
        self._update_fingerprint(digest)
        return digest.hexdigest()[:16]

    def subset(self: Self, indices: Sequence[int] | Tensor) -> Self:
        """Events `indices`, in that order. Particles are shared, not copied."""
        chosen = torch.as_tensor(indices)
        if chosen.dtype == torch.bool:
            chosen = chosen.nonzero().squeeze(1)
        chosen = chosen.to(torch.int64)
        part = copy.copy(self)
        for name in self._per_event:
            column = getattr(self, name)
            setattr(part, name, None if column is None else column[chosen])
        return part

    def split(self: Self, name: Split) -> Self:
        """The events of one of the fixed splits."""
        if name not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {name!r}")
        if self.splits is None:
            raise ValueError("this data set has no splits; pass `splits`, or choose events with `subset`")
        return self.subset(self.splits == SPLITS.index(name))


def event_column(values: Tensor | ArrayLike, count: int, what: str) -> Tensor:
    """A column with one entry an event, as a tensor.

    Raises
    ------
    ValueError
        If it has another number of entries.
    """
    column = torch.as_tensor(np.asarray(values) if not isinstance(values, Tensor) else values)
    if column.ndim == 0 or len(column) != count:
        given = tuple(column.shape)
        raise ValueError(f"{what} must have one entry per event ({count}), not shape {given}")
    return column

"""What does every data set offer, wherever its particles are?

The columns of events (lengths, targets, weights, identifiers, splits, context) are in memory; particles come as packed
batches of chosen events. Subsets and splits are choices of events and copy no particle.
"""

from __future__ import annotations

import copy
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lorentzoo.core.cloud import Batch, Units
from lorentzoo.data.columns import EventIndex, event_indices
from lorentzoo.data.sample import SPLITS
from lorentzoo.data.splits import random_splits, stratified_splits

__all__ = ["EventData", "Split", "name_targets"]

Split = Literal["train", "validation", "test"]
Self = TypeVar("Self", bound="EventData")

_FIRST_COLUMNS = ("lengths", "target", "weight", "event_id", "splits")
_NAMES = ("scalar_names", "context_names", "target_names", "target_units", "particle_names")
_HASHED_AT_ONCE = 4096
"""Events whose particles are hashed at once: part of the definition of a fingerprint."""
_SAMPLED_BLOCKS = 64
"""Blocks of a file that a sample of all events reads, at most."""


class EventData(Dataset[Batch], ABC):
    """Events with a target each: a class, or one or several numbers.

    A data set of one's own in memory is a `lorentzoo.JetDataset`. One that holds its particles elsewhere is a subclass of
    this: it sets the attributes and defines `gather`.

    Attributes
    ----------
    lengths
        Number of particles of each event, shape (B,), int64.
    target
        Class indices (B,), int64; or values (B,) or (B, D), whole or floating-point numbers.
    target_names, target_units
        Name and unit of each column of values; empty for classes, or where unknown.
    class_names
        Names of the classes; empty for values.
    weight
        Event weights (B,) of either sign, float64.
    event_id
        Identifiers (B,), int64. Jets of one event may share one, and are then in the same split.
    context
        Numbers of each event (B, C), named by `context_names`.
    splits
        0 train, 1 validation, 2 test, shape (B,); None where there are none.
    units
        Units of the momenta.
    scalar_names, context_names
        Names of the columns.
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
    context: Tensor
    splits: Tensor | None
    units: Units
    scalar_names: tuple[str, ...]
    context_names: tuple[str, ...]
    class_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    target_units: tuple[str, ...] = ()
    num_scalars: int
    num_context: int
    metadata: Mapping[str, Any]
    block: Tensor | None = None
    tasks: tuple[str, ...] = ()
    particle_names: tuple[str, ...] = ()
    resonances: Mapping[str, tuple[tuple[int, ...], ...]] = MappingProxyType({})

    _per_event: ClassVar[tuple[str, ...]] = (
        "lengths",
        "target",
        "weight",
        "event_id",
        "splits",
        "context",
        "block",
    )
    """Columns that a choice of events cuts; subclasses add their own."""

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def at_hand(self) -> EventData:
        """Events that stand for all and whose columns are in memory: these themselves, where theirs are."""
        return self

    @property
    def has_classes(self) -> bool:
        """Whether the targets are indices of classes: whole numbers (B,) that are not named as values."""
        return not self.target.is_floating_point() and self.target.ndim == 1 and not self.target_names

    @property
    def num_targets(self) -> int:
        """Columns of the target."""
        return 1 if self.target.ndim == 1 else self.target.shape[1]

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({len(self)} events, {int(self.lengths.sum())} particles; "
            f"{self._describe_target()})"
        )

    def _describe_target(self) -> str:
        if self.has_classes:
            classes = ", ".join(self.class_names) or "no class names"
            return f"classes: {classes}"
        if not self.target_names:
            return f"target: {self.num_targets} values"
        units = self.target_units or ("",) * len(self.target_names)
        named = [
            f"{name} [{unit}]" if unit else name for name, unit in zip(self.target_names, units, strict=True)
        ]
        return f"target: {', '.join(named)}"

    def __getitem__(self, indices: EventIndex) -> Batch:
        """The batch of these events; a single index makes a batch of one."""
        return self.batch(indices)

    def batch(self, indices: EventIndex) -> Batch:
        """The events that `indices` means (as in numpy: numbers, a slice, a mask), in that order, as a packed batch.

        Raises
        ------
        EventIndexError
            If an index means no event.
        """
        return self.gather(event_indices(indices, len(self)))

    @abstractmethod
    def gather(self, chosen: Tensor) -> Batch:
        """Events `chosen` (shape (b,), int64, all of them there), in that order, as a packed batch."""

    def fingerprint(self) -> str:
        """Hash of all that a training sees: columns of events, names, units, and every particle of these events.

        Equal data have equal fingerprints in every process and on every machine. What was hashed by version 0.1.0 comes
        first, and what its formula passed over only where there is any: runs on jets without scalars keep their hashes.
        """
        digest = hashlib.sha256()
        for name in _FIRST_COLUMNS:
            column = getattr(self, name)
            if column is not None:
                digest.update(column.contiguous().numpy().tobytes())
        self._identify_particles(digest)
        beyond = self._describe_beyond()
        if beyond:
            digest.update(json.dumps(beyond, sort_keys=True).encode())
            digest.update(self.context.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def _describe_beyond(self) -> dict[str, Any]:
        """What the data have beside classes, momenta in GeV, weights and identifiers: names, units, other types."""
        found: dict[str, Any] = {name: list(getattr(self, name)) for name in _NAMES if getattr(self, name)}
        if self.target_names or not self.has_classes:
            found["class_names"] = list(self.class_names)
        if self.units != "GeV":
            found["units"] = self.units
        if self.resonances:
            found["resonances"] = {name: list(copies) for name, copies in self.resonances.items()}
        usual = {"target": ("torch.int64", 1), "weight": ("torch.float64", 1)}
        for name, kind in usual.items():
            column = getattr(self, name)
            if (str(column.dtype), column.ndim) != kind:
                found[name] = [str(column.dtype), list(column.shape)]
        if self.num_scalars or self.num_context:
            found["widths"] = [self.num_scalars, self.num_context, str(self.context.dtype)]
        return found

    def _identify_particles(self, digest: hashlib._Hash) -> None:
        """Feed the momenta and scalars of all events, or what identifies them as safely."""
        for chosen in torch.arange(len(self)).split(_HASHED_AT_ONCE):
            digest.update(self.gather(chosen).cloud.momenta.contiguous().numpy().tobytes())
        if self.num_scalars:
            for chosen in torch.arange(len(self)).split(_HASHED_AT_ONCE):
                scalars = self.gather(chosen).cloud.scalars
                digest.update(f"{scalars.dtype} {tuple(scalars.shape)}".encode())
                digest.update(scalars.contiguous().numpy().tobytes())

    def subset(self: Self, indices: EventIndex) -> Self:
        """The events that `indices` means, in that order. Particles are shared, not copied.

        Raises
        ------
        EventIndexError
            If an index means no event.
        """
        chosen = event_indices(indices, len(self))
        part = copy.copy(self)
        for name in self._per_event:
            column = getattr(self, name)
            setattr(part, name, None if column is None else column[chosen])
        return part

    def splits_by_hash(self) -> Tensor:
        """Split codes (B,) 60:15:25 by a hash of `event_id`: within every class, plain random for values."""
        ids = self.event_id.numpy()
        codes = stratified_splits(self.target.numpy(), ids) if self.has_classes else random_splits(ids)
        return torch.from_numpy(codes.astype(np.int64))

    def split(self: Self, name: Split) -> Self:
        """The events of one of the fixed splits."""
        if name not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {name!r}")
        if self.splits is None:
            raise ValueError("this data set has no splits; pass `splits`, or choose events with `subset`")
        return self.subset(self.splits == SPLITS.index(name))

    def sample(self: Self, count: int) -> Self:
        """At most `count` events that stand for all, evenly spread over the data set, in their order.

        Files are often sorted by class, so their first events stand for nothing. Where events are read in blocks, they
        come from at most 64 blocks, evenly spread as well.
        """
        if count >= len(self):
            return self
        if self.block is None:
            return self.subset(_spread_evenly(np.arange(len(self)), count))
        blocks = self.block.numpy()
        kept = _spread_evenly(np.unique(blocks), min(_SAMPLED_BLOCKS, count))
        near = np.flatnonzero(np.isin(blocks, kept))
        return self.subset(_spread_evenly(near, min(count, len(near))))


def name_targets(
    target: Tensor, names: Sequence[str], units: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and units of the columns of a target, as tuples.

    Raises
    ------
    ValueError
        If there are more or fewer than columns.
    """
    width = 1 if target.ndim == 1 else target.shape[1]
    for what, given in (("target_names", names), ("target_units", units)):
        if given and len(given) != width:
            raise ValueError(
                f"{what} must name each of the {width} columns of the target, not {len(given)}: {list(given)}"
            )
    return tuple(names), tuple(units)


def _spread_evenly(values: np.ndarray, count: int) -> np.ndarray:
    return values[(np.arange(count) * len(values)) // max(count, 1)]

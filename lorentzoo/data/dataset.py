"""How do jets in memory become batches?

An event is a window (start, length) into rows that all subsets share: a split or a subset copies no momenta,
and a batch is one vectorised gather, without a Python loop over events.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from lorentzoo.core.cloud import Batch, ParticleCloud, Units
from lorentzoo.core.errors import InputError
from lorentzoo.core.layout import Packed
from lorentzoo.data.columns import (
    count_classes,
    event_column,
    id_column,
    target_column,
    to_tensor,
    weight_column,
)
from lorentzoo.data.events import name_targets
from lorentzoo.data.from_arrays import EventsFromArrays
from lorentzoo.data.ragged import hardest
from lorentzoo.data.sample import Sample

__all__ = ["JetDataset"]


class JetDataset(EventsFromArrays):
    """Events in memory, with classes or values as targets.

    Parameters
    ----------
    momenta
        (E, px, py, pz) of the particles of all events, one event after another, shape (P, 4).
    ptr
        Event ``i`` owns the rows ``ptr[i]:ptr[i + 1]``, shape (B + 1,).
    target
        Class indices (B,), or values (B,) or (B, D), whole or floating-point numbers. Whole numbers (B,) are classes
        unless `target_names` names them.
    weight
        Event weights (B,) of either sign; all one by default.
    event_id
        Identifiers (B,), stable over runs; the position in this data set by default.
    scalars, context
        Further numbers of each particle (P, S) and of each event (B, C).
    units
        Units of the momenta.
    scalar_names, context_names
        Names of the columns.
    class_names
        Names of the classes, where the targets are classes.
    target_names, target_units
        Name and unit of each column of values, where the targets are values.
    splits
        0 train, 1 validation, 2 test, shape (B,), or ``"hash"``: 60:15:25 by a hash of `event_id`, within every class,
        plain random for values. Needed by `split` only.
    max_constituents
        Keep at most this many particles of each event, by falling transverse momentum.
    metadata
        Where the events come from, as plain data.
    validate
        Check all momenta now: finite, energies positive, nothing space-like. Batches are not checked again.

    Raises
    ------
    ValueError
        Naming the column, and the first event with values that cannot be used.

    See Also
    --------
    JetDataset.from_padded, JetDataset.from_awkward, JetDataset.from_pandas, JetDataset.from_cloud :
        from what one has at hand.
    """

    _per_event: ClassVar[tuple[str, ...]] = (*EventsFromArrays._per_event, "_starts")

    def __init__(
        self,
        momenta: Tensor | ArrayLike,
        ptr: Tensor | ArrayLike,
        target: Tensor | ArrayLike,
        weight: Tensor | ArrayLike | None = None,
        event_id: Tensor | ArrayLike | None = None,
        *,
        scalars: Tensor | ArrayLike | None = None,
        context: Tensor | ArrayLike | None = None,
        units: Units = "GeV",
        scalar_names: Sequence[str] = (),
        context_names: Sequence[str] = (),
        class_names: Sequence[str] = (),
        target_names: Sequence[str] = (),
        target_units: Sequence[str] = (),
        splits: Tensor | ArrayLike | Literal["hash"] | None = None,
        max_constituents: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        validate: bool = True,
    ) -> None:
        # A cloud of everything checks shapes, names and values in one place.
        cloud = ParticleCloud.from_packed(
            to_tensor(momenta, "momenta"),
            to_tensor(ptr, "ptr"),
            None if scalars is None else to_tensor(scalars, "scalars"),
            None if context is None else to_tensor(context, "context"),
            units=units,
            scalar_names=scalar_names,
            context_names=context_names,
            validate=validate,
        )
        offsets = to_tensor(ptr, "ptr").to(torch.int64)
        self.momenta: Tensor = cloud.momenta
        self.scalars: Tensor = cloud.scalars
        self.context: Tensor = cloud.context
        self.num_scalars, self.num_context = self.scalars.shape[-1], self.context.shape[-1]
        self.units: Units = units
        self.scalar_names = tuple(scalar_names)
        self.context_names = tuple(context_names)
        self.class_names = tuple(class_names)
        self.metadata: Mapping[str, Any] = dict(metadata or {})
        if max_constituents is not None:
            offsets = self._keep_hardest(offsets, max_constituents)
        self._starts, self.lengths = offsets[:-1], offsets.diff()

        count = len(self.lengths)
        self.target = target_column(target, count)
        self.target_names, self.target_units = name_targets(self.target, target_names, target_units)
        if self.class_names and not self.has_classes:
            raise ValueError(
                f"class_names {list(self.class_names)} name whole numbers (B,) without target_names, but the target is "
                f"{self.target.dtype} of shape {tuple(self.target.shape)}, target_names {list(self.target_names)}"
            )
        self.weight = weight_column(weight, count)
        self.event_id = id_column(event_id, count)
        if isinstance(splits, str):
            if splits != "hash":
                raise ValueError(f"splits are codes of events or 'hash', not {splits!r}")
            self.splits = self.splits_by_hash()
        else:
            self.splits = None if splits is None else event_column(splits, count, "splits").to(torch.int64)

    @classmethod
    def from_cloud(
        cls,
        cloud: ParticleCloud,
        target: Any = None,
        weight: Tensor | ArrayLike | None = None,
        event_id: Tensor | ArrayLike | None = None,
        *,
        class_names: Sequence[str] = (),
        target_names: Sequence[str] = (),
        target_units: Sequence[str] = (),
        splits: Tensor | ArrayLike | Literal["hash"] | None = "hash",
        max_constituents: int | None = None,
    ) -> JetDataset:
        """The events of a cloud, however it was made; they are checked with it.

        Parameters
        ----------
        cloud
            From any of the functions ``ParticleCloud.from_...``.
        target
            Classes (B,) as whole numbers or as text, or values (B,) or (B, D); None where nothing is to be predicted, as
            for generators.
        weight, event_id, target_names, target_units, max_constituents
            As for `JetDataset`.
        class_names
            Names of the classes; by default those of the text in alphabetical order, or ``class_0``, ``class_1``, ...
        splits
            As for `JetDataset`; by default 60:15:25 for training, validation and test, by a hash of `event_id`.
        """
        if cloud.vectors.shape[-2]:
            raise InputError(
                f"a data set holds no further vectors of particles, but the cloud has {cloud.vectors.shape[-2]}"
            )
        packed = cloud.to("cpu").to_packed()
        assert isinstance(packed.layout, Packed)
        values, names = count_classes(target, class_names, target_names, packed.num_events)
        return cls(
            packed.momenta.detach(),
            packed.layout.ptr,
            values,
            weight,
            event_id,
            scalars=packed.scalars.detach(),
            context=packed.context.detach(),
            units=packed.units,
            scalar_names=packed.scalar_names,
            context_names=packed.context_names,
            class_names=names,
            target_names=target_names,
            target_units=target_units,
            splits=splits,
            max_constituents=max_constituents,
            validate=False,
        )

    @classmethod
    def from_sample(
        cls,
        sample: Sample,
        max_constituents: int | None = None,
        *,
        target: Sequence[str] = (),
        context: Sequence[str] | None = None,
        weight: str | None = None,
        event_id: str | None = None,
    ) -> JetDataset:
        """The events of a sample file.

        Parameters
        ----------
        sample
            The sample.
        max_constituents
            Keep at most this many particles of each event.
        target
            Names of values to predict; by default the class, or all its values where the sample has no classes.
        context
            Names of numbers of each event; all those of the sample's context by default.
        weight, event_id
            Names of other columns for weight and number of the event.

        Raises
        ------
        ValueError
            If there is no column of a name; the message lists those that there are.
        """
        if not target and not sample.class_names and sample.target_names:
            target = sample.target_names
        shown = sample.context_names if context is None else context
        values = sample.event_values()
        wanted = [*target, *shown, *(name for name in (weight, event_id) if name is not None)]
        unknown = [name for name in wanted if name not in values]
        if unknown:
            raise ValueError(f"the sample has no column {', '.join(unknown)}; it has {', '.join(values)}")
        units = dict(zip(sample.target_names, sample.target_units, strict=False))
        columns = np.stack([values[name] for name in target], axis=1) if target else sample.labels
        return cls(
            sample.four_momenta(),
            sample.ptr,
            columns[:, 0] if len(target) == 1 else columns,
            sample.weights if weight is None else values[weight],
            sample.event_ids if event_id is None else values[event_id],
            scalars=sample.scalars,
            context=np.stack([values[name] for name in shown], axis=1) if shown else None,
            scalar_names=sample.scalar_names,
            context_names=shown,
            class_names=() if target else sample.class_names,
            target_names=target,
            target_units=[units.get(name, "") for name in target] if units else (),
            splits=sample.splits,
            max_constituents=max_constituents,
            metadata=sample.metadata,
        )

    def gather(self, chosen: Tensor) -> Batch:
        """Events `chosen` (shape (b,)), in that order, as a packed batch."""
        lengths = self.lengths[chosen]
        ptr = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        shift = torch.repeat_interleave(self._starts[chosen] - ptr[:-1], lengths)
        rows = torch.arange(len(shift)) + shift
        cloud = ParticleCloud.from_packed(
            self.momenta[rows],
            ptr,
            self.scalars[rows],
            self.context[chosen],
            units=self.units,
            scalar_names=self.scalar_names,
            context_names=self.context_names,
            validate=False,
        )
        return Batch(cloud, self.target[chosen], self.weight[chosen], self.event_id[chosen])

    def with_scalars(self, names: Sequence[str]) -> JetDataset:
        """The same events with only these scalars of each particle.

        Raises
        ------
        ValueError
            If there is no scalar of a name.
        """
        unknown = [name for name in names if name not in self.scalar_names]
        if unknown:
            raise ValueError(
                f"there are no scalars {unknown}; there are {', '.join(self.scalar_names) or 'none'}"
            )
        part = copy.copy(self)
        part.scalars = self.scalars[:, [self.scalar_names.index(name) for name in names]]
        part.scalar_names, part.num_scalars = tuple(names), len(names)
        return part

    def _keep_hardest(self, offsets: Tensor, maximum: int) -> Tensor:
        if maximum < 1:
            raise ValueError(f"max_constituents must be at least 1, not {maximum}")
        transverse = torch.hypot(self.momenta[:, 1], self.momenta[:, 2])
        rows, kept = hardest(transverse.numpy(), offsets.numpy(), maximum)
        self.momenta, self.scalars = self.momenta[rows], self.scalars[rows]
        return torch.from_numpy(kept)

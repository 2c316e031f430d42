"""How do jets in memory become batches?

An event is a window (start, length) into rows that all subsets share: a split or a subset copies no momenta,
and a batch is one vectorised gather, without a Python loop over events.
"""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from lorentzoo.core.cloud import Batch, ParticleCloud, Units
from lorentzoo.data.events import EventData, Split, event_column
from lorentzoo.data.ragged import hardest
from lorentzoo.data.sample import Sample
from lorentzoo.data.shipped import sample_path
from lorentzoo.data.simulate.ttbar import TopPairs

__all__ = ["JetDataset", "Split", "jets10", "toptag", "ttbar"]


class JetDataset(EventData):
    """Labelled events in memory.

    Parameters
    ----------
    momenta
        (E, px, py, pz) of the particles of all events, one event after another, shape (P, 4).
    ptr
        Event ``i`` owns the rows ``ptr[i]:ptr[i + 1]``, shape (B + 1,).
    target
        Class indices (B,), or values (B, ...) in floating point.
    weight
        Event weights (B,); all one by default.
    event_id
        Identifiers (B,), stable over runs; the position in this data set by default.
    scalars, context
        Further numbers of each particle (P, S) and of each event (B, C).
    units
        Units of the momenta.
    scalar_names, context_names, class_names
        Names of the columns and of the classes.
    splits
        0 train, 1 validation, 2 test, shape (B,); needed by `split` only.
    max_constituents
        Keep at most this many particles of each event, by falling transverse momentum.
    metadata
        Where the events come from, as plain data.
    validate
        Check all momenta now: finite, energies positive, nothing space-like. Batches are not checked again.
    """

    _per_event: ClassVar[tuple[str, ...]] = (*EventData._per_event, "_starts", "context")

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
        splits: Tensor | ArrayLike | None = None,
        max_constituents: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        validate: bool = True,
    ) -> None:
        # A cloud of everything checks shapes, names and values in one place.
        cloud = ParticleCloud.from_packed(
            momenta,
            ptr,
            scalars,
            context,
            units=units,
            scalar_names=scalar_names,
            context_names=context_names,
            validate=validate,
        )
        offsets = torch.as_tensor(ptr).to(torch.int64)
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
        self.target = event_column(target, count, "target")
        ones = torch.ones(count, dtype=torch.float64)
        self.weight = ones if weight is None else event_column(weight, count, "weight").to(torch.float64)
        positions = torch.arange(count)
        self.event_id = (
            positions if event_id is None else event_column(event_id, count, "event_id").to(torch.int64)
        )
        self.splits = None if splits is None else event_column(splits, count, "splits").to(torch.int64)

    @classmethod
    def from_sample(cls, sample: Sample, max_constituents: int | None = None) -> JetDataset:
        """The events of a sample file."""
        return cls(
            sample.four_momenta(),
            sample.ptr,
            sample.labels,
            sample.weights,
            sample.event_ids,
            scalars=sample.scalars,
            scalar_names=sample.scalar_names,
            class_names=sample.class_names,
            splits=sample.splits,
            max_constituents=max_constituents,
            metadata=sample.metadata,
        )

    def batch(self, indices: Sequence[int] | Tensor) -> Batch:
        """Events `indices` (shape (b,)), in that order, as a packed batch."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
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

    def _update_fingerprint(self, digest: hashlib._Hash) -> None:
        digest.update(self.momenta.contiguous().numpy().tobytes())

    def _keep_hardest(self, offsets: Tensor, maximum: int) -> Tensor:
        if maximum < 1:
            raise ValueError(f"max_constituents must be at least 1, not {maximum}")
        transverse = torch.hypot(self.momenta[:, 1], self.momenta[:, 2])
        rows, kept = hardest(transverse.numpy(), offsets.numpy(), maximum)
        self.momenta, self.scalars = self.momenta[rows], self.scalars[rows]
        return torch.from_numpy(kept)


def toptag(
    split: Split | None = None,
    num_jets: int | None = None,
    max_constituents: int | None = None,
    path: str | os.PathLike[str] | None = None,
) -> JetDataset:
    """Top tagging: QCD jets (0) against hadronic top jets (1), simulated with the cuts of arXiv:1902.09914.

    Particle level, without a detector: not comparable with results on the reference data set. Every setting
    of the sample is in ``metadata`` of the data set.

    Parameters
    ----------
    split
        ``"train"``, ``"validation"`` or ``"test"``; None takes all jets.
    num_jets
        Only the first jets; classes are mixed, so these are a fair part.
    max_constituents
        Only the hardest constituents of each jet.
    path
        A sample made by ``lorentzoo data make toptag``; the shipped one by default.
    """
    return _open("toptag", split, num_jets, max_constituents, path)


def jets10(
    split: Split | None = None,
    num_jets: int | None = None,
    max_constituents: int | None = None,
    path: str | os.PathLike[str] | None = None,
    scalars: Sequence[str] | None = None,
) -> JetDataset:
    """Ten classes of jets (QCD; H, Z, W and top decays), with charge, particle kind and impact parameters.

    Particle level, leading order, without a detector: these are classes after arXiv:2202.03772, not the data
    set of that paper, and results are not comparable.

    Parameters
    ----------
    split, num_jets, max_constituents
        As for `toptag`.
    path
        A sample made by ``lorentzoo data make jets10``; the shipped one by default, which is small.
    scalars
        Names of the scalars of each particle to keep; all by default, none with an empty list.
    """
    dataset = _open("jets10", split, num_jets, max_constituents, path)
    return dataset if scalars is None else dataset.with_scalars(scalars)


def ttbar(
    split: Split | None = None, num_events: int | None = None, path: str | os.PathLike[str] | None = None
) -> JetDataset:
    """Fully hadronic tt̄ events of six jets, each matched to one quark, with the cuts of arXiv:2411.00446.

    Six particles an event in a fixed order, b and the W quarks of the top, then of the antitop; the scalars are the
    one-hot of which is which. Parton shower without a detector: not the data set of the paper.

    Parameters
    ----------
    split
        As for `toptag`.
    num_events
        Only the first events.
    path
        A sample made by ``lorentzoo data make ttbar``; the shipped one by default.
    """
    dataset = _open("ttbar", split, num_events, None, path, counted="num_events")
    dataset.particle_names, dataset.resonances = TopPairs.scalar_names, TopPairs.resonances
    return dataset


def _open(
    name: str,
    split: Split | None,
    num_jets: int | None,
    max_constituents: int | None,
    path: str | os.PathLike[str] | None,
    counted: str = "num_jets",
) -> JetDataset:
    dataset = JetDataset.from_sample(Sample.load(sample_path(path or name)), max_constituents)
    if split is not None:
        dataset = dataset.split(split)
    if num_jets is None:
        return dataset
    if not 1 <= num_jets <= len(dataset):
        where = f"the {split} split of " if split else ""
        raise ValueError(
            f"{counted} must be 1 to {len(dataset)}, what {where}this sample holds, not {num_jets}; "
            f"`lorentzoo data make {name}` generates more"
        )
    return dataset.subset(torch.arange(num_jets))

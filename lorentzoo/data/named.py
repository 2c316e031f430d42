"""By which names are the samples opened that come with the package, and others like them?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lorentzoo.data.dataset import JetDataset
from lorentzoo.data.events import Split
from lorentzoo.data.readers.columns import as_names
from lorentzoo.data.sample import Sample
from lorentzoo.data.shipped import sample_path
from lorentzoo.data.simulate.ttbar import TopPairs

__all__ = ["jets10", "toptag", "ttbar"]


@dataclass(frozen=True)
class _Choice:
    """Which events of a sample, and what of them."""

    name: str
    path: str | os.PathLike[str] | None
    split: Split | None
    number: int | None
    number_called: str
    max_constituents: int | None
    target: str | Sequence[str] | None
    context: str | Sequence[str] | None
    weight: str | None
    event_id: str | None


def toptag(
    split: Split | None = None,
    num_jets: int | None = None,
    max_constituents: int | None = None,
    path: str | os.PathLike[str] | None = None,
    target: str | Sequence[str] | None = None,
    context: str | Sequence[str] | None = None,
    weight: str | None = None,
    event_id: str | None = None,
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
    target, context, weight, event_id
        Columns with a number an event that are used instead of the class, the sample's context, weights and numbers:
        names of its targets and its context, ``"label"``, ``"weight"`` or ``"event_id"``.
    """
    return _open(
        _Choice(
            "toptag", path, split, num_jets, "num_jets", max_constituents, target, context, weight, event_id
        )
    )


def jets10(
    split: Split | None = None,
    num_jets: int | None = None,
    max_constituents: int | None = None,
    path: str | os.PathLike[str] | None = None,
    scalars: Sequence[str] | None = None,
    target: str | Sequence[str] | None = None,
    context: str | Sequence[str] | None = None,
    weight: str | None = None,
    event_id: str | None = None,
) -> JetDataset:
    """Ten classes of jets (QCD; H, Z, W and top decays), with charge, particle kind and impact parameters.

    Particle level, leading order, without a detector: these are classes after arXiv:2202.03772, not the data
    set of that paper, and results are not comparable.

    Parameters
    ----------
    split, num_jets, max_constituents, target, context, weight, event_id
        As for `toptag`.
    path
        A sample made by ``lorentzoo data make jets10``; the shipped one by default, which is small.
    scalars
        Names of the scalars of each particle to keep; all by default, none with an empty list.
    """
    dataset = _open(
        _Choice(
            "jets10", path, split, num_jets, "num_jets", max_constituents, target, context, weight, event_id
        )
    )
    return dataset if scalars is None else dataset.with_scalars(scalars)


def ttbar(
    split: Split | None = None,
    num_events: int | None = None,
    path: str | os.PathLike[str] | None = None,
    target: str | Sequence[str] | None = None,
    context: str | Sequence[str] | None = None,
    weight: str | None = None,
    event_id: str | None = None,
) -> JetDataset:
    """Fully hadronic tt̄ events of six jets, each matched to one quark, with the cuts of arXiv:2411.00446.

    Six particles an event in a fixed order, b and the W quarks of the top, then of the antitop; the scalars are the
    one-hot of which is which. Parton shower without a detector: not the data set of the paper.

    Parameters
    ----------
    split, target, context, weight, event_id
        As for `toptag`.
    num_events
        Only the first events.
    path
        A sample made by ``lorentzoo data make ttbar``; the shipped one by default.
    """
    dataset = _open(
        _Choice("ttbar", path, split, num_events, "num_events", None, target, context, weight, event_id)
    )
    dataset.particle_names, dataset.resonances = TopPairs.scalar_names, TopPairs.resonances
    return dataset


def _open(choice: _Choice) -> JetDataset:
    dataset = JetDataset.from_sample(
        Sample.load(sample_path(Path(choice.path) if choice.path else choice.name)),
        choice.max_constituents,
        target=as_names(choice.target),
        context=None if choice.context is None else as_names(choice.context),
        weight=choice.weight,
        event_id=choice.event_id,
    )
    if choice.split is not None:
        dataset = dataset.split(choice.split)
    if choice.number is None:
        return dataset
    if not 1 <= choice.number <= len(dataset):
        where = f"the {choice.split} split of " if choice.split else ""
        raise ValueError(
            f"{choice.number_called} must be 1 to {len(dataset)}, what {where}this sample holds, not {choice.number}; "
            f"`lorentzoo data make {choice.name}` generates more"
        )
    return dataset.subset(torch.arange(choice.number))

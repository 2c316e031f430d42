"""By which names are the samples opened that come with the package, and others like them?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from lorentzoo.core.errors import ParameterError
from lorentzoo.data.dataset import JetDataset
from lorentzoo.data.events import Split
from lorentzoo.data.readers.columns import as_names
from lorentzoo.data.sample import Sample
from lorentzoo.data.shipped import sample_path
from lorentzoo.data.simulate.ttbar import TopPairs
from lorentzoo.data.simulated import simulated_sample

__all__ = ["jets10", "toptag", "ttbar"]


@dataclass(frozen=True)
class _Choice:
    """Which events of a sample, and what of them."""

    name: str
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
        _Choice("toptag", split, num_jets, "num_jets", max_constituents, target, context, weight, event_id),
        _load("toptag", path),
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
        _Choice("jets10", split, num_jets, "num_jets", max_constituents, target, context, weight, event_id),
        _load("jets10", path),
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
    extra_jets: int | str = 0,
    num_simulated: int = 10_000,
    seed: int = 1,
    workers: int = 1,
    multiplicity: Literal["none", "number", "one-hot"] = "none",
) -> JetDataset:
    """Fully hadronic tt̄ events of six jets, each matched to one quark, and further ones; the cuts of arXiv:2411.00446.

    Particles are in a fixed order: jets of b and the W quarks of the top, then of the antitop, then further jets by
    falling transverse momentum. The scalars are the one-hot of the place, as in the paper. Leading order: further jets
    come from the parton shower alone. No detector: not the data set of the paper.

    Events with further jets are simulated where they are asked for (extra ``lorentzoo[simulate]``), some seventy a
    CPU-second, and kept in the cache folder (``$LORENTZOO_CACHE``, else ``~/.cache/lorentzoo``) under a fingerprint of
    all settings.

    Parameters
    ----------
    split, target, context, weight, event_id
        As for `toptag`.
    num_events
        Only the first events.
    path
        A sample made by ``lorentzoo data make ttbar``; the shipped one, or a simulated one, by default.
    extra_jets
        How many further jets, up to four: a number, or a range such as ``"0-4"``. Events have at least the first number
        of them, and keep the hardest up to the last number.
    num_simulated, seed, workers
        Events of a sample that is simulated, before the split; of which random numbers; by how many processes.
    multiplicity
        Whether the number of further jets is part of the context: as one column ``extra_jets``, or as one-hot columns
        ``extra_jets_0``, ... of those numbers that the sample has.

    Raises
    ------
    ParameterError
        If `extra_jets` is given beside a file, which says itself what it has.
    MissingExtraError
        If a sample is to be simulated, and the packages for it are not installed.
    """
    simulates = str(extra_jets).strip() not in ("0", "0-0")
    if simulates and path is not None:
        raise ParameterError(
            f"extra_jets={extra_jets!r} is of a sample that is simulated now, but path names one that is there: leave "
            "one of them out"
        )
    if simulates:
        settings = {"extra_jets": extra_jets}
        sample = simulated_sample("ttbar", settings, events=num_simulated, seed=seed, workers=workers)
    else:
        sample = _load("ttbar", path)
    if multiplicity != "none":
        sample, columns = _with_multiplicity(sample, multiplicity)
        context = None if context is None else [*as_names(context), *columns]
    dataset = _open(
        _Choice("ttbar", split, num_events, "num_events", None, target, context, weight, event_id), sample
    )
    dataset.particle_names, dataset.resonances = sample.scalar_names, TopPairs.resonances
    return dataset


def _with_multiplicity(sample: Sample, form: Literal["number", "one-hot"]) -> tuple[Sample, tuple[str, ...]]:
    """The sample with the number of further jets behind its context, and the names of these columns."""
    further = np.diff(sample.ptr) - len(TopPairs().scalar_names)
    numbers = np.unique(further)
    one_hot = tuple(f"extra_jets_{n}" for n in numbers)
    names = ("extra_jets",) if form == "number" else one_hot
    columns = further[:, None] if form == "number" else further[:, None] == numbers
    before = sample.context if len(sample.context) else np.zeros((len(sample), 0))
    context = np.concatenate([before, columns.astype(np.float64)], axis=1)
    metadata = {**sample.metadata, "context_names": [*sample.context_names, *names]}
    return replace(sample, context=context, metadata=metadata), names


def _load(name: str, path: str | os.PathLike[str] | None) -> Sample:
    return Sample.load(sample_path(Path(path) if path else name))


def _open(choice: _Choice, sample: Sample) -> JetDataset:
    dataset = JetDataset.from_sample(
        sample,
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

"""Which runs does a study need, and which combinations make no sense?

Everything is found out here, before anything trains.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from lorentzoo.core.errors import CompositionError, LorentzooError
from lorentzoo.data.events import EventData
from lorentzoo.output.files import canonical_json, digest_of
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.composition import build, load_dataset, model_spec
from lorentzoo.registry.parameters import parameters_of
from lorentzoo.registry.specs import PartSpec, Spec, parse_part
from lorentzoo.studies.errors import StudyError
from lorentzoo.studies.grid import Combination, Pretraining, Study
from lorentzoo.training.config import GenerationConfig, TrainConfig

__all__ = ["Plan", "Row", "RunSpec", "fitted_to", "make_plan", "open_dataset", "spec_for"]


@dataclass(frozen=True)
class RunSpec:
    """The full specification of a run: what is trained, on what, how.

    Attributes
    ----------
    spec
        The composition, with the version of every plugin in it.
    dataset
        Name and parameters.
    data_hash
        Hash of the events themselves.
    train_size
        Number of training events, None for all.
    config
        Recipe, with the seed.
    start_from
        Hash of what its weights start from: the full specification of another run, or the weights themselves.
    generation
        How a generator is tested; what predicts a target does not use it.
    """

    spec: Spec
    dataset: PartSpec
    data_hash: str
    train_size: int | None
    config: TrainConfig
    start_from: str | None = None
    generation: GenerationConfig = field(default_factory=GenerationConfig)

    def to_data(self) -> dict[str, Any]:
        """Plain data that `from_data` reads back."""
        return {
            "spec": self.spec.to_data(),
            "dataset": self.dataset.to_data(),
            "data_hash": self.data_hash,
            "train_size": self.train_size,
            "config": self.config.to_data(),
            "start_from": self.start_from,
            **(
                {} if self.spec.generator is None else {"generation": self.generation.model_dump(mode="json")}
            ),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> RunSpec:
        """Read what `to_data` wrote."""
        return cls(
            Spec.from_data(data["spec"]),
            parse_part(data["dataset"], "dataset"),
            data["data_hash"],
            data["train_size"],
            TrainConfig.of(data["config"]),
            data.get("start_from"),
            GenerationConfig.model_validate(data.get("generation", {})),
        )

    @property
    def key(self) -> str:
        """Hash of the full specification: the name of the run's directory."""
        return digest_of(self.to_data())

    @property
    def runs_anywhere(self) -> bool:
        """Whether another process can build it, which does not know what this one registered for itself."""
        return "session" not in self.spec.plugins.values()


@dataclass(frozen=True)
class Row:
    """A combination with its model's specification, or the reason why there is none.

    Attributes
    ----------
    combination
        What was chosen.
    spec
        None where refused.
    symmetry
        Name of the computed symmetry; empty where refused.
    refusal
        Why the parts make no sense together; empty where they do.
    pretrained
        Composition that its weights come from, the same but for what the data decide; None where they start anew.
    pretraining_hash
        Hash of the events of pre-training.
    """

    combination: Combination
    spec: Spec | None
    symmetry: str = ""
    refusal: str = ""
    pretrained: Spec | None = None
    pretraining_hash: str = ""


@dataclass(frozen=True)
class Plan:
    """All rows of a study, in order, and the runs of each."""

    study: Study
    rows: tuple[Row, ...]
    data_hash: str

    def runs(self, row: Row) -> list[RunSpec]:
        """One run a seed; none for a refused combination."""
        if row.spec is None:
            return []
        dataset = parse_part(self.study.dataset, "dataset")
        before: list[RunSpec | None] = [*self.pretraining_runs(row)] or [None] * len(self.study.seeds)
        return [
            RunSpec(
                row.spec,
                dataset,
                self.data_hash,
                row.combination.train_size,
                self.study.config(seed, row.combination),
                None if first is None else first.key,
                self.study.generation,
            )
            for seed, first in zip(self.study.seeds, before, strict=True)
        ]

    def pretraining_runs(self, row: Row) -> list[RunSpec]:
        """The runs that those of a row start from, one a seed; none for a row that starts anew."""
        pretraining = row.combination.pretraining
        if pretraining is None or row.pretrained is None:
            return []
        return [
            RunSpec(
                row.pretrained,
                parse_part(pretraining.dataset, "dataset"),
                row.pretraining_hash,
                pretraining.train_size,
                pretraining.config(self.study.training, seed),
            )
            for seed in self.study.seeds
        ]


def make_plan(study: Study) -> Plan:
    """Build every combination once.

    Raises
    ------
    StudyError
        If a name or parameter is wrong, or the data set has no such split or size; all such problems at once.
    """
    try:
        dataset = open_dataset(parse_part(study.dataset, "dataset"))
        available = len(dataset.split("train"))
        for split in ("validation", "test"):
            if len(dataset.split(split)) == 0:
                raise StudyError(f"the data set has no events in its {split} split")
    except (LorentzooError, ValueError, OSError) as error:
        raise StudyError(f"study {study.name}: dataset: {error}") from error
    too_large = [size for size in study.train_sizes if size is not None and size > available]
    if too_large:
        raise StudyError(
            f"study {study.name}: train_sizes {too_large} exceed the {available} training events"
        )
    results = [_try_row(combination, dataset) for combination in study.combinations()]
    problems = [result for result in results if isinstance(result, str)]
    if problems:
        raise StudyError(f"study {study.name}: " + "\n".join(dict.fromkeys(problems)))
    return Plan(study, tuple(row for row in results if isinstance(row, Row)), dataset.fingerprint())


def _try_row(combination: Combination, dataset: EventData) -> Row | str:
    """A row; or, where the study itself is wrong, what is to be mended."""
    try:
        model = build(spec_for(combination.values, dataset))
    except CompositionError as error:
        return Row(combination, None, refusal=str(error))
    except LorentzooError as error:
        return f"{combination.label}: {error}"
    row = Row(combination, model.spec, symmetry=model.symmetry.name)
    return row if combination.pretraining is None else _with_pretraining(row, combination.pretraining)


def _with_pretraining(row: Row, pretraining: Pretraining) -> Row | str:
    """The same row with the composition that is trained before it."""
    combination = row.combination
    assert row.spec is not None
    try:
        dataset = open_dataset(parse_part(pretraining.dataset, "dataset"))
        for split in ("train", "validation", "test"):
            if len(dataset.split(split)) == 0:
                return f"{combination.label}: the pre-training data has no events in its {split} split"
        available = len(dataset.split("train"))
        if pretraining.train_size is not None and pretraining.train_size > available:
            return f"{combination.label}: pre-training has {available} events, not {pretraining.train_size}"
        model = build(spec_for(combination.values, dataset))
    except (LorentzooError, ValueError, OSError) as error:
        return f"{combination.label}: pre-training: {error}"
    assert model.spec is not None
    ours, theirs = row.spec, model.spec
    if ours.in_scalars != theirs.in_scalars or ours.in_context != theirs.in_context:
        return replace(
            row,
            spec=None,
            refusal=f"pre-training data bring {theirs.in_scalars} scalars a particle and {theirs.in_context} numbers "
            f"an event, the study's {ours.in_scalars} and {ours.in_context}: weights cannot go from one to the other",
        )
    return replace(row, pretrained=model.spec, pretraining_hash=dataset.fingerprint())


def spec_for(values: Mapping[str, Any], dataset: EventData) -> Spec:
    """The composition of some choices, with the widths and the number of classes of a data set."""
    if "model" in values:
        model = parse_part(values["model"], "model")
        overrides = {axis: value for axis, value in values.items() if axis != "model"}
        # Parameters of the model's own parts first, so that a whole slot given by an axis wins.
        return fitted_to(model_spec(model.name, **{**model.parameters, **overrides}), dataset)
    if "head" not in values and "generator" not in values:
        classes = len(dataset.class_names)
        if not classes:
            raise StudyError("the data set has no classes: name a head, e.g. fixed: {head: regress}")
        values = {**values, "head": {"name": "classify", "num_classes": classes}}
    return fitted_to(Spec.from_data(values), dataset)


def fitted_to(spec: Spec, dataset: EventData) -> Spec:
    """The same composition with the widths of a data set and, for models of the zoo, its number of classes."""
    spec = replace(spec, in_scalars=dataset.num_scalars, in_context=dataset.num_context)
    classes, stated = len(dataset.class_names), spec.head.parameters.get("num_classes", 2)
    fits = stated == classes or (classes == 2 and stated == 1)
    if spec.generator is not None:
        return spec  # it brings its own head
    head = parameters_of(catalogue().target(catalogue().find("head", spec.head.name)))
    if spec.model is None or "num_classes" not in head or not classes or fits:
        return spec
    return replace(spec, head=spec.head.merged({"num_classes": classes}))


def open_dataset(part: PartSpec) -> EventData:
    """A data set by name; the same one is read once a process."""
    return _open_dataset(canonical_json(part.to_data()))


@lru_cache(maxsize=4)
def _open_dataset(text: str) -> EventData:
    data = json.loads(text)
    name = data.pop("name")
    dataset = load_dataset(name, **data)
    if not isinstance(dataset, EventData):
        raise StudyError(f"dataset {name!r} is a {type(dataset).__name__}, no data set of events")
    return dataset

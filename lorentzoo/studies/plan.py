"""Which runs does a study need, and which combinations make no sense?

Everything is found out here, before anything trains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pydantic import BaseModel

from lorentzoo.core.errors import CompositionError, LorentzooError, StudyError
from lorentzoo.core.trainable import Trainable
from lorentzoo.data.events import EventData
from lorentzoo.output.files import digest_of
from lorentzoo.output.task import Task, judging_task, load_task, task_name
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.composition import build
from lorentzoo.registry.settings import describe_unknown
from lorentzoo.registry.specs import PartSpec, Spec, parse_part
from lorentzoo.studies.grid import Combination, Pretraining, Study
from lorentzoo.training.config import TrainConfig
from lorentzoo.training.fitting import open_dataset, spec_for
from lorentzoo.training.transfer import choose_start, initial_weights, pretrained_name

__all__ = ["Plan", "PlannedRow", "RunSpec", "make_plan", "test_settings"]


_KEYS: Final = (
    "spec",
    "dataset",
    "data_hash",
    "train_size",
    "config",
    "start_from",
    "task",
    "symmetry_events",
)
"""Of the specification of a run, beside that of the settings of its test."""


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
        What its weights start from: the hash of the full specification of another run, or of the weights themselves, or
        the name of trained weights, see `lorentzoo.training.transfer.state_pretrained`.
    test
        Settings of the task's test, as plain data; empty for a task without any.
    test_key
        Under which they stand in the specification.
    judge
        Name of the task that judges it, where that is another one than its head or generator states.
    symmetry_events
        Test events on which it is measured how far the trained network breaks each part of the Lorentz group; 0 for none.
    """

    spec: Spec
    dataset: PartSpec
    data_hash: str
    train_size: int | None
    config: TrainConfig
    start_from: str | None = None
    test: Mapping[str, Any] = field(default_factory=dict)
    test_key: str = "test"
    judge: str | None = None
    symmetry_events: int = 0

    def to_data(self) -> dict[str, Any]:
        """Plain data that `from_data` reads back."""
        return {
            # Keys of runs hold it: it goes on with the layout of runs, not with that of saved models.
            "spec": {**self.spec.to_data(), "format": 1},
            "dataset": self.dataset.to_data(),
            "data_hash": self.data_hash,
            "train_size": self.train_size,
            "config": self.config.to_data(),
            "start_from": self.start_from,
            **({} if self.judge is None else {"task": self.judge}),
            **({"symmetry_events": self.symmetry_events} if self.symmetry_events else {}),
            **({self.test_key: dict(self.test)} if self.test else {}),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> RunSpec:
        """Read what `to_data` wrote."""
        test_key = next((key for key in data if key not in _KEYS), "test")
        return cls(
            Spec.from_data(data["spec"]),
            parse_part(data["dataset"], "dataset"),
            data["data_hash"],
            data["train_size"],
            TrainConfig.of(data["config"]),
            data.get("start_from"),
            data.get(test_key, {}),
            test_key,
            data.get("task"),
            data.get("symmetry_events", 0),
        )

    @property
    def key(self) -> str:
        """Hash of the full specification: the name of the run's directory."""
        return digest_of(self.to_data())

    @property
    def task(self) -> Task:
        """What it is judged by."""
        return judging_task(task_name(self.spec), self.judge)

    @property
    def waits_for(self) -> str | None:
        """Hash of the run that must have finished before this one can begin."""
        return self.start_from if pretrained_name(self.start_from) is None else None

    @property
    def runs_anywhere(self) -> bool:
        """Whether another process can build and judge it, which does not know what this one registered for itself."""
        judges = catalogue().find("task", self.task.name, catalogue().own_plugins).plugin
        return "session" not in (*self.spec.plugins.values(), judges)


@dataclass(frozen=True)
class PlannedRow:
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
    start
        Trained weights that all its runs start from; None where the model's name states none.
    """

    combination: Combination
    spec: Spec | None
    symmetry: str = ""
    refusal: str = ""
    pretrained: Spec | None = None
    pretraining_hash: str = ""
    start: str | None = None


@dataclass(frozen=True)
class Plan:
    """All rows of a study, in order, and the runs of each."""

    study: Study
    rows: tuple[PlannedRow, ...]
    data_hash: str

    def runs(self, row: PlannedRow) -> list[RunSpec]:
        """One run a seed; none for a refused combination."""
        if row.spec is None:
            return []
        dataset = parse_part(self.study.dataset, "dataset")
        stated = task_name(row.spec)
        task = self.study.task_for(stated)
        test = self.study.test_of(task)
        before: list[RunSpec | None] = [*self.pretraining_runs(row)] or [None] * len(self.study.seeds)
        return [
            RunSpec(
                row.spec,
                dataset,
                self.data_hash,
                row.combination.train_size,
                self.study.config(seed, row.combination),
                row.start if first is None else first.key,
                test_settings(test),
                task.settings_key,
                None if task.name == stated else task.name,
                self.study.symmetry_events,
            )
            for seed, first in zip(self.study.seeds, before, strict=True)
        ]

    def pretraining_runs(self, row: PlannedRow) -> list[RunSpec]:
        """The runs that those of a row start from, one a seed; none for a row that starts anew."""
        pretraining = row.combination.pretraining
        if pretraining is None or row.pretrained is None:
            return []
        task = load_task(task_name(row.pretrained))
        test = task.read_settings(None)
        return [
            RunSpec(
                row.pretrained,
                parse_part(pretraining.dataset, "dataset"),
                row.pretraining_hash,
                pretraining.train_size,
                pretraining.config(self.study.training, seed),
                test=test_settings(test),
                test_key=task.settings_key,
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
    results = [_try_row(study, combination, dataset) for combination in study.combinations()]
    problems = [result for result in results if isinstance(result, str)]
    rows = tuple(row for row in results if isinstance(row, PlannedRow))
    problems += _check_test(study, [row.spec for row in rows if row.spec is not None])
    if problems:
        raise StudyError(f"study {study.name}: " + "\n".join(dict.fromkeys(problems)))
    return Plan(study, rows, dataset.fingerprint())


def test_settings(settings: BaseModel) -> dict[str, Any]:
    """Settings of a test as plain data."""
    return settings.model_dump(mode="json")


def _check_test(study: Study, specs: Sequence[Spec]) -> list[str]:
    """What is wrong with the settings of the test: keys that no task of the study knows, and values that do not fit."""
    found = [study.task_for(name) for name in dict.fromkeys(task_name(spec) for spec in specs)]
    tasks = {task.name: task for task in found}
    known = [key for task in tasks.values() for key in task.settings.model_fields]
    problems = [
        f"test: {describe_unknown(key, known)} (of {', '.join(tasks)})"
        for key in study.test
        if key not in known
    ]
    return problems + [problem for task in tasks.values() if (problem := _try_settings(study, task))]


def _try_settings(study: Study, task: Task) -> str:
    try:
        study.test_of(task)
    except LorentzooError as error:
        return str(error)
    return ""


def _try_row(study: Study, combination: Combination, dataset: EventData) -> PlannedRow | str:
    """A row; or, where the study itself is wrong, what is to be mended."""
    try:
        model = build(spec_for(combination.values, dataset, task=study.task))
        study.task_for(model.task).check_data(dataset.at_hand)
        start = _find_start(combination, model)
    except CompositionError as error:
        return PlannedRow(combination, None, refusal=str(error))
    except LorentzooError as error:
        return f"{combination.label}: {error}"
    row = PlannedRow(combination, model.spec, symmetry=model.symmetry.name, start=start)
    return row if combination.pretraining is None else _add_pretraining(study, row, combination.pretraining)


def _find_start(combination: Combination, model: Trainable) -> str | None:
    """The trained weights that the model's name states, if they fit what is built."""
    part = parse_part(combination.values.get("model", {"name": ""}), "model")
    if part.parameters.get("pretrained") in (None, False):
        return None
    if combination.pretraining is not None:
        raise StudyError(f"it starts either from pretrained weights of {part.name!r} or from a pre-training")
    start = choose_start(part.to_inline())
    assert start.source is not None
    initial_weights(model, start.source)
    return start.stated


def _add_pretraining(study: Study, row: PlannedRow, pretraining: Pretraining) -> PlannedRow | str:
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
        model = build(spec_for(combination.values, dataset, task=study.task))
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

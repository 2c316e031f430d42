"""What is a study: which names are combined, and on what terms are they compared?"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from lorentzoo.core.errors import StudyError
from lorentzoo.output.report_texts import ReportTexts
from lorentzoo.output.task import Settings, Task, load_task
from lorentzoo.registry.plain_data import check_plain
from lorentzoo.registry.settings import describe_problems
from lorentzoo.registry.yaml_text import read_yaml_file
from lorentzoo.studies.choices import (
    AXES,
    RECIPE_AXES,
    Budget,
    Choice,
    Pretraining,
    check_axis,
    check_recipe,
    read_choices,
    read_part,
)
from lorentzoo.studies.resources import Resources, Rows
from lorentzoo.training.config import TrainConfig

__all__ = ["AXES", "Budget", "Choice", "Combination", "Pretraining", "Study", "load_study"]

MAX_RUNS: Final = 10_000
"""Combinations times sizes times seeds of one study."""
Seed = Annotated[int, Field(ge=0)]


class Study(BaseModel):
    """A grid of names × training-set sizes × seeds on one data set.

    Parameters
    ----------
    name, description
        For the report.
    dataset
        A data set by name, ``"name:key=value"`` or mapping, with splits train, validation and test.
    axes
        What varies: lists of names, inline parts or mappings (with a ``label``, if wanted) for `AXES`. On the axis
        ``training`` stand mappings of what differs in the recipe, on ``pretraining`` null and `Pretraining`; null on
        ``generator`` is the one that the model's name has.
    fixed
        What does not vary, in the same way.
    exclude
        Combinations to leave out: mappings of axes to labels, or lists of labels.
    seeds
        How many, or which.
    train_sizes
        Numbers of training events; None takes all.
    training
        Recipe without a budget, see `lorentzoo.training.config.TrainConfig`.
    budget
        What every row gets equally much of.
    task
        Whose default head is taken where no head is named, and which judges all networks that it can judge; by default
        the first that the data ask for, and the task of each head.
    test
        How thoroughly networks are tested: the settings of their task, e.g. ``{num_samples: 5000}`` for generators.
    symmetry_events
        Test events on which the report says how far each trained network breaks the parts of the Lorentz group, see
        `lorentzoo.symmetry_spectrum`; 0 for none.
    resources
        What a run asks of the machine, e.g. ``{memory_gb: 8, rows: [{backbone: part, gpus: 1}]}``; no part of the run's
        hash.
    report
        Titles, labels and captions, see `lorentzoo.output.report_texts.ReportTexts`; no part of the run's hash.
    generation
        Earlier name of `test`; keys that the tasks of the study do not know are passed over here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    name: str
    description: str = ""
    dataset: Any
    axes: dict[str, list[Any]]
    fixed: dict[str, Any] = {}
    exclude: list[dict[str, Any]] = []
    seeds: tuple[Seed, ...] = (0, 1, 2)
    train_sizes: tuple[PositiveInt | None, ...] = (None,)
    training: dict[str, Any] = {}
    budget: Budget
    task: str | None = None
    test: dict[str, Any] = {}
    symmetry_events: NonNegativeInt = 0
    resources: Rows = Rows()
    report: ReportTexts = ReportTexts()
    generation: dict[str, Any] = {}

    @field_validator("description")
    @classmethod
    def _description(cls, text: str) -> str:
        return " ".join(text.split())

    @field_validator("dataset")
    @classmethod
    def _dataset(cls, value: Any) -> dict[str, Any]:
        return read_part(value, "dataset").to_data()

    @field_validator("axes")
    @classmethod
    def _axes(cls, axes: dict[str, list[Any]]) -> dict[str, list[Any]]:
        for axis, values in axes.items():
            check_axis(axis)
            if not values:
                raise ValueError(f"{axis} is empty; give at least one name")
            counts = Counter(choice.label for choice in read_choices(axis, values))
            twice = sorted(label for label, count in counts.items() if count > 1)
            if twice:
                raise ValueError(f"{axis} lists {', '.join(map(repr, twice))} twice")
        return axes

    @field_validator("fixed")
    @classmethod
    def _fixed(cls, fixed: dict[str, Any]) -> dict[str, Any]:
        for axis, value in fixed.items():
            check_axis(axis)
            read_choices(axis, [value])
        return fixed

    @field_validator("seeds", mode="before")
    @classmethod
    def _seeds(cls, seeds: Any) -> Any:
        if isinstance(seeds, int) and not isinstance(seeds, bool):
            if not 1 <= seeds <= MAX_RUNS:
                raise ValueError(f"the number of seeds is from 1 to {MAX_RUNS}, not {seeds}")
            return tuple(range(seeds))
        return seeds

    @field_validator("seeds")
    @classmethod
    def _different(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if not seeds or len(set(seeds)) < len(seeds):
            raise ValueError("seeds must be different numbers, at least one")
        return seeds

    @field_validator("training")
    @classmethod
    def _training(cls, training: dict[str, Any]) -> dict[str, Any]:
        return check_recipe(training)

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        both = sorted(set(self.axes) & set(self.fixed))
        if both:
            raise ValueError(f"{', '.join(both)} cannot be both in axes and fixed")
        if not {"model", "generator", "backbone"} & (set(self.axes) | set(self.fixed)):
            raise ValueError("neither axes nor fixed names a backbone, a generator or a model")
        if not self.train_sizes:
            raise ValueError("train_sizes is empty; leave it out to train on all events")
        runs = math.prod(map(len, self.axes.values())) * len(self.train_sizes) * len(self.seeds)
        if runs > MAX_RUNS:
            raise ValueError(
                f"axes, train_sizes and seeds make {runs} runs, before any is excluded; "
                f"a study has at most {MAX_RUNS}: split it"
            )
        for pattern in self.exclude:
            self._check_pattern("exclude", pattern)
        for pattern, needs in self.resources.split():
            self._check_pattern("resources", pattern)
            Resources.model_validate(needs)
        if not list(self.combinations()):
            raise ValueError("exclude leaves no combination")
        return self

    def _check_pattern(self, where: str, pattern: Mapping[str, Any]) -> None:
        for axis, labels in pattern.items():
            if axis not in self.axes:
                raise ValueError(f"{where} names {axis!r}, which is not one of the axes {list(self.axes)}")
            known = [choice.label for choice in read_choices(axis, self.axes[axis])]
            for label in labels if isinstance(labels, list) else [labels]:
                if label not in known:
                    raise ValueError(f"{where}: {axis} has no choice {label!r}; its choices are {known}")

    def resources_of(self, combination: Combination) -> Resources:
        """What the runs of a row ask for."""
        needs = self.resources.model_dump(include=set(Resources.model_fields))
        for pattern, differing in self.resources.split():
            if _matches(pattern, combination.choices):
                needs |= differing
        needs["cpus"] = needs["cpus"] or self.config(self.seeds[0], combination).num_threads
        return Resources.model_validate(needs)

    def task_for(self, stated: str) -> Task:
        """The task that judges networks which are trained for the stated one: the study's, if it does, or this itself.

        Raises
        ------
        UnknownNameError, AmbiguousNameError
            If a name means nothing, or several things.
        """
        if self.task is not None and stated in (wanted := load_task(self.task)).judges:
            return wanted
        return load_task(stated)

    def test_of(self, task: Task) -> Settings:
        """Settings of a task: those of its keys that the study gives.

        Raises
        ------
        TrainingError
            Naming every key that has a value that does not fit.
        """
        given = {**self.generation, **self.test}
        return task.read_settings({key: given[key] for key in given if key in task.settings.model_fields})

    def config(self, seed: int, combination: Combination | None = None) -> TrainConfig:
        """The recipe of a run of a combination; without one, what is common to all."""
        own = {} if combination is None else combination.recipe
        return TrainConfig.of({**self.training, **own, **self.budget.recipe, "seed": seed})

    def combinations(self) -> Iterator[Combination]:
        """Every combination that is not excluded, in the order of the axes."""
        axes = {axis: read_choices(axis, values) for axis, values in self.axes.items()}
        fixed = {axis: read_choices(axis, [value])[0] for axis, value in self.fixed.items()}
        varying = [axis for axis, choices in axes.items() if len(choices) > 1]
        for chosen in itertools.product(*axes.values()):
            choices = dict(zip(axes, chosen, strict=True))
            if any(_matches(pattern, choices) for pattern in self.exclude):
                continue
            names = [choices[axis].label for axis in varying or list(axes)[:1]]
            for size in self.train_sizes:
                sized = [f"{size or 'all'} events"] if len(self.train_sizes) > 1 else []
                yield Combination(" · ".join(names + sized), choices, fixed, size)

    @property
    def pretrainings(self) -> dict[str, Pretraining]:
        """What comes before the budget of some rows, by label."""
        fixed = [self.fixed["pretraining"]] if "pretraining" in self.fixed else []
        choices = read_choices("pretraining", self.axes.get("pretraining", fixed))
        return {
            choice.label: Pretraining.model_validate(choice.value)
            for choice in choices
            if choice.value is not None
        }

    @property
    def varying(self) -> tuple[str, ...]:
        """Axes with more than one choice."""
        return tuple(axis for axis, values in self.axes.items() if len(values) > 1)


@dataclass(frozen=True)
class Combination:
    """One row of a study: what was chosen on each axis.

    Attributes
    ----------
    label
        The names that vary.
    choices, fixed
        By axis.
    train_size
        Number of training events, None for all.
    """

    label: str
    choices: Mapping[str, Choice]
    fixed: Mapping[str, Choice]
    train_size: int | None

    @property
    def values(self) -> dict[str, Any]:
        """What each axis of the network holds, varying or not."""
        return {
            axis: choice.value
            for axis, choice in {**self.fixed, **self.choices}.items()
            if axis not in RECIPE_AXES and not (axis == "generator" and choice.value is None)
        }

    @property
    def pretraining(self) -> Pretraining | None:
        """What comes before the training; None where weights start anew."""
        chosen = {**self.fixed, **self.choices}.get("pretraining")
        return None if chosen is None or chosen.value is None else Pretraining.model_validate(chosen.value)

    @property
    def recipe(self) -> dict[str, Any]:
        """What differs in its recipe from the study's."""
        chosen = {**self.fixed, **self.choices}.get("training")
        finetuning = {} if self.pretraining is None else self.pretraining.finetuning
        return {**({} if chosen is None else chosen.value), **finetuning}


def load_study(source: Study | Mapping[str, Any] | str | Path) -> Study:
    """A study from a YAML file or a mapping, validated.

    Raises
    ------
    StudyError
        If the file cannot be read; or naming every key that is unknown, missing or has a wrong value.
    """
    if isinstance(source, Study):
        return source
    where = "study"
    data: Any = source
    if isinstance(source, str | Path):
        where = f"study {Path(source).name}"
        data = read_yaml_file(Path(source), where, StudyError)
    check_plain(data, where, StudyError)
    if not isinstance(data, Mapping):
        raise StudyError(f"{where}: expected keys such as name, dataset, axes and budget, not {data!r}")
    try:
        return Study.model_validate(dict(data))
    except ValidationError as error:
        raise StudyError(f"{where}: {describe_problems(error, list(Study.model_fields))}") from None


def _matches(pattern: Mapping[str, Any], choices: Mapping[str, Choice]) -> bool:
    return all(
        choices[axis].label in (labels if isinstance(labels, list) else [labels])
        for axis, labels in pattern.items()
    )

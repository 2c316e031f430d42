"""How is a network trained: by which recipe, for how long?"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from lorentzoo.studies.errors import TrainingError
from lorentzoo.training.optimisers import OptimiserName, PartName
from lorentzoo.training.schedules import ScheduleName

__all__ = ["BUDGETS", "GenerationConfig", "TrainConfig", "describe_problems"]

BUDGETS = ("epochs", "max_steps", "cpu_seconds")
Fraction = Annotated[float, Field(ge=0, le=1)]

_Kind = TypeVar("_Kind", bound=BaseModel)


class TrainConfig(BaseModel):
    """A training recipe: an immutable value that goes through JSON and YAML.

    Parameters
    ----------
    epochs, max_steps, cpu_seconds
        Budget. Training ends when the first of those given is used up; 20 epochs if none is given.
        ``cpu_seconds`` counts processor time of training steps only, over all threads of the process.
    batch_size
        Events a step.
    optimiser
        ``"adamw"``, ``"lion"``, or ``"ranger"`` (RAdam with lookahead).
    learning_rate, betas, weight_decay
        Of the optimiser; `betas` None takes its own. Norms, biases and one-dimensional parameters never decay.
    schedule
        Learning rate over the budget: ``"constant"``, ``"cosine"``, ``"warmup-cosine"`` or ``"flat-decay"``.
    warmup, flat, final
        Part of the budget with rising rate, part with constant rate, and last rate as a part of the first.
    gradient_clip
        Largest norm of the gradient; None clips nothing.
    ema
        Decay per step of the exponential average of the weights that is validated and kept; None keeps the
        weights themselves.
    rates
        Factors of the learning rate for parts of the model, e.g. ``{"backbone": 0.1}``.
    freeze
        Parts of the model that are not trained, e.g. ``["frames", "backbone"]``; they also stop taking statistics.
    precision
        ``"float32"``, or ``"bf16"`` for bfloat16 autocast.
    patience
        Stop when the validation loss did not improve for so many epochs; None never stops early.
    keep
        Which weights the trained model has: the ``"last"`` ones or the ``"best"`` in validation loss.
    seed
        Of initialisation, batch order and every random number of training.
    num_threads
        Threads of torch while training.

    Examples
    --------
    >>> TrainConfig.of({"optimiser": "lion", "learning_rate": 3e-4, "max_steps": 1000}).schedule
    'cosine'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: PositiveInt | None = None
    max_steps: PositiveInt | None = None
    cpu_seconds: PositiveFloat | None = None
    batch_size: PositiveInt = 128
    optimiser: OptimiserName = "adamw"
    learning_rate: PositiveFloat = 1e-3
    betas: tuple[Fraction, Fraction] | None = None
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    schedule: ScheduleName = "cosine"
    warmup: Fraction = 0.05
    flat: Fraction = 0.7
    final: Fraction = 0.01
    gradient_clip: PositiveFloat | None = 1.0
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    rates: dict[PartName, PositiveFloat] = {}
    freeze: tuple[PartName, ...] = ()
    precision: Literal["float32", "bf16"] = "float32"
    patience: PositiveInt | None = None
    keep: Literal["last", "best"] = "last"
    seed: Annotated[int, Field(ge=0)] = 0
    num_threads: PositiveInt = 1

    @model_validator(mode="before")
    @classmethod
    def _default_budget(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and all(data.get(name) is None for name in BUDGETS):
            return {**data, "epochs": 20}
        return data

    @classmethod
    def of(cls, recipe: TrainConfig | Mapping[str, Any] | None) -> TrainConfig:
        """A recipe from plain data.

        Raises
        ------
        TrainingError
            Naming every key that is unknown or has a value that does not fit.
        """
        return _read(cls, recipe, "training recipe")

    def to_data(self) -> dict[str, Any]:
        """Plain data that `of` reads back."""
        return self.model_dump(mode="json")


class GenerationConfig(BaseModel):
    """How thoroughly a generator is tested: an immutable value that goes through JSON and YAML.

    Parameters
    ----------
    num_samples
        Events that are drawn.
    num_log_prob
        Held-out events whose density is computed.
    classifier
        Of the two-sample test, see `lorentzoo.tasks.generation.two_sample.two_sample_test`.
    recipe
        Keys of `TrainConfig` for its training, over those of the classifier's own.
    seed
        Of samples and classifier; the same for all rows of a study.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_samples: PositiveInt = 10_000
    num_log_prob: PositiveInt = 2_000
    classifier: str | dict[str, Any] = "boosted-trees"
    recipe: dict[str, Any] = {}
    seed: Annotated[int, Field(ge=0)] = 0

    @field_validator("recipe")
    @classmethod
    def _recipe(cls, recipe: dict[str, Any]) -> dict[str, Any]:
        try:
            TrainConfig.of(recipe)
        except TrainingError as error:
            raise ValueError(str(error)) from None
        return recipe

    @classmethod
    def of(cls, settings: GenerationConfig | Mapping[str, Any] | None) -> GenerationConfig:
        """Settings from plain data.

        Raises
        ------
        TrainingError
            Naming every key that is unknown or has a value that does not fit.
        """
        return _read(cls, settings, "generation")


def _read(kind: type[_Kind], data: _Kind | Mapping[str, Any] | None, what: str) -> _Kind:
    if isinstance(data, kind):
        return data
    try:
        return kind.model_validate(dict(data or {}))
    except ValidationError as error:
        raise TrainingError(f"{what}: {describe_problems(error, list(kind.model_fields))}") from None


def describe_problems(error: ValidationError, known: list[str]) -> str:
    """What is wrong, key by key, with the closest known name for an unknown one."""
    problems = []
    for problem in error.errors():
        where = ".".join(str(step) for step in problem["loc"]) or "value"
        if problem["type"] == "extra_forbidden":
            close = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; known keys: {', '.join(known)}"
            problems.append(f"unknown key {where!r}{hint}")
        elif problem["type"] == "missing":
            problems.append(f"{where!r} is missing")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            given = "" if problem["type"] == "value_error" else f", not {problem['input']!r}"
            problems.append(f"{where}: {message}{given}" if problem["loc"] else message)
    return "; ".join(problems)

"""What may vary in a study, and how are the choices of each axis read and called?"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator

from lorentzoo.core.errors import LorentzooError
from lorentzoo.registry.specs import SLOTS, PartSpec, parse_part
from lorentzoo.training.config import BUDGETS, TrainConfig

__all__ = [
    "AXES",
    "RECIPE_AXES",
    "Budget",
    "Choice",
    "Pretraining",
    "check_axis",
    "check_recipe",
    "read_choices",
    "read_part",
]

RECIPE_AXES: Final = ("training", "pretraining")
"""What may vary in how a network is trained."""
AXES: Final = ("model", "generator", *SLOTS, "spurion_mode", "anchor", *RECIPE_AXES)
"""What may vary in a study."""
_PLAIN: Final = ("spurion_mode", "anchor")
_LISTS: Final = ("spurions", "embedding")


class Budget(BaseModel):
    """What all rows of a study get equally much of: CPU-seconds of training, or optimiser steps.

    Parameters
    ----------
    cpu_seconds, steps
        Exactly one of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    cpu_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    steps: PositiveInt | None = None

    @model_validator(mode="after")
    def _one(self) -> Budget:
        if (self.cpu_seconds is None) == (self.steps is None):
            raise ValueError("a budget is either {cpu_seconds: ...} or {steps: ...}")
        return self

    @property
    def text(self) -> str:
        """In words."""
        return (
            f"{self.steps} optimiser steps" if self.steps else f"{self.cpu_seconds:g} CPU-seconds of training"
        )

    @property
    def recipe(self) -> dict[str, Any]:
        """Keys of `TrainConfig`."""
        return {"max_steps": self.steps} if self.steps else {"cpu_seconds": self.cpu_seconds}


class Pretraining(BaseModel):
    """What a network is trained on before the study's own training.

    Parameters
    ----------
    dataset
        A data set by name, ``"name:key=value"`` or mapping, with splits train, validation and test.
    budget
        CPU-seconds or steps of pre-training.
    train_size
        Number of its training events; None takes all.
    training
        What differs in its recipe from the study's.
    finetuning
        What differs in the recipe of the training that follows, e.g. ``{rates: {backbone: 0.3}}``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    dataset: Any
    budget: Budget
    train_size: PositiveInt | None = None
    training: dict[str, Any] = {}
    finetuning: dict[str, Any] = {}

    @field_validator("dataset")
    @classmethod
    def _dataset(cls, value: Any) -> dict[str, Any]:
        return read_part(value, "dataset").to_data()

    @field_validator("training", "finetuning")
    @classmethod
    def _recipe(cls, recipe: dict[str, Any]) -> dict[str, Any]:
        return check_recipe(recipe)

    def config(self, training: Mapping[str, Any], seed: int) -> TrainConfig:
        """The recipe of a pre-training run."""
        return TrainConfig.of({**training, **self.training, **self.budget.recipe, "seed": seed})


@dataclass(frozen=True)
class Choice:
    """One value of an axis and how it is called in tables."""

    label: str
    value: Any


def read_choices(axis: str, values: Sequence[Any]) -> list[Choice]:
    """Choices of an axis, with labels as short as they can be."""
    parts = [_Reading.of(axis, value) for value in values]
    short = Counter(part.short for part in parts)
    return [
        Choice(part.short if part.stated or short[part.short] == 1 else part.long, part.value)
        for part in parts
    ]


@dataclass(frozen=True)
class _Reading:
    short: str
    long: str
    value: Any
    stated: bool = False

    @classmethod
    def of(cls, axis: str, value: Any) -> _Reading:
        if axis in _PLAIN:
            if value is not None and not isinstance(value, str):
                raise ValueError(f"{axis}: expected text, not {value!r}")
            return cls(value or "default", value or "default", value)
        if axis in RECIPE_AXES:
            return cls._of_recipe(axis, value)
        if axis == "generator" and value is None:
            return cls("as named", "as named", None)
        if isinstance(value, Mapping) and "label" in value:
            rest = {key: item for key, item in value.items() if key != "label"}
            return cls(str(value["label"]), str(value["label"]), read_part(rest, axis).to_data(), stated=True)
        if axis in _LISTS and (value is None or isinstance(value, list | tuple)):
            parts = [read_part(item, axis) for item in value or []]
        else:
            parts = [read_part(value, axis)]
        data = [part.to_data() for part in parts]
        short = "+".join(part.name for part in parts) or "none"
        long = "+".join(_describe_long(part) for part in parts) or "none"
        return cls(short, long, data if axis in _LISTS else data[0])

    @classmethod
    def _of_recipe(cls, axis: str, value: Any) -> _Reading:
        if axis == "pretraining" and value is None:
            return cls("none", "none", None)
        if not isinstance(value, Mapping):
            raise ValueError(f"{axis}: expected a mapping, not {value!r}")
        rest = {key: item for key, item in value.items() if key != "label"}
        if axis == "training":
            text = ", ".join(f"{key}={item}" for key, item in check_recipe(rest).items()) or "as it is"
        else:
            rest = Pretraining.model_validate(rest).model_dump(mode="json")
            text = str(rest["dataset"]["name"])
        label = str(value.get("label", text))
        return cls(label, label, rest, stated="label" in value)


def check_recipe(training: dict[str, Any]) -> dict[str, Any]:
    own = [name for name in (*BUDGETS, "seed") if training.get(name) is not None]
    if own:
        raise ValueError(f"{', '.join(own)} cannot be set here: use `budget` and `seeds` of the study")
    try:
        TrainConfig.of(training)
    except LorentzooError as error:
        raise ValueError(str(error).removeprefix("training recipe: ")) from None
    return training


def _describe_long(part: PartSpec) -> str:
    settings = ", ".join(f"{key}={value}" for key, value in part.parameters.items())
    return f"{part.name} ({settings})" if settings else part.name


def read_part(value: Any, where: str) -> PartSpec:
    try:
        return parse_part(value, where)
    except LorentzooError as error:
        raise ValueError(str(error)) from None


def check_axis(axis: str) -> None:
    if axis not in AXES:
        close = difflib.get_close_matches(axis, AXES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(AXES)}"
        raise ValueError(f"there is no axis {axis!r}; {hint}")

"""How is a network trained: by which recipe, for how long?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from lorentzoo.core.errors import LorentzooError
from lorentzoo.core.freezing import PARTS, PartName
from lorentzoo.registry.adapters import read_adapters, write_adapters
from lorentzoo.registry.quantisation import read_quantisation, write_quantisation
from lorentzoo.registry.settings import read_settings
from lorentzoo.training.optimisers import OptimiserName
from lorentzoo.training.schedules import ScheduleName

__all__ = ["BUDGETS", "TrainConfig"]

BUDGETS = ("epochs", "max_steps", "cpu_seconds")
Fraction = Annotated[float, Field(ge=0, le=1)]


def _check_patterns(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse single words that are no part; what else names something is known with the model."""
    for pattern in patterns:
        name = pattern.removeprefix("!")
        if name not in PARTS and not set(name) & set(".*?["):
            raise ValueError(
                f"{name!r} is not a part ({', '.join(PARTS)}), the path of a module or a glob of names of parameters"
            )
    return patterns


def _as_data(read: Callable[[Any], Any], write: Callable[[Any], dict[str, Any]]) -> Callable[[Any], Any]:
    """Plain data of what is read, or None."""

    def convert(value: Any) -> dict[str, Any] | None:
        try:
            return None if value is None else write(read(value))
        except LorentzooError as error:
            raise ValueError(str(error)) from None

    return convert


Adapters = Annotated[dict[str, Any] | None, BeforeValidator(_as_data(read_adapters, write_adapters))]
Quantise = Annotated[dict[str, Any] | None, BeforeValidator(_as_data(read_quantisation, write_quantisation))]


class TrainConfig(BaseModel):
    """A training recipe: an immutable value that goes through JSON and YAML.

    Parameters
    ----------
    epochs, max_steps, cpu_seconds
        Budget. Training ends when the first of those given is used up; 20 epochs if none is given.
        ``cpu_seconds`` counts processor time of training steps only, over all threads of the process.
    batch_size
        Events a step, of all processes and pieces together.
    accumulate
        Pieces in which each process works on its part of a step, one after the other, where memory does not hold it; what
        is learned is the same, but for rounding, where dropout falls, and batch norms, which see a piece.
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
        Parts of the model, modules or parameters that are not trained, e.g. ``["frames", "backbone.blocks.[0-3].*"]``,
        as `lorentzoo.Model.freeze` takes them; modules of which nothing is trained stop taking statistics, too.
    adapters
        What is trained beside the head in the place of all weights, ``"bias"`` or ``"low-rank:rank=4"``, see
        `lorentzoo.adapt`; merged into the weights in the end.
    quantise
        Train with weights that are rounded to integers, ``"int8"`` or ``"int4:activations=8"``, see `lorentzoo.quantise`;
        the trained model has them. A model that is quantised is trained so in any case.
    precision
        ``"float32"``, or ``"bf16"`` for bfloat16 autocast.
    patience
        Stop when the validation loss did not improve in so many validations; None never stops early.
    validation_steps
        Fewest steps between two validations; epochs that end earlier are neither validated nor kept as checkpoints. With
        None every epoch is: where epochs are short, validation takes longer than training.
    events_per_epoch
        Events after which an epoch of the recipe ends, with its validation, row of the history and checkpoint; the next
        one goes on where it stopped, pass after pass over the data. With None an epoch is a pass.
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
    accumulate: PositiveInt = 1
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
    freeze: Annotated[tuple[str, ...], AfterValidator(_check_patterns)] = ()
    adapters: Adapters = None
    quantise: Quantise = None
    precision: Literal["float32", "bf16"] = "float32"
    patience: PositiveInt | None = None
    validation_steps: PositiveInt | None = None
    events_per_epoch: PositiveInt | None = None
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
        return read_settings(cls, recipe, "training recipe")

    def to_data(self) -> dict[str, Any]:
        """Plain data that `of` reads back."""
        data = self.model_dump(mode="json")
        # A recipe that does not set them has the hash that it had before there were such keys.
        for name, usual in (
            ("validation_steps", None),
            ("events_per_epoch", None),
            ("accumulate", 1),
            ("adapters", None),
            ("quantise", None),
        ):
            if data[name] == usual:
                del data[name]
        return data

"""How thoroughly is a generator tested?"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, PositiveInt, field_validator

from lorentzoo.core.errors import TrainingError
from lorentzoo.output.task import Settings
from lorentzoo.training.config import TrainConfig

__all__ = ["GenerationSettings"]


class GenerationSettings(Settings):
    """How thoroughly a generator is tested.

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

    num_samples: PositiveInt = 10_000
    num_log_prob: PositiveInt = 2_000
    classifier: str | dict[str, Any] = "boosted-trees"
    recipe: dict[str, Any] = Field(default_factory=dict)
    seed: Annotated[int, Field(ge=0)] = 0

    @field_validator("recipe")
    @classmethod
    def _recipe(cls, recipe: dict[str, Any]) -> dict[str, Any]:
        try:
            TrainConfig.of(recipe)
        except TrainingError as error:
            raise ValueError(str(error)) from None
        return recipe

"""What does a simulated sample have to say about itself?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.simulate.engine import Events, Jets
from lorentzoo.data.simulate.jets10 import Jets10
from lorentzoo.data.simulate.toptag import TopTag
from lorentzoo.data.simulate.ttbar import TopPairs

__all__ = ["RECIPES", "Recipe", "make_recipe"]


class Recipe(Protocol):
    """A sample: its processes, its selection, what is stored. Implementations are frozen dataclasses.

    What it `stores` of the selected jets: the ``"constituents"`` of each, one jet an event of the sample, or the
    ``"jets"`` themselves, up to `max_constituents` of them an event.
    """

    name: ClassVar[str]
    class_names: ClassVar[tuple[str, ...]]
    target_names: ClassVar[tuple[str, ...]]
    target_units: ClassVar[tuple[str, ...]]
    reference: ClassVar[str]
    notes: ClassVar[str]
    stores: ClassVar[Literal["constituents", "jets"]]

    @property
    def scalar_names(self) -> tuple[str, ...]:
        """Names of the further numbers of each particle."""

    @property
    def max_constituents(self) -> int:
        """Constituents kept of each jet, the hardest ones; or jets of each event, at most."""

    @property
    def mantissa_bits(self) -> int:
        """Bits of the stored float32 mantissa."""

    def pythia_settings(self, class_name: str) -> Sequence[str]:
        """Pythia's settings for one class."""

    def selection(self) -> str:
        """The selection in words, with its numbers."""

    def select(self, events: Events, class_name: str) -> Jets:
        """The jets of a batch of events that enter the sample."""

    def scalars(self, events: Events, constituents: NDArray[np.int64]) -> NDArray[np.float32]:
        """Further numbers of each stored particle, shape (K, S); S may be 0.

        Particles are given by their positions in the events; jets that are stored themselves by their places among those
        of their event.
        """

    def targets(self, events: Events, jets: Jets) -> NDArray[np.float64]:
        """Values of each stored event that may be predicted, shape (B, D); see `OnlyClasses`."""


RECIPES: dict[str, type[Recipe]] = {"toptag": TopTag, "jets10": Jets10, "ttbar": TopPairs}
"""The recipes by name. A new sample is one module and one entry here."""


def make_recipe(name: str, settings: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe `name`, with some of its settings changed.

    Raises
    ------
    ValueError
        If the name or a setting is unknown; the message lists the allowed ones.
    """
    if name not in RECIPES:
        raise ValueError(f"no simulated sample is called {name!r}; there are: {', '.join(sorted(RECIPES))}")
    recipe = RECIPES[name]
    allowed = [f.name for f in dataclasses.fields(recipe)]  # type: ignore[arg-type]
    unknown = sorted(set(settings or {}) - set(allowed))
    if unknown:
        raise ValueError(f"{name} has no setting {', '.join(unknown)}; allowed are: {', '.join(allowed)}")
    return recipe(**(settings or {}))

"""What is a task given of each row of a study, to make figures and tables of?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from lorentzoo.output.evaluation import Evaluation
from lorentzoo.output.metric import value_of

__all__ = ["Look", "Row"]


@dataclass(frozen=True)
class Look:
    """How a row is drawn, in every figure alike.

    Attributes
    ----------
    colour, line, marker
        As matplotlib names them.
    """

    colour: str
    line: str
    marker: str

    @property
    def is_filled(self) -> bool:
        """Whether the marker is filled: that of the first line style is."""
        return self.line == "-"


@dataclass(frozen=True, eq=False)
class Row:
    """A row with at least one finished run.

    Attributes
    ----------
    label
        Its name.
    look
        How it is drawn.
    seeds
        Of its runs.
    metrics
        What was recorded of the test, one mapping a seed.
    costs
        Parameters, FLOPs, times and memory, one mapping a seed; and ``training_cpu_seconds``.
    history
        One list a seed, of one mapping an epoch.
    open_evaluation
        Reads everything behind the numbers of a run, by its place among the seeds.
    """

    label: str
    look: Look
    seeds: tuple[int, ...]
    metrics: tuple[Mapping[str, Any], ...]
    costs: tuple[Mapping[str, float], ...]
    history: tuple[list[dict[str, float]], ...]
    open_evaluation: Callable[[int], Evaluation] = field(repr=False)

    @property
    def evaluations(self) -> list[Evaluation]:
        """Everything behind the numbers, one a seed."""
        return [_opened(self, place) for place in range(len(self.seeds))]

    def values(self, metric: str) -> list[float]:
        """A metric of each seed that has it."""
        found = (value_of(recorded.get(metric)) for recorded in self.metrics)
        return [value for value in found if value is not None]

    def mean(self, metric: str) -> float:
        """Mean of a metric over seeds; NaN where none has it."""
        values = self.values(metric)
        return sum(values) / len(values) if values else float("nan")


@lru_cache(maxsize=64)
def _opened(row: Row, place: int) -> Evaluation:
    return row.open_evaluation(place)

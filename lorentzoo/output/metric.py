"""What is a metric: one number of a test, known in one place?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lorentzoo.core.numbers import format_count
from lorentzoo.output.table import Cell, range_cell, spread_cell
from lorentzoo.output.uncertainty import summarise

__all__ = ["Better", "Metric", "count_cell", "mean_cell", "value_of"]

Better = Literal["high", "low", "none"]
Shown = Literal["always", "nonzero", "file"]


def value_of(recorded: Any) -> float | None:
    """The number of a recorded metric, which is a number or a mapping with a ``"value"``; None where it is neither."""
    if isinstance(recorded, Mapping):
        recorded = recorded.get("value")
    if isinstance(recorded, bool) or not isinstance(recorded, int | float):
        return None
    return float(recorded)


def mean_cell(recorded: Sequence[Any]) -> Cell:
    """Mean over seeds ± spread of one seed."""
    return spread_cell([number for each in recorded if (number := value_of(each)) is not None])


def count_cell(recorded: Sequence[Any]) -> Cell:
    """Whole numbers: the smallest and the largest over seeds."""
    return range_cell([number for each in recorded if (number := value_of(each)) is not None], format_count)


def _no_more_numbers(recorded: Sequence[Any]) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class Metric:
    """One column of tables, CSV and JSON, and one axis of figures.

    Parameters
    ----------
    name
        Key in what an evaluation's ``metrics()`` returns.
    label
        Head of the column; the name by default.
    better
        Whether ``"high"`` or ``"low"`` values are better; ``"none"`` is what is told but judges nothing, and has no part
        in differences.
    unit
        In which it is measured; put behind the label.
    cell
        From the recorded values, one a seed, to a cell.
    numbers
        Further numbers of the recorded values for CSV and JSON, by the end of their names.
    note
        What stands below a table that has the column.
    shown
        ``"always"``; ``"nonzero"``: as a column only where some value is not zero; ``"file"``: in CSV and JSON only.
    family
        Whether it also stands for ``name_END`` with any end, as of one of several targets.

    Examples
    --------
    >>> Metric("rmse", "RMSE", "low", unit="GeV").heading
    'RMSE [GeV]'
    """

    name: str
    label: str = ""
    better: Better = "none"
    unit: str = ""
    cell: Callable[[Sequence[Any]], Cell] = mean_cell
    numbers: Callable[[Sequence[Any]], Mapping[str, Any]] = _no_more_numbers
    note: str = ""
    shown: Shown = "always"
    family: bool = False

    def __post_init__(self) -> None:
        if self.better not in ("high", "low", "none"):
            raise ValueError(f"metric {self.name!r}: better is 'high', 'low' or 'none', not {self.better!r}")
        if self.shown not in ("always", "nonzero", "file"):
            raise ValueError(
                f"metric {self.name!r}: shown is 'always', 'nonzero' or 'file', not {self.shown!r}"
            )

    @property
    def heading(self) -> str:
        """Label with unit."""
        label = self.label or self.name
        return f"{label} [{self.unit}]" if self.unit else label

    def stands_for(self, name: str) -> bool:
        """Whether a recorded name is this metric's."""
        return name == self.name or (self.family and name.startswith(f"{self.name}_"))

    def to_numbers(self, recorded: Sequence[Any]) -> dict[str, Any]:
        """Mean, spread over seeds and further numbers, by name, in full precision."""
        values = [number for each in recorded if (number := value_of(each)) is not None]
        if not values:
            return {}
        summary = summarise(values)
        found: dict[str, Any] = {
            self.name: summary.mean,
            f"{self.name}_spread": summary.spread if summary.count > 1 else "",
        }
        return found | {f"{self.name}_{end}": number for end, number in self.numbers(recorded).items()}

    def is_better(self, value: float, than: float) -> bool:
        """Whether a value is better than another one."""
        return value > than if self.better == "high" else value < than

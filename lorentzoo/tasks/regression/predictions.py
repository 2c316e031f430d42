"""What numbers does a network predict, and how sure is it of them?"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from lorentzoo.tasks.predictions import Predictions, read_predictions
from lorentzoo.tasks.regression.metrics import regression_metrics

__all__ = ["ValuePredictions"]

Array = NDArray[np.float64]
V = TypeVar("V", bound="ValuePredictions")
_OPTIONAL: Final = ("pt", "mass", "deviation", "log_prob", "units")


@dataclass(frozen=True, eq=False)
class ValuePredictions(Predictions):
    """Predicted numbers of events beside the true ones.

    Attributes
    ----------
    values, target
        Shape (B, D), float64, in the units of the data.
    target_names, target_units
        Of the columns, where the data have them.
    deviation
        Predicted standard deviations (B, D); None where the head predicts none.
    log_prob
        Logarithm of the predicted density at the truth (B,); None where the head is not a density.
    """

    target_names: tuple[str, ...] = field(default=())
    target_units: tuple[str, ...] = field(default=())
    deviation: Array | None = None
    log_prob: Array | None = None

    kind: ClassVar[str] = "regression"
    _optional: ClassVar[tuple[str, ...]] = _OPTIONAL

    @property
    def _per_event(self) -> tuple[str, ...]:
        return tuple(name for name in self._optional if name != "units")

    @property
    def names(self) -> tuple[str, ...]:
        """Those of the targets."""
        return self.target_names

    @property
    def units(self) -> NDArray[np.str_] | None:
        """Units, as the file keeps them."""
        return np.array(self.target_units) if self.target_units else None

    @property
    def all_names(self) -> list[str]:
        """Names of all targets, as metrics have them behind theirs; numbered where the data have none."""
        count = self.target.shape[1]
        return [*self.target_names[:count], *map(str, range(len(self.target_names), count))]

    @property
    def headings(self) -> list[str]:
        """Names of all targets with units, for axes; numbered where the data have none."""
        found = []
        for d in range(self.target.shape[1]):
            name = (
                self.target_names[d]
                if d < len(self.target_names)
                else (f"target {d}" if self.target.shape[1] > 1 else "target")
            )
            unit = self.target_units[d] if d < len(self.target_units) else ""
            found.append(f"{name} [{unit}]" if unit else name)
        return found

    @property
    def observables(self) -> dict[str, Array]:
        """Numbers of the events (B,) against which residuals are shown, by what their axes say; none here."""
        return {}

    def metrics(self) -> dict[str, Any]:
        """Weighted metrics; see `lorentzoo.tasks.regression.metrics`."""
        return regression_metrics(
            self.values, self.target, self.weight, self.target_names, self.deviation, self.log_prob
        )

    @classmethod
    def load(cls: type[V], path: Path) -> V:
        """Read what `save` wrote.

        Raises
        ------
        RunError
            If the file is missing, truncated or corrupt.
        """
        names, arrays = read_predictions(path, cls._optional)
        units = arrays.pop("units", np.array([], dtype=str))
        return cls(**arrays, target_names=tuple(names), target_units=tuple(str(unit) for unit in units))

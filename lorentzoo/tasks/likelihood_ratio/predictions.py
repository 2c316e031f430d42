"""What does a network say of the ratio of two densities, event by event?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo.tasks.classification.predictions import ClassPredictions
from lorentzoo.tasks.likelihood_ratio.metrics import ratio_metrics
from lorentzoo.tasks.predictions import read_predictions

__all__ = ["RatioPredictions"]

Array = NDArray[np.float64]
_OPTIONAL: Final = ("pt", "mass", "log_values", "log_ratio")


@dataclass(frozen=True, eq=False)
class RatioPredictions(ClassPredictions):
    """ln p/q of events of both samples.

    Attributes
    ----------
    values
        Probabilities (B, 2) of q and of p, if both came equally often.
    target
        1 for events of p, 0 for those of q, (B,).
    log_ratio
        ln p/q (B,), float64; None in files of earlier versions, which kept the probabilities alone.
    """

    log_ratio: Array | None = None

    _optional: ClassVar[tuple[str, ...]] = _OPTIONAL

    @property
    def log_ratios(self) -> Array:
        """ln p/q (B,), from the probabilities where it was not kept."""
        if self.log_ratio is not None:
            return self.log_ratio
        q, p = np.clip(self.values, 1e-300, None).T
        return np.asarray(np.log(p) - np.log(q))

    @property
    def observables(self) -> dict[str, Array]:
        """Numbers of the events in which reweighting is to close."""
        return {name: value for name in ("pt", "mass") if (value := getattr(self, name)) is not None}

    def metrics(self) -> dict[str, Any]:
        """Weighted metrics; see `lorentzoo.tasks.likelihood_ratio.metrics`."""
        return dict(
            ratio_metrics(self.log_ratios, self.target.astype(np.int64), self.weight, self.observables)
        )

    @classmethod
    def load(cls, path: Path) -> RatioPredictions:
        """Read what `save` wrote.

        Raises
        ------
        RunError
            If the file is missing, truncated or corrupt.
        """
        names, arrays = read_predictions(path, _OPTIONAL)
        return cls(**arrays, class_names=tuple(names))

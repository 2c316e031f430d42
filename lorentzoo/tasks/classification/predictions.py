"""What does a classifier predict?"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lorentzoo.tasks.classification.metrics import classification_metrics, log_probabilities_of
from lorentzoo.tasks.predictions import Predictions, read_predictions

__all__ = ["ClassPredictions"]


@dataclass(frozen=True, eq=False)
class ClassPredictions(Predictions):
    """Probabilities of classes beside the true ones.

    Attributes
    ----------
    values
        Probabilities (B, classes), float64.
    target
        Class indices (B,).
    class_names
        Names of the classes, where the data have them.
    log_values
        Logarithms of the probabilities (B, classes), exact where these are rounded; None in files of earlier versions.
    """

    class_names: tuple[str, ...] = field(default=())
    log_values: NDArray[np.float64] | None = None

    kind: ClassVar[str] = "classification"
    _optional: ClassVar[tuple[str, ...]] = ("pt", "mass", "log_values")

    @property
    def names(self) -> tuple[str, ...]:
        """Those of the classes."""
        return self.class_names

    @property
    def predicted_classes(self) -> tuple[str, ...]:
        """Names of all classes that have a probability; numbered where the data have no names for them."""
        count = self.values.shape[1]
        return (*self.class_names, *(f"class {label}" for label in range(len(self.class_names), count)))[
            :count
        ]

    @property
    def logs(self) -> NDArray[np.float64]:
        """Logarithms of the probabilities (B, classes); from these where they were not kept."""
        if self.log_values is not None:
            return self.log_values
        return log_probabilities_of(self.values)

    def metrics(self) -> dict[str, Any]:
        """Weighted accuracy, log-loss, AUC and rejections; see `lorentzoo.tasks.classification.metrics`."""
        return classification_metrics(
            self.values, self.target.astype(np.int64), self.weight, self.class_names, self.log_values
        )

    @classmethod
    def load(cls, path: Path) -> ClassPredictions:
        """Read what `save` wrote.

        Raises
        ------
        RunError
            If the file is missing, truncated or corrupt.
        """
        names, arrays = read_predictions(path, cls._optional)
        return cls(**arrays, class_names=tuple(names))

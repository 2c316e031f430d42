"""How are numbers brought to zero mean and unit width by what the training set says of them?"""

from __future__ import annotations

import torch
from torch import Tensor

from lorentzoo.core.interfaces import Part
from lorentzoo.core.means import mean_and_deviation

__all__ = ["Standardised"]


class Standardised(Part):
    """A part that standardises numbers of its own, (x - mean) / deviation, with statistics of the training set.

    Statistics are buffers ``mean`` and ``deviation`` beside the flag ``fitted``; they live with the weights.
    """

    mean: Tensor
    deviation: Tensor

    def register_standardisation(self, width: int) -> None:
        """Declare the statistics of so many numbers; called once, by the constructor."""
        self.register_statistics(mean=torch.zeros(width), deviation=torch.ones(width))

    def fit_standardisation(self, values: Tensor, weight: Tensor | None = None) -> None:
        """Take the statistics of values (B, width), weighted by event (B,)."""
        mean, deviation = mean_and_deviation(values, weight)
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)
        self.mark_fitted()

    def standardise_values(self, values: Tensor) -> Tensor:
        """Standardised values, shape (..., width).

        Raises
        ------
        NotFittedError
            If the statistics were not fitted.
        """
        self.require_fitted()
        return (values - self.mean) / self.deviation

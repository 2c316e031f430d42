"""What must a head offer that predicts distributions instead of numbers?"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from lorentzoo.core.cloud import Batch
from lorentzoo.core.interfaces import Head
from lorentzoo.core.means import mean_and_deviation, mean_loss, target_columns

__all__ = ["DensityHead"]


class DensityHead(Head):
    """A distribution of the targets of each event, trained by maximum likelihood.

    The raw output is a tensor, so that the head trains, predicts and is saved like any other; `distribution` makes a
    distribution of it. A subclass implements `forward`, `distribution` and `out_scalars`, and reads ``mean`` and ``std``
    (num_targets,), which are fitted to the training targets.

    Parameters
    ----------
    num_targets
        Numbers D of each event.

    Raises
    ------
    ValueError
        If there are none.
    """

    task: ClassVar[str] = "regression"
    exportable = "its prediction is the mean of a distribution, whose construction looks at values"
    mean: Tensor
    std: Tensor

    def __init__(self, num_targets: int) -> None:
        super().__init__()
        if num_targets < 1:
            raise ValueError(f"num_targets must be positive, not {num_targets}")
        self.num_targets = num_targets
        self.register_statistics(mean=torch.zeros(num_targets), std=torch.ones(num_targets))

    @abstractmethod
    def distribution(self, output: Tensor) -> Distribution:
        """The distribution of the targets, batch (B,) and event (D,), in their own units, float64, of raw outputs.

        Raises
        ------
        NotFittedError
            Before the statistics were fitted.
        """

    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        """Mean and standard deviation of the targets, weighted by event."""
        batches = list(batches)
        target = torch.cat([self._columns(batch.target) for batch in batches])
        mean, deviation = mean_and_deviation(target, torch.cat([batch.weight for batch in batches]))
        self.mean.copy_(mean)
        self.std.copy_(deviation)
        self.mark_fitted()

    def loss(self, output: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Mean of -ln p of the targets, in their own units."""
        log_prob = self.distribution(output).log_prob(self._columns(target))
        return mean_loss(-log_prob, weight).to(output.dtype)

    def predict(self, output: Tensor) -> Tensor:
        """Means of the distributions, shape (B, D)."""
        return self.distribution(output).mean.to(output.dtype)

    def _columns(self, target: Tensor) -> Tensor:
        return target_columns(target.double(), self.num_targets)

"""Which numbers does an event have?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor

from lorentzoo import Batch, Features, Head, ParticleCloud
from lorentzoo.nn import (
    Activation,
    Columns,
    EventSteps,
    Pooling,
    Readout,
    TrainingError,
    mean_and_deviation,
    mean_loss,
    target_columns,
)

__all__ = ["Regress"]


class Regress(Head):
    """Standardised targets of each event, with the (weighted) mean squared error.

    Parameters
    ----------
    num_targets
        Numbers of each event.
    transform
        Applied before standardisation: ``"none"``, ``"log"``, or ``"signed-log"`` = sign(x) ln(1 + |x|).
    standardise
        Subtract the mean and divide by the standard deviation of the (transformed) training targets, fitted once.
    pooling, hidden, dropout, activation
        As for `classify`.
    """

    task = "regression"
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        num_targets: int = 1,
        transform: Literal["none", "log", "signed-log"] = "none",
        standardise: bool = True,
        pooling: Pooling = "mean",
        hidden: Sequence[int] = (),
        dropout: float = 0.0,
        activation: Activation = "relu",
        *,
        in_scalars: int | None = None,
    ) -> None:
        super().__init__()
        self.num_targets = num_targets
        self.transform = transform
        self.standardise = standardise
        self.pooling = pooling
        self.readout = Readout(in_scalars, self.num_outputs, hidden, dropout, activation)
        self.out_scalars = self.readout.wants
        if standardise:
            self.register_statistics(mean=torch.zeros(num_targets), std=torch.ones(num_targets))

    @property
    def num_outputs(self) -> int:
        """Raw outputs of each event."""
        return self.num_targets

    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        """Mean and standard deviation of the transformed targets, weighted by event."""
        batches = list(batches)
        self._require_positive(batches)
        if not self.standardise:
            return
        target = self._transform(torch.cat([batch.target.double() for batch in batches]))
        mean, deviation = mean_and_deviation(target, torch.cat([batch.weight for batch in batches]))
        self.mean.copy_(mean)
        self.std.copy_(deviation)
        self.mark_fitted()

    def forward(self, features: Features, cloud: ParticleCloud) -> Tensor:
        """Standardised targets, shape (B, num_targets)."""
        return self.readout(features, cloud, self.pooling)

    def loss(self, output: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Mean squared error of standardised targets."""
        wanted = self.standardise_targets(target)
        return mean_loss((output - wanted.to(output.dtype)).square().mean(-1), weight)

    def standardise_targets(self, target: Tensor) -> Tensor:
        """What the raw output should be, shape (B, num_targets), float64."""
        wanted = self._transform(target.double())
        if self.standardise:
            self.require_fitted()
            wanted = (wanted - self.mean) / self.std
        return wanted

    def predict(self, output: Tensor) -> Tensor:
        """Targets in their own units, shape (B, num_targets)."""
        if self.standardise:
            self.require_fitted()
            output = output * self.std + self.mean
        if self.transform == "log":
            return torch.exp(output)
        if self.transform == "signed-log":
            return torch.sign(output) * torch.expm1(output.abs())
        return output

    def write_steps(self, features: Columns, event: EventSteps) -> Columns:
        """Targets in their own units."""
        output = self.readout.write_steps(features, event)
        if self.standardise:
            self.require_fitted()
            output = event.scale(output, self.std, self.mean)
        if self.transform == "log":
            return event.combine("exp", output)
        return event.combine("abs_log_inverse", output) if self.transform == "signed-log" else output

    def _require_positive(self, batches: Iterable[Batch]) -> None:
        """Refuse targets that have no logarithm, by their event."""
        if self.transform != "log":
            return
        for batch in batches:
            wrong = (batch.target.reshape(len(batch.target), -1) <= 0).any(1) & (batch.weight != 0)
            if bool(wrong.any()):
                first = int(wrong.nonzero()[0, 0])
                raise TrainingError(
                    f"transform='log' needs positive targets, but event {int(batch.event_id[first])} has "
                    f"{batch.target[first].tolist()}; take transform='signed-log', or leave such events out"
                )

    def _transform(self, target: Tensor) -> Tensor:
        target = target_columns(target, self.num_targets)
        if self.transform == "log":
            return torch.log(target)
        if self.transform == "signed-log":
            return torch.sign(target) * torch.log1p(target.abs())
        return target

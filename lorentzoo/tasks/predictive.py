"""Tasks in which a head predicts something of each event."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorentzoo.core.cloud import Batch
from lorentzoo.core.interfaces import Head
from lorentzoo.core.trainable import Trainable
from lorentzoo.output.task import Task

__all__ = ["PredictiveTask"]


class PredictiveTask(Task):
    """Trained by the loss of a head, validated and tested on the predictions of all events at once."""

    file: ClassVar[str] = "predictions.npz"

    @abstractmethod
    def measure_validation(
        self, head: Head, outputs: Tensor, target: NDArray[Any], weight: NDArray[np.float64]
    ) -> dict[str, Any]:
        """Metrics of raw outputs (B, ...), float64, beside targets (B, ...) and weights (B,)."""

    def loss(self, model: Trainable, batch: Batch, rng: torch.Generator | None = None) -> Tensor:
        """That of the head."""
        return model.batch_loss(batch, rng)

    def observe(self, model: Trainable, batch: Batch, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Raw outputs, targets and weights: metrics need all events at once."""
        return model(batch.cloud).double().cpu(), batch.target.cpu(), batch.weight.cpu()

    def summarise(self, model: Any, seen: Sequence[tuple[Tensor, Tensor, Tensor]]) -> dict[str, float]:
        """Loss and metrics of all validation events."""
        # Heads may hold tensors of their own, which live where the model does.
        device = model.device
        outputs, target, weight = (torch.cat(column).to(device) for column in zip(*seen, strict=True))
        row = {"val_loss": float(model.head.loss(outputs, target, weight))}
        if np.isfinite(row["val_loss"]):
            metrics = self.measure_validation(model.head, outputs, target.cpu().numpy(), weight.cpu().numpy())
            row |= {f"val_{name}": value for name, value in metrics.items() if isinstance(value, float)}
        return row

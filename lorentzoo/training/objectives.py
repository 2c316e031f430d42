"""What is a network trained for: to predict a target, or to be a density of events?"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lorentzoo.core.cloud import Batch
from lorentzoo.core.generator import Generator
from lorentzoo.core.model import Model
from lorentzoo.data.events import EventData
from lorentzoo.output.progress import ProgressLine
from lorentzoo.studies.errors import TrainingError
from lorentzoo.tasks.predictions import Predictions, check_fit, evaluate
from lorentzoo.training.config import GenerationConfig

__all__ = ["Density", "Evaluation", "Objective", "Prediction", "Trainable", "objective_of"]

Trainable: TypeAlias = Model | Generator


class Evaluation(Protocol):
    """What is kept of a trained network's test."""

    def metrics(self) -> dict[str, Any]:
        """Numbers, as plain data."""

    def save(self, path: Path) -> None:
        """Write everything behind the numbers."""


class Objective(ABC):
    """What training asks of a network, one of each kind.

    Attributes
    ----------
    file
        Name of the file that keeps the evaluation.
    """

    file: ClassVar[str]

    @abstractmethod
    def try_out(self, dataset: EventData) -> None:
        """Run a few events, so that what cannot work fails before any training time is lost.

        Raises
        ------
        TrainingError
            If network and data do not fit.
        """

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """The weighted mean of the training loss."""

    @abstractmethod
    def start_validation(self) -> None:
        """Forget what was validated before."""

    @abstractmethod
    def validate(self, batch: Batch) -> None:
        """Take note of a validation batch."""

    @abstractmethod
    def validated(self) -> dict[str, float]:
        """``val_loss`` and what else the batches showed."""

    @abstractmethod
    def evaluate(self, test: EventData, settings: GenerationConfig, line: ProgressLine) -> Evaluation:
        """Test the trained network; `settings` are for generators."""


class Prediction(Objective):
    """A head predicts the target of each event."""

    file = "predictions.npz"

    def __init__(self, model: Model) -> None:
        self.model = model
        self._outputs: list[tuple[Tensor, Batch]] = []

    def try_out(self, dataset: EventData) -> None:
        """Predict two events."""
        first = dataset.batch(torch.arange(min(2, len(dataset))))
        check_fit(self.model, dataset, self.model.predict(first.cloud))

    def loss(self, batch: Batch) -> Tensor:
        """That of the head."""
        return self.model.loss(batch)

    def start_validation(self) -> None:
        """Forget all outputs."""
        self._outputs.clear()

    def validate(self, batch: Batch) -> None:
        """Keep raw outputs: metrics need all events at once."""
        self._outputs.append((self.model(batch.cloud).double().cpu(), batch.to("cpu")))

    def validated(self) -> dict[str, float]:
        """Loss and metrics of all validation events."""
        outputs = torch.cat([output for output, _ in self._outputs])
        target = torch.cat([batch.target for _, batch in self._outputs])
        weight = torch.cat([batch.weight for _, batch in self._outputs])
        self._outputs.clear()
        head = self.model.head
        row = {"val_loss": float(head.loss(outputs, target, weight))}
        if np.isfinite(row["val_loss"]):
            nobody = np.zeros(0, np.int64)
            predictions = Predictions(
                head.predict(outputs).numpy(), target.numpy(), weight.numpy(), nobody, head.task
            )
            metrics = predictions.metrics()
            row |= {f"val_{name}": value for name, value in metrics.items() if isinstance(value, float)}
        return row

    def evaluate(self, test: EventData, settings: GenerationConfig, line: ProgressLine) -> Predictions:
        """Predictions of all events."""
        return evaluate(self.model, test)


class Density(Objective):
    """A generator learns the density of the events."""

    file = "generation.npz"

    def __init__(self, generator: Generator) -> None:
        self.generator = generator
        self._random = torch.Generator()
        self._loss = self._weight = 0.0

    def try_out(self, dataset: EventData) -> None:
        """The loss of two events."""
        first = dataset.batch(torch.arange(min(2, len(dataset))))
        with torch.no_grad():
            loss = self.loss(first, torch.Generator().manual_seed(0))
        if not bool(torch.isfinite(loss)):
            raise TrainingError(
                f"the loss of two training events is {float(loss)} before any training: do they pass the cuts and "
                "coordinates of the generator?"
            )

    def loss(self, batch: Batch, random: torch.Generator | None = None) -> Tensor:
        """That of the generator."""
        return self.generator.loss(batch.cloud, batch.weight, generator=random)

    def start_validation(self) -> None:
        """The same random numbers in every validation: rows of the history can be compared."""
        self._random.manual_seed(0)
        self._loss = self._weight = 0.0

    def validate(self, batch: Batch) -> None:
        """Add up the loss."""
        weight = float(batch.weight.sum())
        self._loss += float(self.loss(batch, self._random)) * weight
        self._weight += weight

    def validated(self) -> dict[str, float]:
        """The mean loss."""
        return {"val_loss": self._loss / self._weight if self._weight > 0 else float("nan")}

    def evaluate(self, test: EventData, settings: GenerationConfig, line: ProgressLine) -> Evaluation:
        """Samples beside true events, see `lorentzoo.tasks.generation.evaluation`."""
        from lorentzoo.tasks.generation.evaluation import evaluate_generator

        return evaluate_generator(
            self.generator,
            test,
            num_samples=settings.num_samples,
            num_log_prob=settings.num_log_prob,
            classifier=settings.classifier,
            config=settings.recipe,
            seed=settings.seed,
            progress=line,
        )


def objective_of(model: Trainable) -> Objective:
    """What a network is trained for."""
    return Prediction(model) if isinstance(model, Model) else Density(model)

"""What happens in one step and in one epoch of training?

The module that pytorch-lightning's trainer runs. The randomness of an epoch is a function of seed and
epoch alone, like the order of its batches: a training that is killed and continued from its last
checkpoint gives the very numbers of one that ran through.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from lorentzoo.core.cloud import Batch
from lorentzoo.core.errors import TrainingError
from lorentzoo.core.trainable import Trainable
from lorentzoo.data.streams import BatchLoader, start_at
from lorentzoo.output.progress import ProgressLine
from lorentzoo.output.task import Task
from lorentzoo.training.averaging import WeightAverage
from lorentzoo.training.config import TrainConfig
from lorentzoo.training.course import Course
from lorentzoo.training.optimisers import make_optimiser, part_of
from lorentzoo.training.resume import write_checkpoint
from lorentzoo.training.schedules import learning_rate_factor

__all__ = ["TrainingLoop", "seed_everything", "steps_per_epoch"]


def seed_everything(seed: int, epoch: int = -1) -> None:
    """Seed the generators of an epoch; -1 is what comes before the first (initialisation)."""
    torch.manual_seed(
        int(np.random.SeedSequence([seed, epoch + 1]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    )


class TrainingLoop(pl.LightningModule):
    """A model, its recipe and the course of its training.

    Parameters
    ----------
    model
        The network, or the generator with its network; trained in place.
    task
        What it is trained for.
    config
        The recipe.
    batches
        Training batches, from `lorentzoo.data.batching.make_loader`.
    fingerprint
        Hash of what is trained, which a checkpoint must share.
    directory
        Where the checkpoint of every epoch goes; None keeps none.
    line
        Shows how it goes.
    """

    def __init__(
        self,
        model: Trainable,
        task: Task,
        config: TrainConfig,
        batches: BatchLoader,
        fingerprint: str,
        directory: Path | None,
        line: ProgressLine,
    ) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self.config = config
        self.course = Course()
        self.average = WeightAverage(model, config.ema) if config.ema is not None else None
        self.best_weights: dict[str, Tensor] | None = None
        self.batches = batches
        self._steps_per_epoch = steps_per_epoch(config, len(batches))
        self._epochs = _EpochBatches(self)
        self._fingerprint = fingerprint
        self._directory = directory
        self._line = line
        self._optimiser: torch.optim.Optimizer
        self._optimiser_state: dict[str, Any] | None = None
        self._step_started = 0.0
        self._seen: list[Any] = []
        self._validation_rng = torch.Generator()
        self._loss_sum = torch.zeros((), dtype=torch.float64)
        self._weight_sum = torch.zeros((), dtype=torch.float64)
        for part in config.freeze:
            part_of(model, part).requires_grad_(False)

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to train."""
        return self.course.is_over(self.config, self._steps_per_epoch)

    @property
    def epochs_between_validations(self) -> int:
        """Epochs after which there is a validation, and a checkpoint."""
        return math.ceil((self.config.validation_steps or 1) / self._steps_per_epoch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The recipe's optimiser; its rate is set before every step."""
        optimiser = make_optimiser(
            self.config.optimiser,
            self.model,
            self.config.learning_rate,
            weight_decay=self.config.weight_decay,
            betas=self.config.betas,
            rates=self.config.rates,
        )
        if self._optimiser_state is not None:
            optimiser.load_state_dict(self._optimiser_state)
        self._optimiser = optimiser
        return optimiser

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Batches are values of our own, which lightning cannot move."""
        return batch.to(device)

    def train_dataloader(self) -> _EpochBatches:
        """Batches in the order of the epoch that is reached, whether or not the training was interrupted."""
        return self._epochs

    # ---- one step -------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        """Fresh sums and the epoch's own randomness."""
        seed_everything(self.config.seed, self.course.epochs)
        for part in self.config.freeze:
            part_of(self.model, part).eval()
        self._loss_sum.zero_()
        self._weight_sum.zero_()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Set the learning rate; the clock of CPU-seconds starts."""
        factor = learning_rate_factor(
            self.config.schedule,
            self.course.progress(self.config, self._steps_per_epoch),
            warmup=self.config.warmup,
            flat=self.config.flat,
            final=self.config.final,
        )
        for group in self._optimiser.param_groups:
            group["lr"] = self.config.learning_rate * factor * group["factor"]
        self._step_started = time.process_time()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The weighted loss of a batch."""
        loss = self.task.loss(self.model, batch)
        weight = batch.weight.abs().sum().cpu()
        self._loss_sum += loss.detach().double().cpu() * weight
        self._weight_sum += weight
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Average the weights; the clock stops; see whether the budget is used up."""
        if self.average is not None:
            self.average.update(self.model)
        course = self.course
        course.cpu_seconds += time.process_time() - self._step_started
        course.steps += 1
        course.events += len(batch)
        if self.is_over:
            self.trainer.should_stop = True
            # The end is validated whenever it comes.
            self.trainer.check_val_every_n_epoch = 1
        if self._line.live:
            self._line.move(course.progress(self.config, self._steps_per_epoch), self._status())

    # ---- one epoch ------------------------------------------------------------------------

    def on_validation_epoch_start(self) -> None:
        """The averaged weights are validated, where there are any.

        Random numbers are the same in every validation, so that rows of the history can be compared.
        """
        self._seen.clear()
        self._validation_rng.manual_seed(0)
        if self.average is not None:
            self.average.swap(self.model)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Take note of a batch."""
        self._seen.append(self.task.observe(self.model, batch, self._validation_rng))

    def on_validation_epoch_end(self) -> None:
        """Write a row of the history; note whether the loss is the best."""
        row = self._row() | self.task.summarise(self.model, self._seen)
        self._seen.clear()
        self.course.history.append(row)
        if self.course.judge(row["val_loss"], self.config.patience) and self.config.keep == "best":
            self.best_weights = copy.deepcopy(self.model.state_dict())
        if self.average is not None:
            self.average.swap(self.model)

    def on_train_epoch_end(self) -> None:
        """Report, save a checkpoint, and stop where the training is over."""
        course = self.course
        if not self._is_kept() and np.isfinite(float(self._loss_sum)):
            course.epochs += 1
            return
        if not course.history or course.history[-1]["step"] != course.steps:
            course.history.append(self._row())
        row = course.history[-1]
        if not np.isfinite(row["loss"]) or not np.isfinite(row.get("val_loss", 0.0)):
            raise TrainingError(
                f"the loss became {row['loss']} (validation {row.get('val_loss', 'none')}) by step {course.steps}; "
                "lower learning_rate, or set gradient_clip"
            )
        if self.trainer.is_last_batch:
            course.epochs += 1
        if self.is_over:
            self.trainer.should_stop = True
        self._line.step(course.progress(self.config, self._steps_per_epoch), self._status())
        if self._directory is not None and self.trainer.is_last_batch:
            write_checkpoint(self._directory, self._list_state())

    def _is_kept(self) -> bool:
        """Whether this epoch ends with a validation (if there is any), a row of the history and a checkpoint."""
        every = self.trainer.check_val_every_n_epoch or 1
        return self.is_over or (self.trainer.current_epoch + 1) % every == 0

    def _row(self) -> dict[str, float]:
        group = self._optimiser.param_groups[0]
        rate = group["lr"] / group["factor"]
        mean = float(self._loss_sum / self._weight_sum) if self._weight_sum > 0 else float("nan")
        course = self.course
        return {
            "epoch": course.epochs + 1,
            "step": course.steps,
            "cpu_seconds": course.cpu_seconds,
            "learning_rate": rate,
            "loss": mean,
        }

    def _status(self) -> str:
        row = self.course.history[-1] if self.course.history else {}
        course = self.course
        return (
            f"epoch {course.epochs} step {course.steps} {course.cpu_seconds:.1f} CPU-s "
            f"{self.task.show_progress(row)}"
        )

    # ---- checkpoints ----------------------------------------------------------------------

    def _list_state(self) -> dict[str, Any]:
        """Plain data and tensors only, so that reading them can run no code."""
        return {
            "fingerprint": self._fingerprint,
            "course": self.course.to_data(),
            "model": self.model.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "average": None if self.average is None else self.average.state(),
            "best_weights": self.best_weights,
        }

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Continue from what a checkpoint holds."""
        self.model.load_state_dict(checkpoint["model"])
        self.course = Course(**checkpoint["course"])
        self.best_weights = checkpoint["best_weights"]
        self._optimiser_state = checkpoint["optimiser"]
        if self.average is not None:
            self.average.restore(**checkpoint["average"])

    def finish(self) -> None:
        """Give the model the weights that the recipe keeps."""
        if self.best_weights is not None:
            self.model.load_state_dict(self.best_weights)
        elif self.average is not None:
            self.average.swap(self.model)
        self.model.eval()


def steps_per_epoch(config: TrainConfig, steps_per_pass: int) -> int:
    """Steps of an epoch of the recipe; a pass over the data where the recipe does not say."""
    if config.events_per_epoch is None:
        return steps_per_pass
    return math.ceil(config.events_per_epoch / config.batch_size)


class _EpochBatches:
    """An iterable that lightning can start again and again, epoch by epoch; passes over the data may be longer."""

    def __init__(self, loop: TrainingLoop) -> None:
        self._loop = loop
        self._reached = -1
        self._pass: Iterator[Batch] = iter(())

    def __len__(self) -> int:
        return self._loop._steps_per_epoch

    def __iter__(self) -> Iterator[Batch]:
        batches, steps = self._loop.batches, len(self)
        first = self._loop.course.epochs * steps
        for step in range(first, first + steps):
            number, at = divmod(step, len(batches))
            # What has been read of a pass is not read again, unless the training comes from elsewhere.
            if at == 0 or step != self._reached:
                start_at(batches, number, at)
                self._pass = iter(batches)
            self._reached = step + 1
            yield next(self._pass)

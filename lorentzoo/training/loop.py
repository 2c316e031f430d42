"""What happens in one step and in one epoch of training?

The module that pytorch-lightning's trainer runs. The randomness of an epoch is a function of seed and
epoch alone, like the order of its batches: a training that is killed and continued from its last
checkpoint gives the very numbers of one that ran through.
"""

from __future__ import annotations

import copy
import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from lorentzoo.core.cloud import Batch
from lorentzoo.core.errors import TrainingError
from lorentzoo.core.trainable import Trainable
from lorentzoo.data.streams import BatchLoader, most_events, start_at
from lorentzoo.output.progress import ProgressLine
from lorentzoo.output.task import Task
from lorentzoo.training.averaging import WeightAverage
from lorentzoo.training.config import TrainConfig
from lorentzoo.training.course import Course
from lorentzoo.training.optimisers import make_optimiser
from lorentzoo.training.resume import write_checkpoint
from lorentzoo.training.schedules import learning_rate_factor
from lorentzoo.training.steps import Piece, Sharing

__all__ = ["TrainingLoop", "seed_everything", "steps_per_epoch"]


def seed_everything(seed: int, epoch: int = -1, rank: int = 0) -> None:
    """Seed the generators of an epoch, otherwise on each process; -1 is what comes before the first (initialisation)."""
    torch.manual_seed(_seed_of(seed, epoch, rank))


def _seed_of(seed: int, epoch: int, rank: int = 0) -> int:
    chosen = [seed, epoch + 1, rank] if rank else [seed, epoch + 1]
    return int(np.random.SeedSequence(chosen).generate_state(1, np.uint64)[0] >> np.uint64(1))


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
    batches, validation
        This process's part of training and validation batches, from `lorentzoo.data.batching.make_loader`.
    sharing
        How batches are worked on by several processes, and in several pieces.
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
        validation: BatchLoader | None,
        sharing: Sharing,
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
        self.validation = validation
        self.sharing = sharing
        self.world = sharing.world
        self._steps_per_epoch = steps_per_epoch(config, len(batches))
        self._pieces = _TrainingPieces(self)
        self._fingerprint = fingerprint
        self._directory = directory
        self._line = line
        self._optimiser: torch.optim.Optimizer
        self._optimiser_state: dict[str, Any] | None = None
        self._step_started = 0.0
        self._own_seconds = 0.0
        self._seen: list[tuple[int, Any]] = []
        self._rng = torch.Generator()
        self._rng_before = self._rng.get_state()
        self._validation_rng = torch.Generator()
        self._sigterm = signal.getsignal(signal.SIGTERM)
        self._loss_sum = torch.zeros((), dtype=torch.float64)
        self._weight_sum = torch.zeros((), dtype=torch.float64)

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

    def transfer_batch_to_device(self, batch: Piece, device: torch.device, dataloader_idx: int) -> Piece:
        """Batches are values of our own, which lightning cannot move."""
        return replace(batch, batch=batch.batch.to(device))

    def train_dataloader(self) -> _TrainingPieces:
        """Batches in the order of the epoch that is reached, whether or not the training was interrupted."""
        return self._pieces

    def val_dataloader(self) -> _ValidationPieces | list[Any]:
        """Batches in the order of the data."""
        return [] if self.validation is None else _ValidationPieces(self, self.validation)

    def on_train_start(self) -> None:
        """SIGTERM is what it was: lightning would have all processes speak of it, and those that wait never hear."""
        if self.world.size > 1 and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._sigterm)

    # ---- one step -------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        """Fresh sums and the epoch's own randomness."""
        seed_everything(self.config.seed, self.course.epochs, self.world.rank)
        self._rng.manual_seed(_seed_of(self.config.seed, self.course.epochs))
        # A loaded model is in evaluation mode, and lightning trains modules in the mode in which it finds them.
        self.model.train()
        self._loss_sum.zero_()
        self._weight_sum.zero_()

    def on_train_batch_start(self, batch: Piece, batch_idx: int) -> None:
        """Set the learning rate; the clock of CPU-seconds starts."""
        self._step_started = time.process_time()
        if not batch.is_first:
            return
        factor = learning_rate_factor(
            self.config.schedule,
            self.course.progress(self.config, self._steps_per_epoch),
            warmup=self.config.warmup,
            flat=self.config.flat,
            final=self.config.final,
        )
        for group in self._optimiser.param_groups:
            group["lr"] = self.config.learning_rate * factor * group["factor"]

    def training_step(self, batch: Piece, batch_idx: int) -> Tensor:
        """The weighted loss of a batch, or what a piece of it adds to that."""
        weight = batch.batch.weight.abs().sum().cpu()
        self._weight_sum += weight
        share = batch.share
        if share is None:
            loss = self.task.loss(self.model, batch.batch)
            self._loss_sum += loss.detach().double().cpu() * weight
            return loss
        # Every piece draws the numbers of the whole step.
        if batch.is_first:
            self._rng_before = self._rng.get_state()
        else:
            self._rng.set_state(self._rng_before)
        with share.worked_on():
            loss = share.part_of_loss(self.task.loss(self.model, batch.batch))
        self._loss_sum += loss.detach().double().cpu() * share.weight
        # Lightning takes the mean over pieces, and torch the mean over processes.
        return loss * (self.sharing.pieces * self.world.size)

    def on_train_batch_end(self, outputs: Any, batch: Piece, batch_idx: int) -> None:
        """Average the weights; the clock stops; see whether the budget is used up."""
        if self.average is not None and batch.is_last:
            self.average.update(self.model)
        course = self.course
        self._own_seconds += time.process_time() - self._step_started
        if not batch.is_last:
            return
        if self.world.size == 1 or self.config.cpu_seconds is not None:
            self._add_seconds()
        course.steps += 1
        course.events += batch.num_events
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

    def validation_step(self, batch: Piece, batch_idx: int) -> None:
        """Take note of a batch."""
        if batch.is_empty:
            return
        with batch.share.worked_on() if batch.share is not None else nullcontext():
            seen = self.task.observe(self.model, batch.batch, self._validation_rng)
        self._seen.append((batch_idx, seen))

    def on_validation_epoch_end(self) -> None:
        """Write a row of the history, of the events of all processes; note whether the loss is the best."""
        seen = self.world.gather(self._seen)

        def summarise() -> dict[str, float]:
            assert seen is not None
            # In the order of the events, as one process sees them.
            ordered = sorted((pair for part in seen for pair in part), key=itemgetter(0))
            return self.task.summarise(self.model, [observed for _, observed in ordered])

        row = self._row() | self.world.first_does(summarise)
        self._seen.clear()
        self.course.history.append(row)
        if self.course.judge(row["val_loss"], self.config.patience) and self.config.keep == "best":
            self.best_weights = copy.deepcopy(self.model.state_dict())
        if self.average is not None:
            self.average.swap(self.model)

    def on_train_epoch_end(self) -> None:
        """Report, save a checkpoint, and stop where the training is over."""
        course = self.course
        if not self._is_kept() and np.isfinite(self.world.add([float(self._loss_sum)])[0]):
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
        if self._directory is not None and self.trainer.is_last_batch and self.world.is_first:
            write_checkpoint(self._directory, self._list_state())

    def _is_kept(self) -> bool:
        """Whether this epoch ends with a validation (if there is any), a row of the history and a checkpoint."""
        every = self.trainer.check_val_every_n_epoch or 1
        return self.is_over or (self.trainer.current_epoch + 1) % every == 0

    def _row(self) -> dict[str, float]:
        group = self._optimiser.param_groups[0]
        rate = group["lr"] / group["factor"]
        loss, weight = self.world.add([float(self._loss_sum), float(self._weight_sum)])
        mean = loss / weight if weight > 0 else float("nan")
        course = self.course
        self._add_seconds()
        return {
            "epoch": course.epochs + 1,
            "step": course.steps,
            "cpu_seconds": course.cpu_seconds,
            "learning_rate": rate,
            "loss": mean,
        }

    def _add_seconds(self) -> None:
        """Take what all processes have used since the last time."""
        self.course.cpu_seconds += self.world.add([self._own_seconds])[0]
        self._own_seconds = 0.0

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


class _TrainingPieces:
    """An iterable that lightning can start again and again, epoch by epoch; passes over the data may be longer."""

    def __init__(self, loop: TrainingLoop) -> None:
        self._loop = loop
        self._reached = -1
        self._pass: Iterator[Batch] = iter(())

    def __len__(self) -> int:
        return self._loop._steps_per_epoch * self._loop.sharing.pieces

    def __iter__(self) -> Iterator[Piece]:
        loop = self._loop
        yield from loop.sharing.cut(self._list_batches(), loop._rng, loop.model)

    def _list_batches(self) -> Iterator[Batch]:
        """Batches of this process in the epoch that is reached."""
        batches, steps = self._loop.batches, self._loop._steps_per_epoch
        first = self._loop.course.epochs * steps
        for step in range(first, first + steps):
            number, at = divmod(step, len(batches))
            # What has been read of a pass is not read again, unless the training comes from elsewhere.
            if at == 0 or step != self._reached:
                start_at(batches, number, at)
                self._pass = iter(batches)
            self._reached = step + 1
            yield next(self._pass)


class _ValidationPieces:
    """Batches of one process in one piece: nothing of them is kept for a backward pass."""

    def __init__(self, loop: TrainingLoop, batches: BatchLoader) -> None:
        self._loop, self._batches = loop, batches

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Piece]:
        loop = self._loop
        sharing = loop.sharing.of_batches(most_events(self._batches, loop.world.size))
        yield from sharing.cut(self._batches, loop._validation_rng)

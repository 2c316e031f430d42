"""How is a model trained on a data set?"""

from __future__ import annotations

import logging
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment
from torch import Tensor

from lorentzoo.core.errors import TrainingError
from lorentzoo.core.fitted_inputs import FittedInputs
from lorentzoo.core.trainable import Trainable
from lorentzoo.data.batching import make_loader
from lorentzoo.data.events import EventData
from lorentzoo.data.streams import EventStream
from lorentzoo.output.files import digest_of
from lorentzoo.output.progress import ProgressLine
from lorentzoo.output.task import Task, load_task
from lorentzoo.training.config import TrainConfig
from lorentzoo.training.course import Course
from lorentzoo.training.loop import TrainingLoop, seed_everything, steps_per_epoch
from lorentzoo.training.resume import only_here, read_checkpoint

__all__ = ["TrainResult", "seed_everything", "threads", "train"]

_STATISTICS_EVENTS: Final = 20_000
"""Events of files from which statistics are taken, and of any set from which ranges are."""


@dataclass(frozen=True)
class TrainResult:
    """A trained model and how it came about.

    Attributes
    ----------
    model
        The model that was given, trained.
    config
        The recipe.
    course
        Steps, epochs, CPU-seconds and the history, one row an epoch.
    resumed_at
        Epochs that had been finished before, if the training was continued.
    """

    model: Trainable
    config: TrainConfig
    course: Course
    resumed_at: int = 0


def train(
    model: Trainable,
    train_set: EventData,
    validation_set: EventData | None = None,
    config: TrainConfig | Mapping[str, Any] | None = None,
    directory: Path | str | None = None,
    *,
    task: Task | None = None,
    resume: bool = True,
    initial: Mapping[str, Tensor] | None = None,
    progress: ProgressLine | bool = True,
) -> TrainResult:
    """Train a model in place.

    Parameters
    ----------
    model
        From `lorentzoo.compose` or `lorentzoo.create_model`: a model, or a generator.
    train_set, validation_set
        Events; those of weight zero are not there. Without a validation set there is no early stopping and no best
        model.
    config
        Recipe, or a mapping with its keys.
    directory
        Keeps a checkpoint of every epoch; a training that was killed continues from there.
    task
        What it is trained for; by default what its head or generator states.
    resume
        Whether to continue from the directory's checkpoint, if there is one of the same training.
    initial
        Weights and statistics to start from, of any of the model's parameters and buffers; see
        `lorentzoo.training.transfer.initial_weights`.
    progress
        Whether to show how it goes, or a line to show it on.

    Returns
    -------
    The trained model with its course. With a budget of steps or epochs the result is a function of seed,
    recipe and data alone, whether or not the training was interrupted.

    Raises
    ------
    TrainingError
        If recipe, data and model do not fit, the loss is not finite, the checkpoint is of another training, or another
        process is training in the directory.
    """
    recipe = TrainConfig.of(config)
    if len(train_set) == 0:
        raise TrainingError("the training set has no events")
    if not bool((train_set.at_hand.weight > 0).any()):
        raise TrainingError("the event weights of the training set are all zero or negative")
    train_set = _drop_weightless(train_set)
    validation_set = None if validation_set is None else _drop_weightless(validation_set)
    if validation_set is not None and len(validation_set) == 0:
        raise TrainingError("the validation set has no events of any weight; leave it out or fill it")
    if validation_set is None and (recipe.patience is not None or recipe.keep == "best"):
        raise TrainingError("patience and keep='best' need a validation set")
    task = load_task(model.task) if task is None else task
    for events in (train_set, validation_set):
        if events is not None:
            task.check_data(events.at_hand)
    path = None if directory is None else Path(directory)
    loader = make_loader(train_set, recipe.batch_size, shuffle=True, seed=recipe.seed)
    line = progress if isinstance(progress, ProgressLine) else ProgressLine("train", show=progress)
    fingerprint = _identify(model, recipe, train_set, validation_set)
    # A line that was given is already shown.
    shown = nullcontext() if line is progress else line
    with only_here(path), threads(recipe.num_threads), shown:
        loop = TrainingLoop(model, task, recipe, loader, fingerprint, path, line)
        checkpoint = read_checkpoint(path, fingerprint, line) if path is not None and resume else None
        if checkpoint is None:
            seed_everything(recipe.seed)
            started = time.process_time()
            # A model that comes with statistics keeps them; what learns by them alone learns anew.
            if not model.is_fitted or not model.num_parameters:
                again = {"refit": True} if model.is_fitted else {}
                model.fit_statistics(
                    make_loader(_choose_for_statistics(train_set), recipe.batch_size), **again
                )
            if initial is not None:
                model.load_state_dict(initial, strict=False)
            if not model.num_parameters:
                # All that such a model learns, it has learned now: what that took is its training.
                loop.course.cpu_seconds = time.process_time() - started
                loop.course.events = len(train_set)
            task.check(model, train_set.at_hand)
        else:
            loop.restore(checkpoint)
        model.fitted_inputs = FittedInputs.read(
            make_loader(train_set.sample(_STATISTICS_EVENTS), recipe.batch_size)
        )
        resumed_at = loop.course.epochs
        # Killed between the last epoch and the end, nothing is left to train.
        if model.num_parameters and not loop.is_over:
            # Before the first epoch ends a pipe would show nothing.
            line.step(
                0.0,
                f"{len(train_set):,} training events, {steps_per_epoch(recipe, len(loader))} steps an epoch",
            )
            _fit(
                loop,
                None if validation_set is None else make_loader(validation_set, max(recipe.batch_size, 256)),
            )
        loop.finish()
    return TrainResult(model, recipe, loop.course, resumed_at)


def _fit(loop: TrainingLoop, validation: Any) -> None:
    config = loop.config
    with _quiet_lightning():
        trainer = pl.Trainer(
            accelerator="auto",
            devices=1,
            max_epochs=-1,
            check_val_every_n_epoch=loop.epochs_between_validations,
            precision="bf16-mixed" if config.precision == "bf16" else "32-true",
            gradient_clip_val=config.gradient_clip,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            # What a batch system says of its job is not meant for us: this is one process.
            plugins=[LightningEnvironment()],
            # Constants that a model caches in validation must be usable in training again.
            inference_mode=False,
        )
        handler = signal.getsignal(signal.SIGINT)
        try:
            trainer.fit(loop, val_dataloaders=validation)
        except SystemExit:
            # Lightning makes an exit of its own of Ctrl-C, and leaves the signal ignored.
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, handler)
            raise KeyboardInterrupt from None
    if trainer.interrupted:
        raise KeyboardInterrupt
    loop.cpu()


def _drop_weightless(events: EventData) -> EventData:
    """Without the events of weight zero, which normalisations over a batch would see, and a loss that is not finite."""
    if isinstance(events, EventStream):
        return events  # it leaves them out when it reads
    there = events.weight != 0
    return events if bool(there.all()) else events.subset(there)


def _choose_for_statistics(train_set: EventData) -> EventData:
    """Events whose statistics stand for all: those in files are too many to be held at once."""
    in_memory = train_set.block is None and not isinstance(train_set, EventStream)
    return train_set if in_memory else train_set.sample(_STATISTICS_EVENTS)


def _identify(
    model: Trainable, config: TrainConfig, train_set: EventData, validation_set: EventData | None
) -> str:
    """Hash of all that decides how the training goes, but for the initial weights."""
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    spec = model.spec.to_data() if model.spec is not None else {}
    events = [None if events is None else events.fingerprint() for events in (train_set, validation_set)]
    return digest_of({"shapes": shapes, "spec": spec, "config": config.to_data(), "events": events})


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Limit the number of threads that torch uses, inside a ``with`` block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """No banners and no hints of lightning's; warnings of anybody else come through."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", module=r"(pytorch_lightning|lightning_fabric|torch\.utils\._pytree)"
            )
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

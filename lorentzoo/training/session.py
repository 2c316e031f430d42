"""How does one process train, alone or as one of several?"""

from __future__ import annotations

import logging
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytorch_lightning as pl
import torch
from pytorch_lightning.accelerators import CUDAAccelerator
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor

from lorentzoo.core.adapters import adapt, merge_adapters
from lorentzoo.core.errors import LorentzooError, ParameterError, StoppedElsewhere, TrainingError
from lorentzoo.core.fitted_inputs import FittedInputs
from lorentzoo.core.quantisation import begin_quantised, end_quantised
from lorentzoo.core.trainable import Trainable
from lorentzoo.data.batching import make_loader
from lorentzoo.data.events import EventData
from lorentzoo.data.sharding import Shard
from lorentzoo.data.streams import EventStream
from lorentzoo.output.files import digest_of
from lorentzoo.output.progress import ProgressLine
from lorentzoo.output.task import Task
from lorentzoo.registry.adapters import read_adapters
from lorentzoo.registry.quantisation import read_quantisation
from lorentzoo.training.config import TrainConfig
from lorentzoo.training.course import Course
from lorentzoo.training.loop import TrainingLoop, seed_everything, steps_per_epoch
from lorentzoo.training.resume import read_checkpoint
from lorentzoo.training.steps import Sharing
from lorentzoo.training.world import Processes, World

__all__ = ["TrainingJob", "threads", "train_in"]

_STATISTICS_EVENTS: Final = 20_000
"""Events of files from which statistics are taken, and of any set from which ranges are."""
_VALIDATED_AT_ONCE: Final = 256
"""Fewest events of a validation batch."""


@dataclass(frozen=True)
class TrainingJob:
    """What is to be trained, on what and how, checked; the parameters are those of `lorentzoo.training.train.train`."""

    model: Trainable
    task: Task
    recipe: TrainConfig
    train_set: EventData
    validation_set: EventData | None
    directory: Path | None
    resume: bool
    initial: Mapping[str, Tensor] | None
    num_workers: int


def train_in(job: TrainingJob, world: World, line: ProgressLine) -> tuple[Course, int]:
    """Train the job's model in place, together with the other processes of a world.

    Returns
    -------
    The course, and the epochs that had been finished before; the same on all processes.
    """
    world.join()
    try:
        with threads(job.recipe.num_threads):
            return _train(job, world, line)
    except RuntimeError as error:
        if world.size == 1 or isinstance(error, LorentzooError) or not _is_lost_connection(error):
            raise
        raise StoppedElsewhere(
            "another process of this training ended; the same command goes on from the last checkpoint"
        ) from error


def _train(job: TrainingJob, world: World, line: ProgressLine) -> tuple[Course, int]:
    model, recipe = job.model, job.recipe
    trainer = _make_trainer(recipe, world)
    load = partial(
        make_loader,
        num_workers=job.num_workers,
        shard=Shard(world.rank, world.size),
        pin_memory=isinstance(trainer.accelerator, CUDAAccelerator),
    )
    loader = load(job.train_set, recipe.batch_size, shuffle=True, seed=recipe.seed)
    validation = job.validation_set
    fingerprint = _identify(job) if world.is_first else ""
    started = time.process_time()
    checkpoint = world.first_does(lambda: _prepare(job, line))
    if "course" not in checkpoint:
        model.load_state_dict(checkpoint["model"])
    took = time.process_time() - started
    with _altered(model, recipe):
        loop = TrainingLoop(
            model,
            job.task,
            recipe,
            loader,
            None if validation is None else load(validation, max(recipe.batch_size, _VALIDATED_AT_ONCE)),
            Sharing(world, recipe.accumulate, recipe.batch_size, _choose_stand_in(job.train_set)),
            fingerprint,
            job.directory,
            line,
        )
        if "course" in checkpoint:
            loop.restore(checkpoint)
        elif not model.num_parameters:
            # All that such a model learns, it has learned now: what that took is its training.
            loop.course.cpu_seconds = took
            loop.course.events = len(job.train_set)
        model.fitted_inputs = checkpoint["fitted_inputs"]
        resumed_at = loop.course.epochs
        # Killed between the last epoch and the end, nothing is left to train.
        if model.num_parameters and not loop.is_over:
            # Before the first epoch ends a pipe would show nothing.
            shared = f" of {world.size} processes" if world.size > 1 else ""
            steps = steps_per_epoch(recipe, len(loader))
            line.step(0.0, f"{len(job.train_set):,} training events, {steps} steps{shared} an epoch")
            _fit(trainer, loop)
        loop.finish()
    return loop.course, resumed_at


@contextmanager
def _altered(model: Trainable, recipe: TrainConfig) -> Iterator[None]:
    """A model with the adapters, or with rounded weights, of a recipe, until its weights are what they have become.

    Adapters are the same in every process.
    """
    try:
        if recipe.adapters is not None:
            seed_everything(recipe.seed)
            adapt(model, read_adapters(recipe.adapters))
        if recipe.quantise is not None:
            begin_quantised(model, read_quantisation(recipe.quantise))
    except ParameterError as error:
        option = "quantise" if recipe.adapters is None else "adapters"
        raise TrainingError(f"{option}: {error}") from None
    try:
        yield
    finally:
        if recipe.adapters is not None:
            merge_adapters(model)
        if recipe.quantise is not None:
            end_quantised(model)


def _prepare(job: TrainingJob, line: ProgressLine) -> dict[str, Any]:
    """The checkpoint from which to go on, or a state in which the model is ready for its first step."""
    model, recipe = job.model, job.recipe
    found = None
    if job.directory is not None and job.resume:
        found = read_checkpoint(job.directory, _identify(job), line)
    if found is None:
        seed_everything(recipe.seed)
        # A model that comes with statistics keeps them; what learns by them alone learns anew.
        if not model.is_fitted or not model.num_parameters:
            again = {"refit": True} if model.is_fitted else {}
            model.fit_statistics(
                make_loader(_choose_for_statistics(job.train_set), recipe.batch_size), **again
            )
        if job.initial is not None:
            model.load_state_dict(job.initial, strict=False)
        job.task.check(model, job.train_set.at_hand)
        found = {"model": model.state_dict()}
    few = job.train_set.sample(_STATISTICS_EVENTS)
    return {**found, "fitted_inputs": FittedInputs.read(make_loader(few, recipe.batch_size))}


def _make_trainer(config: TrainConfig, world: World) -> pl.Trainer:
    several: dict[str, Any] = {
        "devices": world.local_size,
        "num_nodes": world.size // world.local_size,
        "strategy": DDPStrategy(
            # What an event without partners does not need has no gradient in the step of this process alone.
            find_unused_parameters=True,
            # Batch norms see the events of all, and are the same everywhere.
            broadcast_buffers=False,
            gradient_as_bucket_view=True,
        ),
        "plugins": [Processes(world)],
    }
    # What a batch system says of its job is not meant for us: this is one process.
    alone: dict[str, Any] = {"devices": 1, "plugins": [LightningEnvironment()]}
    with _quiet_lightning():
        return pl.Trainer(
            accelerator="auto",
            max_epochs=-1,
            precision="bf16-mixed" if config.precision == "bf16" else "32-true",
            gradient_clip_val=config.gradient_clip,
            accumulate_grad_batches=config.accumulate,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            # Constants that a model caches in validation must be usable in training again.
            inference_mode=False,
            **(several if world.size > 1 else alone),
        )


def _fit(trainer: pl.Trainer, loop: TrainingLoop) -> None:
    with _quiet_lightning():
        trainer.check_val_every_n_epoch = loop.epochs_between_validations
        handler = signal.getsignal(signal.SIGINT)
        try:
            trainer.fit(loop)
        except SystemExit:
            # Lightning makes an exit of its own of Ctrl-C, and leaves the signal ignored.
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, handler)
            raise KeyboardInterrupt from None
    if trainer.interrupted:
        raise KeyboardInterrupt
    loop.cpu()


def _choose_for_statistics(train_set: EventData) -> EventData:
    """Events whose statistics stand for all: those in files are too many to be held at once."""
    in_memory = train_set.block is None and not isinstance(train_set, EventStream)
    return train_set if in_memory else train_set.sample(_STATISTICS_EVENTS)


def _choose_stand_in(train_set: EventData) -> Any:
    """A batch of one event, of many particles: it has whatever a network looks for."""
    few = train_set.at_hand
    return few.batch(few.lengths.argmax().unsqueeze(0))


def _identify(job: TrainingJob) -> str:
    """Hash of all that decides how the training goes, but for the initial weights."""
    shapes = {name: list(value.shape) for name, value in job.model.state_dict().items()}
    spec = job.model.spec.to_data() if job.model.spec is not None else {}
    events = [
        None if events is None else events.fingerprint() for events in (job.train_set, job.validation_set)
    ]
    return digest_of({"shapes": shapes, "spec": spec, "config": job.recipe.to_data(), "events": events})


def _is_lost_connection(error: RuntimeError) -> bool:
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error)


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

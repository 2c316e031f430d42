"""How is a model trained on a data set?"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from lorentzoo.core.errors import ParameterError, TrainingError
from lorentzoo.core.trainable import Trainable
from lorentzoo.data.events import EventData
from lorentzoo.data.streams import EventStream
from lorentzoo.output.progress import ProgressLine
from lorentzoo.output.task import Task, load_task
from lorentzoo.registry.quantisation import quantise, write_quantisation
from lorentzoo.training.config import TrainConfig
from lorentzoo.training.course import Course
from lorentzoo.training.launch import train_on
from lorentzoo.training.loop import seed_everything
from lorentzoo.training.resume import only_here
from lorentzoo.training.session import TrainingJob, threads, train_in
from lorentzoo.training.world import World, check_devices

__all__ = ["TrainResult", "check_devices", "choose_world", "seed_everything", "threads", "train"]


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
    processes
        How many trained it.
    """

    model: Trainable
    config: TrainConfig
    course: Course
    resumed_at: int = 0
    processes: int = 1


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
    devices: int | None = None,
    num_workers: int = 0,
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
    devices
        Processes that train together, each on a GPU of this machine where there are any; by default those that torchrun
        has started, and one without it. ``batch_size`` events a step are of all of them, so that what is learned does not
        depend on how many there are, but for rounding and for where dropout falls.
    num_workers
        Processes of each that gather batches; see `lorentzoo.data.batching.make_loader`.

    Returns
    -------
    The trained model with its course. With a budget of steps or epochs the result is a function of seed,
    recipe and data alone, whether or not the training was interrupted.

    Raises
    ------
    TrainingError
        If recipe, data and model do not fit, the loss is not finite, the checkpoint is of another training, another
        process is training in the directory, there are fewer devices, or a process dies.
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
    recipe = _keep_quantised(model, _freeze(model, recipe))
    path = None if directory is None else Path(directory)
    world, started_here = choose_world(devices)
    check_devices(max(world.local_size, started_here), max(world.size, started_here), recipe.batch_size)
    line = progress if isinstance(progress, ProgressLine) else ProgressLine("train", show=progress)
    if not world.is_first:
        line = ProgressLine("train", show=False)
    job = TrainingJob(model, task, recipe, train_set, validation_set, path, resume, initial, num_workers)
    if started_here > 1 and model.adapters is not None:
        raise TrainingError(
            "a model with adapters is trained by one process; leave them to the recipe (adapters=)"
        )
    # A line that was given is already shown.
    shown = nullcontext() if line is progress else line
    with only_here(path if world.is_first else None), shown:
        # What has no gradients is fitted, not trained: once is enough.
        if started_here > 1 and model.num_parameters:
            course, resumed_at = train_on(job, started_here, line)
        else:
            course, resumed_at = train_in(job, world, line)
    if recipe.quantise is not None:
        # Processes of their own have trained a copy: what they sent back lies on the grid.
        quantise(model, recipe.quantise)
    task.complete(model, train_set, validation_set)
    return TrainResult(model, recipe, course, resumed_at, max(world.size, started_here))


def choose_world(devices: int | None) -> tuple[World, int]:
    """The processes among which this one is, and how many of them are still to be started.

    Raises
    ------
    TrainingError
        If torchrun has started another number than is asked for, or its variables are incomplete.
    """
    if devices is not None and devices < 1:
        raise TrainingError(f"devices must be at least 1, not {devices}")
    if devices == 1:
        return World(), 1
    world = World.from_environment()
    if world.size == 1:
        return world, 1 if devices is None else devices
    if devices not in (None, world.size):
        raise TrainingError(
            f"torchrun has started {world.size} processes, and devices={devices} asks for others: leave devices out"
        )
    return world, 1


def _freeze(model: Trainable, recipe: TrainConfig) -> TrainConfig:
    """Freeze what the recipe says; the recipe with all that is frozen."""
    learns = model.num_parameters > 0
    try:
        model.freeze(*recipe.freeze)
    except ParameterError as error:
        raise TrainingError(f"freeze: {error}") from None
    if model.adapters is not None and recipe.adapters is not None:
        raise TrainingError(
            "the model has adapters, and the recipe gives it others: merge them, or leave those out"
        )
    if learns and not model.num_parameters:
        raise TrainingError(f"nothing is left to train: freeze={list(model.frozen)} holds all parameters")
    return recipe.model_copy(update={"freeze": model.frozen})


def _keep_quantised(model: Trainable, recipe: TrainConfig) -> TrainConfig:
    """The recipe with the quantisation of the model, if it has one and the recipe none."""
    if recipe.quantise is None and model.quantisation is not None:
        recipe = recipe.model_copy(update={"quantise": write_quantisation(model.quantisation)})
    if recipe.quantise is not None and (model.adapters is not None or recipe.adapters is not None):
        raise TrainingError(
            "weights are not rounded while adapters are trained: train with one of them first, then with the other "
            "(lorentzoo.quantise(model, None) ends that the weights of a model are integers)"
        )
    return recipe


def _drop_weightless(events: EventData) -> EventData:
    """Without the events of weight zero, which normalisations over a batch would see, and a loss that is not finite."""
    if isinstance(events, EventStream):
        return events  # it leaves them out when it reads
    there = events.weight != 0
    return events if bool(there.all()) else events.subset(there)

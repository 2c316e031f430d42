"""How is a model trained on events that one has at hand, with one part of them to learn from and one to watch it by?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorentzoo.core.errors import TrainingError
from lorentzoo.core.trainable import Trainable
from lorentzoo.data.events import EventData
from lorentzoo.data.sample import SPLITS
from lorentzoo.output.progress import ProgressLine
from lorentzoo.output.task import judging_task
from lorentzoo.registry.composition import build
from lorentzoo.registry.specs import Spec
from lorentzoo.training.config import TrainConfig
from lorentzoo.training.fitting import complete_spec, read_recipe
from lorentzoo.training.train import TrainResult, seed_everything
from lorentzoo.training.train import train as train_on
from lorentzoo.training.transfer import choose_start, initial_weights

__all__ = ["train"]


def train(
    model: Trainable | Spec | Mapping[str, Any] | str,
    data: EventData,
    config: TrainConfig | Mapping[str, Any] | None = None,
    *,
    validation: EventData | None = None,
    directory: Path | str | None = None,
    task: str | None = None,
    progress: ProgressLine | bool = True,
    **options: Any,
) -> TrainResult:
    """Train a model on the training part of some events, and watch it on their validation part.

    The test part is not looked at: judge by it with ``lorentzoo.evaluate(model, data.split("test"))``.

    Parameters
    ----------
    model
        A model or generator, which is trained in place; or a name, ``"name:key=value"`` (with ``pretrained=`` for trained
        weights to start from), a mapping of slots to names, or a `Spec`, whose widths and head follow from the data.
    data
        Events. Without splits of their own they are split 60:15:25 by a hash of their numbers, within every class.
    config, options
        Recipe, as a mapping or by keyword, e.g. ``epochs=5, learning_rate=3e-4``; see `lorentzoo.training.TrainConfig`.
        Options win over the published recipe of a model's name.
    validation
        Events to watch the model by; `data` are then all trained on.
    directory
        Keeps a checkpoint of every epoch; a training that was killed continues from there.
    task
        Name of the task that judges the model, where that is another one than its head or generator states.
    progress
        Whether to show how it goes, or a line to show it on.

    Returns
    -------
    The trained model (``.model``) with its recipe and course.

    Raises
    ------
    TrainingError
        If recipe, data and model do not fit, or no event is there to be trained on.
    CompositionError
        If the task judges no such networks.

    Examples
    --------
    >>> import lorentzoo as lz
    >>> data = lz.load_dataset("toptag", num_jets=100, max_constituents=10)
    >>> result = lz.train("transformer:num_blocks=1", data, epochs=1, progress=False)
    >>> result.course.epochs
    1
    """
    if not isinstance(data, EventData):
        raise TrainingError(
            f"a model is trained on a data set of events, not on {type(data).__name__}; see "
            "lorentzoo.JetDataset.from_padded, from_awkward, from_pandas and lorentzoo.load_dataset"
        )
    given = config.to_data() if isinstance(config, TrainConfig) else dict(config or {})
    training, watched = (data, validation) if validation is not None else _split(data)
    initial = None
    if isinstance(model, Trainable):
        network, recipe = model, _read_options(given, options, model.spec)
    else:
        start = choose_start(model)
        spec = complete_spec(start.spec, data, task)
        recipe = _read_options(given, options, spec)
        seed_everything(recipe.seed)
        network = build(spec)
        initial = None if start.source is None else initial_weights(network, start.source)
    judge = judging_task(network.task, task)
    return train_on(
        network, training, watched, recipe, directory, task=judge, initial=initial, progress=progress
    )


def _read_options(given: Mapping[str, Any], options: Mapping[str, Any], spec: Any) -> TrainConfig:
    twice = sorted(set(given) & set(options))
    if twice:
        raise TrainingError(f"config and options both say {', '.join(twice)}")
    merged = {**given, **options}
    # A network of one's own that was never written down has no published recipe.
    return read_recipe(merged, spec) if isinstance(spec, Spec) else TrainConfig.of(merged)


def _split(data: EventData) -> tuple[EventData, EventData | None]:
    """Training and validation part of events that are split, or are to be."""
    codes = data.splits_by_hash() if data.splits is None else data.splits
    training, watched = (data.subset(codes == SPLITS.index(name)) for name in ("train", "validation"))
    if not len(training):
        there = ", ".join(name for number, name in enumerate(SPLITS) if bool((codes == number).any()))
        raise TrainingError(
            f"none of the {len(data)} events is for training ({there or 'none is there'}): give all of the data, or "
            "validation=... to train on all that is given"
        )
    return training, watched if len(watched) else None

"""How is one model trained, kept and evaluated again, without a study around it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lorentzoo.core.errors import RunError
from lorentzoo.core.trainable import Trainable
from lorentzoo.data.events import EventData, Split
from lorentzoo.output.evaluation import Evaluation
from lorentzoo.output.progress import ProgressLine
from lorentzoo.output.task import Task, judging_task, load_task
from lorentzoo.registry.checkpoints import load
from lorentzoo.registry.composition import build
from lorentzoo.registry.sources import locate
from lorentzoo.registry.specs import Spec, parse_part
from lorentzoo.studies.plan import RunSpec, test_settings
from lorentzoo.studies.runs import RunRecord, execute_run, join_run, read_run, read_run_spec, state_of
from lorentzoo.training.config import TrainConfig
from lorentzoo.training.fitting import complete_spec, open_dataset, read_recipe
from lorentzoo.training.resume import forget_checkpoints
from lorentzoo.training.transfer import choose_start

__all__ = ["evaluate", "evaluate_run", "evaluate_runs", "run_task", "train_model"]


def train_model(
    spec: Spec | Mapping[str, Any] | str | None = None,
    *,
    dataset: str | Mapping[str, Any] = "toptag",
    config: TrainConfig | Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    train_size: int | None = None,
    init_from: str | Path | None = None,
    head: str | Mapping[str, Any] | None = None,
    task: str | None = None,
    test: Mapping[str, Any] | None = None,
    resume: bool = True,
    progress: bool = True,
    devices: int | None = None,
    num_workers: int = 0,
) -> RunRecord | None:
    """Train and evaluate one model; the directory is the same as that of a study's run.

    Parameters
    ----------
    spec
        A model's name (inline parameters allowed, ``pretrained=`` too), a mapping of slots to names, or a `Spec`; by
        default the composition of `init_from`.
    dataset
        Name, ``"name:key=value"`` or mapping; widths and number of classes or targets follow from it.
    config
        Recipe, or a mapping with its keys, which win over the published recipe of the model's name.
    out
        Directory; ``runs/<hash of the full specification>`` by default.
    train_size
        Number of training events; all by default.
    init_from
        Directory of a run, or of a saved model, or the name of a model with trained weights, whose weights and
        statistics to start from. All parts but the head must be the same; the head starts anew where it is another. The
        recipe can give parts their own learning rate (``rates``), leave them as they are (``freeze``) or train
        ``adapters`` in their place.
    head
        Another head than that of `spec` or `init_from`; where neither is given, that of `init_from` gets as many classes
        or targets as the data have.
    task
        Name of the task that judges it, where that is another one than its head or generator states.
    test
        How thoroughly it is tested: settings of its task, e.g. ``{"num_samples": 5000}`` for generators.
    resume
        Whether a finished run is returned as it is, and a half-trained one continued.
    progress
        Whether to show how it goes.
    devices
        Processes that train together; by default those that torchrun has started, one without it. See
        `lorentzoo.training.train.train`; what is trained does not depend on it.
    num_workers
        Processes of each that gather batches.

    Returns
    -------
    The finished run; None in processes of torchrun other than the first.

    Raises
    ------
    RunError
        If `out` holds a run of something else, or the weights to start from are of another network.
    TrainingError
        If data, recipe or settings do not fit the model and its task.
    CompositionError
        If the task judges no such networks.
    """
    from lorentzoo.training.train import check_devices, choose_world

    world, started_here = choose_world(devices)
    part = parse_part(dataset, "dataset")
    data = open_dataset(part)
    start = choose_start(spec, init_from, head)
    # What was trained on other data says nothing of how many classes these have, unless the user does.
    follows = spec is None and head is None
    model = build(complete_spec(start.spec, data, task, head_follows=follows))
    judge = judging_task(model.task, task)
    settings = judge.read_settings(test)
    judge.check_data(data.at_hand)
    run = RunSpec(
        model.spec,
        part,
        data.fingerprint(),
        train_size,
        read_recipe(config, model.spec),
        start.stated,
        test_settings(settings),
        judge.settings_key,
        None if judge.name == model.task else judge.name,
    )
    directory = Path("runs") / run.key if out is None else Path(out)
    check_devices(max(world.local_size, started_here), max(world.size, started_here), run.config.batch_size)
    world.join()

    def is_finished() -> bool:
        state = state_of(directory)
        if state not in ("missing", "unfinished") or (directory / "run.json").is_file():
            _require_same_run(directory, run)
        if not resume:
            forget_checkpoints(directory)
        return resume and state == "finished"

    finished = world.first_does(is_finished)
    if not world.is_first:
        if not finished:
            join_run(run, directory, start.source, num_workers)
        return None
    if finished:
        return read_run(directory)
    with ProgressLine(model.spec.model or model.spec.backbone.name, show=progress) as line:
        return execute_run(
            run, directory, line, source=start.source, devices=devices, num_workers=num_workers
        )


def evaluate(
    model: Trainable,
    data: EventData,
    test: Mapping[str, Any] | None = None,
    *,
    task: str | None = None,
    progress: ProgressLine | bool = True,
    **settings: Any,
) -> Evaluation:
    """Test a trained model or generator on events, as its task does.

    Parameters
    ----------
    model
        Trained.
    data
        Events that it has not seen.
    test, settings
        How thoroughly: settings of its task, as a mapping or by keyword.
    task
        Name of the task that judges it, where that is another one than its head or generator states.
    progress
        Whether to show how it goes, or a line to show it on.

    Returns
    -------
    Predictions, or samples beside true events; ``.metrics()`` gives the numbers.

    Raises
    ------
    TrainingError
        If data or settings do not fit the task, or a prediction is not finite.
    CompositionError
        If the task judges no such networks.
    """
    from lorentzoo.training.train import train

    judge = judging_task(model.task, task)
    judge.check_data(data)
    line = progress if isinstance(progress, ProgressLine) else ProgressLine("evaluate", show=progress)
    chosen = judge.read_settings({**(test or {}), **settings})
    return judge.evaluate(model, data, chosen, train=partial(train, devices=1), progress=line)


def evaluate_run(
    directory: str | Path,
    dataset: str | Mapping[str, Any] | EventData | None = None,
    split: Split | None = "test",
    test: Mapping[str, Any] | None = None,
    *,
    task: str | None = None,
    progress: bool = True,
) -> Evaluation:
    """Test the network of a run, or of what `lorentzoo.save` wrote, on events.

    Parameters
    ----------
    directory
        Of the run.
    dataset
        Name, mapping or events; the run's own by default.
    split
        Which part; None takes all events.
    test
        Settings of its task; those of the run by default.
    task
        Name of the task that judges it; that of the run by default.
    progress
        Whether to show how it goes.

    Raises
    ------
    RunError
        If the run is not finished or damaged; or no data set is given, and it is not a run that states one.
    """
    path = locate(directory)
    model, chosen = open_run(path, dataset, split)
    run = read_run_spec(path) if (path / "run.json").is_file() else None
    judge = run.judge if run is not None and task is None else task
    # Settings of another task mean nothing to this one.
    same = run is not None and judging_task(model.task, judge).name == run.task.name
    given = {**(run.test if run is not None and same else {}), **(test or {})}
    return evaluate(model, chosen, given, task=judge, progress=progress)


def open_run(
    directory: str | Path, dataset: str | Mapping[str, Any] | EventData | None, split: Split | None
) -> tuple[Trainable, EventData]:
    """The network of a run, or of what `lorentzoo.save` wrote, and events for it.

    Parameters
    ----------
    directory
        Of the run.
    dataset
        Name, mapping or events; the run's own with None.
    split
        Which part; None takes all events.

    Raises
    ------
    RunError
        If the run is not finished or damaged; or no data set is given, and it is not a run that states one.
    """
    path = locate(directory)
    run = read_run_spec(path) if (path / "run.json").is_file() else None
    if state_of(path).startswith(("damaged", "missing")) or (run and not (path / "spec.json").is_file()):
        read_run(path)
    if isinstance(dataset, EventData):
        data = dataset
    elif dataset is not None:
        data = open_dataset(parse_part(dataset, "dataset"))
    elif run is not None:
        data = open_dataset(run.dataset)
    else:
        raise RunError(f"{directory} does not say on which events it was trained: give a data set")
    return load(path), data if split is None else data.split(split)


def evaluate_runs(
    directories: Sequence[str | Path],
    dataset: str | Mapping[str, Any] | EventData | None = None,
    split: Split | None = "test",
    test: Mapping[str, Any] | None = None,
    *,
    task: str | None = None,
) -> Evaluation:
    """Test several runs together, e.g. by the mean of what they predict; parameters as for `evaluate_run`.

    Raises
    ------
    RunError
        If they are not of one task.
    """
    names = {run_task(path, task).name for path in directories}
    if len(names) != 1:
        raise RunError(f"runs of different tasks ({', '.join(sorted(names))}) cannot be evaluated together")
    evaluations = [evaluate_run(path, dataset, split, test, task=task) for path in directories]
    return load_task(names.pop()).combine(evaluations)


def run_task(directory: str | Path, task: str | None = None) -> Task:
    """The task that judges the network of a run, or of a saved model; another one if that is asked for by name.

    Raises
    ------
    CompositionError
        If the task judges no such networks.
    """
    path = locate(directory)
    if task is None and (path / "run.json").is_file():
        return read_run_spec(path).task
    return judging_task(load(path).task, task)


def _require_same_run(directory: Path, run: RunSpec) -> None:
    try:
        stored = read_run_spec(directory)
    except RunError:
        return
    if stored.key != run.key:
        raise RunError(
            f"{directory} holds a run of another specification (model, data, recipe, versions); choose another one"
        )

"""How is one model trained, kept and evaluated again, without a study around it?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorentzoo.core.generator import Generator
from lorentzoo.data.events import EventData, Split
from lorentzoo.output.progress import ProgressLine
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.checkpoints import load
from lorentzoo.registry.composition import build, model_spec
from lorentzoo.registry.specs import Spec, parse_part
from lorentzoo.studies.errors import RunError
from lorentzoo.studies.plan import RunSpec, fitted_to, open_dataset, spec_for
from lorentzoo.studies.runs import RunRecord, execute_run, read_run, read_run_spec, state_of
from lorentzoo.tasks.generation.evaluation import GeneratorEvaluation, evaluate_generator
from lorentzoo.tasks.predictions import Predictions, evaluate
from lorentzoo.training.config import GenerationConfig, TrainConfig
from lorentzoo.training.transfer import saved_spec, weights_hash

__all__ = ["evaluate_run", "evaluate_saved_generator", "holds_generator", "train_model"]


def train_model(
    spec: Spec | Mapping[str, Any] | str | None = None,
    *,
    dataset: str | Mapping[str, Any] = "toptag",
    config: TrainConfig | Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    train_size: int | None = None,
    init_from: str | Path | None = None,
    head: str | Mapping[str, Any] | None = None,
    generation: GenerationConfig | Mapping[str, Any] | None = None,
    resume: bool = True,
    progress: bool = True,
) -> RunRecord:
    """Train and evaluate one model; the directory is the same as that of a study's run.

    Parameters
    ----------
    spec
        A model's name (inline parameters allowed), a mapping of slots to names, or a `Spec`; by default the
        composition of `init_from`.
    dataset
        Name, ``"name:key=value"`` or mapping; widths and number of classes follow from it.
    config
        Recipe, or a mapping with its keys, which win over the published recipe of the model's name.
    out
        Directory; ``runs/<hash of the full specification>`` by default.
    train_size
        Number of training events; all by default.
    init_from
        Directory of a run, or of a saved model, whose weights and statistics to start from. All parts but the head
        must be the same; the head starts anew where it is another. The recipe can give parts their own learning
        rate (``rates``) or leave them as they are (``freeze``).
    head
        Another head than that of `spec` or `init_from`.
    generation
        How thoroughly a generator is tested, or a mapping with the keys of `GenerationConfig`.
    resume
        Whether a finished run is returned as it is, and a half-trained one continued.
    progress
        Whether to show how it goes.

    Raises
    ------
    RunError
        If `out` holds a run of something else, or the weights to start from are of another network.
    """
    testing = GenerationConfig.of(generation)
    part = parse_part(dataset, "dataset")
    data = open_dataset(part)
    model = build(_with_widths(_with_head(spec, init_from, head), data))
    source = None if init_from is None else Path(init_from)
    start = None if source is None else weights_hash(source)
    run = RunSpec(
        model.spec, part, data.fingerprint(), train_size, _config(config, model.spec), start, testing
    )
    directory = Path("runs") / run.key if out is None else Path(out)
    state = state_of(directory)
    if state not in ("missing", "unfinished") or (directory / "run.json").is_file():
        _same_run(directory, run)
    if resume and state == "finished":
        return read_run(directory)
    if not resume:
        (directory / "checkpoint.ckpt").unlink(missing_ok=True)
    with ProgressLine(model.spec.model or model.spec.backbone.name, show=progress) as line:
        return execute_run(run, directory, line, source=source)


def evaluate_run(
    run_directory: str | Path,
    dataset: str | Mapping[str, Any] | EventData | None = None,
    split: Split | None = "test",
) -> Predictions:
    """Predictions of a run's model, on its own data set or on another.

    Parameters
    ----------
    run_directory
        Of a finished run.
    dataset
        Name, mapping or events; the run's own by default.
    split
        Which part; None takes all events.

    Returns
    -------
    Predictions; ``.metrics()`` gives weighted metrics.

    Raises
    ------
    RunError
        If the run is not finished, or damaged.
    """
    directory = Path(run_directory)
    record = read_run(directory)
    if isinstance(dataset, EventData):
        data = dataset
    else:
        data = open_dataset(record.run.dataset if dataset is None else parse_part(dataset, "dataset"))
    return evaluate(load(directory), data if split is None else data.split(split))


def holds_generator(directory: str | Path) -> bool:
    """Whether a directory holds the specification of a generator."""
    path = Path(directory) / "spec.json"
    return path.is_file() and Spec.from_json(path.read_text(encoding="utf-8")).generator is not None


def evaluate_saved_generator(
    directory: str | Path,
    dataset: str | Mapping[str, Any] | EventData | None = None,
    split: Split | None = "test",
    **settings: Any,
) -> GeneratorEvaluation:
    """Draw from a saved generator and compare with true events.

    Parameters
    ----------
    directory
        Of a run, or of what `lorentzoo.save` wrote.
    dataset
        Name, mapping or events; that of the run by default.
    split
        Which part; None takes all events.
    settings
        Further parameters of `evaluate_generator`.

    Raises
    ------
    RunError
        If the directory holds no generator, or no data set is given and it is not that of a run.
    """
    path = Path(directory)
    generator = load(path)
    if not isinstance(generator, Generator):
        raise RunError(f"{directory} holds no generator; evaluate_run is for models that predict")
    if isinstance(dataset, EventData):
        data = dataset
    elif dataset is not None:
        data = open_dataset(parse_part(dataset, "dataset"))
    elif (path / "run.json").is_file():
        data = open_dataset(read_run_spec(path).dataset)
    else:
        raise RunError(f"{directory} does not say on which events it was trained: give a data set")
    return evaluate_generator(generator, data if split is None else data.split(split), **settings)


def _with_head(
    spec: Spec | Mapping[str, Any] | str | None,
    init_from: str | Path | None,
    head: str | Mapping[str, Any] | None,
) -> Spec | Mapping[str, Any] | str:
    """What is to be built, with another head where one is given."""
    if spec is None:
        if init_from is None:
            raise RunError("name a model, or what its weights start from (init_from)")
        spec = saved_spec(init_from)
    if head is None:
        return spec
    if isinstance(spec, str):
        spec = model_spec(spec)
    data = spec.to_data() if isinstance(spec, Spec) else dict(spec)
    data["head"] = parse_part(head, "head").to_data()
    return Spec.from_data(data) if isinstance(spec, Spec) else data


def _with_widths(spec: Spec | Mapping[str, Any] | str, data: EventData) -> Spec:
    if isinstance(spec, str):
        return spec_for({"model": spec}, data)
    if isinstance(spec, Spec):
        return fitted_to(spec, data)
    known = {"in_scalars", "in_context", "format", "lorentzoo", "plugins"}
    return spec_for(
        {key: value for key, value in spec.items() if key not in known and value is not None}, data
    )


def _config(config: TrainConfig | Mapping[str, Any] | None, spec: Spec) -> TrainConfig:
    """The given options over the published recipe of the model, where it came by a name that has one."""
    if isinstance(config, TrainConfig):
        return config
    recipe = {} if spec.model is None else catalogue().find("model", spec.model).recipe
    return TrainConfig.of({**recipe, **(config or {})})


def _same_run(directory: Path, run: RunSpec) -> None:
    try:
        stored = read_run_spec(directory)
    except RunError:
        return
    if stored.key != run.key:
        raise RunError(
            f"{directory} holds a run of another specification (model, data, recipe, versions); choose another one"
        )

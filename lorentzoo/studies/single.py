"""How is one model trained, kept and evaluated again, without a study around it?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorentzoo.data.events import EventData, Split
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.checkpoints import load
from lorentzoo.registry.composition import build
from lorentzoo.registry.specs import Spec, parse_part
from lorentzoo.studies.config import TrainConfig
from lorentzoo.studies.errors import RunError
from lorentzoo.studies.evaluation import Predictions, evaluate
from lorentzoo.studies.plan import RunSpec, fitted_to, open_dataset, spec_for
from lorentzoo.studies.progress import ProgressLine
from lorentzoo.studies.runs import RunRecord, execute_run, read_run, read_run_spec, state_of

__all__ = ["evaluate_run", "train_model"]


def train_model(
    spec: Spec | Mapping[str, Any] | str,
    *,
    dataset: str | Mapping[str, Any] = "toptag",
    config: TrainConfig | Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    train_size: int | None = None,
    resume: bool = True,
    progress: bool = True,
) -> RunRecord:
    """Train and evaluate one model; the directory is the same as that of a study's run.

    Parameters
    ----------
    spec
        A model's name (inline parameters allowed), a mapping of slots to names, or a `Spec`.
    dataset
        Name, ``"name:key=value"`` or mapping; widths and number of classes follow from it.
    config
        Recipe, or a mapping with its keys, which win over the published recipe of the model's name.
    out
        Directory; ``runs/<hash of the full specification>`` by default.
    train_size
        Number of training events; all by default.
    resume
        Whether a finished run is returned as it is, and a half-trained one continued.
    progress
        Whether to show how it goes.

    Raises
    ------
    RunError
        If `out` holds a run of something else.
    """
    part = parse_part(dataset, "dataset")
    data = open_dataset(part)
    model = build(_with_widths(spec, data))
    run = RunSpec(model.spec, part, data.fingerprint(), train_size, _config(config, model.spec))
    directory = Path("runs") / run.key if out is None else Path(out)
    state = state_of(directory)
    if state not in ("missing", "unfinished") or (directory / "run.json").is_file():
        _same_run(directory, run)
    if resume and state == "finished":
        return read_run(directory)
    if not resume:
        (directory / "checkpoint.ckpt").unlink(missing_ok=True)
    with ProgressLine(model.spec.model or model.spec.backbone.name, show=progress) as line:
        return execute_run(run, directory, line)


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

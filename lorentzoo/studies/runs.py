"""What is one run, and what does it leave behind?

A directory, named by the hash of the run's full specification::

    run.json            the full specification        config.json       the recipe alone
    metrics.json        of the test split             predictions.npz   what is behind them, of every event; its
                                                      name is the task's, e.g. generation.npz
    costs.json          parameters, FLOPs, times      history.csv       one row an epoch
    symmetry.json       what it learned of the Lorentz group, where that was asked for
    training.json       steps, epochs, CPU-seconds    environment.json  versions and machine
    spec.json, weights.safetensors                    the model, for `lorentzoo.load`
    details.json, README.md                           what is told of the model, and its card
    finished.json       checksums of all these, written last: the run counts from then on
    checkpoint.ckpt     while it trains               failed.json       why it failed, if it did
"""

from __future__ import annotations

import os
import platform
import traceback
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from lorentzoo.core.errors import RunError, SymmetryError
from lorentzoo.core.trainable import Trainable
from lorentzoo.data.events import EventData
from lorentzoo.output.evaluation import Evaluation
from lorentzoo.output.files import checksum, digest_of, write_json, write_text
from lorentzoo.output.progress import ProgressLine
from lorentzoo.registry.checkpoints import save
from lorentzoo.registry.composition import build
from lorentzoo.registry.plain_data import read_json_file
from lorentzoo.registry.sources import locate
from lorentzoo.registry.specs import distribution_version
from lorentzoo.studies.plan import RunSpec
from lorentzoo.studies.run_details import describe_run
from lorentzoo.training.costs import Costs, measure_costs
from lorentzoo.training.course import history_from_csv, history_to_csv
from lorentzoo.training.fitting import open_dataset
from lorentzoo.training.resume import forget_checkpoints, only_here
from lorentzoo.training.transfer import find_pretrained, initial_weights
from lorentzoo.verification.spectrum import symmetry_spectrum

__all__ = [
    "RunRecord",
    "execute_run",
    "join_run",
    "read_run",
    "read_run_spec",
    "record_failure",
    "renew_checksums",
    "state_of",
]

_FORMAT: Final = 2
_KEPT: Final = (
    "run.json",
    "config.json",
    "metrics.json",
    "costs.json",
    "training.json",
    "history.csv",
    "environment.json",
    "spec.json",
    "weights.safetensors",
)
_SYMMETRY: Final = "symmetry.json"
_FINISHED: Final = "finished.json"
_FAILED: Final = "failed.json"
_PACKAGES: Final = ("lorentzoo", "torch", "numpy", "pytorch-lightning", "scikit-learn", "scipy")


@dataclass(frozen=True)
class RunRecord:
    """A finished run.

    Attributes
    ----------
    directory
        Where it is.
    run
        Its full specification.
    metrics
        Of the test split, as the task names them.
    costs
        Of the network.
    training
        ``steps``, ``epochs``, ``cpu_seconds``, ``events``, ``stopped_early``, ``resumed_at``.
    history
        One row an epoch.
    environment
        Versions and machine.
    symmetry
        What `lorentzoo.symmetry_spectrum` found, as plain data, or why there is none (``"refused"``); None where it was
        not asked for.
    """

    directory: Path
    run: RunSpec
    metrics: dict[str, Any]
    costs: Costs
    training: dict[str, Any]
    history: list[dict[str, float]]
    environment: dict[str, Any]
    symmetry: dict[str, Any] | None = None

    def to_data(self) -> dict[str, Any]:
        """Where it is, its metrics, its training and its costs, as plain data."""
        return {"directory": str(self.directory), **self.metrics, **self.training, **self.costs.to_data()}

    @property
    def evaluation(self) -> Evaluation:
        """Everything behind the numbers, as the task of the run keeps it."""
        task = self.run.task
        return task.load(self.directory / task.file)


def execute_run(
    run: RunSpec,
    directory: Path,
    line: ProgressLine,
    dataset: EventData | None = None,
    source: Path | None = None,
    devices: int | None = 1,
    num_workers: int = 0,
) -> RunRecord:
    """Train, evaluate and measure; a run that was killed continues from its last epoch.

    Parameters
    ----------
    run
        Full specification.
    directory
        The run's own.
    line
        Shows how it goes.
    dataset
        Events, if not to be opened by name.
    source
        Where the weights are that it starts from; for a run that does, by default the run of that hash beside it.
    devices, num_workers
        As for `lorentzoo.training.train.train`. All but the training is done by this process, which is the first of those
        that torchrun has started; the others `join_run`.

    Raises
    ------
    RunError
        If what it starts from is not finished, or of another network.
    TrainingError
        If another process is training in the directory.
    """
    with only_here(directory):
        return _execute(run, directory, line, dataset, source, devices, num_workers)


def join_run(run: RunSpec, directory: Path, source: Path | None, num_workers: int) -> None:
    """Train as one of the processes that torchrun has started, of which the first executes the run."""
    from lorentzoo.training.train import train

    prepared = _Prepared.of(run, directory, open_dataset(run.dataset), source)
    train(
        prepared.model,
        prepared.training,
        prepared.validation,
        run.config,
        task=run.task,
        initial=prepared.initial,
        progress=False,
        num_workers=num_workers,
    )


@dataclass(frozen=True)
class _Prepared:
    """What a run trains, on what, and from where."""

    model: Trainable
    training: EventData
    validation: EventData
    initial: dict[str, Tensor] | None

    @classmethod
    def of(cls, run: RunSpec, directory: Path, data: EventData, source: Path | None) -> _Prepared:
        # Lightning takes seconds to import, which those who only look at results need not wait for.
        from lorentzoo.training.train import seed_everything

        training = data.split("train")
        if run.train_size is not None:
            training = training.subset(torch.arange(run.train_size))
        seed_everything(run.config.seed)
        model = build(run.spec)
        initial = None
        if run.start_from is not None:
            source = source or find_pretrained(run.start_from) or directory.parent / run.start_from
            source = locate(source)
            if not (source / "spec.json").is_file():
                raise RunError(f"it starts from run {run.start_from}, which is not finished")
            initial = initial_weights(model, source)
        return cls(model, training, data.split("validation"), initial)


def _execute(
    run: RunSpec,
    directory: Path,
    line: ProgressLine,
    dataset: EventData | None,
    source: Path | None,
    devices: int | None,
    num_workers: int,
) -> RunRecord:
    from lorentzoo.training.train import threads, train

    (directory / _FINISHED).unlink(missing_ok=True)
    (directory / _FAILED).unlink(missing_ok=True)
    write_json(directory / "run.json", run.to_data())
    write_json(directory / "config.json", run.config.to_data())
    data = open_dataset(run.dataset) if dataset is None else dataset
    test = data.split("test")
    prepared = _Prepared.of(run, directory, data, source)
    model, task = prepared.model, run.task
    settings = task.read_settings(run.test)
    result = train(
        model,
        prepared.training,
        prepared.validation,
        run.config,
        directory,
        task=task,
        initial=prepared.initial,
        progress=line,
        devices=devices,
        num_workers=num_workers,
    )
    # A test may take longer than the training: what was trained is there whatever becomes of it.
    save(model, directory)
    with threads(run.config.num_threads):
        evaluation = task.evaluate(model, test, settings, train=partial(train, devices=1), progress=line)
        costs = measure_costs(model, test, batch_size=run.config.batch_size)
    evaluation.save(directory / task.file)
    summary = {name: value for name, value in result.course.to_data().items() if name in _SUMMARY}
    metrics, machine = evaluation.metrics(), environment(run.config.num_threads, result.processes)
    write_json(directory / "training.json", summary | {"resumed_at": result.resumed_at})
    write_json(directory / "metrics.json", metrics)
    write_json(directory / "costs.json", costs.to_data())
    write_json(directory / "environment.json", machine)
    further = [task.file]
    if run.symmetry_events:
        write_json(directory / _SYMMETRY, _measure_symmetry(model, test, run.symmetry_events))
        further.append(_SYMMETRY)
    told = describe_run(run, data, metrics, costs, result.course.cpu_seconds, machine, source)
    save(model, directory, details=told)
    write_text(directory / "history.csv", history_to_csv(result.course.history))
    checksums = {name: checksum(directory / name) for name in (*_KEPT, *further)}
    stated = {"format": _FORMAT, "key": run.key, "checksums": checksums}
    write_json(directory / _FINISHED, {**stated, "seal": digest_of(stated)})
    forget_checkpoints(directory)
    return read_run(directory)


def _measure_symmetry(model: Trainable, test: EventData, num_events: int) -> dict[str, Any]:
    try:
        return symmetry_spectrum(model, test, num_events=num_events).to_data()
    except SymmetryError as error:
        return {"refused": str(error)}


_SUMMARY: Final = ("steps", "epochs", "cpu_seconds", "events", "stopped_early")


def record_failure(directory: Path, error: BaseException) -> str:
    """Write down why a run failed; returns the reason in one line."""
    reason = f"{type(error).__name__}: {error}"
    trace = "".join(traceback.format_exception(error))
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / _FAILED, {"error": reason, "trace": trace})
    return reason


def state_of(directory: Path) -> str:
    """``"finished"``, ``"missing"``, ``"unfinished"``, ``"failed: reason"`` or ``"damaged: reason"``."""
    if not directory.is_dir():
        return "missing"
    if not (directory / _FINISHED).is_file():
        if not (directory / _FAILED).is_file():
            return "unfinished"
        try:
            return f"failed: {_read_json(directory / _FAILED)['error']}"
        except (RunError, KeyError, TypeError):
            return "failed: reason unknown"
    try:
        _check(directory)
    except RunError as error:
        return f"damaged: {error}"
    return "finished"


def read_run(directory: Path) -> RunRecord:
    """A finished run, its files checked.

    Raises
    ------
    RunError
        If it is not finished, or a file is missing or damaged.
    """
    state = state_of(directory)
    if state != "finished":
        raise RunError(f"run {directory.name} cannot be used: {state.removeprefix('damaged: ')}")
    try:
        costs = Costs(**_read_json(directory / "costs.json"))
        history = history_from_csv((directory / "history.csv").read_text(encoding="utf-8"))
    except (RunError, TypeError, UnicodeDecodeError) as error:
        raise RunError(f"run {directory.name} cannot be used: {error}") from None
    return RunRecord(
        directory,
        read_run_spec(directory),
        _read_json(directory / "metrics.json"),
        costs,
        _read_json(directory / "training.json"),
        history,
        _read_json(directory / "environment.json"),
        _read_json(directory / _SYMMETRY) if (directory / _SYMMETRY).is_file() else None,
    )


def read_run_spec(directory: Path) -> RunSpec:
    """The full specification of a run, finished or not."""
    return RunSpec.from_data(_read_json(directory / "run.json"))


def environment(num_threads: int, processes: int) -> dict[str, Any]:
    """Versions and kind of machine, without anything that identifies it."""
    versions = {name: distribution_version(name).removeprefix(name).strip() for name in _PACKAGES}
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "threads": num_threads,
        "processes": processes,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": versions,
    }


def renew_checksums(directory: Path) -> None:
    """State the checksums of a finished run's model anew, after it was written anew; other folders stay as they are."""
    path = directory / _FINISHED
    if not path.is_file():
        return
    stated = {name: value for name, value in _read_json(path).items() if name != "seal"}
    for name in ("spec.json", "weights.safetensors"):
        stated["checksums"][name] = checksum(directory / name)
    # Files of the first format had no seal.
    write_json(path, {**stated, "seal": digest_of(stated)} if stated["format"] > 1 else stated)


def _check(directory: Path) -> None:
    """Refuse a directory in which anything is not as it was written, or which is of another run than its files."""
    stated = _read_json(directory / _FINISHED)
    version = stated.get("format")
    if type(version) is not int or version < 1:
        raise RunError(f"{_FINISHED} does not state its format")
    if version > _FORMAT:
        raise RunError(f"its format {version} is newer than {_FORMAT}; upgrade lorentzoo")
    sealed = {name: value for name, value in stated.items() if name != "seal"}
    # Files of the first format had no seal; one that has is no such file, whatever it says.
    if (version > 1 or "seal" in stated) and stated.get("seal") != digest_of(sealed):
        raise RunError(f"{_FINISHED} does not have the contents it was written with")
    checksums = stated.get("checksums")
    if not isinstance(checksums, dict) or not set(_KEPT) < set(checksums):
        raise RunError(f"{_FINISHED} does not list all files of a run")
    for name, expected in checksums.items():
        if not (directory / name).is_file():
            raise RunError(f"{name} is missing")
        if checksum(directory / name) != expected:
            raise RunError(f"{name} does not have the contents it was written with")
    key = read_run_spec(directory).key
    if version > 1 and stated.get("key") != key:
        raise RunError(f"{_FINISHED} is of another run than run.json")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = read_json_file(path)
    except FileNotFoundError:
        raise RunError(f"{path.parent.name} has no {path.name}") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path.name} of {path.parent.name} is damaged: {error}") from None
    if not isinstance(data, dict):
        raise RunError(f"{path.name} of {path.parent.name} is damaged: not a mapping")
    return data

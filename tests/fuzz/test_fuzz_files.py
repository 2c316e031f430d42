"""Damaged files of every kind: refused by name, and never taken for whole."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from experiment_layouts import EXPERIMENTS, random_events
from file_layouts import (
    jetclass_columns,
    padded,
    random_jets,
    write_jetnet,
    write_parquet,
    write_root,
    write_toptag,
)
from fuzzing import damage, sizes, survey_damage

import lorentzoo as lz
from lorentzoo.data.sample import Sample
from lorentzoo.data.shipped import sample_path
from lorentzoo.output.progress import ProgressLine
from lorentzoo.output.task import load_task
from lorentzoo.registry import saved
from lorentzoo.studies import runner
from lorentzoo.studies.runner import run_study, show_study
from lorentzoo.studies.runs import read_run, state_of
from lorentzoo.training.resume import CHECKPOINT, PREVIOUS, read_checkpoint, write_checkpoint

READERS = {
    "toptag-hdf5": "a.h5",
    "jetnet-hdf5": "t.hdf5",
    "padded-npz": "a.npz",
    "jetclass-root": "a.root",
    "jetclass-parquet": "a.parquet",
    "nanoaod": "a.root",
    "delphes-root": "a.root",
    "physlite": "a.root",
    "jets-parquet": "a.parquet",
    "lhe": "a.lhe",
}
LHE = Path(__file__).parents[1] / "plugins" / "amplitudes" / "lhe" / "sherpa-ee-jjj.lhe"


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that do not belong together are read again after a pause, in which nothing changes here."""
    monkeypatch.setattr(saved, "_PAUSE", 0.0)


def write_events(name: str, path: Path) -> None:
    momenta, lengths = random_jets(64)
    labels = np.arange(64) % 2
    if name == "toptag-hdf5":
        write_toptag(path, momenta, lengths, labels)
    elif name == "jetnet-hdf5":
        write_jetnet(path, 64)
    elif name == "padded-npz":
        np.savez_compressed(path, momenta=padded(momenta, lengths, 64), labels=labels)
    elif name in EXPERIMENTS:
        EXPERIMENTS[name](path, random_events(20))
    elif name == "lhe":
        path.write_bytes(LHE.read_bytes())
    elif name == "jetclass-root":
        write_root(path, jetclass_columns(momenta, lengths, labels))
    else:
        write_parquet(path, jetclass_columns(momenta, lengths, labels))


@pytest.mark.parametrize("name", READERS)
@sizes(quick=25, slow=3_000)
def test_files_of_events(tmp_path: Path, name: str, examples: int) -> None:
    whole, path = tmp_path / "whole" / READERS[name], tmp_path / READERS[name]
    whole.parent.mkdir()
    write_events(name, whole)
    content = whole.read_bytes()
    lz.load_dataset(name, path=str(whole)).batch(slice(None))

    def check(rng: np.random.Generator) -> str | None:
        path.write_bytes(damage(content, rng))
        cloud = lz.load_dataset(name, path=str(path)).batch(slice(None)).cloud
        return None if bool(torch.isfinite(cloud.momenta).all()) else "a cloud that is not finite"

    # uproot reads the list of streamers inside itself, again and again, where it names classes that it lacks.
    hangs_allowed = 0.005 if READERS[name] == "a.root" else 0.0
    survey_damage(f"files of {name}", check, examples, seed=1, hangs_allowed=hangs_allowed)


@sizes(quick=25, slow=3_000)
def test_samples(tmp_path: Path, examples: int) -> None:
    shipped = Sample.load(sample_path("toptag"))
    shipped.take(np.arange(30)).save(tmp_path / "whole.npz")
    content = (tmp_path / "whole.npz").read_bytes()
    whole = Sample.load(tmp_path / "whole.npz")

    def check(rng: np.random.Generator) -> str | None:
        (tmp_path / "a.npz").write_bytes(damage(content, rng))
        sample = Sample.load(tmp_path / "a.npz")
        same = np.array_equal(sample.momenta, whole.momenta) and np.array_equal(sample.labels, whole.labels)
        return None if same else "a sample with other events"

    survey_damage("samples", check, examples, seed=2)


# ---- what training writes ---------------------------------------------------------------------


@sizes(quick=60, slow=10_000)
def test_checkpoints_of_training(tmp_path: Path, examples: int) -> None:
    states = [{"fingerprint": "f", "epoch": epoch, "weights": torch.full((50,), epoch)} for epoch in (1, 2)]
    for state in states:
        write_checkpoint(tmp_path, state)
    contents = {name: (tmp_path / name).read_bytes() for name in (CHECKPOINT, PREVIOUS)}

    def check(rng: np.random.Generator) -> str | None:
        for name, content in contents.items():
            (tmp_path / name).write_bytes(content)
        both = rng.integers(4) == 0
        for name in contents if both else [CHECKPOINT]:
            (tmp_path / name).write_bytes(damage(contents[name], rng))
        found = read_checkpoint(tmp_path, "f", ProgressLine("fuzz", show=False))
        if found is None:
            return None if both else "the epoch before was not taken"
        state = states[found["epoch"] - 1]
        return None if torch.equal(found["weights"], state["weights"]) else "other weights"

    survey_damage("checkpoints of training", check, examples, seed=3)


@sizes(quick=60, slow=10_000)
def test_saved_models(tmp_path: Path, examples: int) -> None:
    directory = lz.save(lz.compose(backbone="deep-sets:hidden=[4]"), tmp_path / "model")
    contents = {path.name: path.read_bytes() for path in sorted(directory.iterdir())}
    state = lz.load(directory).state_dict()

    def check(rng: np.random.Generator) -> str | None:
        for name, content in contents.items():
            (directory / name).write_bytes(content)
        name = list(contents)[rng.integers(len(contents))]
        damaged = damage(contents[name], rng)
        (directory / name).write_bytes(damaged)
        loaded = lz.load(directory).state_dict()
        return None if damaged == contents[name] or same_tensors(loaded, state) else "another model"

    survey_damage("saved models", check, examples, seed=4)


def same_tensors(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@sizes(quick=40, slow=5_000)
def test_saved_models_that_were_forged(tmp_path: Path, examples: int) -> None:
    """Files that have been changed and sealed again by somebody who knows how."""
    directory = lz.save(lz.compose(backbone="deep-sets:hidden=[4]"), tmp_path / "model")
    spec = json.loads((directory / "spec.json").read_text())
    spec.pop("checksum")
    payload = (directory / "weights.safetensors").read_bytes()
    values: list[Any] = [None, [], {}, "x", -1, 10**30, True, 1e300, [[]], {"name": "mlp"}, {"name": 3}]

    def check(rng: np.random.Generator) -> None:
        data, weights = json.loads(json.dumps(spec)), payload
        if rng.integers(2):
            weights = damage(payload, rng)
            data["weights"] |= {"sha256": hashlib.sha256(weights).hexdigest(), "bytes": len(weights)}
        else:
            parent = data if rng.integers(2) else data["weights"]
            parent[list(parent)[rng.integers(len(parent))]] = values[rng.integers(len(values))]
        (directory / "weights.safetensors").write_bytes(weights)
        (directory / "spec.json").write_text(json.dumps({**data, "checksum": saved.seal(data)}))
        lz.load(directory)

    survey_damage("forged models", check, examples, seed=5)


# ---- studies ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one finished run; figures take long, and are not read again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "write_report", lambda result: result.directory)
        return run_small(tmp_path_factory.mktemp("study"))


def run_small(directory: Path) -> Path:
    return run_study(
        {
            "name": "one run",
            "dataset": "toptag:num_jets=200,max_constituents=5",
            "axes": {"backbone": ["deep-sets:hidden=[4]"]},
            "fixed": {"head": "classify:num_classes=1"},
            "seeds": 1,
            "budget": {"steps": 2},
        },
        directory,
        workers=1,
        progress=False,
    ).directory


def says_the_same(damaged: bytes, whole: bytes) -> bool:
    """Whether only spaces between values are different."""
    try:
        return bool(json.loads(damaged) == json.loads(whole))
    except ValueError:
        return False


def copied(source: Path, target: Path) -> tuple[Path, Path]:
    """A study and its one run, at another place."""
    shutil.copytree(source, target)
    return target, next((target / "runs").iterdir())


@sizes(quick=60, slow=5_000)
def test_run_directories(study: Path, tmp_path: Path, examples: int) -> None:
    directory, run = copied(study, tmp_path / "study")
    # What is told of the model has checksums of its own, and may be said anew.
    told = (run / saved.CARD, run / saved.DETAILS)
    contents = {path: path.read_bytes() for path in sorted(run.iterdir()) if path not in told}
    metrics = read_run(run).metrics

    def check(rng: np.random.Generator) -> str | None:
        for path, content in contents.items():
            path.write_bytes(content)
        path = list(contents)[rng.integers(len(contents))]
        damaged = damage(contents[path], rng)
        path.write_bytes(damaged)
        shown = show_study(directory)
        if damaged == contents[path] or (
            path.name == "finished.json" and says_the_same(damaged, contents[path])
        ):
            return None
        if state_of(run) == "finished" or shown.rows[0].runs:
            return f"damage of {path.name} was not seen"
        read_run(run)
        return f"{path.name} was read" if metrics else None

    survey_damage("run directories", check, examples, seed=6)


@sizes(quick=60, slow=5_000)
def test_studies_on_disk(study: Path, tmp_path: Path, examples: int) -> None:
    """The file of the study itself, damaged or with any value in it changed."""
    directory, run = copied(study, tmp_path / "study")
    targets = [directory / "study.json", run / "run.json", run / "finished.json", run / "metrics.json"]
    contents = {path: path.read_bytes() for path in targets}
    values: list[Any] = [None, [], {}, "x", "../..", -1, 10**30, True, 1e300, [[]], {"name": "mlp"}]

    def check(rng: np.random.Generator) -> None:
        for path, content in contents.items():
            path.write_bytes(content)
        path = targets[rng.integers(len(targets))]
        if rng.integers(2):
            path.write_bytes(damage(contents[path], rng))
        else:
            data = json.loads(contents[path])
            parent = data
            while rng.integers(2) and (inner := [v for v in parent.values() if isinstance(v, dict) and v]):
                parent = inner[rng.integers(len(inner))]
            parent[list(parent)[rng.integers(len(parent))]] = values[rng.integers(len(values))]
            path.write_text(json.dumps(data))
        show_study(directory)

    survey_damage("studies on disk", check, examples, seed=7)


@pytest.mark.parametrize("name", ["predictions.npz", "metrics.json"])
@sizes(quick=20, slow=1_000)
def test_files_of_runs_by_themselves(study: Path, tmp_path: Path, name: str, examples: int) -> None:
    """Readers of single files, which do not know the checksum."""
    _, run = copied(study, tmp_path / "study")
    content = (run / name).read_bytes()
    task = load_task("classification")
    read: Callable[[Path], Any] = task.load if name == task.file else lambda path: read_run(path.parent)

    def check(rng: np.random.Generator) -> None:
        (run / name).write_bytes(damage(content, rng))
        read(run / name)

    survey_damage(f"files {name}", check, examples, seed=8)

"""Studies that run, fail, are killed and go on."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import lorentzoo as lz
from lorentzoo.core.errors import InputsWarning, RunError, StudyError
from lorentzoo.core.model import Model
from lorentzoo.registry.composition import model_spec
from lorentzoo.studies import jobs, runner
from lorentzoo.studies.executors import worker
from lorentzoo.studies.report.write import write_report
from lorentzoo.studies.results import StudyResult
from lorentzoo.studies.runner import run_study, show_study
from lorentzoo.studies.runs import read_run, state_of
from lorentzoo.studies.single import evaluate_run, train_model

STUDY: dict[str, Any] = {
    "name": "small",
    "dataset": "toptag:num_jets=400,max_constituents=20",
    "axes": {
        "backbone": ["deep-sets:hidden=[16]", {"label": "wide", "name": "deep-sets", "hidden": [32]}],
        "spurions": [None, "time"],
    },
    "fixed": {"head": "classify:num_classes=1", "frames": "random-beam"},
    "seeds": 2,
    "training": {"batch_size": 50, "learning_rate": 3.0e-3},
    "budget": {"steps": 12},
}


def metrics(result: StudyResult) -> list[dict[str, Any]]:
    return [run.metrics for row in result.rows for run in row.runs]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> StudyResult:
    return run_study(STUDY, tmp_path_factory.mktemp("study"), workers=1, progress=False)


@pytest.fixture(autouse=True)
def _without_report(finished, monkeypatch) -> None:
    """Drawing figures takes seconds, and has tests of its own."""
    monkeypatch.setattr(runner, "write_report", lambda result: result.directory)


def test_a_study_has_rows_runs_and_refusals(finished) -> None:
    assert [row.label for row in finished.rows] == [
        "deep-sets · none",
        "deep-sets · time",
        "wide · none",
        "wide · time",
    ]
    assert [len(row.runs) for row in finished.rows] == [2, 0, 2, 0]
    assert all("would have no effect" in row.refusal for row in finished.refused)
    assert len(finished.refused) == 2
    assert finished.is_complete
    first = finished.rows[0].runs[0]
    assert first.training["steps"] == 12
    assert first.training["cpu_seconds"] > 0
    assert first.metrics == first.evaluation.metrics()
    assert first.directory.name == first.run.key
    assert {path.name for path in first.directory.iterdir()} == {
        "README.md",
        "details.json",
        "config.json",
        "costs.json",
        "environment.json",
        "finished.json",
        "history.csv",
        "metrics.json",
        "predictions.npz",
        "run.json",
        "spec.json",
        "training.json",
        "weights.safetensors",
    }


def test_rows_share_splits_and_order(finished) -> None:
    predictions = [run.evaluation for row in finished.finished for run in row.runs]
    assert all((p.event_id == predictions[0].event_id).all() for p in predictions)


def test_nothing_finished_is_repeated(finished, monkeypatch) -> None:
    stamps = {path: path.stat().st_mtime_ns for path in finished.directory.glob("runs/*/*")}
    monkeypatch.setattr(jobs, "attempt", lambda *_: pytest.fail("a run was repeated"))
    again = run_study(STUDY, finished.directory, progress=False)
    assert metrics(again) == metrics(finished)
    assert {path: path.stat().st_mtime_ns for path in finished.directory.glob("runs/*/*")} == stamps


def test_a_larger_grid_keeps_what_is_there(finished, monkeypatch) -> None:
    trained, attempt = [], jobs.attempt
    monkeypatch.setattr(
        jobs,
        "attempt",
        lambda run, *where, **how: trained.append(run.config.seed) or attempt(run, *where, **how),
    )
    result = run_study(STUDY | {"seeds": 3}, finished.directory, workers=1, progress=False)
    assert trained == [2, 2]
    assert [row.seeds for row in result.finished] == [(0, 1, 2), (0, 1, 2)]
    run_study(STUDY, finished.directory, progress=False)


def test_a_failing_run_is_recorded_and_the_others_go_on(tmp_path, monkeypatch, capsys) -> None:
    loss = Model.loss

    def fails_when_wide(self: Model, batch: Any) -> torch.Tensor:
        if self.backbone.width == 32:
            raise RuntimeError("no such luck")
        return loss(self, batch)

    monkeypatch.setattr(Model, "loss", fails_when_wide)
    study = STUDY | {"seeds": 1, "axes": {"backbone": STUDY["axes"]["backbone"]}}
    result = run_study(study, tmp_path, workers=1)
    assert "wide, seed 0 failed: RuntimeError: no such luck" in capsys.readouterr().err
    assert [len(row.runs) for row in result.rows] == [1, 0]
    assert "failed: RuntimeError: no such luck" in result.rows[1].problems[0]
    assert "no such luck" in write_report(result).read_text()
    failed = next(tmp_path.glob("runs/*/failed.json"))
    assert "fails_when_wide" in json.loads(failed.read_text())["trace"]
    monkeypatch.setattr(Model, "loss", loss)
    assert run_study(study, tmp_path, workers=1, progress=False).is_complete


def test_a_damaged_run_is_reported_and_repeated(tmp_path, capsys) -> None:
    study = STUDY | {"seeds": 1, "axes": {"backbone": ["deep-sets:hidden=[16]"]}}
    first = run_study(study, tmp_path, workers=1, progress=False)
    folder = first.rows[0].runs[0].directory
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    shown = show_study(tmp_path)
    assert "damaged: weights.safetensors" in shown.rows[0].problems[0]
    with pytest.raises(RunError, match=r"weights.safetensors does not have the contents"):
        read_run(folder)
    again = run_study(study, tmp_path, workers=1)
    assert "set aside and repeated" in capsys.readouterr().err
    assert metrics(again) == metrics(first)
    (folder / "finished.json").write_text("{")
    assert state_of(folder).startswith("damaged: finished.json")


def test_what_is_sealed_cannot_be_passed_off_as_older(finished, tmp_path) -> None:
    """Files of the first format had no seal; one with a seal is held to it, whatever format it states."""
    folder = tmp_path / "run"
    shutil.copytree(finished.rows[0].runs[0].directory, folder)
    stated = json.loads((folder / "finished.json").read_text())
    for change in ({"format": 1}, {"format": True}, {"format": 1, "key": "0" * 16}):
        (folder / "finished.json").write_text(json.dumps(stated | change))
        assert state_of(folder).startswith("damaged: finished.json")


def test_the_file_of_a_study_is_sealed(finished, tmp_path) -> None:
    """A label, a symmetry or a hash that was changed is not shown as if it had been found."""
    shutil.copytree(finished.directory, tmp_path / "study")
    path = tmp_path / "study" / "study.json"
    stored = json.loads(path.read_text())
    assert show_study(path.parent).rows[0].label == finished.rows[0].label
    for key in ("label", "symmetry"):
        changed = json.loads(json.dumps(stored))
        changed["rows"][0][key] = "SO(3)"
        path.write_text(json.dumps(changed))
        with pytest.raises(StudyError, match="does not have the contents it was written with"):
            show_study(path.parent)
    # Studies of earlier versions have no seal.
    path.write_text(json.dumps({key: value for key, value in stored.items() if key != "seal"}))
    assert show_study(path.parent).is_complete == finished.is_complete


def test_directories_of_something_else_are_refused(tmp_path) -> None:
    with pytest.raises(StudyError, match=r"is not a study's directory"):
        show_study(tmp_path)
    (tmp_path / "study.json").write_text('{"study": 3}')
    with pytest.raises(StudyError, match=r"study.json is damaged"):
        show_study(tmp_path)


def test_two_processes_do_not_share_a_directory(tmp_path) -> None:
    with runner._only_here(tmp_path), ThreadPoolExecutor(1) as elsewhere:
        refused = elsewhere.submit(run_study, STUDY, tmp_path, progress=False)
        with pytest.raises(StudyError, match="another process"):
            refused.result()


# ---- killed -------------------------------------------------------------------------------------

DRIVER = """
import os, signal, sys
from lorentzoo.studies import run_study
{preparation}
run_study(sys.argv[1], sys.argv[2], workers={workers}, progress=False)
"""
KILL_BEFORE_SECOND_CHECKPOINT = """
replace, count = os.replace, []
def replace_or_die(source, target):
    count.append(1) if str(target).endswith("checkpoint.ckpt") else None
    if len(count) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = replace_or_die
"""


def start(
    study: dict[str, Any], folder: Path, *, workers: int, preparation: str = ""
) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    driver = DRIVER.format(preparation=preparation, workers=workers)
    return subprocess.Popen([sys.executable, "-c", driver, str(path), str(folder)], start_new_session=True)


def wait_for(condition: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.02)


def test_killed_while_writing_a_checkpoint(finished, tmp_path) -> None:
    process = start(STUDY, tmp_path, workers=1, preparation=KILL_BEFORE_SECOND_CHECKPOINT)
    assert process.wait(240) == -signal.SIGKILL
    half_trained = next(tmp_path.glob("runs/*/checkpoint.ckpt")).parent
    assert list(half_trained.glob(".checkpoint.ckpt.*.tmp"))
    assert state_of(half_trained) == "unfinished"
    result = run_study(STUDY, tmp_path, workers=1, progress=False)
    assert read_run(half_trained).training["resumed_at"] == 1
    assert metrics(result) == metrics(finished)


def test_killed_while_training_side_by_side(tmp_path) -> None:
    long = STUDY | {"budget": {"steps": 120}, "axes": {"backbone": STUDY["axes"]["backbone"]}}
    killed = tmp_path / "killed"
    process = start(long, killed, workers=2)

    def one_is_finished_and_one_half_trained() -> bool:
        early = [folder for folder in half_trained_in(killed) if steps_of(folder) < 60]
        return bool(early) and any(killed.glob("runs/*/finished.json"))

    wait_for(one_is_finished_and_one_half_trained, 240)
    workers = children_of(process.pid)
    assert len(workers) == 2
    process.kill()
    process.wait()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), 20)
    half_trained = half_trained_in(killed)
    assert half_trained
    stamps = {path: path.stat().st_mtime_ns for path in killed.glob("runs/*/finished.json")}
    shown = show_study(killed)
    assert any("unfinished" in problem for row in shown.rows for problem in row.problems)
    result = run_study(long, killed, workers=1, progress=False)
    assert result.is_complete
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    assert all(read_run(folder).training["resumed_at"] >= 1 for folder in half_trained)
    # Side by side, interrupted, or one after the other: the numbers are the same.
    assert metrics(result) == metrics(run_study(long, tmp_path / "through", workers=1, progress=False))


def half_trained_in(folder: Path) -> list[Path]:
    runs = [path.parent for path in folder.glob("runs/*/checkpoint.ckpt")]
    return [run for run in runs if not (run / "finished.json").exists()]


def steps_of(folder: Path) -> int:
    try:
        payload = (folder / "checkpoint.ckpt").read_bytes().partition(b"\n")[2]
        return int(torch.load(io.BytesIO(payload), weights_only=True)["course"]["steps"])
    except FileNotFoundError:  # it finished in this moment
        return 10**9


def children_of(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    if not children.exists():
        pytest.skip("this system does not list the children of a process")
    threads = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for thread in threads for child in (thread / "children").read_text().split()]


def test_a_dying_worker_is_recorded(tmp_path, monkeypatch) -> None:
    start_worker = worker.Worker._start

    def killed_at_once() -> subprocess.Popen[str]:
        process = start_worker()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        return process

    monkeypatch.setattr(worker.Worker, "_start", staticmethod(killed_at_once))
    result = run_study(STUDY, tmp_path, workers=2, progress=False)
    problems = [problem for row in result.rows for problem in row.problems]
    assert len(problems) == 4
    assert all("failed: RunError: the worker process died with code -9" in problem for problem in problems)


# ---- one model ----------------------------------------------------------------------------------

RECIPE = {"epochs": 1, "batch_size": 50}
SMALL, OTHER = {"backbone": "deep-sets:hidden=[8]"}, {"backbone": "deep-sets:hidden=[9]"}
DATA = "toptag:num_jets=400,max_constituents=20"


def test_train_and_evaluate_one_model(tmp_path) -> None:
    record = train_model(SMALL, dataset=DATA, config=RECIPE, out=tmp_path, progress=False)
    assert 0 <= record.metrics["auc"] <= 1
    assert evaluate_run(tmp_path).metrics()["log_loss"] == pytest.approx(record.metrics["log_loss"])
    jets = lz.load_dataset("toptag", num_jets=100)
    # The run has seen twenty particles a jet.
    with pytest.warns(InputsWarning, match="up to 137 particles, and it was fitted on"):
        assert len(evaluate_run(tmp_path, jets, None)) == 100
    assert len(evaluate_run(tmp_path, split="validation")) == len(
        lz.load_dataset("toptag", num_jets=400).split("validation")
    )
    again = train_model(SMALL, dataset=DATA, config=RECIPE, out=tmp_path, progress=False)
    assert again.environment["finished"] == record.environment["finished"]
    with pytest.raises(RunError, match="another specification"):
        train_model(OTHER, dataset=DATA, config=RECIPE, out=tmp_path, progress=False)


def test_specs_of_models_train_too(tmp_path) -> None:
    spec = lz.compose(backbone="deep-sets:hidden=[8]", head="classify:num_classes=1").spec
    first = train_model(spec, dataset=DATA, config=RECIPE, out=tmp_path / "a", progress=False)
    second = train_model(spec.to_data(), dataset=DATA, config=RECIPE, out=tmp_path / "b", progress=False)
    assert first.run.key == second.run.key
    assert first.metrics == second.metrics


def test_models_of_the_zoo_follow_the_number_of_classes(tmp_path) -> None:
    data = "jets10:num_jets=300,max_constituents=10"
    spec = model_spec("deep-sets", backbone={"hidden": [8]})
    record = train_model(spec, dataset=data, config=RECIPE, out=tmp_path, progress=False)
    assert record.evaluation.values.shape[1] == 10
    assert record.to_data()["accuracy"] == record.metrics["accuracy"]


def test_evaluating_what_is_no_run_says_so(tmp_path) -> None:
    with pytest.raises(RunError, match="missing"):
        evaluate_run(tmp_path / "nothing")
    with pytest.raises(RunError, match="does not say on which events"):
        evaluate_run(tmp_path)


def test_components_of_this_session_run_in_this_process(tmp_path) -> None:
    from lorentzoo.plugins.sets.deep_sets import DeepSets

    lz.register("backbone", "mine")(DeepSets)
    study = STUDY | {"axes": {"backbone": ["mine:hidden=[8]"]}, "budget": {"steps": 2}}
    assert run_study(study, tmp_path, workers=2, progress=False).is_complete

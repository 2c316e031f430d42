"""Studies on the command line: planned for a batch system, cancelled, worked on, collected and watched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from calling import Answer

from lorentzoo.studies.report import write
from lorentzoo.studies.status import is_cancelled

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and scripts are those of POSIX")
STUDY = """
name: small
dataset: toptag:num_jets=400,max_constituents=20
axes: {backbone: ["deep-sets:hidden=[16]"]}
fixed: {head: "classify:num_classes=1"}
seeds: 2
training: {batch_size: 50}
budget: {steps: 10}
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study's file, in a directory of its own; drawing figures takes seconds, and has tests of its own."""
    monkeypatch.setattr("lorentzoo.studies.runner.write_report", lambda result: result.directory)
    monkeypatch.setattr(write, "write_report", lambda result: result.directory)
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    return path


def keys(directory: Path) -> list[str]:
    return [line.split(",")[0] for line in (directory / "batch" / "runs.txt").read_text().splitlines()]


def test_cancelled_runs_are_not_begun_and_a_study_goes_on(call: Callable[..., Answer], study: Path) -> None:
    planned = call("study", "run", str(study), "--out", "s", "--executor", "files")
    assert planned.code == 0
    assert "2 runs are written to" in planned.err
    directory = study.parent / "s"
    first, _ = keys(directory)
    cancelled = call("study", "cancel", "s")
    assert (cancelled.code, is_cancelled(directory)) == (0, True)
    assert "run the study again to go on" in cancelled.out
    answer = call("study", "work", "s", "--only", first)
    assert (answer.code, answer.out) == (0, "")
    assert answer.err.strip() == f"run {first}: cancelled, the study was cancelled"
    # Nobody waits for what was cancelled.
    live = call("study", "show", "s", "--live")
    assert live.code == 0
    assert "2 missing" in live.err
    done = call("study", "run", str(study), "--out", "s", "--executor", "local:workers=1", "--json")
    assert done.code == 0
    assert not is_cancelled(directory)
    assert len(list(directory.glob("runs/*/finished.json"))) == 2
    assert [row["backbone"] for row in done.data["rows"]] == ["deep-sets"]
    live = call("study", "show", "s", "--live")
    assert live.code == 0
    assert "2 finished" in live.err
    assert "deep-sets" in live.out


def test_runs_that_come_back_are_collected(call: Callable[..., Answer], study: Path) -> None:
    assert call("study", "run", str(study), "--out", "s", "-e", "files:shared=false").code == 0
    directory, away = study.parent / "s", study.parent / "away"
    first, second = keys(directory)
    # What a batch system sends is the file of the run, and what it brings back is the run's directory.
    (away / "jobs").mkdir(parents=True)
    shutil.copy(directory / "jobs" / f"{first}.json", away / "jobs")
    assert call("study", "work", "away", "--only", first).out.strip() == f"run {first}: finished"
    damaged = away / "runs" / second
    shutil.copytree(away / "runs" / first, damaged)
    (damaged / "metrics.json").write_text("{}")
    answer = call("study", "collect", "s", "away")
    assert (answer.code, answer.out.strip()) == (0, "1 runs taken, 0 were there")
    assert len(answer.err.splitlines()) == 1
    assert f"{second}: " in answer.err
    assert "metrics.json does not have the contents it was written with" in answer.err
    assert call("study", "collect", "s", "away").out.strip() == "0 runs taken, 1 were there"
    shown = call("study", "show", "s", "--json")
    assert shown.code == 0
    assert [path.parent.name for path in directory.glob("runs/*/finished.json")] == [first]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("cancel", "."), "study.json"),
        (("collect", "."), "study.json"),
        (("show", ".", "--live"), "study.json"),
        (("work", ".", "--only", "0123456789abcdef"), "it has no folder jobs"),
        (("run", "study.yaml", "--executor", "condor"), "there is no executor 'condor'"),
        (
            ("run", "study.yaml", "--executor", "files", "--workers", "2"),
            "workers are of the executor 'local'",
        ),
    ],
)
def test_what_is_no_study_and_no_executor(
    call: Callable[..., Answer], study: Path, arguments: tuple[str, ...], wanted: str
) -> None:
    answer = call("study", *arguments)
    assert (answer.code, answer.out) == (1, "")
    assert wanted in answer.err.splitlines()[-1]
    assert answer.err.splitlines()[-1].startswith("error: ")

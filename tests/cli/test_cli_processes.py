"""Is one training shared by several processes, as users start, interrupt, lose and continue them?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lorentzoo.cli.main import main

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
TRAIN = ["train", "deep-sets", "--dataset", "toptag:num_jets=400", "-s", "epochs=60", "--json"]
CLI = [sys.executable, "-m", "lorentzoo"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "lorentzoo"]


def start(command: list[str], folder: Path, *options: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *TRAIN, "--out", "run", *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


def descendants(pid: int) -> list[int]:
    found = [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*found, *(other for child in found for other in descendants(child))]


def are_gone(pids: list[int], seconds: float = 12.0) -> bool:
    """Whether processes end within some seconds (a zombie has ended)."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        states = [Path(f"/proc/{pid}/stat") for pid in pids]
        if not [path for path in states if path.exists() and ") Z " not in path.read_text()]:
            return True
        time.sleep(0.05)
    return False


def has_checkpoint(folder: Path) -> Callable[[], bool]:
    return (folder / "run" / "checkpoint.ckpt").is_file


def finish(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    """Go on with the run in this process; what it reports."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["lorentzoo", *TRAIN, "--out", "run", *options])
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_process_that_is_killed_ends_the_training_which_goes_on_with_another_number(
    workers: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = start(CLI, tmp_path, "--devices", "2", "--num-workers", str(workers))
    wait_until(has_checkpoint(tmp_path), process)
    shared = descendants(process.pid)
    # Each may have processes of its own that gather batches.
    assert len(shared) >= 2 + 2 * workers
    os.kill(shared[1], signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "steps of 2 processes an epoch" in said
    assert "was ended by SIGKILL" in said
    assert len([line for line in said.splitlines() if line.startswith("error:")]) == 1
    assert are_gone(shared)
    report = finish(tmp_path, capsys)
    assert report["epochs"] == 60
    assert 0 < report["resumed_at"] < 60


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_all_processes_and_the_training_goes_on(
    tmp_path: Path, number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    process = start(CLI, tmp_path, "--devices", "2")
    wait_until(has_checkpoint(tmp_path), process)
    shared = descendants(process.pid)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert "Traceback" not in said
    assert ("goes on where it stopped" in said) == (number == signal.SIGINT)
    assert are_gone(shared)
    assert finish(tmp_path, capsys, "--devices", "2")["resumed_at"] > 0


@pytest.mark.slow
def test_torchrun_gives_what_one_process_gives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To single precision, in which it trains; and a finished run is not trained again."""
    # Without dropout, which falls elsewhere.
    options = ["--head", "classify:num_classes=2", "-s", "epochs=5"]
    (tmp_path / "one").mkdir()
    alone = finish(tmp_path / "one", capsys, *options)
    for _ in range(2):
        process = start(TORCHRUN, tmp_path, "--num-workers", "1", *options)
        out, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
        report = json.loads(out)
        assert report["auc"] == pytest.approx(alone["auc"], rel=1e-3)
        assert report["steps"] == alone["steps"]
        assert report["events"] == alone["events"]


@pytest.mark.slow
def test_a_process_of_torchrun_that_is_killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = start(TORCHRUN, tmp_path)
    wait_until(has_checkpoint(tmp_path), process)
    shared = descendants(process.pid)
    os.kill(shared[1], signal.SIGKILL)
    _, said = process.communicate(timeout=90)
    assert process.returncode == 1
    assert len([line for line in said.splitlines() if line.startswith("error:")]) <= 1
    assert are_gone(shared)
    assert finish(tmp_path, capsys)["resumed_at"] > 0


def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    monkeypatch.setattr(sys, "argv", ["lorentzoo", *TRAIN, *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


def test_more_devices_than_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    said = refusal(monkeypatch, capsys, "--devices", "999")
    assert "devices=999, but this machine has" in said
    assert not list(tmp_path.iterdir())


def test_a_batch_of_fewer_events_than_processes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(4))
    said = refusal(monkeypatch, capsys, "--devices", "4", "-s", "batch_size=3")
    assert "batch_size=3 is the batch of all 4 processes" in said


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({"RANK": "1"}, "has RANK, but not WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT"),
        ({"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}, "but not MASTER_ADDR, MASTER_PORT"),
        ({"RANK": "x", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}, "whole numbers"),
        ({"RANK": "2", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}, "RANK=2, WORLD_SIZE=2"),
        (
            {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"},
            "torchrun has started 2 processes, and devices=3",
        ),
    ],
)
def test_variables_of_torchrun_that_make_no_sense(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    variables: dict[str, str],
    wanted: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if "but not" not in wanted:
        variables = variables | {"MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    options = ["--devices", "3"] if "devices=3" in wanted else []
    assert wanted in refusal(monkeypatch, capsys, *options)


def test_a_model_of_this_session_is_known_to_no_other_process(jets, recipe) -> None:
    from lorentzoo.core.errors import TrainingError
    from lorentzoo.registry.composition import build
    from lorentzoo.registry.specs import Spec
    from lorentzoo.training.train import train

    class Local(torch.nn.Linear):
        """Has no name by which another process could find it."""

    model = build(
        Spec.from_data({"backbone": "deep-sets:hidden=[8]", "embedding": "kinematics", "head": "classify"})
    )
    model.backbone.further = Local(1, 1)
    with pytest.raises(TrainingError, match=r"cannot be sent to another process .*leave devices at 1"):
        train(model, jets.split("train"), None, recipe, devices=2, progress=False)

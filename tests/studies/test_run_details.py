"""What a run tells of its model is what it did, and its command does it again."""

from __future__ import annotations

import json
import math
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import lorentzoo as lz
from lorentzoo.cli.main import app
from lorentzoo.registry.saved import CARD
from lorentzoo.studies import run_study
from lorentzoo.studies.run_details import describe_metrics
from lorentzoo.studies.runs import read_run_spec
from lorentzoo.studies.single import train_model

DATA = "toptag:num_jets=240,max_constituents=10"
BUDGET = {"max_steps": 2, "batch_size": 20}


def again(directory: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Key of the run that the command on the card does, in the folder."""
    monkeypatch.chdir(directory)
    words = shlex.split(lz.read_details(directory).command)
    assert words[0] == "lorentzoo"
    result = CliRunner().invoke(app, [*words[1:], "--out", str(out)])
    assert result.exit_code == 0, result.output
    return read_run_spec(out).key


def test_a_run_tells_data_metrics_cost_and_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = train_model(
        {"backbone": "deep-sets:hidden=[4]"},
        dataset=DATA,
        config={**BUDGET, "learning_rate": 1e-5, "seed": 3},
        out=tmp_path / "run",
        train_size=60,
        progress=False,
    )
    assert record is not None
    details = lz.read_details(tmp_path / "run")
    assert details.data is not None
    assert details.cost is not None
    data = lz.load_dataset("toptag", num_jets=240, max_constituents=10)
    assert details.data.name == DATA
    assert details.data.fingerprint == data.fingerprint()
    assert details.data.events == 60
    assert "arXiv:1902.09914" in details.data.references
    for name, metric in details.metrics.items():
        recorded = record.metrics[name]
        assert metric.value == (recorded["value"] if isinstance(recorded, dict) else recorded)
        assert metric.note.startswith(f"test split, {len(data.split('test'))} events")
    assert details.metrics["accuracy"].error == record.metrics["accuracy_error"]
    assert details.cost.parameters == record.costs.parameters
    assert details.cost.flops == record.costs.flops
    assert details.cost.seconds == record.training["cpu_seconds"]
    assert details.versions["torch"] == record.environment["versions"]["torch"]
    assert details.licence == ""
    assert details.data.name in (tmp_path / "run" / CARD).read_text(encoding="utf-8")
    assert again(tmp_path / "run", tmp_path / "again", monkeypatch) == record.run.key


@pytest.mark.parametrize(
    "choices",
    [
        {"dataset": DATA, "axes": {"backbone": ["deep-sets:hidden=[4]"]}},
        pytest.param(
            {
                "dataset": "ttbar:num_events=900",
                "axes": {"model": ["transformer-eventgen"]},
                "test": {"num_samples": 200, "num_log_prob": 1},
            },
            marks=pytest.mark.slow,
        ),
    ],
)
def test_runs_of_a_study_tell_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choices: dict[str, Any]
) -> None:
    study = {
        **choices,
        "name": "cards",
        "training": {"batch_size": 20},
        "budget": {"steps": 1},
        "seeds": 1,
    }
    result = run_study(study, tmp_path / "study", workers=1, progress=False)
    (row,) = result.rows
    assert not row.problems
    (record,) = row.runs
    details = lz.read_details(record.directory)
    assert details.cost is not None
    assert details.metrics
    words = shlex.split(details.command)
    for key, value in choices.get("test", {}).items():
        assert f"{key}={value}" in words
    assert "batch_size=20" in words
    assert again(record.directory, tmp_path / "again", monkeypatch) == record.run.key


def test_a_start_from_other_weights_is_told_by_the_name_of_the_folder_alone(tmp_path: Path) -> None:
    base: dict[str, Any] = {"dataset": DATA, "config": BUDGET, "progress": False}
    train_model({"backbone": "deep-sets:hidden=[4]"}, out=tmp_path / "first", **base)
    train_model(init_from=tmp_path / "first", out=tmp_path / "second", **base)
    words = shlex.split(lz.read_details(tmp_path / "second").command)
    assert words[words.index("--init-from") + 1] == "first"
    assert str(tmp_path) not in (tmp_path / "second" / CARD).read_text(encoding="utf-8")


def test_metrics_that_are_no_numbers_are_left_out_and_limits_are_said() -> None:
    recorded = {
        "auc": 0.9,
        "auc_error": 0.1,
        "calibration_error": 0.2,
        "nothing": math.nan,
        "name": "text",
        "rejection": {"value": 30.0, "error": 0.0, "is_limit": True},
        "fpd": {"value": 1.0, "error": 0.5},
    }
    found = describe_metrics(json.loads(json.dumps(recorded)), "test split")
    assert list(found) == ["auc", "calibration_error", "rejection", "fpd"]
    assert (found["auc"].error, found["fpd"].error, found["rejection"].error) == (0.1, 0.5, None)
    assert found["rejection"].note == "test split; lower limit"

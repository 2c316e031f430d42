"""Does a run whose row asks for several GPUs train on as many processes, under the hash that it has on one?"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lorentzoo.studies import runner
from lorentzoo.studies.runner import run_study

STUDY: dict[str, Any] = {
    "name": "shared",
    "dataset": "toptag:num_jets=400,max_constituents=20",
    "axes": {"backbone": ["deep-sets:hidden=[16]"]},
    "fixed": {"head": "classify:num_classes=1"},
    "seeds": 1,
    "training": {"batch_size": 50},
    "budget": {"steps": 12},
}


def run_of(study: dict[str, Any], folder: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Hash, metrics and environment of the study's run."""
    assert run_study(study, folder, workers=1, progress=False).is_complete
    (directory,) = (folder / "runs").iterdir()
    read = [json.loads((directory / name).read_text()) for name in ("metrics.json", "environment.json")]
    return directory.name, read[0], read[1]


@pytest.mark.slow
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two processes take two cores")
def test_a_row_that_asks_for_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "write_report", lambda result: result.directory)
    rows = {"rows": [{"backbone": "deep-sets", "gpus": 2}]}
    key, alone, environment = run_of(STUDY, tmp_path / "one")
    assert environment["processes"] == 1
    same, shared, environment = run_of({**STUDY, "resources": rows}, tmp_path / "two")
    assert environment["processes"] == 2
    assert key == same
    assert shared["auc"] == pytest.approx(alone["auc"], rel=1e-3)


def test_a_row_that_asks_for_more_than_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "write_report", lambda result: result.directory)
    study = run_study({**STUDY, "resources": {"gpus": 999}}, tmp_path, workers=1, progress=False)
    assert not study.is_complete
    (failed,) = tmp_path.glob("runs/*/failed.json")
    assert "devices=999, but this machine has" in json.loads(failed.read_text())["error"]

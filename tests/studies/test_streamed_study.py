"""Are streams data like any other for a study and for the command line?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from file_layouts import jetclass_columns, random_jets, write_parquet
from typer.testing import CliRunner

from lorentzoo.cli.main import app
from lorentzoo.studies.runner import run_study

MODEL = {"embedding": "kinematics", "backbone": "deep-sets:hidden=[8]", "head": "classify:num_classes=10"}


@pytest.fixture
def dataset(tmp_path: Path) -> str:
    (tmp_path / "jets").mkdir()
    for number in range(3):
        momenta, lengths = random_jets(400, seed=number, largest=12)
        columns = jetclass_columns(momenta, lengths, np.arange(400) % 10)
        write_parquet(tmp_path / "jets" / f"{number}.parquet", columns)
    return f"jetclass-parquet:path={tmp_path / 'jets'},stream=true,memory_gb=0.02,validation_jets=100"


def test_a_study_on_a_stream(tmp_path: Path, dataset: str) -> None:
    study = {
        "name": "streamed",
        "dataset": dataset,
        "seeds": 2,
        "budget": {"steps": 6},
        "training": {"batch_size": 64, "events_per_epoch": 128},
        "fixed": {name: value for name, value in MODEL.items() if name != "backbone"},
        "axes": {"backbone": [MODEL["backbone"]]},
    }
    result = run_study(study, tmp_path / "study", workers=1, progress=False)
    assert result.is_complete
    (row,) = result.rows
    assert len(row.runs) == 2
    assert [len(run.history) for run in row.runs] == [3, 3]
    assert result.data["sizes"]["validation"] == 100
    assert set(result.data["classes"]) == {"validation", "test"}


def test_the_command_line_says_what_a_stream_does_not_offer(tmp_path: Path, dataset: str) -> None:
    run, recipe = str(tmp_path / "run"), ["-s", "max_steps=2", "-s", "batch_size=32"]
    trained = CliRunner().invoke(app, ["train", "pfn", "-d", dataset, "-o", run, *recipe])
    assert trained.exit_code == 0, trained.output
    assert CliRunner().invoke(app, ["evaluate", run]).exit_code == 0
    for command in (
        ["evaluate", run, "--split", "train"],
        ["train", "pfn", "-d", dataset, "-o", str(tmp_path / "few"), "--train-size", "50", *recipe],
    ):
        refused = CliRunner().invoke(app, command)
        assert refused.exit_code != 0
        assert "does not offer" in f"{refused.output}{refused.exception}"

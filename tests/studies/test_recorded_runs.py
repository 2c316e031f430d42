"""Do directories that an earlier version wrote still load, show and count?

They were recorded by version 0.1.0 before tasks were plugins, and are never written anew.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import lorentzoo as lz
from lorentzoo.studies import evaluate_run, show_study, study_numbers, study_text
from lorentzoo.studies.grid import load_study
from lorentzoo.studies.plan import make_plan
from lorentzoo.studies.runs import read_run, state_of

RECORDED = Path(__file__).parents[1] / "recorded"
RUNS = sorted(path.parent for path in RECORDED.rglob("run.json"))


@pytest.mark.parametrize("directory", RUNS, ids=lambda path: f"{path.parent.parent.name}-{path.name}")
def test_a_recorded_run_loads_and_keeps_its_numbers(directory: Path) -> None:
    assert state_of(directory) == "finished"
    record = read_run(directory)
    stored = json.loads((directory / "metrics.json").read_text())
    again = record.evaluation.metrics()
    common = set(stored) & set(again)
    # A task may say more than it did; what it said it says still.
    assert len(common) >= 1
    for name in common - {"seconds_per_sample"}:
        assert again[name] == pytest.approx(stored[name]), name
    model = lz.load(directory)
    assert model.num_parameters == record.costs.parameters


@pytest.mark.parametrize("directory", RUNS, ids=lambda path: f"{path.parent.parent.name}-{path.name}")
def test_the_hash_of_a_recorded_run_is_the_name_of_its_directory(directory: Path) -> None:
    run = read_run(directory).run
    if directory.parent.name == "runs":
        assert run.key == directory.name
    assert run.to_data() == json.loads((directory / "run.json").read_text())


@pytest.mark.parametrize("name", ["study-0.1", "all-jets-0.1", "generators-0.1"])
def test_a_recorded_study_shows_the_same_numbers(name: str) -> None:
    import csv

    result = show_study(RECORDED / name)
    assert result.is_complete
    with (RECORDED / name / "results.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    for line, row in zip(lines, study_numbers(result), strict=True):
        for key, value in line.items():
            if value:
                assert str(row[key]) == value or float(row[key]) == pytest.approx(float(value)), key
    assert result.rows[0].label in study_text(result)


def test_a_recorded_study_is_continued_and_repeats_nothing(tmp_path: Path) -> None:
    """A data set without scalars and context, taken whole; other fingerprints did not cover what training sees."""
    directory = tmp_path / "study"
    shutil.copytree(RECORDED / "all-jets-0.1", directory)
    study = load_study(json.loads((directory / "study.json").read_text())["study"])
    planned = {run.key for row in make_plan(study).rows for run in make_plan(study).runs(row)}
    assert planned == {path.name for path in (directory / "runs").iterdir()}


def test_a_recorded_run_can_be_evaluated_again() -> None:
    directory = next(path for path in RUNS if path.parents[1].name == "study-0.1")
    stored = json.loads((directory / "metrics.json").read_text())
    assert evaluate_run(directory, progress=False).metrics()["auc"] == pytest.approx(stored["auc"])

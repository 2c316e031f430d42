"""Studies of amplitudes that come with the package: every row can be composed, and a tiny one of each runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import lorentzoo as lz
from lorentzoo.cli.main import app
from lorentzoo.studies import load_study, run_study
from lorentzoo.studies.plan import make_plan

FOLDER = Path(lz.__file__).parents[1] / "examples" / "studies"
STUDIES = ("amplitudes", "functions", "amplitudes-multiplicity", "amplitudes-size", "amplitudes-unweighting")


def tiny(name: str) -> dict[str, Any]:
    """A study with few events, one seed and two steps."""
    study = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    study["dataset"] |= {"num_events": 400}
    study |= {"seeds": 1, "budget": {"steps": 2}, "training": {**study["training"], "batch_size": 32}}
    if "train_sizes" in study:
        study["train_sizes"] = [80, 100]
    # Few events fix few coefficients, and trees need no steps.
    small = {"log-polynomial": {"degree": 1}, "amplitude-bdt": {"num_trees": 3}}
    study["axes"]["model"] = [
        {"label": model, **each, "head": each.get("head", {}) | small.get(each["name"], {})}
        for model, each in (
            (one, {"name": one}) if isinstance(one, str) else (one["label"], one)
            for one in study["axes"]["model"]
        )
    ]
    return study


@pytest.mark.parametrize("name", STUDIES)
def test_every_row_can_be_composed(name: str) -> None:
    plan = make_plan(load_study(tiny(name)))
    assert len(plan.rows) > 2
    assert [row.refusal for row in plan.rows if row.refusal] == []


def test_rows_have_the_recipe_of_their_kind() -> None:
    rows = make_plan(load_study(tiny("amplitudes-multiplicity"))).rows
    rates = {row.combination.choices["model"].label: row.combination.recipe for row in rows}
    assert len(rates) == len(rows) == 13
    assert rates["amplitude-recipe"]["learning_rate"] == 1e-2
    assert "learning_rate" not in rates["lgatr"]


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_a_tiny_study_runs(name: str, tmp_path: Path) -> None:
    result = run_study(tiny(name), tmp_path / "out", workers=1, progress=False)
    assert [row.problems for row in result.rows if row.problems] == []
    assert "log_mse" in (tmp_path / "out" / "results.csv").read_text()


def test_the_data_set_of_a_file_gives_way_to_the_one_that_is_asked_for(tmp_path: Path) -> None:
    path = str(FOLDER / "functions.yaml")
    done = CliRunner().invoke(app, ["study", "run", path, "--dataset", "vector-pair", "--out", str(tmp_path)])
    assert done.exit_code != 0
    assert "vector-pair" in str(done.exception) + done.output


@pytest.mark.slow
def test_another_data_set_than_that_of_the_file(tmp_path: Path) -> None:
    study = tiny("functions") | {"axes": {"model": [{"name": "amplitude-bdt", "head": {"num_trees": 3}}]}}
    study["axes"]["model"][0]["backbone"] = {"num_particles": 2, "order": "input", "masses": False}
    path, out = tmp_path / "study.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(study, allow_unicode=True))
    chosen = "vector-pairs:dimensions=4,num_events=300"
    done = CliRunner().invoke(
        app, ["study", "run", str(path), "--dataset", chosen, "--out", str(out), "--workers", "1"]
    )
    assert done.exit_code == 0, done.output
    assert load_study(yaml.safe_load((out / "study.json").read_text())["study"]).dataset["dimensions"] == 4

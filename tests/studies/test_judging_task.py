"""Networks that are judged by another task than their head states: asked for, recorded, and refused where senseless."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError, RunError, UnknownNameError
from lorentzoo.output.task import judging_task
from lorentzoo.studies import (
    Study,
    evaluate,
    evaluate_run,
    evaluate_runs,
    run_study,
    study_tables,
    train_model,
)
from lorentzoo.studies.plan import RunSpec, make_plan
from lorentzoo.tasks.regression.predictions import ValuePredictions
from lorentzoo.tasks.regression.task import Regression

SHORT = {"max_steps": 2}


class Halved(ValuePredictions):
    def metrics(self) -> dict[str, Any]:
        numbers = super().metrics()
        return {**numbers, "half_of_mae": numbers["mae"] / 2}


class Halves(Regression):
    """A regression that is judged by one number more."""

    metrics = (lz.Metric("half_of_mae", "Half", "low"), *Regression.metrics)
    ranking = ("half_of_mae",)
    judges = ("regression",)

    def evaluate(self, model: Any, test: Any, settings: Any, **others: Any) -> Any:
        found = super().evaluate(model, test, settings, **others)
        return Halved(**{field.name: getattr(found, field.name) for field in fields(found)})

    def load(self, path: Path) -> Halved:
        return Halved.load(path)


@pytest.fixture
def halves(own_catalogue: None) -> None:
    lz.register("task", "halves")(Halves)
    lz.register("dataset", "masses")(make_masses)


def make_masses(num_events: int = 60) -> lz.JetDataset:
    rng = np.random.default_rng(0)
    p = rng.normal(scale=30, size=(num_events, 3, 3))
    momenta = np.concatenate([np.linalg.norm(p, axis=-1, keepdims=True), p], axis=-1)
    return lz.JetDataset(
        momenta.reshape(-1, 4),
        np.arange(num_events + 1) * 3,
        rng.normal(size=num_events),
        splits=np.arange(num_events) % 3,
        target_names=("number",),
    )


def model_of(head: str) -> dict[str, str]:
    return {"backbone": "deep-sets:hidden=[8]", "embedding": "kinematics", "head": head}


def test_the_stated_task_and_another_one(halves: None) -> None:
    assert judging_task("regression").name == "regression"
    assert judging_task("regression", "regression").name == "regression"
    assert judging_task("regression", "halves").name == "halves"
    assert judging_task("halves", "halves").name == "halves"
    with pytest.raises(
        CompositionError,
        match=r"'halves' judges networks for 'halves', 'regression', not for 'classification'",
    ):
        judging_task("classification", "halves")
    with pytest.raises(UnknownNameError, match="halfs"):
        judging_task("regression", "halfs")


def test_a_run_keeps_by_what_it_is_judged(halves: None, tmp_path: Path) -> None:
    settings = {"dataset": "masses", "config": SHORT, "progress": False}
    plain = train_model(model_of("regress"), out=tmp_path / "plain", **settings)
    judged = train_model(model_of("regress"), out=tmp_path / "judged", task="halves", **settings)
    assert "half_of_mae" not in plain.metrics
    assert judged.metrics["half_of_mae"] == pytest.approx(plain.metrics["mae"] / 2)
    # A run that is judged by its own task is recorded as before, whether it was asked for or not.
    assert "task" not in json.loads((tmp_path / "plain" / "run.json").read_text())
    asked = train_model(model_of("regress"), out=tmp_path / "asked", task="regression", **settings)
    assert asked.run.key == plain.run.key != judged.run.key
    assert judged.run.task.name == "halves"
    assert RunSpec.from_data(json.loads((tmp_path / "judged" / "run.json").read_text())) == judged.run
    assert evaluate_run(tmp_path / "judged", progress=False).metrics()["half_of_mae"] > 0
    assert "half_of_mae" in evaluate_run(tmp_path / "plain", task="halves", progress=False).metrics()
    assert "half_of_mae" not in evaluate_run(tmp_path / "judged", task="regression", progress=False).metrics()
    assert (
        "half_of_mae"
        in evaluate(lz.load(tmp_path / "plain"), make_masses(), task="halves", progress=False).metrics()
    )
    with pytest.raises(RunError, match="runs of different tasks"):
        evaluate_runs([tmp_path / "plain", tmp_path / "judged"])
    together = evaluate_runs([tmp_path / "plain", tmp_path / "judged"], task="regression")
    np.testing.assert_allclose(together.values, evaluate_run(tmp_path / "plain", progress=False).values)
    with pytest.raises(CompositionError, match="not for 'regression'"):
        evaluate_run(tmp_path / "plain", task="classification", progress=False)


def test_a_study_judges_what_its_task_can_judge(halves: None, tmp_path: Path) -> None:
    study = Study(
        name="halves",
        dataset="masses",
        axes={"head": ["regress", "density"]},
        fixed={"backbone": "deep-sets:hidden=[8]", "embedding": "kinematics"},
        seeds=1,
        budget={"steps": 2},
        task="halves",
    )
    assert {run.judge for row in make_plan(study).rows for run in make_plan(study).runs(row)} == {"halves"}
    result = run_study(study, tmp_path, workers=1, progress=False)
    assert [row.task for row in result.finished] == ["halves", "halves"]
    assert "Half" in study_tables(result)["results"].columns
    # One whose networks it cannot judge is left to its own, as studies of earlier versions are.
    own = study.model_copy(update={"task": "classification"})
    assert [run.judge for row in make_plan(own).rows for run in make_plan(own).runs(row)] == [None, None]

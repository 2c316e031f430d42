"""Generators as rows of studies."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.errors import LorentzooError, StudyError, TrainingError
from lorentzoo.core.generator import Generator
from lorentzoo.output import page as pages
from lorentzoo.studies import runner, study_tables
from lorentzoo.studies.grid import load_study
from lorentzoo.studies.plan import make_plan
from lorentzoo.studies.report import page as report
from lorentzoo.studies.results import StudyResult
from lorentzoo.studies.runner import run_study
from lorentzoo.studies.single import train_model
from lorentzoo.tasks.generation.evaluation import evaluate_generator
from lorentzoo.training.train import train

FLOW = {"name": "rqs-flow-eventgen", "generator": {"hidden": [16], "num_transforms": 2}}
MATCHING = {
    "name": "mlp-eventgen",
    "backbone": {"hidden": [32]},
    "generator": {"steps": 4, "divergence": "hutchinson", "delta_r_min": 0.0},
}
QUICK = {
    "num_samples": 120,
    "num_log_prob": 8,
    "classifier": {"backbone": "deep-sets:hidden=[8]", "head": "classify:num_classes=2"},
    "recipe": {"max_steps": 2},
}
STUDY: dict[str, Any] = {
    "name": "generators",
    "dataset": "ttbar:num_events=600",
    "axes": {
        "model": [{"label": "mlp", **MATCHING}, {"label": "rqs", **FLOW}],
        "generator": [
            None,
            {
                "label": "flat",
                "name": "flow-matching",
                "num_particles": 6,
                "manifold": "flat",
                "boundaries": False,
                "steps": 4,
                "divergence": "hutchinson",
            },
        ],
    },
    "exclude": [{"model": "rqs", "generator": "flat"}],
    "seeds": 1,
    "training": {"batch_size": 64},
    "budget": {"steps": 4},
    "generation": QUICK,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> StudyResult:
    with pytest.MonkeyPatch.context() as patch:
        # Drawing takes half a minute.
        patch.setattr(runner, "write_report", lambda result: result.directory)
        return run_study(STUDY, tmp_path_factory.mktemp("study"), workers=1, progress=False)


def test_generators_are_rows(finished) -> None:
    assert [row.label for row in finished.rows] == ["mlp · as named", "mlp · flat", "rqs · as named"]
    assert finished.is_complete, [row.problems for row in finished.rows]
    for row in finished.rows:
        metrics = row.runs[0].metrics
        assert 0 <= metrics["c2st_auc"] <= 1
        assert metrics["nll_infinite"] <= 8
        assert metrics["seconds_per_sample"] > 0
        assert row.runs[0].evaluation.samples.num_events == 120 - metrics["samples_failed"]
    assert finished.rows[0].runs[0].metrics["evaluations_per_sample"] == 8  # midpoint: two a step
    # Coordinates hold these two inside the cuts in pT, η and mass, however little they have learned.
    assert finished.rows[0].runs[0].metrics["cut_violations"] == 0
    assert finished.rows[2].runs[0].metrics["cut_violations"] == 0


def test_tables_and_report_speak_of_generation(finished, monkeypatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(pages, "to_svg", lambda axes: drawn.append(axes) or "<svg/>")
    results = study_tables(finished)["results"]
    assert {"NLL", "C2ST AUC", "FPD", "Evaluations/sample", "CPU-s/sample"} <= set(results.columns)
    assert any("0.5 is perfect" in note for note in results.notes)
    assert study_tables(finished)["differences"].columns == ("Model", "Δ NLL", "Δ C2ST AUC", "Δ FPD")
    page = report.report_html(finished)
    # The course of training, two costs, the marginals of all rows, and three figures of the best one.
    assert len(drawn) >= 7
    assert all(axes.get_legend_handles_labels()[1] or axes.lines for axes in drawn)
    assert "Generated against true events, seed 0" in page
    assert "smallest C2ST AUC" in page


def test_a_run_of_a_generator_can_be_loaded(finished) -> None:
    run = finished.rows[0].runs[0]
    generator = lz.load(run.directory)
    assert isinstance(generator, Generator)
    assert generator.sample(3).num_events == 3
    # Validation uses the same random numbers in every epoch.
    assert all("val_loss" in point for point in run.history if point["step"] == 4)


def test_training_does_not_depend_on_interruption(tmp_path) -> None:
    events = lz.load_dataset("ttbar", num_events=200, split="train")
    recipe = {"epochs": 2, "batch_size": 50}

    def trained(*epochs: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        model = lz.create_model("mlp-eventgen", backbone={"hidden": [16]}, generator={"delta_r_min": 0.0})
        if epochs:
            with pytest.raises(RuntimeError, match="pulled the plug"):
                train(_interrupted(model, *epochs), events, events, recipe, tmp_path, progress=False)
        train(model, events, events, recipe, tmp_path if epochs else None, progress=False)
        return model.state_dict()

    through, resumed = trained(), trained(1)
    # What is not known yet is NaN.
    torch.testing.assert_close(resumed, through, rtol=0, atol=0, equal_nan=True)


def _interrupted(model: Any, epochs: int) -> Any:
    """The same generator, interrupted in the epoch of that number."""
    calls, loss = [0], model.loss

    def interrupted(cloud: Any, weight: Any = None, *, rng: Any = None) -> Any:
        calls[0] += rng is None and torch.is_grad_enabled()
        if calls[0] > 4 * epochs + 1:
            del model.loss
            raise RuntimeError("pulled the plug")
        return loss(cloud, weight, rng=rng)

    model.loss = interrupted
    return model


def test_a_generator_that_does_not_fit_the_data_is_told_at_once() -> None:
    with pytest.raises((LorentzooError, ValueError), match="made for events of num_particles=5"):
        train_model(
            {
                "generator": {"name": "flow-matching", "num_particles": 5},
                "backbone": "deep-sets",
                "embedding": "momenta",
            },
            dataset="ttbar:num_events=50",
            out=None,
            progress=False,
        )


def test_what_was_trained_outlives_its_test(tmp_path, monkeypatch) -> None:
    def full(*given: Any, **further: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("lorentzoo.tasks.generation.task.evaluate_generator", full)
    with pytest.raises(OSError, match="no space left"):
        train_model(
            "rqs-flow-eventgen",
            dataset="ttbar:num_events=600",
            config={"max_steps": 2},
            out=tmp_path,
            progress=False,
        )
    assert lz.load(tmp_path).sample(3).num_events == 3


def test_studies_refuse_what_makes_no_sense() -> None:
    study = {**STUDY, "axes": {"generator": ["flow-matching"]}, "exclude": []}
    [row] = make_plan(load_study(study)).rows
    assert "needs a network: name a backbone" in row.refusal
    with pytest.raises(StudyError, match="learning_rat"):
        make_plan(load_study({**STUDY, "test": {"recipe": {"learning_rat": 1}}}))
    with pytest.raises(
        TrainingError, match=r"test of generation: unknown key 'num_sample'; did you mean 'num_samples'\?"
    ):
        train_model("rqs-flow-eventgen", dataset="ttbar:num_events=50", test={"num_sample": 5})


class _Fails(LorentzooError):
    events = (0,)


def test_events_that_fail_are_counted() -> None:
    test = lz.load_dataset("ttbar", num_events=120, split="test")
    torch.manual_seed(0)
    model = lz.create_model("rqs-flow-eventgen", generator={"hidden": [8], "num_transforms": 1})
    model.fit_statistics([test.batch(range(len(test)))])
    sample, drawn = model.sample, [0]

    def failing(n: int, condition: Any = None, *, rng: Any = None) -> Any:
        # The second and the third attempt at a single event fail.
        drawn[0] += n == 1
        if n > 1 or drawn[0] in (2, 3):
            raise _Fails("no")
        made = sample(n, condition, rng=rng)
        if n == 1 and drawn[0] == 5:
            made.momenta[2] = math.inf
        return made

    model.sample = failing
    found = evaluate_generator(
        model, test, num_samples=120, num_log_prob=2, progress=False, **_classifier_of(QUICK)
    )
    assert found.samples_failed == 3
    assert found.samples.num_events == 117
    model.sample = lambda *_, **__: (_ for _ in ()).throw(_Fails("no"))
    with pytest.raises(TrainingError, match="failed for each of 120 events"):
        evaluate_generator(model, test, num_samples=120, progress=False)


def _classifier_of(settings: dict[str, Any]) -> dict[str, Any]:
    return {"classifier": settings["classifier"], "config": settings["recipe"]}

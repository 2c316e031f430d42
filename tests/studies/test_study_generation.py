"""Is a generator evaluated as its metrics say: densities, distances, two-sample test, cuts, costs?"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.coordinates import Cuts
from lorentzoo.core.generator import Generator
from lorentzoo.data.dataset import JetDataset
from lorentzoo.studies.errors import RunError
from lorentzoo.studies.generation import GeneratorEvaluation, evaluate_generator
from lorentzoo.studies.generative_figures import generator_figures

TOY = {
    "generator": "rqs-flow:num_particles=6,pt_min=22,mass_min=1,eta_max=5,bins=4,num_transforms=1,hidden=[16]",
    "in_scalars": 6,
}
QUICK = {"max_steps": 20, "batch_size": 50}


@pytest.fixture(scope="module")
def events() -> JetDataset:
    return lz.load_dataset("ttbar", num_events=1200)


@pytest.fixture(scope="module")
def flow(events: JetDataset) -> Generator:
    torch.manual_seed(0)
    made = lz.compose(**TOY)
    made.fit_statistics([events.batch(range(1000))])
    return made


@pytest.fixture(scope="module")
def evaluation(flow: Generator, events: JetDataset) -> GeneratorEvaluation:
    return evaluate_generator(
        flow,
        events,
        num_samples=1000,
        num_log_prob=200,
        config=QUICK,
        cuts=Cuts(pt_min=22, delta_r_min=0.5),
        progress=False,
    )


def test_metrics_are_flat_numbers(
    evaluation: GeneratorEvaluation, flow: Generator, events: JetDataset
) -> None:
    metrics = evaluation.metrics()
    assert all(isinstance(value, (int, float)) for value in metrics.values())
    density = flow.log_prob(events.batch(range(200)).cloud).numpy()
    assert metrics["nll"] == pytest.approx(-density.mean(), rel=1e-6)
    assert metrics["nll_error"] == pytest.approx(density.std() / math.sqrt(200), rel=1e-6)
    assert metrics["nll_events"] == 200
    assert metrics["nll_infinite"] == metrics["nll_failed"] == 0
    assert metrics["c2st_auc"] > 0.5
    assert metrics["fpd"] > 3 * metrics["fpd_error"] > 0
    assert metrics["seconds_per_sample"] > 0
    assert "evaluations_per_sample" not in metrics


def test_saved_evaluations_are_the_same(evaluation: GeneratorEvaluation, tmp_path: Path) -> None:
    path = tmp_path / "evaluation.npz"
    evaluation.save(path)
    loaded = GeneratorEvaluation.load(path)
    assert loaded.metrics() == evaluation.metrics()
    assert torch.equal(loaded.samples.momenta, evaluation.samples.momenta)
    assert loaded.resonances == evaluation.resonances
    assert [one.name for one in loaded.observables] == [one.name for one in evaluation.observables]
    np.testing.assert_array_equal(loaded.test.weights(), evaluation.test.weights())
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RunError, match=r"cannot read the evaluation evaluation\.npz"):
        GeneratorEvaluation.load(path)


def test_figures(evaluation: GeneratorEvaluation) -> None:
    figures = generator_figures({"a": evaluation, "b": evaluation}, evaluation.observables[:2])
    assert [figure.name for figure in figures] == [
        "marginals",
        "reweighted",
        "weights",
        "calibration-a",
        "calibration-b",
    ]
    assert all(figure.caption and figure.axes.has_data() for figure in figures)

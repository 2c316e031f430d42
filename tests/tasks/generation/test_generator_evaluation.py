"""Is a generator evaluated as its metrics say: densities, distances, two-sample test, cuts, costs?"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.core import minkowski
from lorentzoo.core.errors import LorentzooError, RunError
from lorentzoo.core.generator import Generator
from lorentzoo.data.dataset import JetDataset
from lorentzoo.densities.coordinates import Cuts
from lorentzoo.tasks.generation.evaluation import GeneratorEvaluation, evaluate_generator
from lorentzoo.tasks.generation.figures import generator_figures

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


class Failing(Generator):
    """The standard normal density of px of each first particle, with events that it cannot do."""

    def __init__(self, flow: Generator) -> None:
        super().__init__()
        self.flow = flow

    symmetry_paths = property(lambda self: {})

    def loss(self, cloud, weight=None, *, rng=None):  # type: ignore[no-untyped-def]
        return self.flow.loss(cloud, weight)

    def sample(self, n, condition=None, *, rng=None):  # type: ignore[no-untyped-def]
        return self.flow.sample(n, condition, rng=rng)

    def log_prob(self, cloud):  # type: ignore[no-untyped-def]
        first = cloud.momenta[::6, 1]
        bad = (first > 50).nonzero().squeeze(1).tolist()
        if bad:
            error = LorentzooError("cannot do some events")
            error.events = bad  # type: ignore[attr-defined]
            raise error
        return torch.where(first < -50, -math.inf, -first.square())


def test_densities_that_vanish_or_fail_are_counted(flow: Generator, events: JetDataset) -> None:
    found = evaluate_generator(Failing(flow), events, num_samples=300, num_log_prob=300, progress=False)
    first = events.batch(range(300)).cloud.momenta[::6, 1].numpy()
    metrics = found.metrics()
    assert metrics["nll_failed"] == (first > 50).sum() > 0
    assert metrics["nll_infinite"] == (first < -50).sum() > 0
    assert metrics["nll"] == pytest.approx(np.square(first[np.abs(first) <= 50]).mean())


def test_nothing_is_counted_where_there_is_no_density(evaluation: GeneratorEvaluation) -> None:
    metrics = dataclasses.replace(evaluation, log_prob=np.zeros(0)).metrics()
    assert metrics["nll_events"] == 0
    assert not {"nll_infinite", "nll_failed"} & set(metrics)


def test_evaluations_and_cuts_of_a_flow_on_a_manifold(events: JetDataset) -> None:
    """Two steps of the midpoint rule evaluate the network four times; no sample leaves the boundaries."""
    torch.manual_seed(0)
    made = lz.compose(
        generator="flow-matching:pt_min=22,mass_min=1,eta_max=5,delta_r_min=0.5,num_particles=6,steps=2",
        backbone="mlp-particles:hidden=[16]",
        embedding="momenta",
        in_scalars=6,
    )
    made.fit_statistics([events.batch(range(1000))])
    with torch.no_grad():
        # Without any training velocities are wild.
        for parameter in made.parameters():
            parameter.mul_(0.1)
    found = evaluate_generator(made, events, num_samples=400, num_log_prob=10, progress=False)
    metrics = found.metrics()
    assert metrics["evaluations_per_sample"] == 4
    assert (
        metrics["cut_violations_pt"] == metrics["cut_violations_eta"] == metrics["cut_violations_mass"] == 0
    )
    assert metrics["cut_violations"] == metrics["cut_violations_delta_r"]
    momenta = found.samples.momenta
    assert float(minkowski.pt(momenta).min()) > 22


def test_samples_do_not_depend_on_what_else_is_evaluated(flow: Generator, events: JetDataset) -> None:
    few, many = (
        evaluate_generator(flow, events, num_samples=300, num_log_prob=n, config=QUICK, progress=False)
        for n in (5, 50)
    )
    assert torch.equal(few.samples.momenta, many.samples.momenta)
    assert few.test.auc == many.test.auc
    np.testing.assert_allclose(few.log_prob, many.log_prob[:5])


class Undrawn(Failing):
    """A generator that must not be asked for events."""

    def sample(self, n, condition=None, *, rng=None):  # type: ignore[no-untyped-def]
        raise AssertionError("events were drawn before the question was looked at")


@pytest.mark.parametrize(
    ("given", "count", "message"),
    [
        ({"classifier": "boosted-threes"}, 1000, "boosted-threes"),
        ({"config": {"epoch": 1}}, 1000, "epoch"),
        ({"classifier": {"backbone": "deep-sets", "head": "velocity"}}, 1000, "two classes apart"),
        (
            {"num_samples": 50},
            1000,
            r"observables need at least \d+ events of each sample .* not 50 and 1000",
        ),
        ({}, 40, r"observables need at least \d+ events of each sample .* not 10000 and 40"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_events_are_drawn(
    flow: Generator, events: JetDataset, given: dict, count: int, message: str
) -> None:
    with pytest.raises((ValueError, LorentzooError), match=message):
        evaluate_generator(Undrawn(flow), events.subset(torch.arange(count)), progress=False, **given)

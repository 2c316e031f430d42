"""Are generators of events with several numbers of particles judged number by number?"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.generator import Generator
from lorentzoo.core.layout import Packed
from lorentzoo.data.dataset import JetDataset
from lorentzoo.output.rows import Look, Row
from lorentzoo.output.task import load_task
from lorentzoo.tasks.generation.evaluation import GeneratorEvaluation, evaluate_generator
from lorentzoo.tasks.generation.multiplicities import measure_multiplicities
from lorentzoo.tasks.generation.observables import default_observables, observable_table

SPLINES = "rqs-flow:pt_min=22,mass_min=1,eta_max=5,bins=4,num_transforms=1,hidden=[8]"


def jets(seed: int, count: int = 500) -> ParticleCloud:
    """Top pairs with none, one or two jets of other events behind their six, where these are far enough."""
    source = lz.load_dataset("ttbar", num_events=2 * count + 1).batch(range(2 * count + 1)).cloud
    momenta = source.momenta.unflatten(0, (-1, 6))
    lengths = [6 + (3 * k + seed) % 7 // 3 for k in range(count)]
    joined = [torch.cat([momenta[k], momenta[k + count][: n - 6]]) for k, n in enumerate(lengths)]
    return ParticleCloud.from_packed(
        torch.cat(joined), Packed.from_lengths(lengths).ptr, torch.cat([torch.eye(8)[:n] for n in lengths])
    )


@pytest.fixture(scope="module")
def events() -> JetDataset:
    data = JetDataset.from_cloud(jets(0))
    data.particle_names = ("b", "q1", "q2", "b_bar", "q1_bar", "q2_bar", "jet1", "jet2")
    data.resonances = {"W": ((1, 2), (4, 5)), "pair": ((6, 7),)}
    return data


@pytest.fixture(scope="module")
def flow(events: JetDataset) -> Generator:
    torch.manual_seed(0)
    made = lz.compose(
        generator={
            "name": "varying-multiplicity",
            "multiplicities": "6-8",
            "generator": SPLINES,
            "networks": "each",
        },
        in_scalars=8,
    )
    made.fit_statistics([events.batch(range(500))])
    return made


@pytest.fixture(scope="module")
def evaluation(flow: Generator, events: JetDataset) -> GeneratorEvaluation:
    return evaluate_generator(flow, events, num_samples=600, num_log_prob=100, progress=False)


def test_numbers_are_those_of_the_events_of_each_multiplicity(
    evaluation: GeneratorEvaluation, flow: Generator, events: JetDataset
) -> None:
    found = evaluation.metrics()
    true, drawn = events.lengths, evaluation.samples.multiplicity()
    density = flow.log_prob(events.batch(range(100)).cloud)
    for n in (6, 7, 8):
        own = -density[true[:100] == n]
        assert found[f"nll_particles_{n}"] == pytest.approx(float(own.mean()))
        assert found[f"nll_error_particles_{n}"] == pytest.approx(
            float(own.std(correction=0)) / math.sqrt(len(own))
        )
        assert found[f"true_share_particles_{n}"] == pytest.approx(float((true == n).double().mean()))
        assert found[f"generated_share_particles_{n}"] == pytest.approx(float((drawn == n).double().mean()))
        assert 0.5 < found[f"c2st_auc_particles_{n}"] <= 1
    shares = [found[f"generated_share_particles_{n}"] for n in (6, 7, 8)]
    assert sum(shares) == pytest.approx(1)
    # Its numbers are drawn, not those of the events that it is compared with.
    assert len(set(drawn.tolist())) == 3
    assert not torch.equal(drawn, true[torch.arange(600) % 500])


def test_the_area_of_a_multiplicity_is_that_of_its_events(evaluation: GeneratorEvaluation) -> None:
    """Counted pair by pair."""
    test = evaluation.test
    true, drawn = evaluation.true.multiplicity().numpy(), evaluation.samples.multiplicity().numpy()
    p = test.log_ratio[test.target == 1][true[test.true] == 7]
    q = test.log_ratio[test.target == 0][drawn[test.generated] == 7]
    area = (p[:, None] > q).mean() + (p[:, None] == q).mean() / 2
    assert evaluation.metrics()["c2st_auc_particles_7"] == pytest.approx(area, abs=1e-9)


def test_events_of_one_multiplicity_have_no_such_numbers(events: JetDataset) -> None:
    six = events.subset(events.lengths == 6)
    torch.manual_seed(0)
    made = lz.compose(generator=f"{SPLINES},num_particles=6", in_scalars=8)
    made.fit_statistics([six.batch(range(len(six)))])
    found = evaluate_generator(made, six, num_samples=300, num_log_prob=5, progress=False)
    assert measure_multiplicities(found) == {}
    row = Row("one", Look("C0", "-", "o"), (0,), (found.metrics(),), ({},), ([],), lambda place: found)
    task = load_task("generation")
    assert task.tables([row]) == {}
    assert [figure.name for figure in task.figures([row])] == ["drawing", "marginals"]


def test_studies_have_a_table_and_figures_by_number(evaluation: GeneratorEvaluation) -> None:
    numbers = evaluation.metrics()
    rows = [
        Row(
            name,
            Look(colour, "-", "o"),
            (0, 1),
            (numbers, numbers),
            ({}, {}),
            ([], []),
            lambda place: evaluation,
        )
        for name, colour in (("one", "C0"), ("other", "C1"))
    ]
    task = load_task("generation")
    table = task.tables(rows)["multiplicities"]
    assert table.columns == (
        "Model",
        "Particles",
        "NLL",
        "C2ST AUC",
        "Share of true events",
        "Share of generated events",
    )
    assert [row[:2] for row in table.texts] == [[name, n] for name in ("one", "other") for n in "678"]
    assert table.rows[1][2].value == pytest.approx(numbers["nll_particles_7"])
    figures = {figure.name: figure.axes for figure in task.figures(rows)}
    assert {"nll-by-number", "c2st-auc-by-number", "generated-share-by-number"} <= set(figures)
    for name, metric in (("nll-by-number", "nll"), ("c2st-auc-by-number", "c2st_auc")):
        drawn = figures[name].containers[0].lines[0].get_ydata()
        assert list(drawn) == pytest.approx([numbers[f"{metric}_particles_{n}"] for n in (6, 7, 8)])
    # Every recorded number is a column of files, under a heading of its own.
    columns = {metric.name: metric.heading for metric in task.columns(numbers, {})}
    assert columns["nll_particles_7"] == "NLL 7"
    assert set(numbers) <= set(columns)


def test_saved_evaluations_are_the_same(evaluation: GeneratorEvaluation, tmp_path: Path) -> None:
    evaluation.save(tmp_path / "evaluation.npz")
    loaded = GeneratorEvaluation.load(tmp_path / "evaluation.npz")
    assert loaded.metrics() == evaluation.metrics()
    assert [one.name for one in loaded.observables] == [one.name for one in evaluation.observables]


def test_observables_are_those_that_all_events_have(
    evaluation: GeneratorEvaluation, events: JetDataset
) -> None:
    made = {one.name: one for one in evaluation.observables}
    assert {"pt-b", "mass-W", "number", "ht", "delta-r-min"} <= set(made)
    # Two further jets are not in all events.
    assert "mass-pair" not in made
    cloud = events.batch(range(40)).cloud
    np.testing.assert_array_equal(made["number"](cloud)[:, 0], cloud.multiplicity())
    assert made["number"].edges(made["number"](cloud)).tolist() == [5.5, 6.5, 7.5, 8.5]
    for event in range(10):
        alone = events.batch([event]).cloud
        same = default_observables(int(alone.multiplicity()[0]))
        wanted = {one.name: one for one in same}["delta-r-min"](alone)
        np.testing.assert_allclose(made["delta-r-min"](cloud)[event], wanted[0])
    assert np.isfinite(observable_table(cloud, evaluation.observables)).all()

"""The task of amplitude surrogates: what it asks of data, what it keeps, shows and flags, as its user sees it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

import lorentzoo as lz
from lorentzoo.cli.main import app
from lorentzoo.nn import TrainingError
from lorentzoo.output.rows import Look, Row
from lorentzoo.output.task import load_task
from lorentzoo.plugins.amplitudes.data.channels import find_channels
from lorentzoo.plugins.amplitudes.targets.region import TrainingRegion, log_invariants
from lorentzoo.plugins.amplitudes.task.kinematics import observe_events
from lorentzoo.plugins.amplitudes.task.predictions import AmplitudePredictions
from lorentzoo.studies import evaluate, load_study
from lorentzoo.training.fitting import default_head

QUICK = {"timed_batch": 4}
SMALL = {"backbone": "mlp:num_particles=6,hidden=[16]", "embedding": "invariants"}
LHE = Path(__file__).parent / "lhe"


def load(n: int | list[int] = 2, count: int = 400, **settings: Any) -> lz.JetDataset:
    return lz.load_dataset("amplitudes", multiplicity=n, num_events=count, **settings)


def fitted(dataset: lz.JetDataset, head: Any = "amplitude-ratio") -> lz.Model:
    model = lz.compose(**SMALL, head=head, in_scalars=dataset.num_scalars, in_context=dataset.num_context)
    model.fit_statistics([dataset[:]])
    return model


def predictions_of(dataset: lz.JetDataset, values: np.ndarray, **others: Any) -> AmplitudePredictions:
    """What the task would keep of a network that predicts these values."""
    channels, place = find_channels(dataset)
    return AmplitudePredictions(
        values=values.reshape(-1, 1),
        target=dataset.target.numpy().reshape(-1, 1),
        weight=dataset.weight.numpy(),
        event_id=dataset.event_id.numpy(),
        target_names=dataset.target_names,
        target_units=dataset.target_units,
        channel=place.numpy(),
        channel_names=np.array([channel.label for channel in channels]),
        quantiles=np.array([0.999, 1.0]),
        seed=np.array(0),
        **{**observe_events(dataset), **others},
    )


# ---- which data, which head -----------------------------------------------------------------


def test_data_ask_for_it() -> None:
    assert default_head(load(2, 100)) == {"name": "amplitude-ratio", "transform": "log"}
    signed = load(2, 100, factor=lambda momenta: torch.cos(momenta[:, 2, 1] / 100))
    assert default_head(signed) == {"name": "amplitude-ratio", "transform": "signed-log"}
    # Other numbers remain regressions, and so do amplitudes where that is asked for.
    jets = lz.JetDataset(torch.ones(4, 4) * torch.tensor([9.0, 1, 1, 1]), [0, 2, 4], [0.5, 1.5])
    assert default_head(jets) == {"name": "regress"}
    assert default_head(load(2, 100), "regression") == {"name": "regress"}
    named = lz.JetDataset(
        torch.ones(4, 4) * torch.tensor([9.0, 1, 1, 1]),
        [0, 2, 4],
        [0.5, 1.5],
        target_names=["squared_amplitude"],
    )
    assert default_head(named)["name"] == "amplitude-ratio"


def test_presets_with_a_usual_head_are_regressions_unless_asked_otherwise() -> None:
    model = lz.create_model("lgatr-amplitudes", backbone={"num_blocks": 1, "hidden_channels": 4})
    dataset = load(2, 60)
    model.fit_statistics([dataset[:]])
    assert model.task == "regression"
    assert "r2" in evaluate(model, dataset, progress=False).metrics()
    found = evaluate(model, dataset, QUICK, task="amplitudes", progress=False).metrics()
    assert "unweighting_gain" in found
    # Only heads of amplitudes know where they were trained.
    assert "outside_region" not in found


def test_what_is_no_amplitude_is_refused() -> None:
    task = load_task("amplitudes")
    dataset = load(2, 50)
    task.check_data(dataset)
    moved = load(2, 50)
    moved.momenta = moved.momenta.clone()
    moved.momenta[7 * 5 + 3, 0] *= 1.01
    with pytest.raises(
        TrainingError, match=r"event 7 violates conservation of energy and momentum by .* allowed are 1e-04"
    ):
        task.check_data(moved)
    swapped = load(2, 50)
    rows = torch.arange(len(swapped.momenta))
    rows[3 * 5 + 2], rows[3 * 5 + 3] = 3 * 5 + 3, 3 * 5 + 2
    swapped.momenta = swapped.momenta[rows]
    with pytest.raises(
        TrainingError,
        match=r"event 3 of 'qq-Zng': particle 3 \(g\) has mass² 8315.25 GeV², but it is massless",
    ):
        task.check_data(swapped)
    outgoing = lz.JetDataset(dataset.momenta[2:5], [0, 3], [1.0], target_names=["squared_amplitude"])
    with pytest.raises(TrainingError, match="first two particles must be the incoming ones"):
        task.check_data(outgoing)
    pair = lz.JetDataset(dataset.momenta[:2], [0, 2], [1.0])
    with pytest.raises(TrainingError, match="at least one outgoing particle, but event 0 has 2"):
        task.check_data(pair)
    several = lz.JetDataset(dataset.momenta[:5], [0, 5], [[1.0, 2.0]], target_names=["re", "im"])
    with pytest.raises(TrainingError, match=r"but the data have 2 targets \(re, im\)"):
        task.check_data(several)
    absent = load(2, 50)
    absent.target = absent.target.clone()
    absent.target[4] = float("nan")
    with pytest.raises(TrainingError, match="1 of 50 targets are not finite, first of event 4"):
        task.check_data(absent)


@pytest.mark.parametrize("value", [0.0, -1e-5])
def test_targets_without_a_logarithm_are_named_before_training(value: float) -> None:
    dataset = load(2, 50)
    dataset.target = dataset.target.clone()
    dataset.target[3] = value
    for head in ("amplitude-ratio", "amplitude-ratio:reference=factorised"):
        with pytest.raises(
            TrainingError, match=r"needs positive targets, but event 3 has .* transform='signed-log'"
        ):
            fitted(dataset, head)
    # A weight of zero is not there, and a signed logarithm takes any.
    fitted(dataset, "amplitude-ratio:transform=signed-log")
    dataset.weight = dataset.weight.clone()
    dataset.weight[3] = 0.0
    fitted(dataset)


# ---- numbers --------------------------------------------------------------------------------


def test_a_perfect_surrogate() -> None:
    dataset = load(2, 400, weights="phase-space")
    found = predictions_of(dataset, dataset.target.numpy()).metrics()
    assert found["log_mse"] == found["delta_99"] == found["beyond_1"] == 0.0
    assert found["cross_section_bias"] == {"value": 0.0, "error": 0.0}
    assert found["second_efficiency"] == found["second_maximum"] == pytest.approx(1.0)
    assert found["unweighting_gain"] == pytest.approx(1 / found["plain_efficiency"], rel=1e-6)
    assert found["truth_per_event"] == pytest.approx(1 / found["kish_fraction"])


def test_channels_of_joint_sets_are_judged_each_by_itself() -> None:
    dataset = lz.load_dataset("amplitudes", process=["qq-Zng", "gg-ng"], multiplicity=[2, 3], num_events=400)
    channels, place = find_channels(dataset)
    assert [channel.label for channel in channels] == ["qq-Zng n=2", "qq-Zng n=3", "gg-ng n=2", "gg-ng n=3"]
    assert place.tolist() == [0, 1, 2, 3] * 100
    # A surrogate that is off by another factor in each channel, and perfect within it.
    factor = np.array([1.0, 1.1, 0.8, 1.0])[place.numpy()]
    one = predictions_of(dataset, factor * dataset.target.numpy())
    found = one.metrics()
    assert found["cross_section_bias"]["value"] == pytest.approx((0 + 0.1 - 0.2 + 0) / 4)
    # Factors common to a channel are of no importance to the second step.
    assert found["second_efficiency"] == pytest.approx(1.0)
    biases = [
        one.channel_metrics(name, chosen, 1.0)["cross_section_bias"]["value"] for name, chosen in one.channels
    ]
    np.testing.assert_allclose(biases, [0.0, 0.1, -0.2, 0.0], atol=1e-12)
    # What is left of a joint set may be of one channel.
    part, there = find_channels(dataset.subset(torch.arange(2, 400, 4)))
    assert [channel.label for channel in part] == ["gg-ng n=2"]
    assert there.unique().tolist() == [0]


def test_weights_of_zero_are_not_there() -> None:
    dataset = load(2, 100)
    dataset.weight = dataset.weight.clone()
    dataset.weight[::2] = 0.0
    values = dataset.target.numpy() * np.where(np.arange(100) % 2, 1.05, 50.0)
    values[0] = -1.0
    all_of_them = predictions_of(dataset, values).metrics()
    kept = predictions_of(dataset.subset(torch.arange(1, 100, 2)), values[1::2]).metrics()
    assert all_of_them.pop("cross_section_bias")["value"] == pytest.approx(0.05)
    del kept["cross_section_bias"]
    assert all_of_them == pytest.approx(kept)
    assert all_of_them["delta_99"] == pytest.approx(0.05)


def test_truths_of_either_sign_and_weights_of_either_sign() -> None:
    dataset = load(2, 400, factor=lambda momenta: torch.cos(momenta[:, 2, 1] / 60))
    target = dataset.target.numpy()
    assert (target < 0).any()
    found = predictions_of(dataset, 1.02 * target).metrics()
    assert found["cross_section_bias"]["value"] == pytest.approx(0.02)
    assert found["second_efficiency"] == pytest.approx(1.0)
    assert found["kish_fraction"] < 0.9
    positive = load(2, 400)
    positive.weight = torch.where(torch.arange(400) % 5 == 0, -1.0, 1.0).double()
    signed = predictions_of(positive, positive.target.numpy()).metrics()
    assert signed["kish_fraction"] < 0.9
    assert signed["unweighting_gain"] == pytest.approx(1 / signed["plain_efficiency"], rel=1e-6)


def test_observables_of_events() -> None:
    dataset = load([1, 2], 20)
    found = observe_events(dataset)
    for event in (0, 1, 7):
        p = dataset[event].cloud.momenta
        assert found["sqrt_s"][event] == pytest.approx(float(p[:2, 0].sum()))
        assert found["leading_pt"][event] == pytest.approx(float(torch.hypot(p[3:, 1], p[3:, 2]).max()))
        products = [2 * lz.nn.inner(p[i], p[j]) for i in range(len(p)) for j in range(i)]
        assert found["smallest_mass"][event] == pytest.approx(float(min(products)) ** 0.5)


# ---- the training region --------------------------------------------------------------------


def test_events_outside_of_the_training_region_are_flagged() -> None:
    train = load(2, 400, sqrt_s_max=1000.0)
    model = fitted(train)
    assert not bool(model.head.region.outside(train[:].cloud).any())
    harder = load(2, 100, sqrt_s_min=1200.0, sqrt_s_max=2000.0)
    assert bool(model.head.region.outside(harder[:].cloud).all())
    closer = load(2, 400, sqrt_s_max=1000.0, pt_min=1.0, delta_r_min=0.0, eta_max=float("inf"), seed=5)
    smallest = log_invariants(closer.momenta.unflatten(0, (400, 5)))[:, 0]
    least = log_invariants(train.momenta.unflatten(0, (400, 5)))[:, 0].min()
    flagged = model.head.region.outside(closer[:].cloud)
    assert bool(flagged[smallest < least - 1e-5].all())
    assert bool((smallest < least - 1e-5).any())
    # Frames, orders and units are without meaning, and another number of particles was never there.
    turned = train[:].cloud.transform(
        lz.nn.random_lorentz(400, rng=torch.Generator().manual_seed(0)).double()
    )
    assert int(model.head.region.outside(turned).sum()) == 0
    assert bool(model.head.region.outside(load(3, 10)[:].cloud).all())
    found = evaluate(model, harder, QUICK, progress=False)
    assert found.metrics()["outside_region"] == 1.0


def test_the_region_is_saved_with_the_weights(tmp_path: Path) -> None:
    model = fitted(load(2, 100))
    lz.save(model, tmp_path / "model")
    again = lz.load(tmp_path / "model").head.region
    assert torch.equal(again.lowest, model.head.region.lowest)
    region = TrainingRegion()
    region.fit([load([1, 3], 40)[:].cloud])
    assert torch.isfinite(region.lowest).sum(1).tolist() == [0, 0, 0, 0, 6, 0, 15, 0, 0, 0, 0, 0, 0]


# ---- points of files ------------------------------------------------------------------------


def test_points_of_a_file_are_judged_beside_our_own() -> None:
    events = lz.load_dataset(
        "amplitudes-lhe", path=str(LHE / "madgraph-pp-jj.lhe.gz"), process="gg-ng", multiplicity=2
    )
    channels, _ = find_channels(events)
    assert [(channel.label, channel.has_truth) for channel in channels] == [("gg-ng n=2", True)]
    ours = lz.load_dataset("amplitudes", process="gg-ng", multiplicity=2, num_events=400, sqrt_s_min=50.0)
    model = fitted(ours)
    found = evaluate(model, events, QUICK, progress=False)
    assert found.outside is not None
    numbers = found.metrics()
    assert 0 < numbers["outside_region"] < 1
    # Errors stand beside each other, and each is of its own events.
    chosen = found.outside
    delta = np.abs(found.values[:, 0] / found.target[:, 0] - 1)
    assert numbers["delta_50_outside"] == pytest.approx(np.sort(delta[chosen])[(chosen.sum() - 1) // 2])
    assert numbers["delta_50_inside"] == pytest.approx(np.sort(delta[~chosen])[((~chosen).sum() - 1) // 2])
    assert found.metrics()["truth_batch_us"] > 0


# ---- times ----------------------------------------------------------------------------------


def test_times_are_measured_where_there_is_something_to_measure() -> None:
    dataset = load([1, 2], 40)
    model = fitted(dataset)
    model.train()
    one = evaluate(model, dataset, QUICK, progress=False)
    assert model.training
    assert one.times.shape == (2, 4)
    assert (one.times > 0).all()
    ratio = one.time_ratio("qq-Zng n=2")
    assert ratio == pytest.approx(one.times[1, 3] / one.times[1, 1])
    other = fitted(own := load(2, 40, truth=lambda momenta: momenta[:, 0, 0] + 1.0))
    found = evaluate(other, own, QUICK, progress=False)
    # A function that is not kept with the data cannot be timed.
    assert np.isnan(found.times[0, [0, 2]]).tolist() == [True, False]
    assert "time_gain" not in found.metrics()
    assert "surrogate_batch_us" in found.metrics()
    silent = evaluate(model, dataset, times=False, progress=False)
    assert silent.times is None
    assert "time_gain" not in silent.metrics()
    assert "unweighting_gain" in silent.metrics()


# ---- files, ensembles, settings -------------------------------------------------------------


def test_everything_behind_the_numbers_is_kept(tmp_path: Path) -> None:
    dataset = load([1, 2], 60)
    one = evaluate(fitted(dataset), dataset, QUICK, progress=False)
    one.save(tmp_path / "predictions.npz")
    again = load_task("amplitudes").load(tmp_path / "predictions.npz")
    assert again.metrics() == one.metrics()
    for name in ("channel", "channel_names", "outside", "quantiles", "seed", "times", "smallest_mass"):
        np.testing.assert_array_equal(getattr(again, name), getattr(one, name))


def test_ensembles() -> None:
    dataset = load(2, 60)
    members = [predictions_of(dataset, factor * dataset.target.numpy()) for factor in (0.9, 1.2)]
    times = np.array([[100.0, 10.0, 50.0, 1.0]])
    members = [replace(member, times=times * (place + 1)) for place, member in enumerate(members)]
    joined = load_task("amplitudes").combine(members)
    # Logarithms are averaged.
    assert joined.metrics()["cross_section_bias"]["value"] == pytest.approx((0.9 * 1.2) ** 0.5 - 1)
    # Each member has to be asked, the truth but once.
    np.testing.assert_allclose(joined.times, [[150.0, 15.0, 150.0, 3.0]])


def test_settings() -> None:
    task = load_task("amplitudes")
    assert task.read_settings({"quantiles": [0.99]}).quantiles == (0.99,)
    for wrong, message in (
        ({"quantiles": []}, "quantiles"),
        ({"quantiles": [1.5]}, "quantiles.0"),
        ({"timed_batch": 1}, "timed_batch"),
        ({"seeds": 1}, "did you mean 'seed'"),
    ):
        with pytest.raises(TrainingError, match=message):
            task.read_settings(wrong)


# ---- as a user ------------------------------------------------------------------------------


def run(*arguments: object) -> Any:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


def test_train_and_evaluate(tmp_path: Path) -> None:
    spec = tmp_path / "model.yaml"
    spec.write_text(yaml.safe_dump({**SMALL, "head": {"name": "amplitude-ratio", "reference": "factorised"}}))
    data = "amplitudes:num_events=300"
    run("train", spec, "-d", data, "-s", "max_steps=3", "-t", "timed_batch=8", "-o", tmp_path / "a")
    metrics = json.loads((tmp_path / "a" / "metrics.json").read_text())
    assert {"log_mse", "unweighting_gain", "time_gain", "outside_region"} <= set(metrics)
    result = run(
        "evaluate", tmp_path / "a", "--plots", tmp_path / "figures", "-t", "quantiles=[0.9]", "--json"
    )
    assert json.loads(result.stdout)["second_maximum"] < metrics["second_maximum"]
    names = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert {"prediction", "residuals-1", "unweighted-leading-pt", "unweighted-sqrt-s"} <= names
    usual = tmp_path / "usual.yaml"
    usual.write_text(yaml.safe_dump({**SMALL, "head": "density"}))
    run(
        "train",
        usual,
        "-d",
        data,
        "-s",
        "max_steps=3",
        "--task",
        "amplitudes",
        "-t",
        "times=false",
        "-o",
        tmp_path / "b",
    )
    # Pulls, where the head predicts deviations.
    assert {"pull_width", "unweighting_gain"} <= set(
        json.loads((tmp_path / "b" / "metrics.json").read_text())
    )
    wrong = CliRunner().invoke(
        app, ["train", str(usual), "-d", data, "--task", "classification", "-o", str(tmp_path / "c")]
    )
    assert wrong.exit_code != 0
    assert "not for 'regression'" in str(wrong.exception) + wrong.output


def test_a_study_over_multiplicities(tmp_path: Path) -> None:
    study = {
        "name": "small",
        "dataset": "amplitudes:multiplicity=[1, 2],num_events=300",
        "axes": {"backbone": ["mlp:num_particles=6,hidden=[8]", "deep-sets:hidden=[8]"]},
        "fixed": {"embedding": "invariants"},
        "seeds": 2,
        "task": "amplitudes",
        "test": {"quantiles": [0.99, 1.0], "timed_batch": 4},
        "budget": {"steps": 3},
    }
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(study, allow_unicode=True))
    out = tmp_path / "out"
    run("study", "run", path, "--out", out, "--workers", 1)
    page = (out / "report.html").read_text()
    for text in (
        "Two-stage unweighting",
        "qq-Zng n=1",
        "Errors by |M|²",
        "Times for a point",
        "Where a line reaches 1 - quantile",
        "Relative errors in bins of equal width",
    ):
        assert text in page, text
    tables = (out / "tables.txt").read_text()
    assert "Gain in time" in tables
    lines = (out / "results.csv").read_text().splitlines()
    assert "cross_section_bias_error" in lines[0]
    assert len(lines) == 3


def test_the_study_that_comes_with_it_is_sound() -> None:
    study = load_study(Path(lz.__file__).parents[1] / "examples" / "studies" / "amplitudes.yaml")
    assert study.task == "amplitudes"


# ---- figures and tables of odd predictions --------------------------------------------------


@pytest.mark.filterwarnings("ignore:Data has no positive values")
@pytest.mark.parametrize("case", ["signed", "zeros", "nothing", "constant", "one", "weightless"])
def test_figures_and_tables_of_odd_predictions(case: str) -> None:
    factor = {"factor": lambda momenta: torch.cos(momenta[:, 2, 1] / 60)} if case == "signed" else {}
    dataset = load(2, 1 if case == "one" else 60, **factor)
    values = 1.1 * dataset.target.numpy()
    if case in ("zeros", "nothing"):
        values[: 5 if case == "zeros" else None] = 0.0
    if case == "constant":
        values[:] = 1e-4
    if case == "weightless":
        dataset.weight = torch.zeros_like(dataset.weight)
    one, task = predictions_of(dataset, values), load_task("amplitudes")
    row = Row("row", Look("#3f90da", "-", "o"), (0,), (one.metrics(),), ({},), ([],), lambda place: one)
    json.dumps(one.metrics(), allow_nan=False)
    figures = [*task.details([one]), *task.figures([row])]
    assert len(figures) == {"weightless": 0, "nothing": 4}.get(case, 11)
    for table in task.tables([row]).values():
        assert all(len(line) == len(table.columns) for line in table.rows)

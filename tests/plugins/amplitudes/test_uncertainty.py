"""How sure surrogates are: ensembles, calibrated widths, coverage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from typer.testing import CliRunner

import lorentzoo as lz
from lorentzoo.cli.main import app
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.targets.calibration import calibrate
from lorentzoo.plugins.amplitudes.task.ensembles import combine_members
from lorentzoo.plugins.amplitudes.task.metrics import coverage_metrics
from lorentzoo.plugins.amplitudes.task.plots import plot_coverage
from lorentzoo.plugins.amplitudes.task.predictions import AmplitudePredictions


def members_of(values: np.ndarray, deviation: float | None = None) -> list[lz.ValuePredictions]:
    count = values.shape[1]
    return [
        lz.ValuePredictions(
            values=row[:, None],
            target=np.ones((count, 1)),
            weight=np.ones(count),
            event_id=np.arange(count),
            deviation=None if deviation is None else deviation * np.abs(row[:, None]),
        )
        for row in values
    ]


@given(
    seed=st.integers(0, 999),
    members=st.integers(2, 6),
    scale=st.floats(1e-30, 1e10),
    sign=st.sampled_from([1, -1]),
)
@settings(max_examples=30, deadline=None)
def test_members_are_combined_in_logarithms(seed: int, members: int, scale: float, sign: int) -> None:
    logs = 0.3 * np.random.default_rng(seed).normal(size=(members, 40))
    values, deviation = combine_members(members_of(sign * scale * np.exp(logs)))
    np.testing.assert_allclose(values[:, 0], sign * scale * np.exp(logs.mean(0)), rtol=1e-10)
    np.testing.assert_allclose(deviation[:, 0] / np.abs(values[:, 0]), logs.std(0, ddof=1), rtol=1e-6)
    # Widths of their own add in quadrature.
    _, wider = combine_members(members_of(sign * scale * np.exp(logs), 0.1))
    found = np.square(wider) - np.square(deviation)
    np.testing.assert_allclose(found[:, 0] / np.square(values[:, 0]), np.log1p(0.01), rtol=1e-5)


def test_members_that_differ_in_sign_have_plain_means() -> None:
    values, deviation = combine_members(members_of(np.array([[1.0, 0.0, 4.0], [-3.0, 2.0, 9.0]])))
    np.testing.assert_allclose(values[:, 0], [-1.0, 1.0, 6.0])
    np.testing.assert_allclose(deviation[:2, 0], [8**0.5, 2**0.5])


def test_coverage_of_normal_errors() -> None:
    rng = np.random.default_rng(0)
    target, deviation = np.full(40_000, 5.0), rng.uniform(0.1, 1.0, 40_000)
    values = target + deviation * rng.normal(size=40_000)
    found = coverage_metrics(values, target, np.ones(40_000), deviation)
    assert found["coverage_1"] == pytest.approx(0.6827, abs=0.01)
    assert found["coverage_2"] == pytest.approx(0.9545, abs=0.005)
    one = AmplitudePredictions(
        values=values[:, None],
        target=target[:, None],
        weight=np.ones(40_000),
        event_id=np.arange(40_000),
        deviation=deviation[:, None],
    )
    axes = plot_coverage(one, ax=Figure().subplots())
    found_line, normal = axes.get_lines()
    heights = np.interp(normal.get_xdata(), found_line.get_xdata(), found_line.get_ydata())
    np.testing.assert_allclose(heights, normal.get_ydata(), atol=0.01)
    with pytest.raises(ValueError, match="no uncertainties"):
        plot_coverage(AmplitudePredictions(**{**vars(one), "deviation": None}))


def density(data: lz.JetDataset) -> lz.Model:
    model = lz.create_model("amplitude-recipe-density", backbone={"hidden": [8]})
    model.fit_statistics([data[:]])
    return model


def test_widths_are_calibrated(tmp_path: Path) -> None:
    data, fresh = (
        lz.load_dataset("amplitudes", multiplicity=2, num_events=600, seed=seed) for seed in (0, 1)
    )
    model = density(data)
    found = calibrate(model, data)
    normal = model.head.distribution(model(data[:].cloud)).base_dist
    pull = ((data.target.log() - normal.loc[:, 0]) / normal.scale[:, 0]).abs()
    assert float((pull <= 1).double().mean()) == pytest.approx(0.6827, abs=0.005)
    assert found != pytest.approx(1, rel=0.05)
    assert calibrate(model, data) == pytest.approx(found, rel=0.02)
    # The number lives with the weights, and widens fresh points too.
    lz.save(model, tmp_path / "model")
    again = lz.load(tmp_path / "model")
    assert float(again.head.temperature) == pytest.approx(float(model.head.temperature))
    normal = again.head.distribution(again(fresh[:].cloud)).base_dist
    pull = ((fresh.target.log() - normal.loc[:, 0]) / normal.scale[:, 0]).abs()
    assert float((pull <= 1).double().mean()) == pytest.approx(0.6827, abs=0.08)
    model.fit_statistics([data[:]], refit=True)
    assert float(model.head.temperature) == 1


def test_what_cannot_be_calibrated_is_named() -> None:
    data = lz.load_dataset("amplitudes", multiplicity=2, num_events=200)
    model = density(data)
    with pytest.raises(AmplitudeError, match="at least 100 events, not 20"):
        calibrate(model, data.subset(range(20)))
    with pytest.raises(AmplitudeError, match="this model has AmplitudeRatio"):
        calibrate(lz.create_model("log-polynomial"), data)
    signed = lz.load_dataset(
        "amplitudes", multiplicity=2, num_events=200, factor=lambda p: torch.cos(p[:, 2, 1])
    )
    with pytest.raises(AmplitudeError, match="needs positive targets"):
        calibrate(model, signed)


def test_an_ensemble_as_a_user_evaluates_it(tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == 0, result.output
        return result.output

    runs = [str(tmp_path / f"run-{seed}") for seed in (0, 1)]
    for seed, path in enumerate(runs):
        common = ["--dataset", "amplitudes:multiplicity=2,num_events=600", "--test", "times=false"]
        settings = ["-s", "cpu_seconds=0.3", "-s", f"seed={seed}"]
        run("train", "amplitude-recipe:backbone={hidden: [16]}", "--out", path, *common, *settings)
    output = run("evaluate", *runs, "--test", "times=false", "--json")
    found = json.loads(output[output.index("{") :])
    text = json.dumps(found)
    assert "coverage_1" in text
    assert "pull_width" in text

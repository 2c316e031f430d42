"""What a classifier rejects, confuses and scores, against counting by hand and scipy's beta distribution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

from lorentzoo.tasks.classification import plots
from lorentzoo.tasks.classification.diagnostics import (
    binned_efficiency,
    confusion_matrix,
    equal_bins,
    pair_rejection,
    reliability,
)
from lorentzoo.tasks.classification.figures import classification_figures
from lorentzoo.tasks.classification.metrics import EFFICIENCY_GRID, background_rejection, rejection_curve
from lorentzoo.tasks.classification.predictions import ClassPredictions
from lorentzoo.tasks.classification.tables import rejection_table


def predictions(names: tuple[str, ...], events: int = 900, seed: int = 0) -> ClassPredictions:
    rng = np.random.default_rng(seed)
    target = np.arange(events) % len(names)
    logits = rng.normal(size=(events, len(names))) + 1.5 * np.eye(len(names))[target]
    values = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    pt, mass = rng.uniform(500, 700, events), rng.gamma(8, 12, events)
    weight = rng.uniform(0.5, 2, events)
    return ClassPredictions(values, target, weight, np.arange(events), class_names=names, pt=pt, mass=mass)


THREE = predictions(("qcd", "h_bb", "t_bl"))
TWO = predictions(("qcd", "top"))


def test_intervals_are_those_of_clopper_and_pearson() -> None:
    passes = np.array([True, False, False, False, True, True, False])
    observable = np.array([0.0, 0.5, 0.5, 0.9, 1.0, 3.0, 9.0])
    found = binned_efficiency(passes, observable, np.ones(7), np.array([0.0, 1.0, 2.5, 2.8, 3.0]))
    assert found.events.tolist() == [4, 1, 0, 1]
    assert found.value[[0, 1, 3]].tolist() == [0.25, 1.0, 1.0]
    assert np.isnan(found.value[2])
    tail = stats.norm.cdf(-1)
    assert found.low[0] == pytest.approx(stats.beta.ppf(tail, 1, 4))
    assert found.high[0] == pytest.approx(stats.beta.ppf(1 - tail, 2, 3))
    assert found.low[1] == pytest.approx(stats.beta.ppf(tail, 1, 1))
    assert found.high[1] == 1


def test_weighted_bins_count_effective_events() -> None:
    found = binned_efficiency(
        np.array([True, False]), np.array([0.2, 0.4]), np.array([3.0, 1.0]), np.array([0.0, 1.0])
    )
    assert found.value[0] == pytest.approx(0.75)
    assert found.events[0] == pytest.approx(16 / 10)


def test_equal_bins_need_different_values() -> None:
    assert equal_bins(np.arange(5.0), 2).tolist() == [0, 2, 4]
    with pytest.raises(ValueError, match="two different values"):
        equal_bins(np.ones(5), 3)


def test_confusions_are_weighted_fractions_of_the_true_class() -> None:
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    assert confusion_matrix(p, np.array([0, 0, 1]), np.array([3.0, 1.0, 2.0])).tolist() == [
        [0.75, 0.25],
        [0, 1],
    ]


def test_reliability_by_hand() -> None:
    found = reliability(
        np.array([0.1, 0.3, 0.8, 1.0]), np.array([False, True, True, True]), np.array([1.0, 1, 1, 1]), bins=2
    )
    assert found.predicted == pytest.approx([0.2, 0.9])
    assert found.observed.value.tolist() == [0.5, 1.0]
    assert found.expected_error == pytest.approx(0.5 * 0.3 + 0.5 * 0.1)


def test_two_of_three_classes_are_compared_alone() -> None:
    found = pair_rejection(THREE.values, THREE.target, THREE.weight, 1, 0, 0.5)
    assert found is not None
    chosen = THREE.target < 2
    # p_S/(p_S + p_B) rises with p_S/p_B.
    ratio = THREE.values[chosen, 1] / THREE.values[chosen, 0]
    expected = background_rejection(ratio, THREE.target[chosen] == 1, THREE.weight[chosen], 0.5)
    assert found.value == pytest.approx(expected.value)
    assert pair_rejection(THREE.values, np.zeros(900, int), THREE.weight, 1, 0, 0.5) is None


def test_curves_pass_through_rejections_at_working_points() -> None:
    score, is_signal = TWO.values[:, 1], TWO.target == 1
    curve = np.exp(rejection_curve(score, is_signal, np.ones(900)))
    at_half = np.interp(0.5, EFFICIENCY_GRID, curve)
    assert at_half == pytest.approx(background_rejection(score, is_signal, np.ones(900), 0.5).value, rel=0.1)
    assert np.isnan(rejection_curve(score, np.ones(900, bool), np.ones(900))).all()


def test_the_table_uses_published_working_points() -> None:
    table = rejection_table([THREE, predictions(THREE.class_names, seed=1)])
    assert table.columns == ("Signal", "ε_S", "qcd", "h_bb", "t_bl")
    assert [row[1].text for row in table.rows] == ["50 %", "50 %", "99.5 %"]
    assert table.rows[1][3].text == "–"
    with pytest.raises(ValueError, match="different classes"):
        rejection_table([TWO, THREE])


@pytest.mark.parametrize("one", [TWO, THREE], ids=["two", "three"])
def test_figures_are_drawn_on_given_axes(one: ClassPredictions) -> None:
    for draw, labels in (
        (lambda ax: plots.plot_rejections([one], ax=ax), list(one.class_names[1:])),
        (lambda ax: plots.plot_scores(one, ax=ax), list(one.class_names)),
        (lambda ax: plots.plot_efficiency(one, "mass", ax=ax), list(one.class_names)),
        (lambda ax: plots.plot_calibration(one, ax=ax), None),
    ):
        ax = Figure().subplots()
        assert draw(ax) is ax
        if labels is not None:
            assert ax.get_legend_handles_labels()[1] == labels


def test_confusion_figure_writes_percent() -> None:
    ax = plots.plot_confusion(THREE)
    expected = 100 * confusion_matrix(THREE.values, THREE.target, THREE.weight)
    assert [text.get_text() for text in ax.texts] == [f"{value:.0f}" for value in expected.ravel()]


def test_efficiency_at_a_cut_shows_signal_and_qcd() -> None:
    ax = plots.plot_efficiency(THREE, "pt", signal="h_bb", edges=[500, 700])
    assert ax.get_legend_handles_labels()[1] == ["qcd", "h_bb"]
    signal = ax.containers[1].lines[0].get_ydata()
    assert signal == pytest.approx([0.5], abs=0.01)
    with pytest.raises(ValueError, match="no class 'h_cc'; the classes are qcd, h_bb, t_bl"):
        plots.plot_efficiency(THREE, signal="h_cc")
    with pytest.raises(ValueError, match="no pt beside them; evaluate the run again"):
        plots.plot_efficiency(replace(THREE, pt=None))


@pytest.mark.parametrize("one", [TWO, THREE, predictions(tuple(f"class_{i}" for i in range(10)))])
def test_all_figures_of_a_classifier(one: ClassPredictions) -> None:
    figures = classification_figures([one, replace(one, values=one.values[:, ::-1].copy())])
    names = ["rejection", "scores", "confusion", "calibration", "efficiency-pt", "efficiency-mass"]
    assert [figure.name for figure in figures] == names
    assert all(figure.caption and figure.axes.has_data() for figure in figures)
    without = classification_figures([replace(one, pt=None, mass=None)])
    assert [figure.name for figure in without] == names[:4]

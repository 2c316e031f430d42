"""Is an event of weight zero not there in any figure, table and distance, however odd its numbers?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

from lorentzoo.tasks.classification.figures import classification_figures
from lorentzoo.tasks.classification.metrics import rejection_curve
from lorentzoo.tasks.classification.plots import plot_roc
from lorentzoo.tasks.classification.predictions import ClassPredictions
from lorentzoo.tasks.classification.tables import rejection_table
from lorentzoo.tasks.generation.frechet import frechet_physics_distance
from lorentzoo.tasks.likelihood_ratio.plots import plot_ratios, ratio_figures
from lorentzoo.tasks.likelihood_ratio.predictions import RatioPredictions
from lorentzoo.tasks.predictions import Predictions, average_predictions
from lorentzoo.tasks.regression.plots import plot_errors, regression_figures
from lorentzoo.tasks.regression.predictions import ValuePredictions


class Look:
    """That of a row in figures."""

    colour, line, marker = "red", "-", "o"


class OneRow:
    """A row of one seed."""

    label, look = "a row", Look

    def __init__(self, run: Predictions) -> None:
        self.evaluations = [run]


def signed_weights(rng: np.random.Generator, count: int) -> np.ndarray:
    return np.where(rng.random(count) < 0.1, -0.5, 1.0) * rng.uniform(0.5, 2, count)


def classified(classes: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(classes)
    logits = 2 * rng.normal(size=(1500, classes))
    target = rng.integers(0, classes, 1500)
    logits[np.arange(1500), target] += 1
    logs = logits - np.logaddexp.reduce(logits, axis=1)[:, None]
    return {
        "values": np.exp(logs),
        "target": target,
        "weight": signed_weights(rng, 1500),
        "event_id": np.arange(1500),
        "pt": rng.uniform(100, 600, 1500),
        "mass": rng.uniform(10, 200, 1500),
        "log_values": logs,
    }


def regressed() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    target = rng.normal(size=(800, 2)) + 5
    return {
        "values": target + rng.normal(size=(800, 2)),
        "target": target,
        "weight": signed_weights(rng, 800),
        "event_id": np.arange(800),
        "deviation": np.full((800, 2), 1.0),
        "log_prob": rng.normal(size=800),
    }


def with_weightless(arrays: dict[str, np.ndarray], **odd: Any) -> dict[str, np.ndarray]:
    """As many events again of weight zero, with odd numbers."""
    more = {name: np.broadcast_to(odd.get(name, array), array.shape) for name, array in arrays.items()}
    more["weight"] = np.zeros(len(arrays["weight"]))
    return {name: np.concatenate([array, more[name]]) for name, array in arrays.items()}


def drawn(axes: Axes) -> list[Any]:
    """All numbers and texts of a figure."""
    found: list[Any] = [
        axes.get_xlim(),
        axes.get_ylim(),
        axes.get_xlabel(),
        axes.get_ylabel(),
        axes.get_xscale(),
    ]
    found += [np.asarray(line.get_xydata(), float) for line in axes.get_lines()]
    found += [np.asarray(patch.get_path().vertices, float) for patch in axes.patches]
    for collection in axes.collections:
        values = collection.get_array()
        found += [np.ma.filled(np.ma.asarray(values, float), np.nan)] if values is not None else []
        found += [np.asarray(path.vertices, float) for path in collection.get_paths()]
    return found + [text.get_text() for text in axes.texts]


def of_classes(run: Any) -> list[Any]:
    figures = [figure.axes for figure in classification_figures([run])]
    roc = plot_roc([OneRow(run)])  # type: ignore[list-item]
    curve = rejection_curve(run.values[:, 1], run.target == 1, run.weight)
    return [*(drawn(axes) for axes in [*figures, roc]), [curve, str(rejection_table([run]))]]


def of_values(run: Any) -> list[Any]:
    row: Any = OneRow(run)
    errors = [plot_errors({row: [run]}, target) for target in range(2)]
    return [drawn(axes) for axes in [*(figure.axes for figure in regression_figures([run])), *errors]]


def of_ratios(run: Any) -> list[Any]:
    row: Any = OneRow(run)
    return [
        drawn(axes) for axes in [*(figure.axes for figure in ratio_figures(run)), plot_ratios({row: run})]
    ]


def class_run(arrays: dict[str, np.ndarray]) -> ClassPredictions:
    names = ("QCD", "top", "W")[: arrays["values"].shape[1]]
    return ClassPredictions(**arrays, class_names=names)


def ratio_run(arrays: dict[str, np.ndarray]) -> RatioPredictions:
    logs = arrays["log_values"]
    return RatioPredictions(**arrays, class_names=("q", "p"), log_ratio=logs[:, 1] - logs[:, 0])


WILD = {"pt": 5000.0, "mass": 9000.0, "target": 0}


@pytest.mark.parametrize(
    ("arrays", "make", "show", "odd"),
    [
        pytest.param(classified(2), class_run, of_classes, WILD, id="two classes"),
        pytest.param(classified(3), class_run, of_classes, WILD, id="three classes"),
        pytest.param(classified(2), ratio_run, of_ratios, WILD, id="ratios"),
        *(
            pytest.param(regressed(), lambda arrays: ValuePredictions(**arrays), of_values, odd, id=name)
            for name, odd in {
                "far values": {"target": 1e4, "values": -1e4},
                "values of zero": {"target": 0.0},
                "no numbers": {"values": np.nan, "deviation": np.nan, "log_prob": np.nan},
            }.items()
        ),
    ],
)
def test_figures_and_tables(
    arrays: dict[str, np.ndarray],
    make: Callable[[dict[str, np.ndarray]], Predictions],
    show: Callable[[Any], list[Any]],
    odd: dict[str, Any],
) -> None:
    without, among = make(arrays), make(with_weightless(arrays, **odd))
    assert str(without.metrics()) == str(among.metrics())
    for first, second in zip(show(without), show(among), strict=True):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            if isinstance(one, str):
                assert one == other
            else:
                np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def test_distance_of_weighted_samples() -> None:
    """Importance weights, weights that cancel a contamination, and weightless events leave the distance of the truth."""
    pulls = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        generated, true, other = rng.normal(size=(3, 2000, 3))
        contamination = rng.normal(size=(2, 300, 3)) + 2
        cases = [
            # p/q of unit normals about 0 and about 0.3.
            (other + np.array([0.3, 0, 0]), np.exp(-0.3 * (other[:, 0] + 0.3) + 0.045)),
            (np.concatenate([true, *contamination]), np.repeat([1.0, 1.0, -1.0], [2000, 300, 300])),
            (np.concatenate([true, contamination[0] + 1e6]), np.repeat([1.0, 0.0], [2000, 300])),
        ]
        found = [frechet_physics_distance(generated, x, true_weight=w, seed=seed) for x, w in cases]
        pulls.append([one.value / one.error for one in found])
        assert found[2].value == pytest.approx(
            frechet_physics_distance(generated, true, seed=seed).value, rel=1e-9
        )
        assert frechet_physics_distance(generated, cases[1][0], seed=seed).value > 10 * abs(found[1].value)
    assert (np.abs(np.mean(pulls, axis=0)) < 1.5).all()
    with pytest.raises(ValueError, match="3 observables need at least 25 events of each sample"):
        frechet_physics_distance(generated, true, true_weight=np.where(np.arange(2000) % 2, 1.0, -0.9))


def test_an_ensemble_tells_saturated_events_apart() -> None:
    """Means of probabilities that are all rounded to one have their order from the logarithms."""
    logit = np.array([-42.0, -41.0, 41.0, 42.0, 43.0, -43.0])
    target = np.array([0, 0, 1, 1, 1, 0])
    members = []
    for shift in (0.0, 0.5):
        moved = logit + shift
        logs = np.stack([-np.logaddexp(0, moved), -np.logaddexp(0, -moved)], axis=1)
        members.append(ClassPredictions(np.exp(logs), target, np.ones(6), np.arange(6), log_values=logs))
    joined = average_predictions(members)
    assert joined.log_values is not None
    np.testing.assert_allclose(np.exp(joined.log_values), joined.values, rtol=1e-12)
    assert len(np.unique(joined.logs[:, 1] - joined.logs[:, 0])) == 6

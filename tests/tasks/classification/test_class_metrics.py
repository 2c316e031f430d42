"""Metrics against values computed by hand, with weights."""

from __future__ import annotations

import numpy as np
import pytest

from lorentzoo.output.weights import effective_number
from lorentzoo.registry.composition import build
from lorentzoo.tasks.classification.metrics import (
    auc,
    background_rejection,
    classification_metrics,
    roc_points,
)
from lorentzoo.tasks.classification.predictions import ClassPredictions
from lorentzoo.tasks.predictions import predict_events

SCORE = np.array([0.9, 0.8, 0.7, 0.4, 0.3, 0.1])
SIGNAL = np.array([True, False, True, True, False, False])
WEIGHT = np.array([1.0, 2.0, 3.0, 1.0, 1.0, 1.0])


def test_auc_counts_weighted_pairs() -> None:
    # Pairs (signal, background) with signal above: 0.9 over all (1*4), 0.7 over 0.3 and 0.1 (3*2), 0.4 too (1*2).
    assert auc(SCORE, SIGNAL, WEIGHT) == pytest.approx((1 * 4 + 3 * 2 + 1 * 2) / (5 * 4))


def test_auc_of_ties_is_half() -> None:
    assert auc(np.full(4, 0.5), np.array([True, False, True, False]), np.array([1.0, 2, 3, 4])) == 0.5


def test_rejection_with_weights() -> None:
    # ε_S = 0.5 needs weight 2.5 of 5: threshold 0.7, where background of weight 2 of 4 passes.
    found = background_rejection(SCORE, SIGNAL, WEIGHT, 0.5)
    assert found.value == pytest.approx(2.0)
    n = 16 / 6  # (2+1+1)²/(4+1+1)
    assert found.error == pytest.approx(np.sqrt(0.25 / n) / 0.25)
    assert (found.passing, found.is_limit) == (1, False)


def test_rejection_at_exactly_reached_efficiency() -> None:
    # The first signal event has weight 1 of 5: ε_S = 0.2 is reached by it alone, and nothing passes.
    found = background_rejection(SCORE, SIGNAL, WEIGHT, 0.2)
    assert found.is_limit
    assert found.passing == 0
    n = effective_number(WEIGHT[~SIGNAL])
    assert 1 / found.value == pytest.approx(1 - 0.05 ** (1 / n))
    assert found.error == 0


def test_zero_weight_events_do_not_count() -> None:
    weight = np.array([1.0, 0.0, 3.0, 1.0, 1.0, 1.0])
    assert background_rejection(SCORE, SIGNAL, weight, 0.5).is_limit
    assert auc(SCORE, SIGNAL, weight) == 1.0


def test_binary_metrics() -> None:
    metrics = classification_metrics(np.stack([1 - SCORE, SCORE], 1), SIGNAL.astype(int), WEIGHT)
    # Right: 0.9, 0.7 (signal), 0.3, 0.1 (background): weight 6 of 9.
    assert metrics["accuracy"] == pytest.approx(6 / 9)
    right = np.where(SIGNAL, SCORE, 1 - SCORE)
    assert metrics["log_loss"] == pytest.approx(-(WEIGHT * np.log(right)).sum() / 9)
    assert metrics["accuracy_error"] == pytest.approx(np.sqrt(6 / 9 * 3 / 9 / (81 / 17)))
    assert metrics["rejection_0.5"]["value"] == pytest.approx(2.0)


def test_two_classes_one_versus_rest_agree_with_binary() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, 300)
    logits = rng.normal(size=(300, 3)) + 2 * np.eye(3)[target]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    weight = rng.uniform(0.5, 2, 300)
    metrics = classification_metrics(p, target, weight, ["a", "b", "c"])
    assert metrics["classes"]["b"]["auc"] == pytest.approx(auc(p[:, 1], target == 1, weight))
    assert metrics["auc"] == pytest.approx(np.mean([metrics["classes"][c]["auc"] for c in "abc"]))
    mean = np.mean([1 / metrics["classes"][c]["rejection_0.5"]["value"] for c in "abc"])
    assert metrics["rejection_0.5"]["value"] == pytest.approx(1 / mean)


def test_a_class_without_events_has_no_curve() -> None:
    metrics = classification_metrics(np.array([[0.2, 0.8], [0.6, 0.4]]), np.array([1, 1]), np.ones(2))
    assert "auc" not in metrics
    assert metrics["accuracy"] == 0.5


def test_roc_points_rise_to_one() -> None:
    background, signal = roc_points(SCORE, SIGNAL, WEIGHT)
    assert background[0] == signal[0] == 0
    assert background[-1] == signal[-1] == 1
    assert (np.diff(background) >= 0).all()
    assert (np.diff(signal) >= 0).all()


def test_predictions_go_to_a_file_and_back(tmp_path) -> None:
    predictions = ClassPredictions(
        np.array([[0.2, 0.8]]), np.array([1]), np.ones(1), np.array([7]), class_names=("qcd", "top")
    )
    predictions.save(tmp_path / "p.npz")
    again = ClassPredictions.load(tmp_path / "p.npz")
    assert again.class_names == ("qcd", "top")
    assert again.values.tolist() == predictions.values.tolist()
    assert again.event_id.tolist() == [7]
    # Files of earlier versions have no momenta beside the predictions.
    assert again.pt is None
    assert again.mass is None


def test_momenta_stand_beside_predictions(tmp_path, jets, small_spec) -> None:
    found = predict_events(build(small_spec), jets.split("test"), batch_size=7)
    predictions = ClassPredictions(**found.arrays)
    total = jets.split("test").batch(list(range(len(predictions)))).cloud.total().numpy()
    assert predictions.pt == pytest.approx(np.hypot(total[:, 1], total[:, 2]))
    assert predictions.mass == pytest.approx(np.sqrt(total[:, 0] ** 2 - np.square(total[:, 1:]).sum(1)))
    predictions.save(tmp_path / "p.npz")
    again = ClassPredictions.load(tmp_path / "p.npz")
    assert (again.pt == predictions.pt).all()
    assert (again.mass == predictions.mass).all()

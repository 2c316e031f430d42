"""Do metrics, losses and statistics mean what their definitions say, under weights of either sign and of zero?"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lorentzoo.core.means import mean_and_deviation, mean_loss
from lorentzoo.studies.metrics import (
    auc,
    classification_metrics,
    effective_number,
    ratio_metrics,
    regression_metrics,
    roc_points,
)


@st.composite
def samples(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with ties, both classes, weights of both signs and zeros whose sums are positive in each class."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    count = draw(st.integers(20, 80))
    target = np.arange(count) % 2
    score = np.round(rng.normal(size=count) + target, draw(st.integers(0, 3)))
    weight = np.where(rng.random(count) < 0.2, -0.7, 1.0) * rng.uniform(0.5, 2.0, count)
    weight[rng.random(count) < 0.15] = 0.0
    for label in (0, 1):
        if weight[target == label].sum() <= 0:
            weight[target == label] = 1.0
    return score, target, weight


@given(samples())
def test_auc_is_the_sum_over_pairs(sample: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    score, target, weight = sample
    signal = target == 1
    s, b, ws, wb = score[signal], score[~signal], weight[signal], weight[~signal]
    above = (s[:, None] > b) + 0.5 * (s[:, None] == b)
    expected = (ws[:, None] * wb * above).sum() / (ws.sum() * wb.sum())
    assert auc(score, signal, weight) == pytest.approx(expected, abs=1e-12)


@given(samples())
def test_roc_points_are_sums_above_each_threshold(sample: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    score, target, weight = sample
    background, signal = roc_points(score, target == 1, weight)
    for place, threshold in enumerate(sorted(set(score), reverse=True), start=1):
        passes = score >= threshold
        for found, label in ((background, 0), (signal, 1)):
            of = target == label
            assert found[place] == pytest.approx(weight[of & passes].sum() / weight[of].sum(), abs=1e-12)


@given(samples())
def test_an_event_of_weight_zero_is_not_there(sample: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    score, target, weight = sample
    there = weight != 0
    probability = 1 / (1 + np.exp(-score))
    values = np.stack([1 - probability, probability], 1)
    assert classification_metrics(values, target, weight) == classification_metrics(
        values[there], target[there], weight[there]
    )
    truth = score + 0.1 * target
    assert regression_metrics(score, truth, weight) == regression_metrics(
        score[there], truth[there], weight[there]
    )
    assert ratio_metrics(score, target, weight) == ratio_metrics(score[there], target[there], weight[there])


@given(samples())
def test_means_are_plain_weighted_sums(sample: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    score, target, weight = sample
    truth = target + 0.5
    found = regression_metrics(score, truth, weight)
    assert found["mse"] == pytest.approx((weight * (score - truth) ** 2).sum() / weight.sum(), rel=1e-9)
    assert found["bias"] == pytest.approx(
        (weight * (score - truth)).sum() / weight.sum(), rel=1e-9, abs=1e-12
    )
    losses, weights = torch.from_numpy(score), torch.from_numpy(weight)
    assert float(mean_loss(losses, weights)) == pytest.approx((weight * score).sum() / np.abs(weight).sum())
    size = np.abs(weight)
    mean, deviation = mean_and_deviation(losses[:, None], weights)
    assert float(mean[0]) == pytest.approx((size * score).sum() / size.sum())
    assert float(deviation[0]) > 0
    assert effective_number(weight) == pytest.approx(weight.sum() ** 2 / (weight**2).sum())


def test_saturated_scores_are_told_apart() -> None:
    """Logits of 40 and 41 are the same probability in float64, and not the same score."""
    logit = np.array([-41.0, -40.0, 40.0, 41.0])
    target = np.array([0, 0, 1, 1])
    logs = np.stack([-np.logaddexp(0, logit), -np.logaddexp(0, -logit)], 1)
    found = classification_metrics(np.exp(logs), target, np.ones(4), log_probabilities=logs)
    assert found["auc"] == 1.0
    wrong = classification_metrics(np.exp(logs), 1 - target, np.ones(4), log_probabilities=logs)
    assert wrong["log_loss"] == pytest.approx(40.5)
    assert classification_metrics(np.exp(logs), np.array([0, 1, 0, 1]), np.ones(4), log_probabilities=logs)[
        "auc"
    ] == pytest.approx(0.75)

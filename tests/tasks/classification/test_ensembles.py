"""Several models together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lorentzoo.core.errors import RunError
from lorentzoo.tasks.classification.predictions import ClassPredictions
from lorentzoo.tasks.predictions import average_predictions


def _noisy(seed: int, count: int = 2000) -> ClassPredictions:
    target = np.arange(count) % 2
    noise = np.random.default_rng(seed).normal(size=count)
    probability = 1 / (1 + np.exp(-(2.0 * target - 1.0 + 1.5 * noise)))
    values = np.stack([1 - probability, probability], -1)
    return ClassPredictions(values, target, np.ones(count), np.arange(count), class_names=("qcd", "top"))


def test_independent_errors_average_out() -> None:
    members = [_noisy(seed) for seed in range(5)]
    together = average_predictions(members)
    np.testing.assert_allclose(together.values, sum(member.values for member in members) / 5)
    assert together.metrics()["auc"] > max(member.metrics()["auc"] for member in members) + 0.05
    np.testing.assert_array_equal(average_predictions(members[:1]).values, members[0].values)


def test_what_does_not_belong_together_is_refused() -> None:
    first = _noisy(0)
    with pytest.raises(RunError, match="at least one member"):
        average_predictions([])
    with pytest.raises(RunError, match="predict different events"):
        average_predictions([first, replace(first, event_id=first.event_id + 1)])
    with pytest.raises(RunError, match=r"different things: classification \(2000, 2\)"):
        average_predictions([first, _noisy(0, 100)])

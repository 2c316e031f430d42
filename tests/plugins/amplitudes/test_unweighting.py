"""Two-stage unweighting and the numbers of errors, against what is known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorentzoo.plugins.amplitudes.task.metrics import (
    average_channels,
    cross_section_bias,
    error_metrics,
    relative_errors,
    standardised_errors,
    unweighting_metrics,
)
from lorentzoo.plugins.amplitudes.task.unweighting import Unweighting, draw_unweighted, unweight

SEEDS = st.integers(0, 2**16)
GRID = (np.arange(200_000) + 0.5) / 200_000
"""Points that are uniform between zero and one without any noise; the truth x has the density 2x."""
NUMBERS = (
    "plain_efficiency",
    "plain_kish",
    "first_efficiency",
    "second_efficiency",
    "second_maximum",
    "kish_fraction",
)


def numbers(steps: Unweighting) -> list[float]:
    return [getattr(steps, name) for name in (*NUMBERS, "gain", "truth_per_event")]


def random_points(seed: int, count: int = 400) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(seed)
    truth = rng.lognormal(sigma=1.5, size=count)
    return truth, truth * rng.lognormal(sigma=0.3, size=count), rng


@pytest.mark.parametrize("quantile", [1.0, 0.999, 0.9, 0.5])
def test_plain_unweighting_of_a_straight_line(quantile: float) -> None:
    # Above m lies the part 1 - m² of ∫ x dx, so that the maximum is √q.
    m = math.sqrt(quantile)
    steps = unweight(GRID, np.ones_like(GRID), quantile)
    efficiency = m / 2 + 1 - m
    squares = m / 2 + (1 - m**3) / (3 * m**2)
    assert steps.plain_efficiency == pytest.approx(efficiency, rel=1e-4)
    assert steps.plain_kish == pytest.approx((1 / (2 * m)) ** 2 / (efficiency * squares), rel=1e-4)
    # A surrogate that knows nothing proposes all points, and the second step is the plain one.
    assert steps.first_efficiency == 1.0
    assert steps.second_efficiency == pytest.approx(efficiency, rel=1e-4)
    assert steps.gain == pytest.approx(1.0, rel=1e-12)
    assert steps.second_maximum == pytest.approx(2 * m, rel=1e-4)


@given(seed=SEEDS, quantile=st.sampled_from([1.0, 0.999, 0.9]), factor=st.floats(1e-6, 1e6))
def test_a_perfect_surrogate_saves_all_that_plain_unweighting_wastes(
    seed: int, quantile: float, factor: float
) -> None:
    truth, _, _ = random_points(seed)
    steps = unweight(truth, factor * truth, quantile)
    np.testing.assert_allclose(steps.ratio * factor, 1.0, rtol=1e-12)
    assert steps.second_efficiency == pytest.approx(1.0, rel=1e-9)
    assert steps.second_maximum == pytest.approx(1.0, rel=1e-9)
    assert steps.first_efficiency == pytest.approx(steps.plain_efficiency, rel=1e-9)
    assert steps.kish_fraction == pytest.approx(steps.plain_kish, rel=1e-6)
    # The gain is the ratio of the efficiencies of the steps in which the truth is evaluated.
    assert steps.gain == pytest.approx(1 / steps.plain_efficiency, rel=1e-6)
    assert steps.time_gain(0.0) == pytest.approx(steps.gain)
    # A surrogate as slow as the truth gains nothing.
    assert steps.time_gain(1.0) < 1.0


def test_a_surrogate_that_is_wrong_by_known_factors() -> None:
    # x is 1/2 and 2 at every other point: the second step keeps a quarter of the one half and all of the other.
    factor = np.where(np.arange(len(GRID)) % 2, 0.5, 2.0)
    steps = unweight(GRID, GRID / factor, 1.0)
    share = 4 / 5  # of the proposed points that have x = 1/2
    assert steps.second_efficiency == pytest.approx(share / 4 + (1 - share), rel=1e-4)
    assert steps.kish_fraction == pytest.approx(1.0)
    assert steps.second_maximum == pytest.approx(2 / (share / 2 + 2 * (1 - share)), rel=1e-4)
    assert steps.truth_per_event == pytest.approx(1 / 0.4, rel=1e-4)
    ratio = 0.01
    expected = 1 / (
        ratio * 0.5 / (steps.first_efficiency * steps.second_efficiency) + 0.5 / steps.second_efficiency
    )
    assert steps.time_gain(ratio) == pytest.approx(expected, rel=1e-4)


@given(seed=SEEDS, scale=st.floats(1e-9, 1e9), quantile=st.floats(0.5, 1.0))
def test_units_and_order_do_not_matter(seed: int, scale: float, quantile: float) -> None:
    truth, surrogate, rng = random_points(seed)
    steps = unweight(truth, surrogate, quantile)
    order = rng.permutation(len(truth))
    scaled = unweight(scale * truth[order], surrogate[order] / scale, quantile)
    np.testing.assert_allclose(numbers(scaled), numbers(steps), rtol=1e-6)
    assert all(0 < value <= 1 + 1e-12 for value in numbers(steps)[:4])
    # What is kept, times its overweight, is the truth.
    kept = steps.first * steps.second * steps.overweight
    np.testing.assert_allclose(kept / kept.sum(), truth / truth.sum(), rtol=1e-9)


@given(seed=SEEDS)
def test_signs_are_kept(seed: int) -> None:
    truth, surrogate, rng = random_points(seed)
    sign = np.where(rng.random(len(truth)) < 0.3, -1.0, 1.0)
    positive, signed = unweight(truth, surrogate, 0.999), unweight(sign * truth, surrogate, 0.999)
    # The surrogate's own signs are of no importance.
    np.testing.assert_allclose(
        numbers(unweight(sign * truth, -sign * surrogate, 0.999)), numbers(signed), rtol=1e-12
    )
    assert signed.second_efficiency == pytest.approx(positive.second_efficiency)
    # Events of both signs are worth less: in proportion to the square of what is left of their sum.
    kept = positive.first * positive.second * positive.overweight
    left = (kept * sign).sum() / kept.sum()
    assert signed.kish_fraction == pytest.approx(positive.kish_fraction * left**2, rel=1e-9)
    assert set(np.sign(signed.overweight)) <= {-1.0, 1.0}
    np.testing.assert_array_equal(np.sign(signed.overweight), sign)


def test_unweighted_events_have_the_distribution_of_the_truth() -> None:
    rng = np.random.default_rng(3)
    x = rng.random(40_000)
    truth, surrogate = x, x * np.exp(0.4 * np.sin(9 * x)) * rng.lognormal(sigma=0.2, size=len(x))
    steps = unweight(truth, surrogate, 0.99)
    places, overweight = draw_unweighted(steps, rng)
    expected = (steps.first * steps.second).sum()
    assert abs(len(places) - expected) < 4 * math.sqrt(expected)
    assert (overweight > 1).any()
    edges = np.linspace(0, 1, 21)

    def chi_square(values: np.ndarray, weight: np.ndarray) -> float:
        contents, _ = np.histogram(values, edges, weights=weight / weight.sum())
        errors, _ = np.histogram(values, edges, weights=np.square(weight / weight.sum()))
        return float((np.square(contents - np.diff(edges**2)) / errors).sum() / (len(edges) - 2))

    # Mean one, deviation 0.32.
    assert chi_square(x[places], overweight) < 2.2
    # What the first step alone proposes is far from it.
    proposed = np.flatnonzero(rng.random(len(x)) < steps.first)
    assert chi_square(x[proposed], np.ones(len(proposed))) > 10
    # Several passes draw several times as many.
    more, _ = draw_unweighted(steps, rng, passes=3)
    assert abs(len(more) - 3 * expected) < 4 * math.sqrt(3 * expected)


def test_larger_quantiles_have_larger_maxima_and_fewer_overweights() -> None:
    truth, surrogate, _ = random_points(1, 5000)
    found = [unweight(truth, surrogate, quantile) for quantile in (0.9, 0.99, 0.999, 1.0)]
    maxima = [steps.second_maximum for steps in found]
    assert maxima == sorted(maxima)
    assert [steps.kish_fraction for steps in found] == sorted(steps.kish_fraction for steps in found)
    assert found[-1].kish_fraction == pytest.approx(1.0)
    efficiencies = [steps.second_efficiency for steps in found]
    assert efficiencies == sorted(efficiencies, reverse=True)


def test_points_without_weight() -> None:
    truth = np.array([1.0, 2.0, 3.0, 0.0])
    # A point where the surrogate vanishes is never proposed, and its weight is lost.
    steps = unweight(truth, np.array([1.0, 2.0, 0.0, 0.0]), 1.0)
    assert steps.lost == pytest.approx(0.5)
    assert steps.first[2:].tolist() == [0.0, 0.0]
    assert np.isnan(steps.ratio[2])
    assert steps.second_efficiency == pytest.approx(1.0)
    nothing = unweight(np.zeros(3), np.zeros(3), 0.999)
    assert math.isnan(nothing.gain)
    assert unweighting_metrics(nothing) == {"plain_efficiency": 0.0, "first_efficiency": 0.0}
    with pytest.raises(ValueError, match=r"lies in \(0, 1\], not 0"):
        unweight(truth, truth, 0)


@given(seed=SEEDS, bias=st.floats(-0.5, 0.5))
def test_an_injected_bias_of_the_cross_section_is_found(seed: int, bias: float) -> None:
    truth, _, rng = random_points(seed)
    weight = rng.uniform(0.5, 1.5, len(truth))
    found, error = cross_section_bias((1 + bias) * truth, truth, weight)
    assert found == pytest.approx(bias, abs=1e-12)
    assert error == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("signed", [False, True])
def test_the_error_of_the_bias_covers_it(signed: bool) -> None:
    rng = np.random.default_rng(0)
    pulls = []
    for _ in range(400):
        truth = rng.lognormal(size=1000)
        weight = np.where(rng.random(1000) < 0.2, -1.0, 1.0) if signed else rng.uniform(0.5, 1.5, 1000)
        values = truth * (1.03 + 0.3 * rng.normal(size=1000))
        found, error = cross_section_bias(values, truth, weight)
        pulls.append((found - 0.03) / error)
    assert abs(np.mean(pulls)) < 0.2
    assert np.std(pulls) == pytest.approx(1.0, abs=0.12)


def test_errors_of_known_size() -> None:
    truth = np.exp(np.linspace(-3, 3, 1001))
    weight = np.ones(1001)
    variance = np.log(truth).var()
    found = error_metrics(truth * np.exp(0.02), truth, weight)
    assert found["log_mse"] == pytest.approx(0.02**2 / variance)
    assert found["log_median"] == pytest.approx(0.02**2 / variance)
    assert found["delta_50"] == pytest.approx(np.expm1(0.02))
    assert (found["beyond_1"], found["beyond_10"], found["not_positive"]) == (1.0, 0.0, 0.0)
    # Units are without meaning.
    again = error_metrics(5e-9 * truth * np.exp(0.02), 5e-9 * truth, weight)
    assert again == pytest.approx(found)
    wild = truth.copy()
    wild[:20] *= 1.5
    found = error_metrics(wild, truth, weight)
    assert found["beyond_10"] == pytest.approx(20 / 1001)
    assert found["delta_90"] == 0.0
    assert found["delta_99"] == pytest.approx(0.5)


def test_errors_of_targets_of_either_sign() -> None:
    truth = np.linspace(-5, 5, 1000)
    shifted = np.sign(truth) * np.expm1(np.log1p(np.abs(truth)) + 0.1)
    squares = standardised_errors(shifted, truth, np.ones(1000))
    assert squares is not None
    variance = (np.sign(truth) * np.log1p(np.abs(truth))).var()
    np.testing.assert_allclose(squares, 0.01 / variance)
    found = error_metrics(-truth, truth, np.ones(1000))
    assert found["delta_50"] == pytest.approx(2.0)
    assert "not_positive" not in found
    assert len(relative_errors(np.ones(3), np.array([1.0, 0.0, 2.0]))) == 2


def test_predictions_without_a_logarithm_are_counted() -> None:
    truth, values = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, -3.0, 4.0])
    found = error_metrics(values, truth, np.ones(4))
    assert "log_mse" not in found
    assert found["not_positive"] == 0.25
    # Nor is there anything to standardise by where the truth does not vary.
    assert standardised_errors(truth, np.full(4, 1e-30), np.ones(4)) is None


def test_channels_are_averaged_by_their_points() -> None:
    found = average_channels(
        [
            {"gain": 2.0, "bias": {"value": 0.1, "error": 0.03}, "only": 1.0},
            {"gain": 4.0, "bias": {"value": -0.1, "error": 0.04}},
        ],
        [300, 100],
    )
    assert found["gain"] == pytest.approx(2.5)
    assert found["bias"]["value"] == pytest.approx(0.05)
    assert found["bias"]["error"] == pytest.approx(math.hypot(0.75 * 0.03, 0.25 * 0.04))
    assert "only" not in found
    assert average_channels([], []) == {}

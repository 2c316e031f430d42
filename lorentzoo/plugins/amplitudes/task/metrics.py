"""How far is a surrogate from the amplitude, in the numbers by which event generators judge?

Every function takes float64 arrays (B,) of one channel or of all, without events of weight zero. With weights w,
⟨x⟩ = Σ w x / Σ w; quantiles are of the distribution with the weights |w|.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo import Cell, Metric
from lorentzoo.nn import spread_cell, weighted_mean, weighted_quantile
from lorentzoo.plugins.amplitudes.task.unweighting import Unweighting

__all__ = [
    "METRICS",
    "average_channels",
    "coverage_metrics",
    "cross_section_bias",
    "error_metrics",
    "relative_errors",
    "standardised_errors",
    "unweighting_metrics",
]

Array = NDArray[np.float64]

_BEYOND: Final = (0.01, 0.1)
"""Relative errors of which it is counted how many are larger."""


def standardised_errors(values: Array, target: Array, weight: Array) -> Array | None:
    """Squared errors of the standardised logarithm, (L(p) - L(t))²/Var(L(t)), of each event.

    L is ln x where all true values are positive, and sign(x) ln(1 + |x|) otherwise; the variance is that of the given
    true values, with the weights |w|.

    Returns
    -------
    Shape (B,); None where a prediction has no logarithm, or true values do not vary.
    """
    positive = bool((target > 0).all())
    if positive and not bool((values > 0).all()):
        return None
    predicted, true = (
        (np.log(x) if positive else np.sign(x) * np.log1p(np.abs(x))) for x in (values, target)
    )
    share = np.abs(weight)
    mean = weighted_mean(true, share)
    variance = weighted_mean(np.square(true - mean), share)
    # A spread that is rounding is none.
    if not variance > (1e-12 * float(np.abs(true).max(initial=0.0))) ** 2:
        return None
    return np.asarray(np.square(predicted - true) / variance)


def relative_errors(values: Array, target: Array) -> Array:
    """δ = (prediction - truth)/truth of the events whose truth is not zero, (b,)."""
    there = target != 0
    return np.asarray((values[there] - target[there]) / target[there])


def error_metrics(values: Array, target: Array, weight: Array) -> dict[str, float]:
    """Numbers of the errors, as plain data.

    Returns
    -------
    ``log_mse`` and ``log_median``: mean and median of `standardised_errors`, left out where there are none; of
    δ the quantiles ``delta_50``, ``delta_90`` and ``delta_99`` of |δ|, and the parts of the events with |δ| above 1 % and
    10 %, ``beyond_1`` and ``beyond_10``; ``not_positive``, the part of the predictions without a logarithm where all
    true values have one.
    """
    found: dict[str, float] = {}
    squares = standardised_errors(values, target, weight)
    if squares is not None:
        found["log_mse"] = weighted_mean(squares, weight)
        found["log_median"] = weighted_quantile(squares, weight, 0.5)
    there = target != 0
    size, share = np.abs(relative_errors(values, target)), np.abs(weight[there])
    if len(size):
        for quantile in (0.5, 0.9, 0.99):
            found[f"delta_{100 * quantile:g}"] = weighted_quantile(size, share, quantile)
        for limit in _BEYOND:
            found[f"beyond_{100 * limit:g}"] = weighted_mean((size > limit).astype(np.float64), share)
    if len(target) and bool((target > 0).all()):
        found["not_positive"] = weighted_mean((values <= 0).astype(np.float64), np.abs(weight))
    return found


def coverage_metrics(values: Array, target: Array, weight: Array, deviation: Array) -> dict[str, float]:
    """Parts of the events with |p - t| ≤ σ and ≤ 2 σ, ``coverage_1`` and ``coverage_2``; nothing without events."""
    if not len(values):
        return {}
    error, share = np.abs(values - target), np.abs(weight)
    return {
        f"coverage_{count}": weighted_mean((error <= count * deviation).astype(np.float64), share)
        for count in (1, 2)
    }


def cross_section_bias(values: Array, target: Array, weight: Array) -> tuple[float, float]:
    """Σ w p/Σ w t - 1, and its Monte Carlo error (Σ (w (p - (1 + bias) t))²)^½/|Σ w t|; NaN where Σ w t is zero."""
    total = float((weight * target).sum())
    if total == 0:
        return float("nan"), float("nan")
    bias = float((weight * values).sum()) / total - 1.0
    rest = weight * (values - (1.0 + bias) * target)
    return bias, float(np.sqrt(np.square(rest).sum())) / abs(total)


def unweighting_metrics(steps: Unweighting, time_ratio: float | None = None) -> dict[str, float]:
    """Numbers of `Unweighting`, as plain data; ``time_gain`` where the ratio of times is known."""
    found = {
        "plain_efficiency": steps.plain_efficiency,
        "first_efficiency": steps.first_efficiency,
        "second_efficiency": steps.second_efficiency,
        "second_maximum": steps.second_maximum,
        "kish_fraction": steps.kish_fraction,
        "truth_per_event": steps.truth_per_event,
        "unweighting_gain": steps.gain,
        "weight_lost": steps.lost,
    }
    if time_ratio is not None:
        found["time_gain"] = steps.time_gain(time_ratio)
    return {name: value for name, value in found.items() if np.isfinite(value)}


def average_channels(found: Sequence[Mapping[str, Any]], counts: Sequence[int]) -> dict[str, Any]:
    """Numbers of several channels as one: means in proportion to their points, of what all of them have.

    Errors of mappings with ``"value"`` and ``"error"`` add in quadrature.
    """
    if not found:
        return {}
    share = np.asarray(counts, dtype=np.float64) / sum(counts)
    joined: dict[str, Any] = {}
    for name in found[0]:
        if not all(name in each for each in found):
            continue
        each = [one[name] for one in found]
        if isinstance(each[0], Mapping):
            value = float(share @ np.array([one["value"] for one in each]))
            error = float(np.linalg.norm(share * np.array([one["error"] for one in each])))
            joined[name] = {"value": value, "error": error}
        else:
            joined[name] = float(share @ np.array(each))
    return joined


def _bias_cell(recorded: Sequence[Any]) -> Cell:
    """Mean over seeds in percent, ± the spread of one seed and the Monte Carlo error in quadrature."""
    return spread_cell(
        [100 * float(each["value"]) for each in recorded], [100 * float(each["error"]) for each in recorded]
    )


def _bias_numbers(recorded: Sequence[Any]) -> dict[str, float]:
    return {"error": float(np.mean([each["error"] for each in recorded]))}


METRICS: Final = (
    Metric(
        "log_mse",
        "MSE(ln)",
        "low",
        note="MSE(ln), median(ln): mean and median squared error of ln|M|², standardised by its mean and spread on the "
        "test events (of sign(x) ln(1 + |x|) where true values have both signs).",
    ),
    Metric("log_median", "Median(ln)", "low"),
    Metric(
        "delta_50",
        "|δ| 50 %",
        "low",
        note="|δ|: quantiles of |prediction - truth|/|truth|; beside them the part of the events beyond 1 %.",
    ),
    Metric("delta_90", "|δ| 90 %", "low", shown="file"),
    Metric("delta_99", "|δ| 99 %", "low"),
    Metric("beyond_1", "> 1 %", "low"),
    Metric("beyond_10", "> 10 %", "low", shown="file"),
    Metric("not_positive", "Not positive", "low", shown="nonzero"),
    Metric(
        "cross_section_bias",
        "Δσ",
        unit="%",
        cell=_bias_cell,
        numbers=_bias_numbers,
        note="Δσ: bias of the cross-section, Σ w prediction/Σ w truth - 1, ± its Monte Carlo error on the test events "
        "and the spread of one seed in quadrature.",
    ),
    Metric("truth_per_event", "Truth/event", "low", shown="file"),
    Metric(
        "unweighting_gain",
        "Gain",
        "high",
        note="Gain: evaluations of the truth for an event by plain unweighting over those by two stages with the "
        "surrogate (arXiv:2109.11964), and the same in time with times measured here; events are counted as Kish counts.",
    ),
    Metric("time_gain", "Gain in time", "high"),
    Metric("plain_efficiency", "Plain efficiency", shown="file"),
    Metric("first_efficiency", "First efficiency", shown="file"),
    Metric("second_efficiency", "Second efficiency", "high", shown="file"),
    Metric("second_maximum", "Second maximum", "low", shown="file"),
    Metric("kish_fraction", "Kish fraction", "high", shown="file"),
    Metric("weight_lost", "Weight lost", "low", shown="nonzero"),
    Metric("outside_region", "Outside", shown="file"),
    *(
        Metric(f"{name}_{place}", f"{label} {place}", "low", shown="file")
        for name, label in (("delta_50", "|δ| 50 %"), ("delta_99", "|δ| 99 %"))
        for place in ("inside", "outside")
    ),
    *(
        Metric(name, label, better, unit="µs", shown="file")  # type: ignore[arg-type]
        for name, label, better in (
            ("truth_alone_us", "Truth alone", "none"),
            ("truth_batch_us", "Truth in batches", "none"),
            ("surrogate_alone_us", "Surrogate alone", "low"),
            ("surrogate_batch_us", "Surrogate in batches", "low"),
        )
    ),
    Metric("pull_mean", "Pull mean", note="Pulls: (prediction - truth)/σ; 0 ± 1 is perfect."),
    Metric("pull_width", "Pull width"),
    Metric(
        "coverage_1",
        "Within σ",
        note="Within σ: events with |p - t| ≤ σ, 0.683 if errors are normal.",
    ),
    Metric("coverage_2", "Within 2σ", shown="file"),
    Metric("nll", "NLL", "low", note="NLL: mean of -ln p of the true values, in their own units."),
)
"""What is stated of it: columns in order."""

"""What are means and quantiles of weighted events, what are these worth, and which weights take one sample to another?"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "effective_fraction",
    "effective_number",
    "mean_and_error",
    "ratio_weights",
    "weighted_mean",
    "weighted_quantile",
]

Array = NDArray[np.float64]


def weighted_mean(values: Array, weight: Array) -> float:
    """Σ w x / Σ w; NaN where the weights add up to nothing."""
    total = float(weight.sum())
    return float((weight * values).sum() / total) if total != 0 else float("nan")


def mean_and_error(values: Array, weight: Array) -> tuple[float, float]:
    """Weighted mean and its standard error; NaN where there are no values, or no weight in all."""
    if weight.sum() == 0:
        return math.nan, math.nan
    mean = float(np.average(values, weights=weight))
    variance = float(np.average(np.square(values - mean), weights=weight))
    # Weights of both signs may leave no square of which there is a root.
    return mean, math.sqrt(max(variance, 0.0) / effective_number(weight))


def weighted_quantile(values: Array, weight: Array, quantile: float) -> float:
    """The smallest value below or at which at least that part of the absolute weight lies; NaN without events."""
    share = np.abs(weight)
    kept = share > 0
    if not kept.any():
        return float("nan")
    order = np.argsort(values[kept], kind="stable")
    below = np.cumsum(share[kept][order])
    place = int(np.searchsorted(below, quantile * below[-1] * (1 - 1e-12)))
    return float(values[kept][order][min(place, len(order) - 1)])


def effective_number(weight: Array) -> float:
    """Number of unweighted events with the same relative statistical error, (Σw)²/Σw²; 0 where no event has weight."""
    squares = float(np.square(weight).sum())
    return float(weight.sum() ** 2 / squares) if squares > 0 else 0.0


def ratio_weights(log_ratio: Array, *, clip: float | None = None) -> Array:
    """Weights of generated events that make true ones of them, (B,), with mean one.

    Parameters
    ----------
    log_ratio
        ln p/q of each generated event, (B,).
    clip
        No weight is above so many times the mean; the mean is one again afterwards. A few events of large weight cost
        more precision than clipping them costs accuracy.
    """
    if clip is not None and not clip > 1:
        raise ValueError(f"clip is the largest weight over their mean, so above 1, not {clip}")
    if not len(log_ratio):
        return np.zeros(0)
    # Ratios of exponentials: the largest is taken out, so that none overflows.
    weights = np.exp(log_ratio - log_ratio.max())
    weights /= weights.mean()
    if clip is not None:
        weights = np.minimum(weights, clip)
        weights /= weights.mean()
    return np.asarray(weights)


def effective_fraction(weights: Array) -> float:
    """Effective number of events (Σw)²/Σw² over their number: 1 for equal weights."""
    return effective_number(weights) / len(weights)

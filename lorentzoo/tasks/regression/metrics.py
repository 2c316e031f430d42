"""How far are predicted numbers from true ones, with event weights of either sign?

Every function takes float64 arrays (B,) of one target. With weights w, ⟨x⟩ = Σ w x / Σ w; an event of weight zero is not
there. Quantiles are of the distribution with the weights |w|, since signed weights have no quantiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo.output.metric import Metric
from lorentzoo.output.weights import weighted_mean, weighted_quantile

__all__ = [
    "METRICS",
    "QUANTILES",
    "regression_metrics",
    "relative_error",
    "target_metrics",
]

Array = NDArray[np.float64]

QUANTILES: Final = (0.5, 0.9, 0.99)
"""Quantiles of the absolute relative error that are stated."""


def relative_error(values: Array, target: Array) -> Array:
    """δ = (prediction - truth)/truth; NaN where the truth is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(target != 0, (values - target) / target, np.nan)


def target_metrics(
    values: Array, target: Array, weight: Array, deviation: Array | None = None
) -> dict[str, float]:
    """Metrics of one target.

    Parameters
    ----------
    values, target, weight
        Predicted, true, and event weights (B,).
    deviation
        Predicted standard deviations (B,), where the head predicts any.

    Returns
    -------
    ``mse`` = ⟨(p - t)²⟩, ``rmse``, ``mae`` = ⟨|p - t|⟩, ``bias`` = ⟨p - t⟩, ``r2`` = 1 - ⟨(p - t)²⟩/⟨(t - ⟨t⟩)²⟩ (left
    out where the target does not vary), quantiles of |δ| with δ = (p - t)/t (left out where a true value is zero); with
    deviations σ mean and width of the pulls (p - t)/σ.
    """
    there = weight != 0
    values, target, weight = values[there], target[there], weight[there]
    error = values - target
    mse = weighted_mean(np.square(error), weight)
    found = {
        "mse": mse,
        "mae": weighted_mean(np.abs(error), weight),
        "bias": weighted_mean(error, weight),
    }
    if mse >= 0:
        # Negative weights may leave no square of which there is a root.
        found["rmse"] = float(np.sqrt(mse))
    variance = weighted_mean(np.square(target - weighted_mean(target, weight)), weight)
    # A spread that is rounding is none.
    if variance > (1e-12 * float(np.abs(target).max(initial=0.0))) ** 2:
        found["r2"] = 1.0 - mse / variance
    delta = np.abs(relative_error(values, target))
    if len(delta) and np.isfinite(delta).all():
        found |= {
            f"relative_error_{100 * quantile:g}": weighted_quantile(delta, weight, quantile)
            for quantile in QUANTILES
        }
    if deviation is not None:
        pull = error / deviation[there]
        mean = weighted_mean(pull, weight)
        found["pull_mean"] = mean
        found["pull_width"] = float(np.sqrt(max(weighted_mean(np.square(pull - mean), weight), 0.0)))
    return found


def regression_metrics(
    values: Array,
    target: Array,
    weight: Array,
    names: Sequence[str] = (),
    deviation: Array | None = None,
    log_prob: Array | None = None,
) -> dict[str, Any]:
    """Metrics of all targets, as plain data; shapes (B, ...).

    Parameters
    ----------
    values, target, weight
        Predicted, true, and event weights.
    names
        Of the targets; numbered by default.
    deviation, log_prob
        Predicted standard deviations (B, ...), and logarithms of the predicted density at the truth (B,).

    Returns
    -------
    For one target the numbers of `target_metrics`. For several ``nmse``, the mean over targets of ⟨(p - t)²⟩ over the
    variance of the target, and the numbers of each target with its name behind. ``nll`` = -⟨ln p⟩ with a density.
    """
    values, target = values.reshape(len(values), -1), target.reshape(len(target), -1)
    spread = None if deviation is None else deviation.reshape(len(deviation), -1)
    found: dict[str, Any] = {}
    each = [
        target_metrics(values[:, d], target[:, d], weight, None if spread is None else spread[:, d])
        for d in range(target.shape[1])
    ]
    if len(each) == 1:
        found |= each[0]
    else:
        found["nmse"] = float(np.mean([1.0 - one["r2"] for one in each if "r2" in one] or [np.nan]))
        named = [*names[: len(each)], *map(str, range(len(names), len(each)))]
        for name, one in zip(named, each, strict=True):
            found |= {f"{metric}_{name}": value for metric, value in one.items()}
    if log_prob is not None:
        there = weight != 0
        found["nll"] = weighted_mean(-log_prob[there], weight[there])
    return found


METRICS: Final = (
    Metric(
        "nmse",
        "NMSE",
        "low",
        note="NMSE: mean over targets of the mean squared error over the variance of the target, 1 - R².",
    ),
    Metric("mse", "MSE", "low", family=True, shown="always"),
    Metric("rmse", "RMSE", "low", family=True),
    Metric("mae", "MAE", "low", family=True),
    Metric("bias", "Bias", family=True, shown="file"),
    Metric("r2", "R²", "high", family=True),
    *(
        Metric(
            f"relative_error_{100 * quantile:g}",
            f"|δ| {100 * quantile:g} %",
            "low",
            family=True,
            note="|δ|: quantiles of the absolute relative error |prediction - truth|/|truth|.",
        )
        for quantile in QUANTILES
    ),
    Metric(
        "pull_mean",
        "Pull mean",
        family=True,
        note="Pulls: (prediction - truth) over the predicted standard deviation; 0 ± 1 is perfect.",
    ),
    Metric("pull_width", "Pull width", family=True),
    Metric("nll", "NLL", "low", note="NLL: mean of -ln p of the true targets, in their own units."),
)
"""What is stated of it: columns in order."""

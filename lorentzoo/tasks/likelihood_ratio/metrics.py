"""How good is an estimate of the ratio of two densities?

Events of p and of q, with weights; p and q count the same in all. Where the ratio w = p/q is right, ⟨w⟩_q = 1, the
probability w/(1 + w) is calibrated, and events of q weighted by w are distributed as events of p.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo.output.metric import Metric
from lorentzoo.output.weights import effective_fraction, ratio_weights
from lorentzoo.tasks.classification.diagnostics import equal_bins, reliability
from lorentzoo.tasks.classification.metrics import auc

__all__ = ["METRICS", "closure", "ratio_metrics"]

Array = NDArray[np.float64]

_CLOSURE_BINS: Final = 20


def closure(
    of_p: Array, of_q: Array, weight_p: Array, weight_q: Array, *, bins: int = _CLOSURE_BINS
) -> tuple[float, int]:
    """χ² between two weighted histograms of an observable, and its number of degrees of freedom.

    χ² = Σ (a_i - b_i)²/(σ²(a_i) + σ²(b_i)) over bins with equally many events of p, with normalised contents a, b and
    σ² = Σ w² of each bin (Poisson); one degree is lost to the normalisation.

    Parameters
    ----------
    of_p, of_q
        Values of the observable in both samples.
    weight_p, weight_q
        Weights; those of q with the ratio.
    """
    edges = equal_bins(of_p, bins)
    edges[0], edges[-1] = -np.inf, np.inf
    contents, variances = [], []
    for values, weight in ((of_p, weight_p), (of_q, weight_q)):
        share = weight / weight.sum()
        contents.append(np.histogram(values, edges, weights=share)[0])
        variances.append(np.histogram(values, edges, weights=np.square(share))[0])
    variance = variances[0] + variances[1]
    filled = variance > 0
    chi2 = float((np.square(contents[0] - contents[1])[filled] / variance[filled]).sum())
    return chi2, max(int(filled.sum()) - 1, 1)


def ratio_metrics(
    log_ratio: Array,
    target: NDArray[np.int64],
    weight: Array,
    observables: Mapping[str, Array] | None = None,
) -> dict[str, float]:
    """Metrics of ln w for events of p (target 1) and of q (target 0), as plain data.

    Parameters
    ----------
    log_ratio
        ln w of each event, (B,).
    target
        1 for p, 0 for q, (B,).
    weight
        Event weights, (B,).
    observables
        Numbers of events by name (B,), in which the reweighting is to close.

    Returns
    -------
    ``cross_entropy`` = ½⟨ln(1 + 1/w)⟩_p + ½⟨ln(1 + w)⟩_q, at most ln 2 for a useful ratio and least at w = p/q; ``auc``;
    ``calibration_error`` (expected, of w/(1 + w)); ``mean_ratio`` = ⟨w⟩_q with ``mean_ratio_error``;
    ``effective_fraction`` of reweighted events of q; ``closure_NAME``, χ² per degree of freedom of q·w against p.
    """
    there = weight != 0
    log_ratio, target, weight = log_ratio[there], target[there], weight[there]
    is_p = target == 1
    if is_p.all() or not is_p.any():
        return {}
    found: dict[str, float] = {}
    losses = np.logaddexp(0.0, np.where(is_p, -log_ratio, log_ratio))
    halves = [float(np.average(losses[part], weights=weight[part])) for part in (is_p, ~is_p)]
    found["cross_entropy"] = float(np.mean(halves))
    found["auc"] = auc(log_ratio, is_p, weight)
    total = np.array([weight[~is_p].sum(), weight[is_p].sum()])
    balanced = weight / total[target] * len(target) / 2
    probability = np.exp(-np.logaddexp(0.0, -log_ratio))
    found["calibration_error"] = reliability(probability, is_p, balanced).expected_error
    ratio, share = np.exp(np.clip(log_ratio[~is_p], None, 700.0)), weight[~is_p] / total[0]
    mean = float((share * ratio).sum())
    found["mean_ratio"] = mean
    found["mean_ratio_error"] = float(np.sqrt(np.square(share * (ratio - mean)).sum()))
    reweighted = weight[~is_p] * ratio_weights(log_ratio[~is_p])
    found["effective_fraction"] = effective_fraction(reweighted)
    for name, values in (observables or {}).items():
        values = values[there]
        chi2, degrees = closure(values[is_p], values[~is_p], weight[is_p], reweighted)
        found[f"closure_{name}"] = chi2 / degrees
    return found


METRICS: Final = (
    Metric(
        "cross_entropy",
        "Cross-entropy",
        "low",
        note="Cross-entropy of both samples in equal parts: ln 2 = 0.6931 where they cannot be told apart, least at "
        "the true ratio.",
    ),
    Metric("auc", "AUC"),
    Metric("calibration_error", "ECE", "low"),
    Metric(
        "mean_ratio",
        "⟨w⟩ of q",
        note="⟨w⟩ of q: mean ratio of the second sample's events; 1 where it is right.",
    ),
    Metric("mean_ratio_error", shown="file"),
    Metric("effective_fraction", "Kish fraction", "high"),
    Metric(
        "closure",
        "χ²/n",
        "low",
        family=True,
        note="χ²/n: reweighted events of q against those of p in twenty bins, per degree of freedom.",
    ),
)
"""What is stated of it: columns in order."""

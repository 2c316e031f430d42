"""How well are classes told apart, with event weights and with the errors of a finite test set?

Every function takes float64 numpy arrays and event weights. Signal is class 1 of a binary problem; with
more classes each stands against all others (one versus rest).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo.output.metric import Metric
from lorentzoo.output.table import Cell, spread_cell
from lorentzoo.output.weights import effective_number

__all__ = [
    "EFFICIENCY_GRID",
    "METRICS",
    "SIGNAL_EFFICIENCIES",
    "Rejection",
    "auc",
    "background_rejection",
    "classification_metrics",
    "log_odds",
    "log_probabilities_of",
    "rejection_cell",
    "rejection_numbers",
    "rejection_curve",
    "roc_points",
    "signal_threshold",
]

SIGNAL_EFFICIENCIES: Final = (0.3, 0.5)
"""Working points ε_S of the table."""
EFFICIENCY_GRID: Final = np.linspace(0.05, 1.0, 191)
"""Signal efficiencies at which curves are drawn."""
_CONFIDENCE: Final = 0.95
_FEWEST: Final = 3
"""Fewer background events than this make no curve."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rejection:
    """Background rejection 1/ε_B at a fixed signal efficiency.

    Attributes
    ----------
    signal_efficiency
        The working point ε_S.
    value
        1/ε_B; where no background event passes, the lower limit at 95 % confidence.
    error
        Binomial error from the finite number of background events, σ(ε_B)/ε_B²; 0 for a limit.
    passing
        Background events that pass (unweighted).
    is_limit
        Whether `value` is a lower limit.
    """

    signal_efficiency: float
    value: float
    error: float
    passing: int
    is_limit: bool

    def to_data(self) -> dict[str, Any]:
        """Plain data."""
        return {"value": self.value, "error": self.error, "passing": self.passing, "is_limit": self.is_limit}


def auc(score: Array, is_signal: NDArray[np.bool_], weight: Array) -> float:
    """Area under the ROC curve, with weights of either sign.

    Σ w_s w_b ([s > b] + ½ [s = b]) / (Σ w_s Σ w_b) over all pairs of a signal event s and a background event b; NaN where
    either sample has no weight in all.
    """
    _, place = np.unique(score, return_inverse=True)
    signal = np.bincount(place, weight * is_signal)
    background = np.bincount(place, weight * ~is_signal)
    total = signal.sum() * background.sum()
    below = np.cumsum(background) - background
    return float((signal * (below + background / 2)).sum() / total) if total != 0 else float("nan")


def roc_points(score: Array, is_signal: NDArray[np.bool_], weight: Array) -> tuple[Array, Array]:
    """Background and signal efficiencies (ε_B, ε_S) at every threshold, from none that pass to all.

    Efficiencies are sums of weights above a threshold over all; with negative weights they need not rise.
    """
    _, place = np.unique(-score, return_inverse=True)
    points = []
    for chosen in (~is_signal, is_signal):
        passing = np.cumsum(np.bincount(place, weight * chosen))
        points.append(np.concatenate([[0.0], passing / passing[-1]]))
    return points[0], points[1]


def rejection_curve(score: Array, is_signal: NDArray[np.bool_], weight: Array) -> Array:
    """log(1/ε_B) at each ε_S of `EFFICIENCY_GRID`; NaN where fewer than three background events pass.

    Of a class without weight in all there is no curve: NaN everywhere.
    """
    there = weight != 0
    score, is_signal, weight = score[there], is_signal[there], weight[there]
    if min(weight[is_signal].sum(), weight[~is_signal].sum()) <= 0:
        return np.full(len(EFFICIENCY_GRID), np.nan)
    background, efficiency = roc_points(score, is_signal, weight)
    # The highest threshold that keeps so much: with negative weights the efficiency may fall again.
    background = np.interp(EFFICIENCY_GRID, np.maximum.accumulate(efficiency), background)
    return -np.log(np.where(background >= _FEWEST / (~is_signal).sum(), background, np.nan))


def signal_threshold(score: Array, weight: Array, signal_efficiency: float) -> float:
    """The highest threshold that keeps the fraction ε_S of the signal's weight; scores and weights of the signal."""
    order = np.argsort(-score, kind="stable")
    kept = np.maximum.accumulate(np.cumsum(weight[order]) / weight.sum())
    # Rounding of the sum must not ask for one event more.
    index = min(int(np.searchsorted(kept, signal_efficiency - 1e-12)), len(order) - 1)
    return float(score[order[index]])


def background_rejection(
    score: Array, is_signal: NDArray[np.bool_], weight: Array, signal_efficiency: float
) -> Rejection:
    """Background rejection at the highest threshold that keeps the fraction ε_S of the signal's weight.

    Both classes need a positive weight in all; an event of weight zero is not there.

    Parameters
    ----------
    score, is_signal, weight
        One entry an event.
    signal_efficiency
        ε_S, between 0 and 1.

    Notes
    -----
    The error is σ(ε_B) = sqrt(ε_B (1 - ε_B) / n) with the effective number n of background events; the
    threshold is taken as exact. Where nothing passes, ε_B < 1 - 0.05^(1/n) at 95 % confidence.
    """
    there = weight != 0
    score, is_signal, weight = score[there], is_signal[there], weight[there]
    threshold = signal_threshold(score[is_signal], weight[is_signal], signal_efficiency)
    background = weight[~is_signal]
    passes = score[~is_signal] >= threshold
    number = max(effective_number(background), 1.0)
    efficiency = float(background[passes].sum() / background.sum())
    if efficiency <= 0:
        limit = 1.0 / (1.0 - (1.0 - _CONFIDENCE) ** (1.0 / number))
        return Rejection(signal_efficiency, limit, 0.0, int(passes.sum()), True)
    error = np.sqrt(efficiency * max(1.0 - efficiency, 0.0) / number) / efficiency**2
    return Rejection(signal_efficiency, 1.0 / efficiency, float(error), int(passes.sum()), False)


def classification_metrics(
    probabilities: Array,
    target: NDArray[np.int64],
    weight: Array,
    class_names: Sequence[str] = (),
    log_probabilities: Array | None = None,
) -> dict[str, Any]:
    """Weighted accuracy, log-loss, AUC and rejections as plain data.

    With weights w of either sign ⟨x⟩ = Σ w x / Σ w, and an event of weight zero is not there.

    Parameters
    ----------
    probabilities
        Shape (B, classes).
    target
        Class indices, shape (B,).
    weight
        Event weights, shape (B,).
    class_names
        For the one-versus-rest numbers of more than two classes.
    log_probabilities
        Shape (B, classes); they tell events apart whose probabilities are rounded to 0 or 1. By default the logarithms of
        the probabilities.

    Returns
    -------
    ``accuracy`` = ⟨[most probable class is true]⟩ (and its binomial error), ``log_loss`` = -⟨ln p_true⟩, ``auc``,
    ``rejection_0.3``, ``rejection_0.5``. With more than two classes ``auc`` is the mean over classes, a rejection is one
    over the mean background efficiency, and ``classes`` holds the numbers of each class against the rest. AUC and
    rejections are left out where a class has no event, or no weight in all.
    """
    there = weight != 0
    probabilities, target, weight = probabilities[there], target[there], weight[there]
    logs = log_probabilities_of(probabilities) if log_probabilities is None else log_probabilities[there]
    classes = probabilities.shape[1]
    total = weight.sum()
    if not len(weight) or total == 0:
        return {}
    accuracy = float((weight * (logs.argmax(1) == target)).sum() / total)
    number = effective_number(weight)
    result: dict[str, Any] = {
        "accuracy": accuracy,
        "accuracy_error": float(np.sqrt(max(accuracy * (1 - accuracy), 0.0) / number)),
        "log_loss": float((weight * -logs[np.arange(len(target)), target]).sum() / total),
    }
    if (np.bincount(target, weight, minlength=classes) <= 0).any():
        return result
    if classes == 2:
        return result | _against_rest(logs[:, 1] - logs[:, 0], target == 1, weight)
    labels = range(classes)
    names = list(class_names) or [str(label) for label in labels]
    each = {names[label]: _against_rest(log_odds(logs, label), target == label, weight) for label in labels}
    result["auc"] = float(np.mean([one["auc"] for one in each.values()]))
    for efficiency in SIGNAL_EFFICIENCIES:
        key = f"rejection_{efficiency}"
        result[key] = _mean_rejection([one[key] for one in each.values()])
    return result | {"classes": each}


def log_probabilities_of(probabilities: Array) -> Array:
    """ln p of probabilities (B, classes), normalised once more; of zero that of the smallest number."""
    kept = np.clip(probabilities, 1e-300, None)
    return np.asarray(np.log(kept / kept.sum(1, keepdims=True)))


def log_odds(logs: Array, label: int) -> Array:
    """ln p - ln(1 - p) of one class, (B,), also where p is rounded to one; from ln p (B, classes)."""
    others = np.delete(logs, label, axis=1)
    return np.asarray(logs[:, label] - np.logaddexp.reduce(others, axis=1))


def _against_rest(score: Array, is_signal: NDArray[np.bool_], weight: Array) -> dict[str, Any]:
    result: dict[str, Any] = {"auc": auc(score, is_signal, weight)}
    for efficiency in SIGNAL_EFFICIENCIES:
        result[f"rejection_{efficiency}"] = background_rejection(
            score, is_signal, weight, efficiency
        ).to_data()
    return result


def _mean_rejection(each: list[dict[str, Any]]) -> dict[str, Any]:
    efficiencies = np.array([1.0 / one["value"] for one in each])
    # σ(ε_B) of each class from the error of its rejection.
    errors = np.array([one["error"] / one["value"] ** 2 for one in each])
    mean = efficiencies.mean()
    error = np.sqrt(np.square(errors).sum()) / len(each)
    return {
        "value": float(1.0 / mean),
        "error": float(error / mean**2),
        "passing": int(sum(one["passing"] for one in each)),
        "is_limit": all(one["is_limit"] for one in each),
    }


def rejection_cell(each: Sequence[Mapping[str, Any]]) -> Cell:
    """Mean ± error of rejections (as `Rejection.to_data` has them), one a seed: spread over seeds and binomial error."""
    values = [float(one["value"]) for one in each]
    if any(one["is_limit"] for one in each):
        return Cell(f"> {min(values):.0f}", min(values))
    return spread_cell(values, [float(one["error"]) for one in each])


def rejection_numbers(each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Binomial error of rejections, and whether one is a limit."""
    return {
        "statistical": float(np.mean([one["error"] for one in each])),
        "is_limit": any(one["is_limit"] for one in each),
    }


_REJECTION_NOTE = (
    "Background rejections: ± is the spread of one seed and the binomial error of the finite number of background events "
    "in quadrature; '>' is a lower limit at 95 % confidence, where in some seed no background event passes."
)

METRICS: Final = (
    Metric("accuracy", "Accuracy", "high"),
    Metric("auc", "AUC", "high"),
    *(
        Metric(
            f"rejection_{efficiency}",
            f"1/ε_B (ε_S = {efficiency})",
            "high",
            cell=rejection_cell,
            numbers=rejection_numbers,
            note=_REJECTION_NOTE,
        )
        for efficiency in reversed(SIGNAL_EFFICIENCIES)
    ),
    Metric("log_loss", "Log-loss", "low", shown="file"),
    Metric("accuracy_error", shown="file"),
    Metric("classes", shown="file"),
)
"""What is stated of a classifier: columns in order."""

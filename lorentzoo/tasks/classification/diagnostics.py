"""Where does a classifier succeed and where does it fail: between which classes, at which momenta, how sure?

Every function takes float64 numpy arrays and event weights, as `lorentzoo.tasks.classification.metrics` does.
Intervals count effective events, (Σw)²/Σw².
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from hist.intervals import clopper_pearson_interval
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix as count_confusions

from lorentzoo.tasks.classification.metrics import Rejection, background_rejection, log_probabilities_of

__all__ = [
    "BinnedEfficiency",
    "Reliability",
    "binned_efficiency",
    "confusion_matrix",
    "discriminant",
    "equal_bins",
    "pair_rejection",
    "qcd_class",
    "reliability",
    "working_point",
]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

_PUBLISHED: Final = {"hqql": 0.99, "tbl": 0.995}
"""Signal efficiencies of JetClass results (arXiv:2202.03772, table 1) that are not 50 %."""


@dataclass(frozen=True, eq=False)
class BinnedEfficiency:
    """The fraction of events that pass, in bins.

    Attributes
    ----------
    edges
        Of the bins, shape (bins + 1,).
    value, low, high
        Weighted fraction and the ends of its Clopper-Pearson interval, shape (bins,); NaN in bins without events.
    events
        Effective number of events in each bin.
    """

    edges: Array
    value: Array
    low: Array
    high: Array
    events: Array


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often that happens which is predicted with a certain probability.

    Attributes
    ----------
    predicted
        Weighted mean of the predicted probability in each bin; NaN in bins without events.
    observed
        The fraction that came true, with its interval.
    expected_error
        Expected calibration error: mean of |observed - predicted| over bins, weighted by their events.
    """

    predicted: Array
    observed: BinnedEfficiency
    expected_error: float


def working_point(class_name: str) -> float:
    """Signal efficiency at which results on JetClass quote the rejection of QCD jets (arXiv:2202.03772, table 1).

    0.99 for H → ℓνqq', 0.995 for t → bℓν, 0.5 for all other classes.

    >>> [working_point(name) for name in ("h_bb", "h_qql", "Tbl")]
    [0.5, 0.99, 0.995]
    """
    return _PUBLISHED.get(class_name.lower().replace("_", ""), 0.5)


def qcd_class(class_names: Sequence[str]) -> int | None:
    """Index of the class of QCD jets; None where no class has that name."""
    return next((label for label, name in enumerate(class_names) if name.lower() == "qcd"), None)


def discriminant(probabilities: Array, signal: int, background: int) -> Array:
    """p_S / (p_S + p_B), the best score between two of several classes; shape (B,)."""
    s, b = probabilities[:, signal], probabilities[:, background]
    return s / np.maximum(s + b, np.finfo(np.float64).tiny)


def pair_rejection(
    probabilities: Array,
    target: NDArray[np.int64],
    weight: Array,
    signal: int,
    background: int,
    signal_efficiency: float,
    log_probabilities: Array | None = None,
) -> Rejection | None:
    """Rejection of one class where another is kept, by their `discriminant`; None where either has no weight in all.

    Parameters
    ----------
    probabilities
        Shape (B, classes).
    target, weight
        Class indices and event weights, shape (B,).
    signal, background
        The two classes; events of others are left out.
    signal_efficiency
        Fraction ε_S of the signal that is kept.
    log_probabilities
        Shape (B, classes); they tell events apart whose probabilities are rounded to 0 or 1.
    """
    if min(weight[target == label].sum() for label in (signal, background)) <= 0:
        return None
    logs = log_probabilities_of(probabilities) if log_probabilities is None else log_probabilities
    chosen = (target == signal) | (target == background)
    # The same order as that of the discriminant p_S/(p_S + p_B).
    score = (logs[:, signal] - logs[:, background])[chosen]
    return background_rejection(score, target[chosen] == signal, weight[chosen], signal_efficiency)


def confusion_matrix(probabilities: Array, target: NDArray[np.int64], weight: Array) -> Array:
    """Fractions of each true class (row) by most probable class (column); rows of absent classes are 0."""
    labels = np.arange(probabilities.shape[1])
    return np.asarray(
        count_confusions(
            target, probabilities.argmax(1), labels=labels, sample_weight=weight, normalize="true"
        )
    )


def equal_bins(values: Array, count: int) -> Array:
    """Edges of bins with about as many values each; fewer bins where values repeat. Shape (at most count + 1,).

    Raises
    ------
    ValueError
        If there are fewer than two different values.
    """
    edges = np.unique(np.quantile(values, np.linspace(0, 1, count + 1))) if len(values) else values
    if len(edges) < 2:
        raise ValueError("bins need two different values at least; give `edges`")
    return np.asarray(edges, np.float64)


def binned_efficiency(passes: Flags, observable: Array, weight: Array, edges: Array) -> BinnedEfficiency:
    """The fraction that passes in bins of an observable, with Clopper-Pearson intervals of one standard deviation.

    Parameters
    ----------
    passes, observable, weight
        One entry an event, shape (B,). Events outside the bins are left out; the last bin holds its upper edge.
    edges
        Rising edges of the bins, shape (bins + 1,).
    """
    bins = len(edges) - 1
    place = np.searchsorted(edges, observable, side="right") - 1
    place = np.where(observable == edges[-1], bins - 1, place)
    inside = (place >= 0) & (place < bins)
    place, weight, passes = place[inside], weight[inside], passes[inside]

    def total(values: Array) -> Array:
        return np.bincount(place, values, minlength=bins).astype(np.float64)

    weights, squares = total(weight), total(np.square(weight))
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.clip(total(weight * passes) / weights, 0.0, 1.0)
        events = np.where(squares > 0, weights**2 / squares, 0.0)
    filled = events > 0
    low, high = np.full(bins, np.nan), np.full(bins, np.nan)
    low[filled], high[filled] = clopper_pearson_interval(value[filled] * events[filled], events[filled])
    return BinnedEfficiency(np.asarray(edges, np.float64), value, low, high, events)


def reliability(probability: Array, is_true: Flags, weight: Array, *, bins: int = 10) -> Reliability:
    """Observed against predicted probability in bins of equal width (Guo et al., arXiv:1706.04599).

    Parameters
    ----------
    probability
        Predicted, shape (B,).
    is_true
        Whether it came true, shape (B,).
    weight
        Event weights, shape (B,).
    bins
        Number of bins between 0 and 1.
    """
    # A sum of rounded probabilities may pass 1.
    probability = np.clip(probability, 0.0, 1.0)
    edges = np.linspace(0, 1, bins + 1)
    observed = binned_efficiency(is_true, probability, weight, edges)
    place = np.minimum(np.searchsorted(edges, probability, side="right") - 1, bins - 1)
    share = np.bincount(place, weight, minlength=bins)
    with np.errstate(invalid="ignore"):
        predicted = np.bincount(place, weight * probability, minlength=bins) / share
    filled = share > 0
    gaps = np.abs(observed.value[filled] - predicted[filled])
    return Reliability(predicted, observed, float((share[filled] * gaps).sum() / weight.sum()))

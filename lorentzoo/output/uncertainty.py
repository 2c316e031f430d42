"""How sure are means and differences over a few seeds?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

__all__ = [
    "CONFIDENCE",
    "Comparison",
    "Difference",
    "Summary",
    "compare_rows",
    "correct_for_many",
    "paired_difference",
    "summarise",
]

CONFIDENCE: Final = 0.95


@dataclass(frozen=True)
class Summary:
    """Mean over seeds, and the spread of a single seed (sample standard deviation; NaN for one seed)."""

    mean: float
    spread: float
    count: int


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences with its 95 % interval by Student's t; an infinite one for a single pair."""

    mean: float
    low: float
    high: float
    count: int

    @property
    def is_significant(self) -> bool:
        """Whether the interval leaves zero out; equal differences (of counts, say) prove nothing."""
        return self.has_spread and (self.low > 0 or self.high < 0)

    @property
    def has_spread(self) -> bool:
        """Whether the seeds differ, so that the interval means something."""
        # Equal differences of fractions differ by rounding.
        return self.count > 1 and self.high - self.low > 1e-9 * max(abs(self.mean), 1e-3)


@dataclass(frozen=True)
class Comparison:
    """A difference of means, and how likely one as large is by chance alone.

    Attributes
    ----------
    difference
        With its 95 % interval.
    p_value
        Two-sided, by Student's t; NaN where seeds do not differ.
    paired
        Whether it is of pairs of equal seeds.
    """

    difference: Difference
    p_value: float
    paired: bool


def summarise(values: Sequence[float]) -> Summary:
    """Mean and spread.

    >>> summarise([1.0, 3.0])
    Summary(mean=2.0, spread=1.4142135623730951, count=2)
    """
    # Infinite values have no spread, which is nothing to be warned of.
    with np.errstate(invalid="ignore"):
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
        return Summary(float(np.mean(values)), spread, len(values))


def paired_difference(values: Mapping[int, float], reference: Mapping[int, float]) -> Difference | None:
    """Difference of two rows, paired over the seeds that both have; None if there are none, or one is infinite."""
    common = sorted(set(values) & set(reference))
    if not common:
        return None
    differences = np.array([values[seed] - reference[seed] for seed in common])
    if not np.isfinite(differences).all():
        return None
    mean = float(differences.mean())
    if len(common) == 1:
        return Difference(mean, -math.inf, math.inf, 1)
    half = _quantile(len(common) - 1) * float(differences.std(ddof=1)) / math.sqrt(len(common))
    return Difference(mean, mean - half, mean + half, len(common))


def compare_rows(values: Mapping[int, float], reference: Mapping[int, float]) -> Comparison | None:
    """Difference of two rows by seed, with its p-value; None where either has less than two finite numbers.

    Paired over the seeds that both have (`scipy.stats.ttest_rel`) where these are two at least, since equal seeds share
    data, initial weights and order of batches; else by Welch's test (`scipy.stats.ttest_ind`).
    """
    from scipy import stats

    if len(set(values) & set(reference)) > 1:
        difference = paired_difference(values, reference)
        if difference is None:
            return None
        if not difference.has_spread:
            return Comparison(difference, math.nan, True)
        error = (difference.high - difference.mean) / _quantile(difference.count - 1)
        p = 2 * float(stats.t.sf(abs(difference.mean) / error, difference.count - 1))
        return Comparison(difference, p, True)
    first, second = list(values.values()), list(reference.values())
    if min(len(first), len(second)) < 2 or not np.isfinite([*first, *second]).all():
        return None
    one, other = summarise(first), summarise(second)
    squares = one.spread**2 / one.count, other.spread**2 / other.count
    mean = one.mean - other.mean
    if sum(squares) == 0:
        return Comparison(Difference(mean, mean, mean, min(one.count, other.count)), math.nan, False)
    # Welch and Satterthwaite.
    freedom = sum(squares) ** 2 / (squares[0] ** 2 / (one.count - 1) + squares[1] ** 2 / (other.count - 1))
    error = math.sqrt(sum(squares))
    half = _quantile(freedom) * error
    difference = Difference(mean, mean - half, mean + half, min(one.count, other.count))
    return Comparison(difference, 2 * float(stats.t.sf(abs(mean) / error, freedom)), False)


def correct_for_many(p_values: Sequence[float]) -> list[float]:
    """p-values of several comparisons, such that the smallest holds for all together (Holm); NaN stays and counts not.

    >>> correct_for_many([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    found, largest = [math.nan] * len(p_values), 0.0
    for rank, (p, place) in enumerate(order):
        largest = max(largest, min(p * (len(order) - rank), 1.0))
        found[place] = largest
    return found


def _quantile(freedom: float) -> float:
    """Of Student's t, for the ends of the interval."""
    # Only here, so that a plugin may state its metrics without scipy.
    from scipy import stats

    return float(stats.t.ppf(0.5 + CONFIDENCE / 2, freedom))

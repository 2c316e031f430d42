"""How sure are means and differences over a few seeds?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

__all__ = ["CONFIDENCE", "Difference", "Summary", "paired_difference", "summarise"]

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
    # Only here, so that a plugin may state its metrics without scipy.
    from scipy import stats

    error = float(differences.std(ddof=1)) / math.sqrt(len(common))
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, len(common) - 1)) * error
    return Difference(mean, mean - half, mean + half, len(common))

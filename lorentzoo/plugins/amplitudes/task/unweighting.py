"""How many evaluations of the truth does an unweighted event cost, without and with a surrogate?

Two-stage unweighting (Danziger, Janßen, Schumann, Siegert, arXiv:2109.11964): a point is kept with probability s/s_max by
the weight s = w |M|² of the surrogate, and the truth is evaluated for those alone; one of these is kept with probability
x/x_max by the ratio x = (truth)/(surrogate). What is above a maximum is kept with the overweight by which it is above.

All numbers here are expectation values over the random numbers of the procedure, and so have no noise of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lorentzoo.nn import weighted_quantile

__all__ = ["Unweighting", "draw_unweighted", "unweight"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Unweighting:
    """Plain and two-stage unweighting of the same points; x is `ratio`.

    Attributes
    ----------
    plain_efficiency, plain_kish
        ⟨min(1, w/w_max)⟩, and Kish's fraction (Σ o)²/(N Σ o²) of the kept events' overweights o of either sign.
    first_efficiency, second_efficiency
        ⟨min(1, s/s_max)⟩, and ⟨min(1, x/x_max)⟩ of the points that the first step keeps.
    second_maximum
        x_max over the mean of x of the points that the first step keeps.
    kish_fraction
        Of the events that both steps keep.
    lost
        Part of |truth| at points that the surrogate gives no weight, and that are never proposed.
    first, second
        Probabilities of both steps, (B,).
    overweight
        Of the kept events, with the sign of the truth, (B,).
    ratio
        |x| of each point, (B,); NaN where the surrogate vanishes.
    """

    plain_efficiency: float
    plain_kish: float
    first_efficiency: float
    second_efficiency: float
    second_maximum: float
    kish_fraction: float
    lost: float
    first: Array
    second: Array
    overweight: Array
    ratio: Array

    @property
    def truth_per_event(self) -> float:
        """Evaluations of the truth for each event, counted as Kish counts them: 1/(ε₂ α)."""
        return _divide(1.0, self.second_efficiency * self.kish_fraction)

    @property
    def gain(self) -> float:
        """Evaluations of the truth for each event by plain unweighting, over those by two stages."""
        return _divide(self.second_efficiency * self.kish_fraction, self.plain_efficiency * self.plain_kish)

    def time_gain(self, time_ratio: float) -> float:
        """Time of plain unweighting over that of two stages, called f_eff in arXiv:2109.11964.

        Parameters
        ----------
        time_ratio
            Time that the surrogate takes for a point, over that of the truth.

        Returns
        -------
        ``1/(ρ ε/(ε₁ ε₂ α) + ε/(ε₂ α))`` with the ratio ρ, efficiencies ε (plain), ε₁, ε₂ and Kish's fraction α; here ε
        counts with its own Kish fraction too.
        """
        plain = self.plain_efficiency * self.plain_kish
        steps = self.second_efficiency * self.kish_fraction
        return _divide(steps, plain * (1.0 + _divide(time_ratio, self.first_efficiency)))


def unweight(truth: Array, surrogate: Array, quantile: float) -> Unweighting:
    """Expected efficiencies of plain and of two-stage unweighting.

    Parameters
    ----------
    truth, surrogate
        Event weight times |M|² of each point, (B,), of either sign. Steps act on absolute values, kept events have the
        sign of the truth; points where both vanish count as tried.
    quantile
        In (0, 1]. Each maximum is the smallest one such that points above it carry at most the rest, 1 - quantile, of the
        absolute weight in that step.

    Returns
    -------
    All efficiencies, and the probabilities behind them. NaN where there is no weight at all.

    Raises
    ------
    ValueError
        If the quantile is not in (0, 1].
    """
    if not 0 < quantile <= 1:
        raise ValueError(f"a quantile of the accepted weight lies in (0, 1], not {quantile}")
    size, proposed = np.abs(truth), np.abs(surrogate)
    sign = np.where(truth < 0, -1.0, 1.0)
    plain, over = _accept(size, weighted_quantile(size, size, quantile))
    first, first_over = _accept(proposed, weighted_quantile(proposed, proposed, quantile))
    known = proposed > 0
    ratio = np.divide(size, proposed, out=np.full_like(size, np.nan), where=known)
    # Of the weight that is accepted, the first step proposes |s|, and the second takes x of it.
    maximum = weighted_quantile(ratio[known], size[known], quantile)
    second, second_over = _accept(np.where(known, ratio, 0.0), maximum)
    kept, overweight = first * second, first_over * second_over * sign
    total = float(first.sum())
    mean = _divide(float((first * np.where(known, ratio, 0.0)).sum()), total)
    return Unweighting(
        plain_efficiency=float(plain.mean()) if len(plain) else float("nan"),
        plain_kish=_kish(plain, over * sign),
        first_efficiency=_divide(total, len(first)),
        second_efficiency=_divide(float(kept.sum()), total),
        second_maximum=_divide(maximum, mean),
        kish_fraction=_kish(kept, overweight),
        lost=_divide(float(size[~known].sum()), float(size.sum())),
        first=first,
        second=second,
        overweight=overweight,
        ratio=ratio,
    )


def draw_unweighted(
    steps: Unweighting, rng: np.random.Generator, *, passes: int = 1
) -> tuple[NDArray[np.int64], Array]:
    """Unweighted events: the places of the points that are kept, and their overweights, (b,) each.

    Parameters
    ----------
    steps
        Probabilities and overweights of the points.
    rng
        Where random numbers come from.
    passes
        How often the procedure goes over the points, with new random numbers each time.
    """
    keep = steps.first * steps.second
    places = np.concatenate([np.flatnonzero(rng.random(len(keep)) < keep) for _ in range(passes)])
    return places, steps.overweight[places]


def _accept(weight: Array, maximum: float) -> tuple[Array, Array]:
    """Probability min(1, w/max) and overweight max(1, w/max) of each point."""
    if not maximum > 0:
        return np.zeros_like(weight), np.ones_like(weight)
    share = weight / maximum
    return np.minimum(share, 1.0), np.maximum(share, 1.0)


def _kish(kept: Array, weight: Array) -> float:
    """Expected Kish fraction (Σ o)²/(N Σ o²) of events that are kept with these probabilities."""
    squares = float((kept * np.square(weight)).sum())
    return _divide(float((kept * weight).sum()) ** 2, float(kept.sum()) * squares)


def _divide(value: float, by: float) -> float:
    return value / by if by > 0 else float("nan")

"""How far are two samples of observables apart, as two Gaussians would be?

The Fréchet physics distance of arXiv:2211.10295: the Fréchet (2-Wasserstein) distance of the Gaussians with the
samples' means and covariances, extrapolated to samples without end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["FrechetDistance", "frechet_distance", "frechet_physics_distance", "require_enough"]

Array = NDArray[np.float64]

_POINTS: Final = 8
_SMALLEST: Final = 0.2
"""The smallest subsets, as a part of the samples."""


@dataclass(frozen=True, eq=False)
class FrechetDistance:
    """A Fréchet physics distance and the fit that it comes from.

    Attributes
    ----------
    value, error
        Distance at 1/N = 0, and its standard error. Of equal distributions it is zero within the error, and so may be
        negative.
    sizes, distances
        Sizes N of the subsets and mean distances of subsets of each size, (points,).
    """

    value: float
    error: float
    sizes: Array
    distances: Array


def frechet_distance(mean: Array, covariance: Array, other_mean: Array, other_covariance: Array) -> float:
    """|μ₁ - μ₂|² + Tr(Σ₁ + Σ₂ - 2 (Σ₁Σ₂)^½) of two Gaussians, with means (F,) and covariances (F, F).

    >>> import numpy as np
    >>> frechet_distance(np.zeros(1), np.eye(1), np.ones(1), 4 * np.eye(1))
    2.0
    """
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    # Similar to Σ₁Σ₂, but symmetric: its eigenvalues are real, and not negative but for rounding.
    product = np.linalg.eigvalsh(root @ other_covariance @ root)
    trace = np.trace(covariance) + np.trace(other_covariance)
    shift = np.square(mean - other_mean).sum()
    return float(shift + trace - 2.0 * np.sqrt(np.maximum(product, 0.0)).sum())


def frechet_physics_distance(
    generated: Array, true: Array, *, batches: int = 20, seed: int = 0
) -> FrechetDistance:
    """The distance of two samples, extrapolated to samples without end.

    Parameters
    ----------
    generated, true
        Observables (n, F) and (m, F); standardised here with mean and deviation of the true ones.
    batches
        Random subsets of each size.
    seed
        Of the subsets.

    Raises
    ------
    ValueError
        If observables are not finite, differ in number, or there are too few events for their covariance.

    Notes
    -----
    Distances of finite samples are too large by c/N. Subsets without replacement of sizes spaced evenly in 1/N, from a
    fifth of the smaller sample to all of it, give the line whose intercept is the distance. Its error is that of the
    fit, and in squares the spread of the distance over half samples (the delete-half jackknife), which the fit, made of
    overlapping subsets, does not see. Over repeated samples the spread of the distance is 0.5 to 0.8 of this error.
    """
    generated, true = _checked(generated, true)
    smaller = min(len(generated), len(true))
    deviation = true.std(0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    samples = [(values - true.mean(0)) / deviation for values in (generated, true)]
    rng = np.random.default_rng(seed)

    def distances(size: int) -> Array:
        chosen = ([values[rng.permutation(len(values))[:size]] for values in samples] for _ in range(batches))
        return np.array([_between(*pair) for pair in chosen])

    sizes = np.unique(np.round(1.0 / np.linspace(1.0 / smaller, 1.0 / (_SMALLEST * smaller), _POINTS)))
    means = np.array([distances(int(size)).mean() for size in sizes])
    coefficients, covariance = np.polyfit(1.0 / sizes, means, 1, cov=True)
    spread = distances(smaller // 2).std(ddof=1)
    error = np.sqrt(covariance[1, 1] + spread**2)
    return FrechetDistance(float(coefficients[1]), float(error), sizes, means)


def require_enough(observables: int, generated: int, true: int) -> None:
    """Refuse too few events for the distance of so many observables.

    Raises
    ------
    ValueError
        Saying how many are needed.
    """
    needed = int(np.ceil((observables + 2) / _SMALLEST))
    if min(generated, true) < needed:
        raise ValueError(
            f"{observables} observables need at least {needed} events of each sample for their covariance, not "
            f"{generated} and {true}"
        )


def _between(first: Array, second: Array) -> float:
    return frechet_distance(*_moments(first), *_moments(second))


def _moments(values: Array) -> tuple[Array, Array]:
    """Mean (F,) and covariance (F, F) of values (n, F)."""
    mean = values.mean(0)
    centred = values - mean
    return mean, centred.T @ centred / (len(values) - 1)


def _checked(generated: Array, true: Array) -> tuple[Array, Array]:
    arrays = [np.asarray(values, dtype=np.float64) for values in (generated, true)]
    shapes = [values.shape for values in arrays]
    if any(len(shape) != 2 for shape in shapes) or shapes[0][1] != shapes[1][1]:
        raise ValueError(f"observables must have shapes (n, F) and (m, F), not {shapes[0]} and {shapes[1]}")
    require_enough(shapes[0][1], shapes[0][0], shapes[1][0])
    for values, what in zip(arrays, ("generated", "true"), strict=True):
        bad = int((~np.isfinite(values).all(1)).sum())
        if bad:
            raise ValueError(f"{bad} of {len(values)} {what} events have observables that are not finite")
    return arrays[0], arrays[1]

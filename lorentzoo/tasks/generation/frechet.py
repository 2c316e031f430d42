"""How far are two samples of observables apart, as two Gaussians would be?

The Fréchet physics distance of arXiv:2211.10295: the Fréchet (2-Wasserstein) distance of the Gaussians with the
samples' means and covariances, extrapolated to samples without end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo.output.weights import effective_number

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
    generated: Array, true: Array, *, true_weight: Array | None = None, batches: int = 20, seed: int = 0
) -> FrechetDistance:
    """The distance of two samples, extrapolated to samples without end.

    Parameters
    ----------
    generated, true
        Observables (n, F) and (m, F); standardised here with mean and deviation of the true ones.
    true_weight
        Event weights of the true sample (m,), of either sign; all alike by default.
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
    With weights w the mean is ⟨x⟩ = Σ w x / Σ w and the covariance Σ w (x - ⟨x⟩)(x - ⟨x⟩)ᵀ / (Σ w (1 - 1/n)) with the
    effective number n = (Σw)²/Σw² of events; weights of either sign are meant to cancel in it. An event of weight zero is
    not there.

    Distances of finite samples are too large by c/N. Subsets without replacement of sizes spaced evenly in 1/N, from a
    fifth of the smaller sample to all of it, give the line whose intercept is the distance. Its error is that of the
    fit, and in squares the spread of the distance over half samples (the delete-half jackknife), which the fit, made of
    overlapping subsets, does not see. Over repeated samples the spread of the distance is 0.5 to 0.8 of this error.
    """
    weight = _read_weight(true_weight, true)
    if weight is not None:
        true, weight = np.asarray(true)[weight != 0], weight[weight != 0]
    generated, true = _checked(generated, true)
    if weight is not None:
        require_enough(true.shape[1], len(generated), int(effective_number(weight)))
    smaller = min(len(generated), len(true))
    # Only a unit of length, for which a spread must be positive: weights count by their size here.
    size = None if weight is None else np.abs(weight)
    mean = np.average(true, axis=0, weights=size)
    deviation = np.sqrt(np.average(np.square(true - mean), axis=0, weights=size))
    deviation = np.where(deviation > 0, deviation, 1.0)
    samples = [(values - mean) / deviation for values in (generated, true)]
    rng = np.random.default_rng(seed)

    def moments_of_part(sample: int, size: int) -> tuple[Array, Array]:
        chosen = rng.permutation(len(samples[sample]))[:size]
        return _moments(samples[sample][chosen], None if weight is None or sample == 0 else weight[chosen])

    def distances(size: int) -> Array:
        pairs = ((moments_of_part(0, size), moments_of_part(1, size)) for _ in range(batches))
        return np.array([frechet_distance(*first, *second) for first, second in pairs])

    sizes = np.unique(np.round(1.0 / np.linspace(1.0 / smaller, 1.0 / (_SMALLEST * smaller), _POINTS)))
    means = np.array([distances(int(size)).mean() for size in sizes])
    coefficients, covariance = np.polyfit(1.0 / sizes, means, 1, cov=True)
    spread = distances(smaller // 2).std(ddof=1)
    error = np.sqrt(covariance[1, 1] + spread**2)
    return FrechetDistance(float(coefficients[1]), float(error), sizes, means)


def require_enough(observables: int, generated: int, true: int) -> None:
    """Refuse too few (effective) events for the distance of so many observables.

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


def _read_weight(weight: Array | None, true: Array) -> Array | None:
    """Weights of the true events; None where all are the same."""
    if weight is None:
        return None
    weight = np.asarray(weight, dtype=np.float64)
    if weight.shape != (len(true),) or not np.isfinite(weight).all():
        raise ValueError(
            f"true_weight must be finite numbers of shape ({len(true)},), one an event, not of shape {weight.shape}"
        )
    return None if len(weight) and weight[0] != 0 and (weight == weight[0]).all() else weight


def _moments(values: Array, weight: Array | None = None) -> tuple[Array, Array]:
    """Mean (F,) and covariance (F, F) of values (n, F) with weights (n,)."""
    if weight is None:
        mean = values.mean(0)
        centred = values - mean
        return mean, centred.T @ centred / (len(values) - 1)
    total, squares = weight.sum(), np.square(weight).sum()
    freedom = total - squares / total if total > 0 else 0.0
    if freedom <= 0:
        raise ValueError(
            "the weights of the true events cancel in a part of them, so these have no covariance: give more events"
        )
    mean = weight @ values / total
    centred = values - mean
    return mean, (centred * weight[:, None]).T @ centred / freedom


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

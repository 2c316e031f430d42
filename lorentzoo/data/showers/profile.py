"""How does the energy of an electromagnetic shower spread, on average and from shower to shower?

The parametrisation of Grindhammer and Peters (hep-ex/0001020): a gamma distribution in depth, whose depth of the maximum
T (in radiation lengths) and shape α fluctuate together, and two components in the radius (in Molière radii), a core and a
tail. Energies are in GeV, and y = E / Ec.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.showers.materials import Medium

__all__ = ["Longitudinal", "Radial", "longitudinal", "mean_maximum", "radial", "spots"]

Array = NDArray[np.float64]

_WIDEST = 0.5
"""Largest width of ln T and ln α: the fits diverge where ln y is small."""
_FLATTEST = 1.05
"""Least α: the profile must have a maximum behind the front face."""


@dataclass(frozen=True)
class Longitudinal:
    """Gamma distributions in depth, one a shower.

    Attributes
    ----------
    maximum
        T, the depth of the maximum in radiation lengths, shape (n,).
    alpha
        Shape of the distribution, shape (n,).
    """

    maximum: Array
    alpha: Array

    @property
    def beta(self) -> Array:
        """Inverse scale, shape (n,): T = (α - 1) / β."""
        return (self.alpha - 1) / self.maximum

    def scaled(self, maximum: float, alpha: float) -> Longitudinal:
        """With T and α times these factors."""
        return Longitudinal(self.maximum * maximum, np.maximum(self.alpha * alpha, _FLATTEST))


def mean_maximum(medium: Medium, energy: Array) -> Array:
    """T of the average profile, in radiation lengths (eqs. 6 and 15)."""
    per_plate = 1.0 / medium.sampling_frequency
    depth: Array = np.log(energy / medium.critical_energy) - 0.858
    return depth - 0.59 * per_plate - 0.53 * (1 - medium.electron_response)


def longitudinal(medium: Medium, energy: Array, rng: np.random.Generator) -> Longitudinal:
    """Profiles of single showers: ln T and ln α are drawn from a normal distribution with correlation (sections 3, 4).

    Parameters
    ----------
    medium
        What the showers develop in.
    energy
        Of the incident particles, GeV, shape (n,).
    rng
        Source of randomness.
    """
    log_y = np.log(energy / medium.critical_energy)
    per_plate = 1.0 / medium.sampling_frequency
    maximum = np.maximum(log_y - 0.812, 0.1)
    alpha = np.maximum(0.81 + (0.458 + 2.26 / medium.charge) * log_y, 0.1)
    if medium.is_sampling:
        maximum = maximum - 0.55 * per_plate - 0.69 * (1 - medium.electron_response)
        alpha = alpha - 0.476 * per_plate
        widths = (-2.5 + 1.25 * log_y, -0.82 + 0.79 * log_y)
        correlation = 0.784 - 0.023 * log_y
    else:
        widths = (-1.4 + 1.26 * log_y, -0.58 + 0.86 * log_y)
        correlation = 0.705 - 0.023 * log_y
    sigma_maximum, sigma_alpha = (1.0 / np.maximum(width, 1.0 / _WIDEST) for width in widths)
    together, apart = rng.normal(size=(2, len(energy)))
    correlation = np.clip(correlation, -1.0, 1.0)
    plus, minus = np.sqrt((1 + correlation) / 2), np.sqrt((1 - correlation) / 2)
    return Longitudinal(
        np.maximum(maximum, 0.1) * np.exp(sigma_maximum * (plus * together + minus * apart)),
        np.maximum(
            np.maximum(alpha, 0.1) * np.exp(sigma_alpha * (plus * together - minus * apart)), _FLATTEST
        ),
    )


@dataclass(frozen=True)
class Radial:
    """Distributions of the radius, p · 2 r R_C² / (r² + R_C²)² + (1 - p) · 2 r R_T² / (r² + R_T²)², in Molière radii.

    Attributes
    ----------
    core, tail
        R_C and R_T.
    weight
        p, the part of the core.
    """

    core: Array
    tail: Array
    weight: Array

    def draw(self, rng: np.random.Generator, largest: float = 5.0) -> Array:
        """One radius each, up to `largest` Molière radii."""
        size = np.where(rng.random(self.core.shape) < self.weight, self.core, self.tail)
        # The distribution function is r² / (r² + R²); cut at the largest radius and inverted.
        part = rng.random(self.core.shape) * (largest**2 / (largest**2 + size**2))
        return size * np.sqrt(part / (1 - part))


def radial(medium: Medium, energy: Array, tau: Array) -> Radial:
    """Average radial distribution at the relative depths τ = t / T (sections 3.3 and 4.3).

    Parameters
    ----------
    medium
        What the shower develops in.
    energy, tau
        Incident energy in GeV and relative depth, of the same shape.
    """
    log_energy, charge = np.log(energy), medium.charge
    core = 0.0251 + 0.00319 * log_energy + (0.1162 - 0.000381 * charge) * tau
    steep = 0.3585 + 0.0421 * log_energy
    # Far behind the maximum the tail's fit grows without bound, where hardly any energy is left.
    late = np.minimum(tau, 5.0)
    tail = (0.659 - 0.00309 * charge) * (np.exp(-2.59 * (late - 0.645)) + np.exp(steep * (late - 0.645)))
    shift = (0.401 + 0.00187 * charge - tau) / (1.313 - 0.0686 * log_energy)
    weight = (2.632 - 0.00094 * charge) * np.exp(shift - np.exp(shift))
    if medium.is_sampling:
        lost, per_plate = 1 - medium.electron_response, 1.0 / medium.sampling_frequency
        core = core - 0.0203 * lost + 0.0397 * per_plate * np.exp(-tau)
        tail = tail - 0.14 * lost - 0.495 * per_plate * np.exp(-tau)
        weight = weight + lost * (0.348 - 0.642 * per_plate * np.exp(-np.square(tau - 1)))
    core = np.maximum(core, 0.01)
    return Radial(core, np.maximum(tail, core), np.clip(weight, 0.0, 1.0))


def spots(
    medium: Medium, energy: Array, profile: Longitudinal, resolution: float
) -> tuple[Array, Longitudinal]:
    """Number of energy spots of each shower, and how they are distributed in depth (sections 3.4 and 4.4).

    Parameters
    ----------
    medium, energy, profile
        As above.
    resolution
        Stochastic term c of a sampling calorimeter.
    """
    charge = medium.charge
    if medium.is_sampling:
        number = 10.3 / resolution * energy**0.959
        return number, profile.scaled(0.813 + 0.0019 * charge, 0.844 + 0.0026 * charge)
    number = 93.0 * np.log(charge) * energy**0.876
    return number, profile.scaled(0.698 + 0.00212 * charge, 0.639 + 0.00334 * charge)

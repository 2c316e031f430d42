"""How does the energy of a hadronic shower spread, on average and from shower to shower?

A parametrisation: its longitudinal profile is that of Bock et al. (Nucl. Instrum. Meth. 186 (1981) 533), two gamma
distributions from where the shower starts,

    dE/ds ∝ w (s/X0)^(a-1) exp(-b s/X0) / X0 + (1 - w) (s/λ)^(a-1) exp(-d s/λ) / λ,     each of unit integral,
    a = 0.6165 + 0.3183 ln E,   b = 0.2198,   d = 0.9099 - 0.0237 ln E        (E in GeV),

with the nuclear interaction length λ. The start is exponentially distributed with λ. Where Bock has w = 0.4634 for all
showers, here w is the electromagnetic part of each shower, f, whose mean is that of Gabriel, Groom et al. (Nucl. Instrum.
Meth. A 338 (1994) 336; also R. Wigmans, Calorimetry),

    <f> = 1 - (E / E0)^(k-1),   E0 = 1 GeV,  k = 0.82;

it is 0.46 at 31 GeV. Of the other part h/e is seen of what is seen of this one. Across, the electromagnetic part
spreads as electromagnetic showers do (hep-ex/0001020), the other one as 2 r R² / (r² + R²)², a form that the same
authors use.

Chosen here, and no result of anybody: the width of f (a beta distribution), R, the number of spots and the sampling
fluctuations of the hadronic part. Before its start a hadron leaves nothing, and there are no slow neutrons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.showers.materials import Medium
from lorentzoo.data.showers.profile import Longitudinal

__all__ = [
    "STOCHASTIC",
    "HadronicProfile",
    "draw_profile",
    "hadronic_radius",
    "mean_electromagnetic",
    "spots_of_hadrons",
]

Array = NDArray[np.float64]

_K, _E0 = 0.82, 1.0
_B: Final = 0.2198
_GENERATIONS: Final = 8.0
"""f (1 - f) / (1 + this) is the variance of f: 0.17² at 50 GeV, of some eight collisions that decide."""
_LEAST_SHAPE: Final = 0.3
"""The fit of a is of showers above some GeV; it must stay positive below."""
_CORE, _GROWTH, _LARGEST = 0.12, 0.10, 5.0
"""R in interaction lengths at the start and its growth with depth; the largest radius in units of R."""
_SPOTS: Final = 30.0
"""Of the hadronic part, a GeV."""
STOCHASTIC: Final = 0.5
"""Of the hadronic part: σ / E = 0.5 / √E."""


def mean_electromagnetic(energy: Array) -> Array:
    """<f> at incident energies in GeV."""
    found: Array = 1.0 - np.maximum(energy / _E0, 1.0) ** (_K - 1.0)
    return found


@dataclass(frozen=True)
class HadronicProfile:
    """Showers of single hadrons.

    Attributes
    ----------
    start
        Where they begin along the axis, in mm behind the front face, (n,).
    fraction
        f, (n,).
    shape
        a, (n,).
    hadronic_rate
        d, per interaction length, (n,).
    """

    start: Array
    fraction: Array
    shape: Array
    hadronic_rate: Array

    def electromagnetic_above(self, depth: Array, medium: Medium) -> tuple[Array, Array]:
        """Shape (n, 1) and argument (n, ...) of the incomplete gamma function of the part f at depths (n, ...) in mm."""
        return self._argument(depth, _B / medium.radiation_length)

    def hadronic_above(self, depth: Array, medium: Medium) -> tuple[Array, Array]:
        """The same of the rest."""
        return self._argument(depth, self.hadronic_rate[:, None] / medium.interaction_length)

    def _argument(self, depth: Array, rate: Array | float) -> tuple[Array, Array]:
        return self.shape[:, None], rate * np.maximum(depth - self.start[:, None], 0.0)

    @property
    def electromagnetic(self) -> Longitudinal:
        """The part f as a gamma distribution in radiation lengths behind the start, whose maximum is at least at one."""
        return Longitudinal(np.maximum((self.shape - 1.0) / _B, 1.0), self.shape)


def draw_profile(medium: Medium, energy: Array, rng: np.random.Generator) -> HadronicProfile:
    """Profiles of single hadrons of these energies in GeV, (n,).

    Raises
    ------
    ValueError
        If the medium's interaction length is not known.
    """
    if not medium.interaction_length > 0:
        raise ValueError(
            "hadronic showers need the interaction length of the detector's medium, which it does not say: it comes "
            "from a file of before that was kept; take the detector by name"
        )
    mean = np.clip(mean_electromagnetic(energy), 1e-3, 1 - 1e-3)
    log_energy = np.log(energy)
    return HadronicProfile(
        start=rng.exponential(medium.interaction_length, len(energy)),
        fraction=rng.beta(_GENERATIONS * mean, _GENERATIONS * (1 - mean)),
        shape=np.maximum(0.6165 + 0.3183 * log_energy, _LEAST_SHAPE),
        hadronic_rate=0.9099 - 0.0237 * log_energy,
    )


def hadronic_radius(medium: Medium, depth: Array, rng: np.random.Generator) -> Array:
    """Radii in mm of deposits of the hadronic part at these depths in mm behind the start."""
    size = _CORE * medium.interaction_length + _GROWTH * np.maximum(depth, 0.0)
    part = rng.random(size.shape) * (_LARGEST**2 / (_LARGEST**2 + 1.0))
    found: Array = size * np.sqrt(part / (1 - part))
    return found


def spots_of_hadrons(energy: Array) -> Array:
    """Number of spots of the hadronic part of showers, of its energy in GeV."""
    return _SPOTS * energy

"""How are parametrised showers drawn?

Longitudinal profile, sampling fluctuations of each layer and radial profile are those of `profile`, of hadrons those of
`hadronic`; the energy of a layer is laid down in spots of equal energy, so that cells fluctuate. This is a
parametrisation, not a simulation of particles in matter: it is no substitute for Geant4, and never to be called so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.showers.detectors import Detector
from lorentzoo.data.showers.hadronic import STOCHASTIC, draw_profile, hadronic_radius, spots_of_hadrons
from lorentzoo.data.showers.profile import longitudinal, radial, spots
from lorentzoo.data.showers.readout import need_scipy

__all__ = ["PARTICLES", "draw_incident", "require_particle", "simulate_showers"]

Array = NDArray[np.float64]

_SPOTS_AT_A_TIME = 1 << 20


def draw_incident(detector: Detector, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Energies in GeV with a flat logarithm, and polar angles in radians, uniform, each of shape (count,)."""
    low, high = np.log(detector.energy_range)
    return np.exp(rng.uniform(low, high, count)), rng.uniform(0.0, detector.max_angle, count)


@dataclass(frozen=True, eq=False)
class _Component:
    """A part of showers that is laid down in spots of its own.

    Attributes
    ----------
    visible
        What active material sees in each layer, GeV, (n, L).
    expected
        Number of spots in each layer, (n, L).
    radius
        Radii in mm of spots of these showers at these depths in mm along the axis.
    """

    visible: Array
    expected: Array
    radius: Callable[[NDArray[np.int64], Array, np.random.Generator], Array]

    def count(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Numbers of spots: rounded up or down at random, so that the mean is kept; a layer with energy has one."""
        counts = np.floor(self.expected + rng.random(self.expected.shape)).astype(np.int64)
        return np.where(self.visible > 0, np.maximum(counts, 1), 0)


def simulate_showers(
    detector: Detector, energy: Array, angle: Array, rng: np.random.Generator, particle: str = "electron"
) -> NDArray[np.float32]:
    """Deposits in all voxels.

    Parameters
    ----------
    detector
        The calorimeter.
    energy, angle
        Incident energies in GeV, and polar angles in the plane of z and x, each of shape (n,).
    rng
        Source of randomness.
    particle
        One of `PARTICLES`.

    Returns
    -------
    Energies in GeV, shape (n, V): what active material sees, cells below the threshold set to zero. What lies beside all
    cells or behind the last layer has left the detector.

    Raises
    ------
    ValueError
        If an energy is not positive, an angle no angle of incidence, or the particle unknown.
    """
    energy, angle = np.asarray(energy, np.float64), np.asarray(angle, np.float64)
    if energy.shape != angle.shape or energy.ndim != 1:
        raise ValueError(f"energy and angle must be of one shape (n,), not {energy.shape} and {angle.shape}")
    if not (energy > 0).all():
        raise ValueError(
            f"incident energies must be positive, but shower {int(np.argmin(energy > 0))} is not"
        )
    if not ((angle >= 0) & (angle < np.pi / 2)).all():
        raise ValueError("polar angles must be 0 to below π/2 radians")
    require_particle(particle)
    voxels = np.zeros((len(energy), detector.grid.num_voxels))
    for component in _COMPONENTS[particle](detector, energy, _depths(detector, angle), rng):
        counts = component.count(rng)
        for part in _parts(counts.sum(1)):
            voxels[part] += _laid_down(detector, angle, component, counts, part, rng)
    voxels[voxels < detector.threshold] = 0.0
    return voxels.astype(np.float32)


def _electron(
    detector: Detector, energy: Array, edges: Array, rng: np.random.Generator
) -> Iterator[_Component]:
    """Electromagnetic showers; the edges of layers along the axis are in mm, (n, L + 1)."""
    medium = detector.medium
    profile = longitudinal(medium, energy, rng)
    depth = edges / medium.radiation_length

    def radius(showers: NDArray[np.int64], where: Array, rng: np.random.Generator) -> Array:
        tau = where / medium.radiation_length / profile.maximum[showers]
        return medium.moliere_radius * radial(medium, energy[showers], tau).draw(rng)

    part = np.diff(_fraction(profile.alpha[:, None], profile.beta[:, None] * depth))
    visible = _sampled(energy[:, None] * part, detector.resolution, rng) * medium.sampling_fraction
    number, spread = spots(medium, energy, profile, detector.resolution)
    expected = np.diff(_fraction(spread.alpha[:, None], spread.beta[:, None] * depth))
    yield _Component(visible, number[:, None] * expected, radius)


def _pion(detector: Detector, energy: Array, edges: Array, rng: np.random.Generator) -> Iterator[_Component]:
    """Hadronic showers: their electromagnetic part, and the rest."""
    medium = detector.medium
    profile = draw_profile(medium, energy, rng)
    electromagnetic = profile.electromagnetic
    of_photons = energy * profile.fraction
    of_hadrons = energy - of_photons

    def narrow(showers: NDArray[np.int64], where: Array, rng: np.random.Generator) -> Array:
        behind = np.maximum(where - profile.start[showers], 0.0) / medium.radiation_length
        tau = behind / electromagnetic.maximum[showers]
        return medium.moliere_radius * radial(medium, np.maximum(of_photons[showers], 0.1), tau).draw(rng)

    def wide(showers: NDArray[np.int64], where: Array, rng: np.random.Generator) -> Array:
        return hadronic_radius(medium, where - profile.start[showers], rng)

    part = np.diff(_fraction(*profile.electromagnetic_above(edges, medium)))
    visible = _sampled(of_photons[:, None] * part, detector.resolution, rng) * medium.sampling_fraction
    number, _ = spots(medium, of_photons, electromagnetic, detector.resolution)
    yield _Component(visible, number[:, None] * part, narrow)
    part = np.diff(_fraction(*profile.hadronic_above(edges, medium)))
    seen = medium.sampling_fraction * detector.hadronic_response
    visible = _sampled(of_hadrons[:, None] * part, STOCHASTIC, rng) * seen
    yield _Component(visible, spots_of_hadrons(of_hadrons)[:, None] * part, wide)


_COMPONENTS: Final[
    dict[str, Callable[[Detector, Array, Array, np.random.Generator], Iterator[_Component]]]
] = {"electron": _electron, "pion": _pion}
PARTICLES: Final = tuple(_COMPONENTS)
"""Of what showers there are: electromagnetic ones, and hadronic ones of charged pions."""


def require_particle(particle: str) -> None:
    """Refuse a particle of which there are no showers.

    Raises
    ------
    ValueError
        Naming those of which there are.
    """
    if particle not in PARTICLES:
        raise ValueError(f"particle must be one of {', '.join(PARTICLES)}, not {particle!r}")


def _depths(detector: Detector, angle: Array) -> Array:
    """Depth along the shower's axis of the edges of all layers in mm, shape (n, L + 1)."""
    layers = detector.grid.layers
    edges = np.array([layer.z_low for layer in layers] + [layers[-1].z_high])
    return edges / np.cos(angle)[:, None]


def _fraction(shape: Array, depth: Array) -> Array:
    """Part of a gamma distribution of this shape that lies before a depth in units of its scale."""
    fraction: Array = need_scipy("special").gammainc(shape, depth)
    return fraction


def _sampled(energy: Array, resolution: float, rng: np.random.Generator) -> Array:
    """Energies in each layer as they are sampled: gamma-distributed with variance c² E (section 4.5)."""
    if not resolution:
        return energy
    variance = resolution**2
    return variance * rng.gamma(energy / variance)


def _parts(spots_of_showers: NDArray[np.int64]) -> Iterator[slice]:
    """Consecutive showers with a bounded number of spots in all; at least one."""
    start, held = 0, 0
    for shower, count in enumerate(spots_of_showers.tolist()):
        if held and held + count > _SPOTS_AT_A_TIME:
            yield slice(start, shower)
            start, held = shower, 0
        held += count
    if start < len(spots_of_showers):
        yield slice(start, len(spots_of_showers))


def _laid_down(
    detector: Detector,
    angle: Array,
    component: _Component,
    counts: NDArray[np.int64],
    part: slice,
    rng: np.random.Generator,
) -> Array:
    """Energies of spots of consecutive showers, summed in voxels, shape (n, V)."""
    grid, counts = detector.grid, counts[part]
    shape = len(counts), grid.num_voxels
    showers, layers = np.divmod(np.repeat(np.arange(counts.size), counts.ravel()), grid.num_layers)
    deposits = np.repeat((component.visible[part] / np.maximum(counts, 1)).ravel(), counts.ravel())
    low, high = (np.array([getattr(layer, name) for layer in grid.layers]) for name in ("z_low", "z_high"))
    z = low[layers] + (high - low)[layers] * rng.random(len(layers))
    tilt = angle[part][showers]
    r = component.radius(showers + part.start, z / np.cos(tilt), rng)
    turn = rng.uniform(-np.pi, np.pi, len(r))
    # Across the axis, and along it onto the plane of the layer.
    x = z * np.tan(tilt) + r * np.cos(turn) / np.cos(tilt)
    y = r * np.sin(turn)
    voxel = np.full(len(x), -1, np.int64)
    for number in range(grid.num_layers):
        here = np.flatnonzero(layers == number)
        voxel[here] = grid.find_voxels(number, x[here], y[here])
    inside = voxel >= 0
    flat = showers[inside] * grid.num_voxels + voxel[inside]
    held = np.bincount(flat, deposits[inside], shape[0] * shape[1]).astype(np.float64)
    return held.reshape(shape)

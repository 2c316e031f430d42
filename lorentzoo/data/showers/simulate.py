"""How are parametrised showers drawn?

Longitudinal profile, sampling fluctuations of each layer and radial profile are those of `profile`; the energy of a layer
is laid down in spots of equal energy, so that cells fluctuate. This is a parametrisation, not a simulation of particles
in matter: it is no substitute for Geant4, and never to be called so.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lorentzoo.core.errors import MissingExtraError
from lorentzoo.data.showers.detectors import Detector
from lorentzoo.data.showers.profile import Longitudinal, longitudinal, radial, spots

__all__ = ["draw_incident", "simulate_showers"]

Array = NDArray[np.float64]

_SPOTS_AT_A_TIME = 1 << 20


def draw_incident(detector: Detector, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Energies in GeV with a flat logarithm, and polar angles in radians, uniform, each of shape (count,)."""
    low, high = np.log(detector.energy_range)
    return np.exp(rng.uniform(low, high, count)), rng.uniform(0.0, detector.max_angle, count)


def simulate_showers(
    detector: Detector, energy: Array, angle: Array, rng: np.random.Generator
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

    Returns
    -------
    Energies in GeV, shape (n, V): what active material sees, cells below the threshold set to zero.

    Raises
    ------
    ValueError
        If an energy is not positive, or an angle no angle of incidence.
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
    medium = detector.medium
    profile = longitudinal(medium, energy, rng)
    edges = _depths(detector, angle)
    visible = _sampled(detector, energy[:, None] * np.diff(_fraction_above(profile, edges)), rng)
    number, where = spots(medium, energy, profile, detector.resolution)
    expected = number[:, None] * np.diff(_fraction_above(where, edges))
    # Rounded up or down at random, so that the mean is kept; a layer with energy has a spot to hold it.
    counts = np.floor(expected + rng.random(expected.shape)).astype(np.int64)
    counts = np.where(visible > 0, np.maximum(counts, 1), 0)
    voxels = np.zeros((len(energy), detector.grid.num_voxels))
    for part in _parts(counts.sum(1)):
        voxels[part] = _laid_down(
            detector, energy[part], angle[part], profile.maximum[part], visible[part], counts[part], rng
        )
    voxels[voxels < detector.threshold] = 0.0
    return voxels.astype(np.float32)


def _depths(detector: Detector, angle: Array) -> Array:
    """Depth along the shower's axis of the edges of all layers in radiation lengths, shape (n, L + 1)."""
    layers = detector.grid.layers
    edges = np.array([layer.z_low for layer in layers] + [layers[-1].z_high])
    return edges / (np.cos(angle)[:, None] * detector.medium.radiation_length)


def _fraction_above(profile: Longitudinal, depth: Array) -> Array:
    """Part of the energy that lies before a depth, shape (n, ...)."""
    try:
        from scipy.special import gammainc
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "parametrised showers need 'scipy', which is not installed: pip install \"lorentzoo[simulate]\""
        ) from error
    fraction: Array = gammainc(profile.alpha[:, None], profile.beta[:, None] * depth)
    return fraction


def _sampled(detector: Detector, energy: Array, rng: np.random.Generator) -> Array:
    """What active material sees of the energy in each layer: gamma-distributed with variance c² E (section 4.5)."""
    if not detector.resolution:
        return energy * detector.medium.sampling_fraction
    variance = detector.resolution**2
    return variance * rng.gamma(energy / variance) * detector.medium.sampling_fraction


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
    energy: Array,
    angle: Array,
    maximum: Array,
    visible: Array,
    counts: NDArray[np.int64],
    rng: np.random.Generator,
) -> Array:
    """Energies of spots, summed in voxels, shape (n, V)."""
    grid, medium = detector.grid, detector.medium
    showers, layers = np.divmod(np.repeat(np.arange(counts.size), counts.ravel()), grid.num_layers)
    deposits = np.repeat((visible / np.maximum(counts, 1)).ravel(), counts.ravel())
    low, high = (np.array([getattr(layer, name) for layer in grid.layers]) for name in ("z_low", "z_high"))
    z = low[layers] + (high - low)[layers] * rng.random(len(layers))
    cosine = np.cos(angle)[showers]
    tau = z / (cosine * medium.radiation_length) / maximum[showers]
    r = medium.moliere_radius * radial(medium, energy[showers], tau).draw(rng)
    turn = rng.uniform(-np.pi, np.pi, len(r))
    # Across the axis, and along it onto the plane of the layer.
    x = z * np.tan(angle)[showers] + r * np.cos(turn) / cosine
    y = r * np.sin(turn)
    voxel = _voxel(detector, layers, np.hypot(x, y), np.arctan2(y, x))
    inside = voxel >= 0
    flat = showers[inside] * grid.num_voxels + voxel[inside]
    shape = len(energy), grid.num_voxels
    held = np.bincount(flat, deposits[inside], shape[0] * shape[1]).astype(np.float64)
    return held.reshape(shape)


def _voxel(detector: Detector, layers: NDArray[np.int64], r: Array, alpha: Array) -> NDArray[np.int64]:
    """Voxel of each spot; -1 beside the grid."""
    found = np.full(len(r), -1, np.int64)
    for number, layer in enumerate(detector.grid.layers):
        chosen = np.flatnonzero(layers == number)
        radius = np.searchsorted(layer.r_edges, r[chosen], side="right") - 1
        angle = ((alpha[chosen] + np.pi) / (2 * np.pi) * layer.num_alpha).astype(np.int64)
        angle = np.minimum(angle, layer.num_alpha - 1)
        voxel = detector.grid.starts[number] + angle * layer.num_radii + radius
        found[chosen] = np.where((radius >= 0) & (radius < layer.num_radii), voxel, -1)
    return found

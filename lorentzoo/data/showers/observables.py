"""Which numbers describe a shower?

All are functions of deposits (n, V) in GeV and of the grid. Positions across are x = r cos α and y = r sin α, those of
the voxels' middles, in mm; the CaloChallenge calls them η and φ (arXiv:2410.21611). A cell that is a whole ring has its
middle on the axis, and x² = y² = r² / 2.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.showers.detectors import Detector
from lorentzoo.data.showers.readout import Readout

__all__ = [
    "OBSERVABLES",
    "centres",
    "depth_of_centre",
    "energy_ratio",
    "shower_observables",
    "sparsity",
    "widths",
]

Array = NDArray[np.float64]

OBSERVABLES: Final = ("energy_ratio", "depth", "centre_x", "width", "sparsity", "hardest")
"""Columns of `shower_observables`: deposited part of the incident energy, centre in depth (radiation lengths), centre
in x and width across (Molière radii), part of cells that are empty, largest cell as part of the deposits."""


def energy_ratio(voxels: NDArray[np.floating], energy: Array) -> Array:
    """Deposited part of the incident energy, shape (n,)."""
    ratio: Array = np.asarray(voxels, np.float64).sum(1) / energy
    return ratio


def centres(voxels: NDArray[np.floating], grid: Readout) -> tuple[Array, Array]:
    """Centre of energy of each layer, in x and in y, mm, each (n, L); zero where a layer is empty."""
    return _mean(voxels, grid.x, grid), _mean(voxels, grid.y, grid)


def widths(voxels: NDArray[np.floating], grid: Readout) -> tuple[Array, Array]:
    """Root-mean-square distance from the centre of each layer, in x and in y, mm, each (n, L)."""
    found = []
    for position, square in zip((grid.x, grid.y), grid.squares, strict=True):
        variance = _mean(voxels, square, grid) - _mean(voxels, position, grid) ** 2
        found.append(np.sqrt(np.maximum(variance, 0.0)))
    return found[0], found[1]


def sparsity(voxels: NDArray[np.floating], grid: Readout, threshold: float = 0.0) -> Array:
    """Part of the cells of each layer with no more energy than the threshold (GeV), shape (n, L)."""
    empty = (np.asarray(voxels) <= threshold).astype(np.float64)
    return grid.layer_energies(empty) / np.diff(grid.starts)


def depth_of_centre(voxels: NDArray[np.floating], grid: Readout) -> Array:
    """Mean z of the energy in mm, shape (n,); zero for empty showers."""
    values = np.asarray(voxels, np.float64)
    mean: Array = values @ grid.depth / np.maximum(values.sum(1), 1e-300)
    return mean


def shower_observables(voxels: NDArray[np.floating], energy: Array, detector: Detector) -> dict[str, Array]:
    """The columns of `OBSERVABLES`, each of shape (n,), of whole showers."""
    grid, medium = detector.grid, detector.medium
    values = np.asarray(voxels, np.float64)
    total = np.maximum(values.sum(1), 1e-300)
    mean_x, mean_y = values @ grid.x / total, values @ grid.y / total
    square = values @ grid.radius**2 / total - mean_x**2 - mean_y**2
    return {
        "energy_ratio": energy_ratio(values, energy),
        "depth": depth_of_centre(values, grid) / medium.radiation_length,
        "centre_x": mean_x / medium.moliere_radius,
        "width": np.sqrt(np.maximum(square, 0.0)) / medium.moliere_radius,
        "sparsity": (values <= 0).mean(1),
        "hardest": values.max(1) / total,
    }


def _mean(voxels: NDArray[np.floating], position: Array, grid: Readout) -> Array:
    """Mean of a position over the energy in each layer, (n, L)."""
    values = np.asarray(voxels, np.float64)
    total = grid.layer_energies(values)
    mean: Array = grid.layer_energies(values * position) / np.where(total > 0, total, 1.0)
    return mean

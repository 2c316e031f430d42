"""Which calorimeters by name have cells of other shapes than sectors of rings?

Public facts make their cells and layers; each is one stack of plates of two materials, and a disc or a window of cells
about the place where the particle enters. They are none of the experiments' own descriptions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.showers.cells import CellGrid, CellLayer
from lorentzoo.data.showers.detector import Detector, sampling_detector
from lorentzoo.data.showers.materials import MATERIALS, sandwich
from lorentzoo.data.showers.outlines import (
    hexagon,
    hexagonal_lattice,
    nearest_outlines,
    pad_outlines,
)

__all__ = ["IRREGULAR", "LARGEST_PATCH"]

Array = NDArray[np.float64]

LARGEST_PATCH: Final = (24,)
"""Cells of a patch, at most."""
_SMALL, _LARGE = (float(np.sqrt(area / np.sqrt(0.75))) for area in (52.0, 118.0))
"""Width between opposite sides of hexagons of 0.52 cm² and 1.18 cm²."""


def _copied(front: CellLayer, count: int) -> CellGrid:
    """A layer and others like it behind."""
    step = front.z_high - front.z_low
    return CellGrid(
        tuple(replace(front, z_low=i * step, z_high=(i + 1) * step, number=i) for i in range(count))
    )


def _hexagons(thickness: float, pitch: float, reach: float) -> CellLayer:
    """Regular hexagons of one size, whose middles lie up to this distance from the axis."""
    middle = hexagonal_lattice(pitch, reach)
    return CellLayer(0.0, thickness, middle[:, 0], middle[:, 1], middle[:, None] + hexagon(pitch))


def _two_sizes(thickness: float, seam: float, reach: float) -> CellLayer:
    """Small hexagons up to x = seam and large ones beyond.

    At the seam cells end halfway to the next middle, so that none overlap and no place is missed.
    """
    # Those around are needed to cut the outermost ones.
    wide = reach + 2 * _LARGE
    small, large = (hexagonal_lattice(pitch, wide + abs(seam)) for pitch in (_SMALL, _LARGE))
    small = small[small[:, 0] < seam]
    large = large[large[:, 0] > -0.5 * _LARGE] + [seam + 0.5 * _LARGE, 0.0]
    middle = np.concatenate([small, large])
    middle = middle[np.hypot(*middle.T) <= wide]
    box = 2 * wide * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    kept = np.hypot(*middle.T) <= reach
    corners = pad_outlines(nearest_outlines(middle, box))[kept]
    x, y = middle[kept].T
    return CellLayer(0.0, thickness, x, y, corners)


def _barrel(
    inner: float, layers: Sequence[tuple[float, float, float]], half: tuple[float, float]
) -> CellGrid:
    """Projective towers about η = 0 and φ = 0 of a barrel, flat in the plane that touches the layer's cylinder.

    Parameters
    ----------
    inner
        Radius of the front face, mm.
    layers
        Thickness in mm, and width of cells in η and in φ, of each layer.
    half
        Largest |η| and |φ|.

    Notes
    -----
    At the radius R of the layer's middle a cell reaches from R sinh η to R sinh η' along the beam and from R tan φ to
    R tan φ' around it: cells grow with depth and with η.
    """
    found, front = [], 0.0
    for number, (thickness, *widths) in enumerate(layers):
        radius = inner + front + 0.5 * thickness
        # Half the number of cells each way, in whole cells.
        bins = [max(1, round(2 * most / width)) for most, width in zip(half, widths, strict=True)]
        eta, phi = (
            width * (np.arange(count + 1) - 0.5 * count) for count, width in zip(bins, widths, strict=True)
        )
        along, around = radius * np.sinh(eta), radius * np.tan(phi)
        low_x, low_y = (each.ravel() for each in np.meshgrid(along[:-1], around[:-1], indexing="ij"))
        high_x, high_y = (each.ravel() for each in np.meshgrid(along[1:], around[1:], indexing="ij"))
        corners = np.stack(
            [np.stack(pair, axis=1) for pair in ((low_x, low_y), (high_x, low_y), (high_x, high_y), (low_x, high_y))],
            axis=1,
        )  # fmt: skip
        middle_x, middle_y = 0.5 * (low_x + high_x), 0.5 * (low_y + high_y)
        found.append(CellLayer(front, front + thickness, middle_x, middle_y, corners, number))
        front += thickness
    return CellGrid(tuple(found))


_LIQUID_ARGON: Final = (("lead", 1.53), ("argon", 4.2))
_TILES: Final = (("iron", 14.0), ("scintillator", 3.0))
_X0, _LAMBDA = (
    getattr(sandwich(MATERIALS[passive], thick, MATERIALS[active], thin), length)
    for ((passive, thick), (active, thin)), length in (
        (_LIQUID_ARGON, "radiation_length"),
        (_TILES, "interaction_length"),
    )
)
"""Of the two barrels, mm."""


def _tungsten_hexagons() -> Detector:
    cells = _copied(_hexagons(10.4, _SMALL, 32.0), 10)
    return sampling_detector(
        "tungsten-hexagons",
        ("tungsten", 2.1),
        ("silicon", 0.5),
        cells,
        resolution=0.16,
        patch=LARGEST_PATCH,
    )


def _hgcal_like() -> Detector:
    cells = _copied(_two_sizes(5.2, 2.25 * _SMALL, 35.0), 28)
    return sampling_detector(
        "hgcal-like", ("lead", 4.9), ("silicon", 0.3), cells, resolution=0.20, patch=LARGEST_PATCH
    )


def _lar_like() -> Detector:
    layers = [
        (4.3 * _X0, 0.025 / 8, np.pi / 32),
        (16 * _X0, 0.025, np.pi / 128),
        (2 * _X0, 0.05, np.pi / 128),
    ]
    return sampling_detector(
        "lar-like",
        *_LIQUID_ARGON,
        _barrel(1500.0, layers, (0.1, 1.5 * np.pi / 32)),
        resolution=0.10,
        patch=LARGEST_PATCH,
        max_angle=0.0,
    )


def _tile_like() -> Detector:
    layers = [
        (1.5 * _LAMBDA, 0.1, np.pi / 32),
        (4.1 * _LAMBDA, 0.1, np.pi / 32),
        (1.8 * _LAMBDA, 0.2, np.pi / 32),
    ]
    return sampling_detector(
        "tile-like",
        *_TILES,
        _barrel(2280.0, layers, (0.4, 4 * np.pi / 32)),
        resolution=0.28,
        patch=LARGEST_PATCH,
        max_angle=0.0,
        distance=2280.0,
        # e/h of 1.36 was measured with pions (arXiv:1806.02129).
        hadronic_response=1 / 1.36,
    )


IRREGULAR: Final[dict[str, Callable[[], Detector]]] = {
    "tungsten-hexagons": _tungsten_hexagons,
    "hgcal-like": _hgcal_like,
    "lar-like": _lar_like,
    "tile-like": _tile_like,
}
"""Makers of detectors of cells of any shape: outlines take a tenth of a second.

- ``tungsten-hexagons``: the plates and layers of ``tungsten-silicon``, read out in hexagons of 0.52 cm².
- ``hgcal-like``: 28 layers of hexagons of 0.52 cm² and 1.18 cm², a seam between both, as the electromagnetic endcap of
  CMS' calorimeter for high luminosity has (CERN-LHCC-2017-023); 0.3 mm of silicon behind 4.9 mm of lead each, 25
  radiation lengths as there, where absorbers are of several materials.
- ``lar-like``: the three layers of ATLAS' electromagnetic barrel at η = 0, of 4.3, 16 and 2 radiation lengths in strips
  of Δη × Δφ = 0.025/8 × 2π/64, towers of 0.025 × 2π/256 and of 0.05 × 2π/256 (2008 JINST 3 S08003); plates without folds.
- ``tile-like``: the three layers of ATLAS' hadronic barrel at η = 0, of 1.5, 4.1 and 1.8 interaction lengths in towers of
  0.1 × 2π/64 and, behind, 0.2 × 2π/64 (2008 JINST 3 S08003).
"""

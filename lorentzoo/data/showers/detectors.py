"""Which calorimeters are there by name, and which belong to files of a geometry?"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from lorentzoo.data.readers.source import EventFileError
from lorentzoo.data.showers.cell_files import SUFFIXES, read_cells
from lorentzoo.data.showers.cells import CellGrid
from lorentzoo.data.showers.detector import Detector, sampling_detector
from lorentzoo.data.showers.grid import Grid, Layer
from lorentzoo.data.showers.irregular import IRREGULAR, LARGEST_PATCH
from lorentzoo.data.showers.materials import MATERIALS, homogeneous, sandwich

__all__ = [
    "DETECTORS",
    "Detector",
    "detector_of_binning",
    "detector_of_geometry",
    "find_detector",
    "name_fitting",
]


def _sampling(
    name: str,
    passive: tuple[str, float],
    active: tuple[str, float],
    *,
    plates: int,
    layers: int,
    r_edges: Sequence[float],
    num_alpha: int,
    resolution: float,
    **given: Any,
) -> Detector:
    """Layers of plates of two materials in turn; thicknesses in mm."""
    grid = _equal_layers(layers, plates * (passive[1] + active[1]), r_edges, num_alpha)
    return sampling_detector(name, passive, active, grid, resolution=resolution, **given)


def _equal_layers(count: int, thickness: float, r_edges: Sequence[float], num_alpha: int) -> Grid:
    edges = tuple(float(edge) for edge in r_edges)
    return Grid(tuple(Layer(i * thickness, (i + 1) * thickness, edges, num_alpha, i) for i in range(count)))


def _atlas(
    name: str, r_edges: Mapping[int, Sequence[float]], turned: Sequence[int], resolution: float
) -> Detector:
    """Cells of data set 1 of the CaloChallenge by the number of their layer; `turned` have ten bins in the angle."""
    layers = (
        Layer(float(number), number + 1.0, tuple(map(float, edges)), 10 if number in turned else 1, number)
        for number, edges in r_edges.items()
    )
    return Detector(
        name,
        Grid(tuple(layers)),
        # Lead and gaps of argon of the electromagnetic barrel.
        sandwich(MATERIALS["lead"], 1.53, MATERIALS["argon"], 4.2),
        resolution,
        threshold=1e-6,
        max_ratio=3.0,
        patch=(5, 4),
        energy_range=(0.256, 4194.304),
        max_angle=0.0,
        depths_known=False,
    )


_PATCH: Final = (8, 3)
"""Of binning files that are like a detector of cells of any shape."""
_PRESAMPLER: Final = (0, 5, 10, 30, 50, 100, 200, 400, 600)
_BACK: Final = (0, 50, 100, 200, 400, 600)
_TILE: Final = (0, 10, 20, 30, 50, 80, 100, 130, 160, 200, 250, 300, 350, 400)

_CHALLENGE: Final[dict[str, Any]] = {
    "passive": ("tungsten", 1.4),
    "active": ("silicon", 0.3),
    "plates": 2,
    "layers": 45,
    "resolution": 0.12,
    "max_ratio": 3.0,
    "max_angle": 0.0,
}
"""Layers of the CaloChallenge's data sets 2 and 3: two plates of tungsten and of silicon each (arXiv:2410.21611)."""

_SECTORS: Final = (
    _sampling(
        "lead-argon",
        ("lead", 2.0),
        ("argon", 4.0),
        plates=5,
        layers=12,
        r_edges=(0, 10, 20, 35, 55, 85, 140),
        num_alpha=8,
        resolution=0.10,
        patch=(8, 3),
    ),
    _sampling(
        "tungsten-silicon",
        ("tungsten", 2.1),
        ("silicon", 0.5),
        plates=4,
        layers=10,
        r_edges=(0, 4, 8, 14, 24, 44),
        num_alpha=8,
        resolution=0.16,
        patch=(4, 5),
    ),
    _sampling(
        "iron-scintillator",
        ("iron", 5.0),
        ("scintillator", 5.0),
        plates=7,
        layers=12,
        r_edges=(0, 8, 16, 26, 40, 60, 110),
        num_alpha=6,
        resolution=0.14,
        patch=(6, 3),
    ),
    Detector(
        "lead-tungstate",
        _equal_layers(8, 28.0, (0, 7, 14, 22, 32, 50, 80), 6),
        homogeneous(MATERIALS["lead-tungstate"]),
        resolution=0.0,
        threshold=0.005,
        max_ratio=1.0,
        patch=(6, 3),
        # e/h of 2.4 was measured in crystals like these (2008 JINST 3 S08004).
        hadronic_response=0.42,
    ),
)
_CHALLENGES: Final = (
    _atlas(
        "calochallenge-1-photons",
        {
            0: _PRESAMPLER,
            1: (0, 2, 4, 6, 8, 10, 12, 15, 20, 30, 40, 50, 70, 90, 120, 150, 200),
            2: (0, 2, 5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 130, 160, 200, 250, 300, 350, 400),
            3: _BACK,
            12: (0, 100, 200, 400, 1000, 2000),
        },
        turned=(1, 2),
        resolution=0.10,
    ),
    _atlas(
        "calochallenge-1-pions",
        {
            0: _PRESAMPLER,
            1: (0, 1, 4, 7, 10, 15, 30, 50, 90, 150, 200),
            2: (0, 5, 10, 20, 30, 50, 80, 130, 200, 300, 400),
            3: _BACK,
            12: (*_TILE, 1000, 2000),
            13: (*_TILE, 600, 1000, 2000),
            14: (0, 50, 100, 150, 200, 250, 300, 400, 600, 1000, 2000),
        },
        turned=(1, 2, 12, 13),
        resolution=0.50,
    ),
    replace(
        _sampling(
            "calochallenge-2",
            r_edges=[4.65 * i for i in range(10)],
            num_alpha=16,
            patch=(8, 3),
            **_CHALLENGE,
        ),
        threshold=15.15e-6,
    ),
    replace(
        _sampling(
            "calochallenge-3",
            r_edges=[2.325 * i for i in range(19)],
            num_alpha=50,
            patch=(8, 3),
            **_CHALLENGE,
        ),
        threshold=15.15e-6,
    ),
)


class _ByName(Mapping[str, Detector]):
    """Detectors by name, of which some are made when they are first asked for."""

    def __init__(self, entries: Mapping[str, Detector | Callable[[], Detector]]) -> None:
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> Detector:
        found = self._entries[name]
        if not isinstance(found, Detector):
            found = self._entries[name] = found()
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


DETECTORS: Final[Mapping[str, Detector]] = _ByName(
    {
        **{detector.name: detector for detector in _SECTORS},
        **IRREGULAR,
        **{detector.name: detector for detector in _CHALLENGES},
    }
)
"""The detectors by name.

Those of cells of any shape are explained in `lorentzoo.data.showers.irregular`. The last four are the grids of the
CaloChallenge; its showers are not. Radii and angles of data set 1 are those of its
binning files; the energies are those of its showers, 256 MeV to 4 TeV in powers of two (arXiv:2410.21611). What the files
do not say: depths (a layer of number n is given 1 mm from z = n mm), material (that of the electromagnetic barrel for
pions, too; 1.53 mm of lead and two gaps of 2.1 mm of argon, and the resolutions of 10 % and 50 %, are ATLAS' design,
2008 JINST 3 S08003). Their threshold of 1 keV and the largest part of energy that is deposited, 3, are chosen here.
"""


def find_detector(name: str) -> Detector:
    """The detector of this name.

    Raises
    ------
    ValueError
        If there is none; says which there are.
    """
    if name not in DETECTORS:
        raise ValueError(f"no detector is called {name!r}; there are: {', '.join(DETECTORS)}")
    return DETECTORS[name]


def name_fitting(shape: tuple[int, ...]) -> list[str]:
    """Names of the detectors that have showers of this shape: (voxels,), or bins in (radius, angle, depth)."""
    return [
        detector.name
        for detector in DETECTORS.values()
        if shape in ((detector.grid.num_voxels,), detector.grid.box)
    ]


def detector_of_geometry(
    path: str | os.PathLike[str], particle: str | None = None, like: Detector | None = None
) -> Detector:
    """The detector of a file of its geometry.

    Parameters
    ----------
    path
        A binning file of the CaloChallenge in XML, see `detector_of_binning`, or cells of any shape (``.npz``, HDF5), see
        `lorentzoo.data.showers.cell_files`.
    particle, like
        As for `detector_of_binning`; a file of cells has no particle.

    Raises
    ------
    EventFileError, ValueError
        If it is no such file, or has cells of no known detector and nothing says of what its layers are made.
    """
    if Path(path).suffix not in SUFFIXES:
        return detector_of_binning(path, particle, like)
    if particle is not None:
        raise ValueError("particle is of a binning file in XML, not of a file of cells")
    grid = read_cells(path)
    known = [detector for detector in _candidates(like) if detector.grid == grid]
    if known:
        return known[0]
    if like is None:
        raise _no_material(path, grid.num_voxels)
    patch = like.patch if isinstance(like.grid, CellGrid) else LARGEST_PATCH
    return replace(like, name=Path(path).stem, grid=grid, patch=patch, depths_known=True)


def _candidates(like: Detector | None) -> list[Detector]:
    return list(DETECTORS.values()) if like is None else [like]


def _no_material(path: str | os.PathLike[str], voxels: int) -> EventFileError:
    return EventFileError(
        path,
        f"its {voxels} cells are those of no detector by name, and it does not say of what they are made; "
        "pass detector=, one with such layers, e.g. 'lead-argon'",
    )


def detector_of_binning(
    path: str | os.PathLike[str], particle: str | None = None, like: Detector | None = None
) -> Detector:
    """The detector of a binning file of the CaloChallenge.

    Parameters
    ----------
    path
        The file, see `Grid.from_xml`.
    particle
        Of which particle, if the file has several.
    like
        Of what its layers are made and all else that such files do not say; only the cells are those of the file, and its
        name. Not needed where the cells are those of one of the `DETECTORS`, which then is given whole.

    Raises
    ------
    EventFileError
        If it is no such file, or has cells of no known detector and nothing says of what its layers are made.
    """
    grid = Grid.from_xml(path, particle)
    known = [
        detector
        for detector in _candidates(like)
        if isinstance(detector.grid, Grid) and _cells(detector.grid) == _cells(grid)
    ]
    if known:
        return known[0]
    if like is None:
        raise _no_material(path, grid.num_voxels)
    patch = like.patch if isinstance(like.grid, Grid) else _PATCH
    return replace(like, name=Path(path).stem, grid=grid, patch=patch, depths_known=False)


def _cells(grid: Grid) -> list[tuple[Any, ...]]:
    """What a binning file says of a grid, to the digits that are written."""
    return [
        (layer.number, layer.num_alpha, *(round(edge, 6) for edge in layer.r_edges)) for layer in grid.layers
    ]

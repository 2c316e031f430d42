"""How are cells of any shape kept in files, and how does a user bring his own?

An ``.npz``, or an HDF5 file (or a group ``cells`` of one) of these arrays, lengths in mm, N cells in L layers:

- ``layer`` (N,): layer of each cell, counted from 0 at the front, rising. Voxels of showers stand in this order.
- ``x``, ``y`` (N,): its middle, seen from where the particle enters.
- ``z_low``, ``z_high`` (L,): where each layer begins and ends behind the front face.
- ``corner_x``, ``corner_y`` (N, K), optional: its outline in turn, NaN behind the last corner. Without them a cell is the
  places that are nearest to its middle, within the box about the middles that is half a distance of neighbours wider.
- ``area`` (N,), optional: in mm²; a file whose areas are not those of its outlines is refused.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.readers.hdf5 import HDF5File
from lorentzoo.data.readers.source import EventFileError, require_columns
from lorentzoo.data.showers.cells import CellGrid, CellLayer
from lorentzoo.data.showers.outlines import nearest_outlines, pad_outlines
from lorentzoo.data.writing import replacing

__all__ = [
    "GROUP",
    "SUFFIXES",
    "arrays_of_cells",
    "cells_of_arrays",
    "describe_cells",
    "holds_cells",
    "read_cells",
    "write_cells",
]

Array = NDArray[np.float64]

SUFFIXES: Final = (".npz", ".hdf5", ".h5")
GROUP: Final = "cells"
"""Of an HDF5 file that holds showers, too."""
_NEEDED: Final = ("layer", "x", "y", "z_low", "z_high")
_OPTIONAL: Final = ("corner_x", "corner_y", "area")
_AREA: Final = 0.01
"""Relative difference of a stated area that is rounding."""


def read_cells(path: str | os.PathLike[str]) -> CellGrid:
    """The cells of a file.

    Raises
    ------
    EventFileError
        Naming the file and what is wrong: missing arrays, layers without cells, cells that overlap.
    """
    path = Path(path)
    if not path.is_file():
        raise EventFileError(path, "there is no such file of cells")
    return cells_of_arrays(path, _read_arrays(path, (*_NEEDED, *_OPTIONAL)))


def _read_arrays(path: Path, wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Those arrays of a file that it has."""
    if path.suffix == ".npz":
        try:
            with np.load(path, allow_pickle=False) as archive:
                return {name: archive[name] for name in wanted if name in archive.files}
        except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds on damaged bytes
            raise EventFileError(path, f"no file of cells: {error}") from error
    file = HDF5File(path)
    found = file.datasets()
    prefix = f"{GROUP}/" if f"{GROUP}/layer" in found else ""
    names = [name for name in wanted if prefix + name in found]
    return {name: file.rows(prefix + name, 0, len(file.dataset(prefix + name))) for name in names}


def holds_cells(path: Path) -> bool:
    """Whether a file is of cells alone, by the names of its arrays."""
    if path.suffix not in SUFFIXES or not path.is_file():
        return False
    try:
        return set(_NEEDED) <= set(_read_arrays(path, _NEEDED))
    except EventFileError:
        return False


def describe_cells(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a file of cells holds, as plain data.

    Raises
    ------
    EventFileError
        As `read_cells` does.
    """
    grid = read_cells(path)
    sizes = [layer.num_voxels for layer in grid.layers]
    return {
        "path": str(path),
        "bytes": Path(path).stat().st_size,
        "layers": grid.num_layers,
        "cells": grid.num_voxels,
        "cells_of_a_layer": [min(sizes), max(sizes)],
        "area_mm2": [float(grid.area.min()), float(grid.area.max())],
        "depth_mm": [grid.layers[0].z_low, grid.layers[-1].z_high],
        "farthest_from_axis_mm": float(grid.radius.max()),
    }


def cells_of_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> CellGrid:
    """The cells of arrays, see above; `path` is for messages.

    Raises
    ------
    EventFileError
        As `read_cells` does.
    """
    require_columns(path, list(arrays), _NEEDED, "cells of a detector")
    numbers = {name: np.asarray(value) for name, value in arrays.items()}
    for name in (*_NEEDED, *_OPTIONAL):
        if name in numbers and numbers[name].dtype.kind not in "fiu":
            raise EventFileError(path, f"{name} must hold numbers, not {numbers[name].dtype}")
    layer, count = numbers["layer"], len(numbers["z_low"])
    for name in ("x", "y", *_OPTIONAL):
        if name in numbers and len(numbers[name]) != len(layer):
            raise EventFileError(path, f"{len(layer)} cells, but {name} has {len(numbers[name])}")
    if len(numbers["z_high"]) != count:
        raise EventFileError(path, f"{count} layers in z_low, but z_high has {len(numbers['z_high'])}")
    if len(layer) == 0 or count == 0:
        raise EventFileError(path, "it has no cells")
    if (np.diff(layer) < 0).any() or layer[0] < 0 or layer[-1] >= count or (layer != np.rint(layer)).any():
        raise EventFileError(
            path,
            f"layer must rise from 0 to at most {count - 1}, since z_low has {count} layers, cell by cell",
        )
    layers = []
    for number in range(count):
        here = layer == number
        own = {name: value[here] for name, value in numbers.items() if name in ("x", "y", *_OPTIONAL)}
        try:
            layers.append(
                _layer_of(number, float(numbers["z_low"][number]), float(numbers["z_high"][number]), own)
            )
        except ValueError as error:
            raise EventFileError(path, str(error)) from error
    try:
        return CellGrid(tuple(layers))
    except ValueError as error:
        raise EventFileError(path, str(error)) from error


def _layer_of(number: int, low: float, high: float, own: Mapping[str, NDArray[Any]]) -> CellLayer:
    x, y = (np.asarray(own[name], np.float64) for name in ("x", "y"))
    if not len(x):
        raise ValueError(f"layer {number} has no cells; leave it out, or give it at least one")
    if ("corner_x" in own) != ("corner_y" in own):
        raise ValueError("corner_x and corner_y go together")
    if "corner_x" in own:
        corners = _padded(np.stack([own["corner_x"], own["corner_y"]], axis=-1).astype(np.float64))
    else:
        corners = pad_outlines(_nearest(number, np.stack([x, y], axis=1)))
    made = CellLayer(low, high, x, y, corners, number)
    if "area" in own and (wrong := np.abs(own["area"] / made.area - 1) > _AREA).any():
        cell = int(wrong.argmax())
        raise ValueError(
            f"layer {number}: cell {cell} is said to have {own['area'][cell]:.6g} mm², but its outline has "
            f"{made.area[cell]:.6g}"
        )
    return made


def _padded(corners: Array) -> Array:
    """Outlines whose missing corners, NaN, repeat the last one."""
    real = np.isfinite(corners).all(-1)
    last = np.maximum.accumulate(np.where(real, np.arange(real.shape[1]), 0), axis=1)
    return np.take_along_axis(corners, last[..., None], axis=1)


def _nearest(number: int, middle: Array) -> list[Array]:
    """The places nearest to each middle, within a box about all."""
    apart = np.array([np.sort(np.hypot(*(middle - here).T))[1:2].sum() for here in middle])
    if not np.isfinite(middle).all() or not (apart > 0).all():
        raise ValueError(
            f"layer {number}: without corners cells are what is nearest to their middles, which must be two or more and "
            "differ"
        )
    half = 0.5 * float(np.median(apart))
    (left, below), (right, above) = middle.min(0) - half, middle.max(0) + half
    box = np.array([[left, below], [right, below], [right, above], [left, above]])
    return nearest_outlines(middle, box)


def arrays_of_cells(grid: CellGrid) -> dict[str, NDArray[Any]]:
    """What `cells_of_arrays` reads."""
    most = max(layer.corners.shape[1] for layer in grid.layers)
    corners = np.concatenate(
        [
            np.pad(layer.corners, ((0, 0), (0, most - layer.corners.shape[1]), (0, 0)), mode="edge")
            for layer in grid.layers
        ]
    )
    return {
        "layer": grid.layer,
        "x": grid.x,
        "y": grid.y,
        "z_low": np.array([layer.z_low for layer in grid.layers]),
        "z_high": np.array([layer.z_high for layer in grid.layers]),
        "corner_x": corners[..., 0],
        "corner_y": corners[..., 1],
        "area": grid.area,
    }


def write_cells(path: str | os.PathLike[str], grid: CellGrid) -> Path:
    """Write cells to an ``.npz`` that `read_cells` reads."""
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"cells are written to .npz; write to {path.with_suffix('.npz')} instead of {path}")
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays_of_cells(grid))
    return path

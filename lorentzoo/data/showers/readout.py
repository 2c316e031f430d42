"""What has every set of cells into which showers are read out, whatever the shape of its cells?"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lorentzoo.core.errors import MissingExtraError

__all__ = ["Block", "Readout", "ReadoutLayer", "need_scipy"]

Array = NDArray[np.float64]


class ReadoutLayer(Protocol):
    """One readout layer: where it lies, and how many cells it has."""

    @property
    def z_low(self) -> float:
        """Where it begins behind the front face, mm."""

    @property
    def z_high(self) -> float:
        """Where it ends, mm."""

    @property
    def num_voxels(self) -> int:
        """Its cells."""


@dataclass(frozen=True, eq=False)
class Block:
    """Neighbouring cells of one layer that become a patch.

    Attributes
    ----------
    cells
        Voxels in the order in which they stand in the patch, (C,).
    radii
        How many of them, in that order, run outwards before the next ones begin at the inside again.
    r_low, r_high
        Nearest and farthest distance of their outlines from the axis, mm.
    alpha, span
        Middle and width of the range of angles in which they are seen from the axis, radians.
    x, y
        Their middle, mm.
    """

    cells: NDArray[np.int64]
    radii: int
    r_low: float
    r_high: float
    alpha: float
    span: float
    x: float
    y: float


class Readout(ABC):
    """All cells of a calorimeter, layer after layer from the front to the back.

    Places across are x and y in mm, seen from the axis, which enters the calorimeter where the particle does.
    """

    layers: Sequence[ReadoutLayer]

    @property
    def num_layers(self) -> int:
        """Number of layers L."""
        return len(self.layers)

    @cached_property
    def num_voxels(self) -> int:
        """Number of voxels V."""
        return sum(layer.num_voxels for layer in self.layers)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """First voxel of each layer, and the number of all, shape (L + 1,)."""
        return np.concatenate([[0], np.cumsum([layer.num_voxels for layer in self.layers])]).astype(np.int64)

    @cached_property
    def layer(self) -> NDArray[np.int64]:
        """Layer of each voxel, counted from the front, shape (V,)."""
        return np.repeat(np.arange(self.num_layers), np.diff(self.starts))

    @cached_property
    def depth(self) -> Array:
        """z of each voxel's middle in mm, shape (V,)."""
        middles = np.array([0.5 * (layer.z_low + layer.z_high) for layer in self.layers])
        return middles[self.layer]

    def layer_energies(self, voxels: NDArray[np.floating]) -> Array:
        """Energy in each layer, shape (n, V) to (n, L)."""
        return np.add.reduceat(np.asarray(voxels, np.float64), self.starts[:-1], axis=-1)

    @property
    def box(self) -> tuple[int, int, int] | None:
        """Bins in radius, angle and depth, (R, A, L), where all layers have as many; None otherwise."""
        return None

    @property
    @abstractmethod
    def x(self) -> Array:
        """x of each voxel's middle in mm, shape (V,)."""

    @property
    @abstractmethod
    def y(self) -> Array:
        """y of each voxel's middle in mm, shape (V,)."""

    @property
    @abstractmethod
    def radius(self) -> Array:
        """Distance of each voxel's middle from the axis in mm, shape (V,)."""

    @property
    def squares(self) -> tuple[Array, Array]:
        """x² and y² of each voxel, (V,) each, mm²."""
        return self.x**2, self.y**2

    @abstractmethod
    def find_voxels(self, layer: int, x: Array, y: Array) -> NDArray[np.int64]:
        """Voxel in which places (n,) of a layer lie, -1 beside all cells, (n,)."""

    @abstractmethod
    def outlines(self, layer: int) -> list[Array]:
        """Corners of each cell of a layer, (K, 2) each, in mm; arcs are drawn in pieces."""

    @abstractmethod
    def check_patch(self, patch: Sequence[int]) -> int:
        """Cells of the largest patch of this size.

        Raises
        ------
        ValueError
            If it is no size of patches of such cells.
        """

    @abstractmethod
    def blocks(self, layer: int, patch: Sequence[int]) -> list[Block]:
        """The patches of a layer."""

    @abstractmethod
    def to_data(self) -> list[dict[str, Any]]:
        """Plain data."""


def need_scipy(module: str) -> Any:
    """A module of scipy, without which no shower can be made.

    Raises
    ------
    MissingExtraError
        Naming the extra that has it.
    """
    try:
        return importlib.import_module(f"scipy.{module}")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "parametrised showers need 'scipy', which is not installed: pip install \"lorentzoo[simulate]\""
        ) from error

"""Into which cells is a shower read out where they are of any shape and number a layer?

A cell is its middle and its outline in the plane of its layer: hexagons, towers, whatever. Voxels stand layer after
layer, in the order in which the layer has its cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.showers.bisection import bisect_cells
from lorentzoo.data.showers.outlines import areas, holds, overlapping_pair, turns
from lorentzoo.data.showers.readout import Block, Readout, need_scipy

__all__ = ["CellGrid", "CellLayer"]

Array = NDArray[np.float64]

_ROUNDING: Final = 1e-9
"""Part of a cell by which a place may lie beside it: no deposit is lost between two cells."""
_NEIGHBOURS: Final = 16
_PLACES_AT_A_TIME: Final = 1 << 17


@dataclass(frozen=True, eq=False)
class CellLayer:
    """One readout layer of cells of any shape.

    Parameters
    ----------
    z_low, z_high
        Where it begins and ends behind the front face, mm.
    x, y
        Middles of its cells, mm, (n,). In a barrel x runs along the beam axis and y around it, in the plane that
        touches the layer's cylinder where the particle comes.
    corners
        Outlines, (n, K, 2), in turn; the last one repeated where a cell has fewer than K. A cell must be seen whole
        from its middle.
    number
        Its number, for messages and files.

    Raises
    ------
    ValueError
        Naming the layer and the cell: no cells, no thickness, no area, an outline that is not around its middle, or
        cells that overlap.
    """

    z_low: float
    z_high: float
    x: Array
    y: Array
    corners: Array
    number: int = 0

    def __post_init__(self) -> None:
        where, count = f"layer {self.number}", len(self.x)
        if count == 0:
            raise ValueError(f"{where} has no cells; leave it out, or give it at least one")
        shape = self.corners.shape
        if self.y.shape != self.x.shape or shape[:1] + shape[2:] != (count, 2) or shape[1] < 3:
            raise ValueError(
                f"{where}: {count} cells need as many x and y and corners of shape ({count}, K, 2) with K of 3 or more, "
                f"not {self.y.shape} and {shape}"
            )
        if not self.z_high > self.z_low:
            raise ValueError(f"{where} needs a thickness, not z from {self.z_low} to {self.z_high} mm")
        bad = ~(np.isfinite(self.corners).all((1, 2)) & np.isfinite(self.x) & np.isfinite(self.y))
        if bad.any():
            raise ValueError(f"{where}: cell {int(bad.argmax())} has places that are not finite")
        longest = shape[1]
        while longest > 3 and (self.corners[:, longest - 1] == self.corners[:, longest - 2]).all():
            longest -= 1
        object.__setattr__(self, "corners", self.corners[:, :longest])
        clockwise = areas(self.corners) < 0
        if clockwise.any():
            turned = np.where(clockwise[:, None, None], self.corners[:, ::-1], self.corners)
            object.__setattr__(self, "corners", turned)
        if (empty := self.area <= 0).any():
            raise ValueError(f"{where}: cell {int(empty.argmax())} has no area")
        folded = (turns(self.corners, self.middle) < -_ROUNDING * self.area[:, None]).any(1)
        if folded.any():
            raise ValueError(
                f"{where}: cell {int(folded.argmax())} is not seen whole from its middle; move that, or part the cell"
            )
        if (pair := overlapping_pair(self.corners, self.middle)) is not None:
            raise ValueError(f"{where}: cells {pair[0]} and {pair[1]} overlap; every place may have one cell")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CellLayer):
            return NotImplemented
        return (self.z_low, self.z_high, self.number) == (
            other.z_low,
            other.z_high,
            other.number,
        ) and all(np.array_equal(getattr(self, name), getattr(other, name)) for name in ("x", "y", "corners"))

    def __hash__(self) -> int:
        return hash((self.z_low, self.z_high, self.number, self.x.tobytes()))

    @property
    def num_voxels(self) -> int:
        """Cells of the layer."""
        return len(self.x)

    @property
    def middle(self) -> Array:
        """Middles of its cells in mm, (n, 2)."""
        return np.stack([self.x, self.y], axis=1)

    @cached_property
    def area(self) -> Array:
        """Area of each cell in mm², (n,)."""
        return areas(self.corners)

    @cached_property
    def _tree(self) -> Any:
        return need_scipy("spatial").cKDTree(self.middle)

    @cached_property
    def _reach(self) -> float:
        """Farthest corner from the middle of its cell."""
        return float(np.linalg.norm(self.corners - self.middle[:, None], axis=-1).max())

    def find_cells(self, x: Array, y: Array) -> NDArray[np.int64]:
        """Cell in which places (n,) lie, -1 beside all cells, (n,). The nearest one is asked first."""
        parts = [
            self._found(x[first : first + _PLACES_AT_A_TIME], y[first : first + _PLACES_AT_A_TIME])
            for first in range(0, len(x), _PLACES_AT_A_TIME)
        ]
        return np.concatenate([np.empty(0, np.int64), *parts])

    def _found(self, x: Array, y: Array) -> NDArray[np.int64]:
        found, left = np.full(len(x), -1, np.int64), np.arange(len(x))
        asked, bound = 1, self._reach * (1 + _ROUNDING)
        while len(left):
            places = np.stack([x[left], y[left]], axis=1)
            distance, near = self._tree.query(places, k=np.arange(1, asked + 1), distance_upper_bound=bound)
            # What of a cell is shrunk by rounding is a place that is moved to its middle by as much.
            cell = np.minimum(near, self.num_voxels - 1)
            moved = (1 - _ROUNDING) * (places[:, None] - self.middle[cell]) + self.middle[cell]
            inside = np.isfinite(distance) & holds(self.corners[cell], moved[..., 0], moved[..., 1])
            hit = inside.any(1)
            found[left[hit]] = cell[hit, inside[hit].argmax(1)]
            if asked >= self.num_voxels:
                break
            left = left[~hit & np.isfinite(distance[:, -1])]
            asked = min(_NEIGHBOURS * asked, self.num_voxels)
        return found


@dataclass(frozen=True)
class CellGrid(Readout):
    """Layers of cells of any shape, from the front to the back."""

    layers: tuple[CellLayer, ...]

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("a detector needs at least one layer of cells")
        edges = [(layer.z_low, layer.z_high) for layer in self.layers]
        for (_, end), (begin, _), layer in zip(edges[:-1], edges[1:], self.layers[1:], strict=True):
            if begin < end:
                raise ValueError(
                    f"layer {layer.number} begins at z = {begin} mm, before the one in front of it ends ({end} mm)"
                )

    @cached_property
    def x(self) -> Array:
        return np.concatenate([layer.x for layer in self.layers])

    @cached_property
    def y(self) -> Array:
        return np.concatenate([layer.y for layer in self.layers])

    @cached_property
    def radius(self) -> Array:
        return np.hypot(self.x, self.y)

    @cached_property
    def area(self) -> Array:
        """Area of each voxel across in mm², (V,)."""
        return np.concatenate([layer.area for layer in self.layers])

    def find_voxels(self, layer: int, x: Array, y: Array) -> NDArray[np.int64]:
        cells = self.layers[layer].find_cells(x, y)
        return np.where(cells >= 0, self.starts[layer] + cells, -1)

    def outlines(self, layer: int) -> list[Array]:
        return list(self.layers[layer].corners)

    # ---- patches ---------------------------------------------------------------------------

    def check_patch(self, patch: Sequence[int]) -> int:
        if len(patch) != 1 or patch[0] < 1:
            raise ValueError(
                f"patch of cells of any shape is their largest number, one of at least 1, not {tuple(patch)}"
            )
        return patch[0]

    def blocks(self, layer: int, patch: Sequence[int]) -> list[Block]:
        held = self.layers[layer]
        return [
            self._block(held, int(self.starts[layer]), cells)
            for cells in bisect_cells(held.x, held.y, patch[0])
        ]

    @staticmethod
    def _block(layer: CellLayer, start: int, cells: NDArray[np.int64]) -> Block:
        x, y, area = layer.x[cells], layer.y[cells], layer.area[cells]
        order = np.lexsort(np.round([np.arctan2(y, x), np.hypot(x, y)], 6))
        middle_x, middle_y = (float(each @ area / area.sum()) for each in (x, y))
        corners = layer.corners[cells]
        alpha, span = float(np.arctan2(middle_y, middle_x)), 2 * np.pi
        # From within its cells a patch is seen all around.
        within = bool(holds(corners, np.zeros(len(cells)), np.zeros(len(cells))).any())
        if not within:
            angle = np.arctan2(corners[..., 1], corners[..., 0])
            turn = (angle - alpha + np.pi) % (2 * np.pi) - np.pi
            low, high = float(turn.min()), float(turn.max())
            alpha, span = alpha + 0.5 * (low + high), high - low
        return Block(
            start + cells[order],
            len(cells),
            0.0 if within else float(_distance_to_edges(corners).min()),
            float(np.hypot(corners[..., 0], corners[..., 1]).max()),
            alpha,
            span,
            middle_x,
            middle_y,
        )

    # ---- plain data ------------------------------------------------------------------------

    def to_data(self) -> list[dict[str, Any]]:
        return [
            {
                "number": layer.number,
                "z": [layer.z_low, layer.z_high],
                "x": layer.x.tolist(),
                "y": layer.y.tolist(),
                "corners": layer.corners.tolist(),
            }
            for layer in self.layers
        ]

    @classmethod
    def from_data(cls, data: Sequence[Mapping[str, Any]]) -> CellGrid:
        """The cells of plain data."""
        layers = []
        for item in data:
            low, high = item["z"]
            x, y, corners = (np.array(item[name], np.float64) for name in ("x", "y", "corners"))
            layers.append(CellLayer(float(low), float(high), x, y, corners, item["number"]))
        return cls(tuple(layers))


def _distance_to_edges(corners: Array) -> Array:
    """Distance of edges from the origin, (n, K, 2) to (n, K)."""
    edge = np.roll(corners, -1, axis=1) - corners
    square = np.maximum((edge**2).sum(-1), 1e-300)
    part = np.clip(-(corners * edge).sum(-1) / square, 0.0, 1.0)
    found: Array = np.linalg.norm(corners + part[..., None] * edge, axis=-1)
    return found

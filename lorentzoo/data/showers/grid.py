"""Into which cells is a shower read out, and in which order do they stand?

Voxels of cylinders about the z axis, which enters the calorimeter where the particle does: layers in z, bins in the
angle α and in the radius r. Their order is that of the CaloChallenge (arXiv:2410.21611): layer after layer, within a
layer angle after angle, within an angle from the smallest radius outwards. Angles begin at -π.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.readers.source import EventFileError
from lorentzoo.data.showers.readout import Block, Readout

__all__ = ["Grid", "Layer"]


@dataclass(frozen=True)
class Layer:
    """One readout layer.

    Parameters
    ----------
    z_low, z_high
        Where it begins and ends behind the front face, mm.
    r_edges
        Edges of its bins in the radius, rising from 0 or more, mm.
    num_alpha
        Number of equal bins in the angle.
    number
        Its number in a file of the geometry, where layers without cells are counted too.
    """

    z_low: float
    z_high: float
    r_edges: tuple[float, ...]
    num_alpha: int
    number: int = 0

    def __post_init__(self) -> None:
        edges = np.asarray(self.r_edges)
        rise = bool((np.diff(edges) > 0).all()) and bool(np.isfinite(edges).all())
        if len(edges) < 2 or edges[0] < 0 or not rise:
            raise ValueError(f"r_edges must rise from 0 or more and hold a bin, not {list(self.r_edges)}")
        if self.num_alpha < 1:
            raise ValueError(f"num_alpha must be at least 1, not {self.num_alpha}")
        if not self.z_high > self.z_low:
            raise ValueError(f"a layer needs a thickness, not z from {self.z_low} to {self.z_high} mm")

    @property
    def num_radii(self) -> int:
        """Bins in the radius."""
        return len(self.r_edges) - 1

    @property
    def num_voxels(self) -> int:
        """Cells of the layer."""
        return self.num_alpha * self.num_radii


@dataclass(frozen=True)
class Grid(Readout):
    """All readout layers, from the front to the back."""

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("a grid needs at least one layer")

    @cached_property
    def alpha(self) -> NDArray[np.float64]:
        """Angle of each voxel's middle, -π to π, shape (V,)."""
        return np.concatenate(
            [
                np.repeat(
                    2 * np.pi * (np.arange(layer.num_alpha) + 0.5) / layer.num_alpha - np.pi, layer.num_radii
                )
                for layer in self.layers
            ]
        )

    @cached_property
    def radius(self) -> NDArray[np.float64]:
        """Radius of each voxel's middle in mm, shape (V,)."""
        return np.concatenate(
            [
                np.tile(0.5 * (np.add(layer.r_edges[1:], layer.r_edges[:-1])), layer.num_alpha)
                for layer in self.layers
            ]
        )

    @cached_property
    def _ring(self) -> NDArray[np.bool_]:
        """Which voxels are whole rings: their middle is on the axis."""
        found: NDArray[np.bool_] = np.array([layer.num_alpha == 1 for layer in self.layers])[self.layer]
        return found

    @cached_property
    def x(self) -> NDArray[np.float64]:
        return np.where(self._ring, 0.0, self.radius * np.cos(self.alpha))

    @cached_property
    def y(self) -> NDArray[np.float64]:
        return np.where(self._ring, 0.0, self.radius * np.sin(self.alpha))

    @property
    def squares(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        half = 0.5 * self.radius**2
        return np.where(self._ring, half, self.x**2), np.where(self._ring, half, self.y**2)

    @cached_property
    def box(self) -> tuple[int, int, int] | None:
        bins = {(layer.num_radii, layer.num_alpha) for layer in self.layers}
        return (*bins.pop(), self.num_layers) if len(bins) == 1 else None

    def find_voxels(self, layer: int, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int64]:
        bins = self.layers[layer]
        radius = np.searchsorted(bins.r_edges, np.hypot(x, y), side="right") - 1
        angle = ((np.arctan2(y, x) + np.pi) / (2 * np.pi) * bins.num_alpha).astype(np.int64)
        angle = np.minimum(angle, bins.num_alpha - 1)
        voxel = self.starts[layer] + angle * bins.num_radii + radius
        return np.where((radius >= 0) & (radius < bins.num_radii), voxel, -1)

    def outlines(self, layer: int) -> list[NDArray[np.float64]]:
        bins, found = self.layers[layer], []
        for turn in range(bins.num_alpha):
            span = 2 * np.pi / bins.num_alpha
            arc = span * (turn + np.linspace(0, 1, max(2, 49 // bins.num_alpha + 1))) - np.pi
            around = np.stack([np.cos(arc), np.sin(arc)], axis=1)
            found += [
                np.concatenate([high * around, low * around[::-1]])
                for low, high in zip(bins.r_edges[:-1], bins.r_edges[1:], strict=True)
            ]
        return found

    # ---- patches ---------------------------------------------------------------------------

    def check_patch(self, patch: Sequence[int]) -> int:
        if len(patch) != 2 or min(patch) < 1:
            raise ValueError(
                f"patch must have at least one bin each way, in the angle and in the radius, not {tuple(patch)}"
            )
        return patch[0] * patch[1]

    def blocks(self, layer: int, patch: Sequence[int]) -> list[Block]:
        bins, (angles, radii), found = self.layers[layer], patch, []
        for first in range(0, bins.num_alpha, angles):
            turn = np.arange(first, min(first + angles, bins.num_alpha))
            span = 2 * np.pi * len(turn) / bins.num_alpha
            alpha = 2 * np.pi * turn[0] / bins.num_alpha - np.pi + 0.5 * span
            for inner in range(0, bins.num_radii, radii):
                across = np.arange(inner, min(inner + radii, bins.num_radii))
                cells = (self.starts[layer] + turn[:, None] * bins.num_radii + across).ravel()
                low, high = bins.r_edges[across[0]], bins.r_edges[across[-1] + 1]
                # A full ring has its middle on the axis.
                centre = 0.5 * (low + high) if len(turn) < bins.num_alpha else 0.0
                found.append(
                    Block(
                        cells,
                        len(across),
                        low,
                        high,
                        alpha,
                        span,
                        float(centre * np.cos(alpha)),
                        float(centre * np.sin(alpha)),
                    )
                )
        return found

    # ---- geometries of files ---------------------------------------------------------------

    @classmethod
    def from_xml(cls, path: str | os.PathLike[str], particle: str | None = None) -> Grid:
        """The grid of a binning file of the CaloChallenge.

        Parameters
        ----------
        path
            A file of ``<Bins><Bin name="electron"><Layer id="0" r_edges="0,4.65,..." n_bin_alpha="16"/>...``. Layers with
            a single edge have no cells and are left out. Such files do not say how thick layers are: a layer of number
            `id` reaches from z = id to z = id + 1 mm.
        particle
            Name (``photon``) or number (``22``) of the wanted ``<Bin>``; by default there must be one only.

        Raises
        ------
        EventFileError
            Naming the file and what is wrong.
        """
        try:
            root = ElementTree.parse(path).getroot()
        except (ElementTree.ParseError, OSError, ValueError) as error:
            raise EventFileError(path, f"no binning file in XML: {error}") from error
        found = root.findall("Bin")
        if root.tag != "Bins" or not found:
            raise EventFileError(
                path, f"no binning file: it holds <{root.tag}>, not <Bins> with a <Bin> for each particle"
            )
        names = [item.get("name", "") for item in found]
        chosen = [
            item for item in found if particle is None or particle in (item.get("name"), item.get("pid"))
        ]
        if len(chosen) != 1:
            raise EventFileError(path, f"particle must be one of {names}, not {particle!r}")
        layers = [
            _layer_of(path, item.attrib) for item in chosen[0].findall("Layer") if _has_cells(item.attrib)
        ]
        if not layers:
            raise EventFileError(path, "no layer has any cells")
        numbers = [layer.number for layer in layers]
        if numbers != sorted(set(numbers)):
            raise EventFileError(path, f"layers must rise from the front to the back, not stand as {numbers}")
        return cls(tuple(layers))

    def to_xml(self, particle: str = "electron") -> str:
        """The text of such a binning file."""
        root = ElementTree.Element("Bins")
        bins = ElementTree.SubElement(root, "Bin", name=particle)
        for layer in self.layers:
            edges = ",".join(f"{edge:g}" for edge in layer.r_edges)
            ElementTree.SubElement(
                bins, "Layer", id=str(layer.number), r_edges=edges, n_bin_alpha=str(layer.num_alpha)
            )
        ElementTree.indent(root, "   ")
        return ElementTree.tostring(root, encoding="unicode") + "\n"

    def to_data(self) -> list[dict[str, Any]]:
        """Plain data."""
        return [
            {
                "number": layer.number,
                "z": [layer.z_low, layer.z_high],
                "r_edges": list(layer.r_edges),
                "num_alpha": layer.num_alpha,
            }
            for layer in self.layers
        ]

    @classmethod
    def from_data(cls, data: Sequence[Mapping[str, Any]]) -> Grid:
        """The grid of plain data."""
        layers = []
        for item in data:
            low, high = item["z"]
            edges = tuple(float(edge) for edge in item["r_edges"])
            layers.append(Layer(float(low), float(high), edges, item["num_alpha"], item["number"]))
        return cls(tuple(layers))


def _has_cells(attributes: Mapping[str, str]) -> bool:
    return "," in attributes.get("r_edges", ",")


def _layer_of(path: str | os.PathLike[str], attributes: Mapping[str, str]) -> Layer:
    """A layer of a binning file."""
    try:
        number = int(attributes["id"])
        edges = tuple(float(edge) for edge in attributes["r_edges"].split(","))
        return Layer(float(number), number + 1.0, edges, int(attributes["n_bin_alpha"]), number)
    except (KeyError, ValueError) as error:
        raise EventFileError(
            path, f"a layer {dict(attributes)} cannot be read: {error}; it needs id, r_edges, n_bin_alpha"
        ) from error

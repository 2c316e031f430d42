"""What does a network need to know of a calorimeter?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lorentzoo.data.showers.cells import CellGrid
from lorentzoo.data.showers.grid import Grid
from lorentzoo.data.showers.materials import MATERIALS, Medium, sandwich
from lorentzoo.data.showers.readout import Readout

__all__ = ["Detector", "sampling_detector"]


@dataclass(frozen=True)
class Detector:
    """A calorimeter of plane layers, and its cells.

    Parameters
    ----------
    name
        By which it is found.
    grid
        Its cells.
    medium
        What showers develop in.
    resolution
        Stochastic term c of the energy resolution, σ / E = c / √E with E in GeV; 0 where nothing is sampled.
    threshold
        Cells with less energy than this (GeV, as deposited) are read as empty.
    max_ratio
        No shower deposits more than this part of the incident energy.
    patch
        Size of a patch, see `Patches`: bins in the angle and in the radius, or of a `CellGrid` the largest number of
        cells.
    energy_range
        Incident energies in GeV, drawn with a flat logarithm.
    max_angle
        Largest polar angle of incidence in radians; the particle comes in the plane of z and x.
    distance
        From where particles come to the front face, mm: cells are seen from there.
    depths_known
        Whether z of the layers is known; files of a geometry give their cells across only. No shower can be made in a
        detector of unknown depths.
    hadronic_response
        h/e: what is seen of the part of a hadronic shower that is not electromagnetic, over what is seen of the part
        that is.
    """

    name: str
    grid: Readout
    medium: Medium
    resolution: float
    threshold: float
    max_ratio: float
    patch: tuple[int, ...]
    energy_range: tuple[float, float] = (1.0, 1000.0)
    max_angle: float = 0.3
    distance: float = 1500.0
    depths_known: bool = True
    hadronic_response: float = 0.7

    def __post_init__(self) -> None:
        low, high = self.energy_range
        if not 0 < low <= high:
            raise ValueError(f"energy_range must be positive and rise, not {self.energy_range}")
        if not 0 <= self.max_angle < 1.0:
            raise ValueError(f"max_angle must be 0 to 1 radian, not {self.max_angle}")
        if not (self.threshold > 0 and self.max_ratio > 0 and self.distance > 0 and self.resolution >= 0):
            raise ValueError(
                "threshold, max_ratio and distance must be positive, and resolution not negative"
            )
        if not 0 < self.hadronic_response <= 1:
            raise ValueError(f"hadronic_response must be above 0 and at most 1, not {self.hadronic_response}")
        self.grid.check_patch(self.patch)

    def to_data(self) -> dict[str, Any]:
        """Plain data, for files."""
        own = {name: getattr(self, name) for name in (*_PLAIN, *_LATER)}
        pairs = {"patch": list(self.patch), "energy_range": list(self.energy_range)}
        return {**own, **pairs, "medium": vars(self.medium), "grid": self.grid.to_data()}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Detector:
        """The detector of plain data."""
        return cls(
            **{name: data[name] for name in _PLAIN},
            # Files of before these were kept have what is so by default.
            **{name: data[name] for name in _LATER if name in data},
            patch=tuple(data["patch"]),
            energy_range=tuple(data["energy_range"]),
            medium=Medium(**data["medium"]),
            grid=_readout_of(data["grid"]),
        )


_PLAIN: Final = ("name", "resolution", "threshold", "max_ratio", "max_angle", "distance")
_LATER: Final = ("depths_known", "hadronic_response")


def _readout_of(data: Sequence[Mapping[str, Any]]) -> Readout:
    """The cells of plain data."""
    return (CellGrid if data and "corners" in data[0] else Grid).from_data(data)


def sampling_detector(
    name: str,
    passive: tuple[str, float],
    active: tuple[str, float],
    grid: Readout,
    *,
    resolution: float,
    **given: Any,
) -> Detector:
    """A calorimeter of plates of two materials in turn, by their names and thicknesses in mm.

    Its threshold is half of what a minimum-ionising particle leaves in one plate, the largest part of energy that is
    deposited three times the sampling fraction, unless `given` says otherwise.
    """
    medium = sandwich(MATERIALS[passive[0]], passive[1], MATERIALS[active[0]], active[1])
    chosen = {
        "threshold": 0.5e-3 * active[1] * MATERIALS[active[0]].ionisation,
        "max_ratio": min(1.0, 3.0 * medium.sampling_fraction),
        **given,
    }
    return Detector(name, grid, medium, resolution, **chosen)

"""Which calorimeters are there by name, and what does a network need to know of each?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from lorentzoo.data.showers.grid import Grid, Layer
from lorentzoo.data.showers.materials import MATERIALS, Medium, homogeneous, sandwich

__all__ = ["DETECTORS", "Detector", "find_detector"]


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
        Bins in the angle and in the radius of a patch, see `Patches`.
    energy_range
        Incident energies in GeV, drawn with a flat logarithm.
    max_angle
        Largest polar angle of incidence in radians; the particle comes in the plane of z and x.
    distance
        From where particles come to the front face, mm: cells are seen from there.
    """

    name: str
    grid: Grid
    medium: Medium
    resolution: float
    threshold: float
    max_ratio: float
    patch: tuple[int, int]
    energy_range: tuple[float, float] = (1.0, 1000.0)
    max_angle: float = 0.3
    distance: float = 1500.0

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
        if min(self.patch) < 1:
            raise ValueError(f"patch must have at least one bin each way, not {self.patch}")

    def to_data(self) -> dict[str, Any]:
        """Plain data, for files."""
        own = {name: getattr(self, name) for name in _PLAIN}
        pairs = {"patch": list(self.patch), "energy_range": list(self.energy_range)}
        return {**own, **pairs, "medium": vars(self.medium), "grid": self.grid.to_data()}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Detector:
        """The detector of plain data."""
        return cls(
            **{name: data[name] for name in _PLAIN},
            patch=tuple(data["patch"]),
            energy_range=tuple(data["energy_range"]),
            medium=Medium(**data["medium"]),
            grid=Grid.from_data(data["grid"]),
        )


_PLAIN: Final = ("name", "resolution", "threshold", "max_ratio", "max_angle", "distance")


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
    medium = sandwich(MATERIALS[passive[0]], passive[1], MATERIALS[active[0]], active[1])
    return Detector(
        name,
        _equal_layers(layers, plates * (passive[1] + active[1]), r_edges, num_alpha),
        medium,
        resolution,
        # Half of what a minimum-ionising particle leaves in one plate.
        threshold=0.5e-3 * active[1] * MATERIALS[active[0]].ionisation,
        max_ratio=given.pop("max_ratio", min(1.0, 3.0 * medium.sampling_fraction)),
        **given,
    )


def _equal_layers(count: int, thickness: float, r_edges: Sequence[float], num_alpha: int) -> Grid:
    edges = tuple(float(edge) for edge in r_edges)
    return Grid(tuple(Layer(i * thickness, (i + 1) * thickness, edges, num_alpha, i) for i in range(count)))


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

DETECTORS: Final[dict[str, Detector]] = {
    detector.name: detector
    for detector in (
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
}
"""The detectors by name. The last two are the grids of the CaloChallenge; its showers are not."""


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

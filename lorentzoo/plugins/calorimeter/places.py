"""How does a network see where a patch is, whatever the grid?

Sines and cosines of lengths and angles (arXiv:1706.03762): neighbours look alike, and lengths are counted in radiation
lengths and Molière radii, so that what was learned in one detector means the same in another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from lorentzoo import Embedding, Features, Frames, ParticleCloud, Symmetry
from lorentzoo.nn import take_columns

__all__ = ["PlaceFeatures", "Places"]

_LONGEST: Final = 50.0
"""Period of the slowest wave, in the unit of the column: twice the depth of a calorimeter."""

_MOST_WAVES: Final = 32
"""The fastest wave of more would turn between neighbouring numbers in float32."""


class PlaceFeatures(nn.Module):
    """Sines and cosines of positions.

    Parameters
    ----------
    columns
        Positions of each patch; those whose name begins with ``alpha`` are angles.
    frequencies
        Waves of each position: periods fall by halves from 50 for lengths, from 2π for angles.
    learned
        Whether the frequencies of lengths are learned; angles stay periodic.
    """

    def __init__(self, columns: Sequence[str], frequencies: int = 6, learned: bool = False) -> None:
        super().__init__()
        if not columns or not 1 <= frequencies <= _MOST_WAVES:
            raise ValueError(
                f"places need at least one column and from 1 to {_MOST_WAVES} frequencies, not {list(columns)} "
                f"and {frequencies}"
            )
        self.columns = tuple(columns)
        self.width = 2 * frequencies * len(self.columns)
        angles = torch.tensor([name.startswith("alpha") for name in self.columns])
        self.register_buffer("angular", angles, persistent=False)
        self.register_buffer(
            "harmonics", 1.0 + torch.arange(frequencies, dtype=torch.float64), persistent=False
        )
        lengths = 2 * math.pi / _LONGEST * 2.0 ** torch.arange(frequencies)
        self.frequencies = nn.Parameter(lengths.repeat(len(self.columns), 1), requires_grad=learned)

    angular: Tensor
    harmonics: Tensor

    def forward(self, positions: Tensor) -> Tensor:
        """Shape (..., columns) to (..., width), in the weights' type."""
        harmonics = self.harmonics.to(self.frequencies)
        frequencies = torch.where(self.angular.unsqueeze(-1), harmonics, self.frequencies)
        waves = positions.to(frequencies.dtype).unsqueeze(-1) * frequencies
        return torch.cat([waves.sin(), waves.cos()], dim=-1).flatten(-2)


class Places(Embedding):
    """Sines and cosines of where each patch is: scalars of the cloud, found by name.

    Parameters
    ----------
    columns
        Names of the cloud's scalars that are positions; those that begin with ``alpha`` are angles. Scalars without
        names are called ``scalar_0`` and so on.
    frequencies
        Waves of each position: periods fall by halves from 50 for lengths; angles get their first harmonics.
    learned
        Whether the frequencies of lengths are learned.
    """

    def __init__(
        self,
        columns: Sequence[str] = ("depth", "r_low", "r_high", "alpha"),
        frequencies: int = 6,
        learned: bool = False,
    ) -> None:
        super().__init__()
        self.features = PlaceFeatures(columns, frequencies, learned)
        self._names = tuple(
            f"{wave}_{name}_{number}"
            for name in self.features.columns
            for wave in ("sin", "cos")
            for number in range(frequencies)
        )

    @property
    def scalar_names(self) -> tuple[str, ...]:
        return self._names

    @property
    def vector_names(self) -> tuple[str, ...]:
        return ()

    @property
    def scalar_symmetry(self) -> Symmetry:
        """Momenta are not read."""
        return Symmetry.full()

    def forward(self, cloud: ParticleCloud, frames: Frames) -> Features:
        """Scalar channels, (*lead, 2 · frequencies · columns)."""
        names = cloud.scalar_names or tuple(f"scalar_{s}" for s in range(cloud.scalars.shape[-1]))
        positions = take_columns(cloud.scalars, names, self.features.columns, "scalars of the cloud")
        return Features.of_scalars(self.features(positions), self._names)

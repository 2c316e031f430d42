"""How is a calorimeter shower written as a cloud?

Every patch, a block of cells of one readout layer, is a particle. Its first scalars are the energies of its cells in GeV,
padded with zeros to the longest patch of all detectors; the others say where it is, in the lengths that showers know
(radiation lengths in depth, Molière radii across), so that detectors of any size look alike. Its momentum is light-like
and points from where particles come to the middle of the patch. An empty patch has the energy `EMPTY`, since no momentum
vanishes here: the scalars are what counts. The context is the incident particle and the detector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

__all__ = ["EMPTY", "INCIDENT", "PLACE", "fill_patches", "take_columns", "voxel_names"]

EMPTY: Final = 1e-12
"""GeV; energy of the momentum of a patch without any."""

PLACE: Final = ("layer", "cells", "radii", "depth", "thickness", "r_low", "r_high", "alpha", "alpha_span")
"""Scalars of each patch after its cells: layer from the front, cells that are real, how many of them run outwards before
the next ones begin at the inside again (all, where cells are of any shape), middle and thickness in radiation lengths; of
the range that its outline takes, radii in Molière radii, middle and width in the angle."""

INCIDENT: Final = (
    "log_energy",
    "angle",
    "log_max_ratio",
    "log_threshold",
    "log_fraction",
    "resolution",
    "plate",
    "charge",
    "log_moliere",
)
"""Context of each shower: ln of the incident energy in GeV, polar angle; of the detector ln of the largest part of the
energy that it may deposit, ln of the threshold of its cells in GeV, ln of the sampling fraction, stochastic term,
radiation lengths of a plate, Z / 100, ln of the Molière radius in radiation lengths."""


def voxel_names(slots: int) -> tuple[str, ...]:
    """Names of the scalars that hold the energies of a patch's cells."""
    return tuple(f"voxel_{slot}" for slot in range(slots))


def take_columns(values: Tensor, names: Sequence[str], wanted: Sequence[str], what: str) -> Tensor:
    """Columns by name, (..., C) to (..., len(wanted)).

    Raises
    ------
    ValueError
        Naming those that are missing, and what there is.
    """
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ValueError(
            f"{what} lack {missing}; they are {list(names) or 'without names'}. Showers as clouds come from the data set "
            "'showers'"
        )
    return values[..., [list(names).index(name) for name in wanted]]


def fill_patches(energies: Tensor, directions: Tensor) -> Tensor:
    """Momenta of patches (..., 4) from the energies of their cells (..., S) and unit vectors (..., 3), float64."""
    total = energies.to(torch.float64).sum(-1, keepdim=True).clamp(min=EMPTY)
    return torch.cat([total, total * directions], dim=-1)

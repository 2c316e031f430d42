"""Which reference vectors and maps are in use?

Each function makes a `Spurions`; the symmetry that is left follows by linear algebra. Scales are in
the units of the network's momenta (GeV), as in the published networks (arXiv:2405.14806,
arXiv:2508.14898).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lorentzoo import Spurions

__all__ = [
    "beam",
    "beam_lightlike",
    "beam_plane",
    "beam_timelike",
    "everything",
    "given_matrices",
    "given_vectors",
    "nothing",
    "time",
]


def nothing() -> Spurions:
    """No spurion."""
    return Spurions()


def time(scale: float = 1.0) -> Spurions:
    """The time direction, scale · (1, 0, 0, 0); leaves SO(3).

    Parameters
    ----------
    scale
        Factor of the vectors.
    """
    return Spurions([[scale, 0, 0, 0]], names=["time"])


def beam(scale: float = 1.0) -> Spurions:
    """The space-like beam direction, scale · (0, 0, 0, 1); leaves SO⁺(1,2).

    Parameters
    ----------
    scale
        Factor of the vectors.
    """
    return Spurions([[0, 0, 0, scale]], names=["beam"])


def beam_lightlike(scale: float = 1.0, both: bool = True) -> Spurions:
    """Light-like beams scale · (1, 0, 0, ±1); both leave SO(2)_beam, one alone ISO(2).

    Parameters
    ----------
    scale
        Factor of the vectors.
    both
        Both beams, or only that along +z.
    """
    vectors = [[scale, 0, 0, scale], [scale, 0, 0, -scale]]
    return Spurions(vectors[: 1 + both], names=["beam_plus", "beam_minus"][: 1 + both])


def beam_timelike(scale: float = 1.0, both: bool = True) -> Spurions:
    """Time-like beams scale · (√2, 0, 0, ±1); both leave SO(2)_beam, one alone an SO(3).

    Parameters
    ----------
    scale
        Factor of the vectors.
    both
        Both beams, or only that along +z.
    """
    energy = math.sqrt(2.0) * scale
    vectors = [[energy, 0, 0, scale], [energy, 0, 0, -scale]]
    return Spurions(vectors[: 1 + both], names=["beam_plus", "beam_minus"][: 1 + both])


def beam_plane() -> Spurions:
    """The order-2 spurion diag(1,0,0,1) with its complement; leaves SO⁺(1,1)_beam × SO(2)_beam exactly.

    Every particle gains the parts of its momentum along time and beam, and across them, as further vectors.
    """
    longitudinal = np.diag([1.0, 0.0, 0.0, 1.0])
    return Spurions(matrices=[longitudinal, np.eye(4) - longitudinal], names=["longitudinal", "transverse"])


def everything(scale: float = 1.0) -> Spurions:
    """Three light-like axes and the time direction, times scale; nothing is left.

    Parameters
    ----------
    scale
        Factor of the vectors.
    """
    vectors = scale * np.array([[1, 0, 0, 1], [1, 0, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]], dtype=np.float64)
    return Spurions(vectors, names=["axis_z", "axis_y", "axis_x", "time"])


def given_vectors(values: Sequence[Sequence[float]], names: Sequence[str] = ()) -> Spurions:
    """Any four-vectors, shape (k, 4), and their names.

    Parameters
    ----------
    values
        The vectors (E, px, py, pz).
    names
        A name for each.

    Raises
    ------
    ValueError
        If the values are no list of four-vectors.
    """
    vectors = np.asarray(values, dtype=np.float64)
    if vectors.ndim != 2 or vectors.shape[1] != 4:
        raise ValueError(f"values must be a list of four-vectors, not of shape {vectors.shape}")
    return Spurions(vectors, names=names)


def given_matrices(values: Sequence[Sequence[Sequence[float]]], names: Sequence[str] = ()) -> Spurions:
    """Any linear maps of four-vectors, shape (m, 4, 4), acting on column vectors, and their names.

    Parameters
    ----------
    values
        The matrices, each four rows of four numbers.
    names
        A name for each.

    Raises
    ------
    ValueError
        If the values are no list of 4x4 matrices.
    """
    matrices = np.asarray(values, dtype=np.float64)
    if matrices.ndim != 3 or matrices.shape[1:] != (4, 4):
        raise ValueError(f"values must be a list of 4x4 matrices, not of shape {matrices.shape}")
    return Spurions(matrices=matrices, names=names)

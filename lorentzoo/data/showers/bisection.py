"""How do the cells of a layer become patches of neighbours, whatever their shape?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["bisect_cells"]

Array = NDArray[np.float64]


def bisect_cells(x: Array, y: Array, most: int) -> list[NDArray[np.int64]]:
    """Neighbourhoods of cells by balanced bisection.

    Cells are parted by a line across the longer extent of their middles, again and again, so that there are as few parts
    as possible, ⌈n / most⌉, all of nearly one size. Every cell is in one of them, and a line parts any two.

    Parameters
    ----------
    x, y
        Middles of the cells in mm, (n,).
    most
        Cells of a part, at most.

    Returns
    -------
    Numbers of the cells of each part, the same for the same middles.
    """
    # What differs by rounding alone must not decide.
    place = np.stack([x, y]).round(6)
    return _parted(place, np.arange(len(x)), most)


def _parted(place: Array, cells: NDArray[np.int64], most: int) -> list[NDArray[np.int64]]:
    parts = -(-len(cells) // most)
    if parts <= 1:
        return [cells]
    along = int(np.ptp(place[1, cells]) > np.ptp(place[0, cells]))
    order = cells[np.lexsort((place[1 - along, cells], place[along, cells]))]
    half = -(-len(cells) * (parts // 2) // parts)
    return [*_parted(place, order[:half], most), *_parted(place, order[half:], most)]

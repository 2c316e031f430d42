"""What is there to know of cells by their corners?

Outlines are counter-clockwise polygons (K, 2) in mm, seen whole from the middle of their cell; several of them are padded
to one length by repeating the last corner, (n, K, 2).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "areas",
    "hexagon",
    "hexagonal_lattice",
    "holds",
    "nearest_outlines",
    "overlapping_pair",
    "pad_outlines",
    "turns",
]

Array = NDArray[np.float64]

_SHRINK: Final = 1e-4
"""Cells may overlap by this part of their size: corners in files are rounded."""
_ROWS_AT_A_TIME: Final = 256


def turns(corners: Array, middle: Array) -> Array:
    """Twice the area of the triangle of each edge and the middle, (n, K); none is negative of an outline that is seen
    whole from its middle (n, 2), counter-clockwise."""
    first = corners - middle[:, None]
    second = np.roll(first, -1, axis=1)
    cross: Array = first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
    return cross


def areas(corners: Array) -> Array:
    """Area of each outline in mm², (n, K, 2) to (n,); negative where it is clockwise."""
    found: Array = 0.5 * turns(corners, corners.mean(1)).sum(1)
    return found


def pad_outlines(outlines: list[Array]) -> Array:
    """Outlines of any number of corners as one array, (n, K, 2)."""
    longest = max(map(len, outlines))
    return np.stack([np.pad(each, ((0, longest - len(each)), (0, 0)), mode="edge") for each in outlines])


def holds(corners: Array, x: Array, y: Array) -> NDArray[np.bool_]:
    """Whether outlines (..., K, 2) hold places (...): a ray to the right crosses them an odd number of times."""
    after = np.roll(corners, -1, axis=-2)
    low, high = corners[..., 1], after[..., 1]
    y = y[..., None]
    crosses = (low > y) != (high > y)
    height = np.where(crosses, high - low, 1.0)
    at = corners[..., 0] + (y - low) / height * (after[..., 0] - corners[..., 0])
    inside: NDArray[np.bool_] = ((crosses & (x[..., None] < at)).sum(-1) % 2).astype(bool)
    return inside


def overlapping_pair(corners: Array, middle: Array) -> tuple[int, int] | None:
    """The first two cells that overlap, by more than rounding; None where no two do."""
    shrunk, smaller = (
        middle[:, None] + (1 - part * _SHRINK) * (corners - middle[:, None]) for part in (1, 2)
    )
    low, high = shrunk.min(1), shrunk.max(1)
    for start in range(0, len(middle), _ROWS_AT_A_TIME):
        rows = np.arange(start, min(start + _ROWS_AT_A_TIME, len(middle)))
        near = ((low[rows, None] < high) & (low < high[rows, None])).all(-1) & (
            rows[:, None] < np.arange(len(middle))
        )
        first, second = np.nonzero(near)
        bad = _overlap(smaller[rows[first]], shrunk[second])
        # Of two cells in one place no corner is within the other.
        bad |= holds(shrunk[second], *middle[rows[first]].T)
        if bad.any():
            return int(rows[first[bad.argmax()]]), int(second[bad.argmax()])
    return None


def _overlap(one: Array, other: Array) -> NDArray[np.bool_]:
    """Which pairs of outlines, (m, K, 2) each, overlap: one has a corner of the other, or edges cross."""
    corner = holds(other[:, None], one[..., 0], one[..., 1]) | holds(
        one[:, None], other[..., 0], other[..., 1]
    )
    a, b = one[:, :, None], np.roll(one, -1, axis=1)[:, :, None]
    c, d = other[:, None], np.roll(other, -1, axis=1)[:, None]
    crossing = (_side(a, b, c) * _side(a, b, d) < 0) & (_side(c, d, a) * _side(c, d, b) < 0)
    found: NDArray[np.bool_] = np.any(corner, axis=1) | np.any(crossing, axis=(1, 2))
    return found


def _side(a: Array, b: Array, c: Array) -> Array:
    """On which side of the line from a to b c lies."""
    found: Array = (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (
        c[..., 0] - a[..., 0]
    )
    return found


def hexagon(pitch: float) -> Array:
    """Corners of a regular hexagon of this width between opposite edges, two of which are parallel to y, (6, 2)."""
    angle = np.pi / 6 + np.pi / 3 * np.arange(6)
    return pitch / np.sqrt(3) * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def hexagonal_lattice(pitch: float, reach: float) -> Array:
    """Middles of such hexagons side by side, one of them at the origin, up to this distance from it, (n, 2)."""
    count = int(np.ceil(2 * reach / pitch)) + 1
    column, row = (each.ravel() for each in np.mgrid[-count : count + 1, -count : count + 1])
    middles = pitch * np.stack([column + 0.5 * row, np.sqrt(0.75) * row], axis=1)
    found: Array = middles[np.hypot(*middles.T) <= reach]
    return found


def nearest_outlines(middle: Array, border: Array) -> list[Array]:
    """Which places within a convex border (K, 2) are nearer to each middle (n, 2) than to any other: their corners."""
    found = []
    for number, here in enumerate(middle):
        away = middle - here
        distance = np.hypot(*away.T)
        outline = border
        for other in np.argsort(distance, kind="stable"):
            if other == number:
                continue
            if distance[other] > 2 * np.hypot(*(outline - here).T).max():
                break
            outline = _cut(outline, away[other], here @ away[other] + 0.5 * distance[other] ** 2)
        found.append(outline)
    return found


def _cut(outline: Array, normal: Array, offset: float) -> Array:
    """What of a convex outline lies where x · normal is at most the offset."""
    beyond = outline @ normal - offset
    corners: list[Array] = []
    for place, over in enumerate(beyond):
        after = (place + 1) % len(outline)
        if over <= 0:
            corners.append(outline[place])
        if (over <= 0) != (beyond[after] <= 0):
            part = over / (over - beyond[after])
            corners.append(outline[place] + part * (outline[after] - outline[place]))
    return np.array(corners) if corners else outline[:0]

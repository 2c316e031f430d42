"""Which numbers does a figure show?

They are read from what is drawn: so every figure has them, whoever made it, and they are those that it shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import StepPatch
from numpy.typing import NDArray

__all__ = ["read_numbers"]

Line = dict[str, Any]
Array = NDArray[np.float64]
Curve = tuple[str, str, list[Line]]
"""Label, colour and points."""

_MATHTEXT: Final = ((r"\$", "$"), (r"\varepsilon", "ε"), (r"\mathrm", ""))
_COLOURBAR: Final = "<colorbar>"


def read_numbers(axes: Axes) -> list[Line]:
    """Every point, bin and cell of the figure that some axes belong to, one mapping each.

    Returns
    -------
    ``panel`` (counted from 1, where there are several), ``x_axis`` and ``y_axis`` (their labels), ``series`` (label of
    the curve), then of a point ``x``, ``y``, of a bin ``x_low``, ``x_high``, ``y``; with errors or a band ``y_low``,
    ``y_high`` and ``x_low``, ``x_high``; of a cell of a matrix or of a two-dimensional histogram its
    ``value``. Lines that are drawn across the axes for orientation are left out.
    """
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    panels = [each for each in figure.axes if each.get_label() != _COLOURBAR]
    drawn = [list(_curves(panel)) for panel in panels]
    # A panel below another one has its colours, and no labels of its own.
    names: dict[str, set[str]] = {}
    for curves in drawn:
        for series, colour, _ in curves:
            names.setdefault(colour, set()).update({series} - {""})
    elsewhere = {colour: next(iter(known)) for colour, known in names.items() if len(known) == 1}
    found: list[Line] = []
    for number, (panel, curves) in enumerate(zip(panels, drawn, strict=True), 1):
        place = {"panel": number} if len(panels) > 1 else {}
        labels = {"x_axis": _words(_shared_xlabel(panel)), "y_axis": _words(panel.get_ylabel())}
        found += [{**place, **labels, **line} for line in _name_points(curves, elsewhere)]
    return found


def _name_points(drawn: list[Curve], elsewhere: Mapping[str, str]) -> list[Line]:
    """All points of a panel with the names of their series."""
    named = [(colour, series) for series, colour, _ in drawn if series]
    # What has a label and no points is there for the legend alone.
    curves = [curve for curve in drawn if curve[2]]
    lines: list[tuple[str, list[Line]]] = []
    for number, (series, colour, points) in enumerate(curves):
        # A band or the bars of a histogram have the colour of what they belong to, which stands before them mostly.
        before = [
            name for shade, name in ((c, s) for s, c, _ in reversed(curves[:number]) if s) if shade == colour
        ]
        same = before or [name for shade, name in named if shade == colour]
        name = series or (same[0] if same else elsewhere.get(colour, ""))
        owner = next((each for label, each in reversed(lines) if label == name and _fits(each, points)), None)
        if owner is not None and (not series or not owner[0].keys() >= points[0].keys()):
            for old, new in zip(owner, points, strict=True):
                old |= {key: value for key, value in new.items() if key not in old}
        else:
            lines.append((name, points))
    return [{"series": name, **line} for name, points in lines for line in points]


def _curves(ax: Axes) -> Iterator[Curve]:
    """Label, colour and points of everything that is drawn, in the order of drawing."""
    bars = [container for container in ax.containers if isinstance(container, ErrorbarContainer)]
    parts = {id(part): bar for bar in bars for part in _parts(bar)}
    done: set[int] = set()
    for artist in ax.get_children():
        bar = parts.get(id(artist))
        if bar is not None:
            if id(bar) not in done:
                done.add(id(bar))
                yield from _of_bars(bar)
        elif isinstance(artist, Line2D) and artist.get_transform() == ax.transData:
            x, y = (np.asarray(values, np.float64) for values in artist.get_data())
            yield _label(artist), to_hex(artist.get_color()), _lines(x=x, y=y)
        elif isinstance(artist, StepPatch):
            yield _label(artist), to_hex(_patch_colour(artist)), _of_steps(artist)
        elif isinstance(artist, QuadMesh):
            yield _label(artist), "", _of_mesh(artist)
        elif isinstance(artist, PolyCollection) and artist.get_array() is not None:
            yield _label(artist), "", _of_cells(artist)
        elif isinstance(artist, PolyCollection):
            yield _label(artist), to_hex(np.asarray(artist.get_facecolor())[0]), _of_band(artist)
        elif isinstance(artist, AxesImage):
            yield _label(artist), "", _of_image(ax, artist)


def _parts(bar: ErrorbarContainer) -> list[Artist]:
    line, caps, collections = bar.lines
    return [*([] if line is None else [line]), *caps, *collections]


def _of_bars(bar: ErrorbarContainer) -> Iterator[Curve]:
    line, _, collections = bar.lines
    if line is None:
        return
    x, y = (np.asarray(values, np.float64) for values in line.get_data())
    columns = {"x": x, "y": y}
    flags = [name for name, there in (("x", bar.has_xerr), ("y", bar.has_yerr)) if there]
    for name, collection in zip(flags, collections, strict=False):
        # As they were given: of a segment with NaN nothing may be left.
        paths = [np.asarray(path.vertices, np.float64) for path in collection.get_paths()]
        ends = np.array(
            [path[:, "xy".index(name)] if path.shape == (2, 2) else (np.nan, np.nan) for path in paths]
        )
        if len(x) and len(ends) == len(x):
            columns |= {f"{name}_low": ends[:, 0], f"{name}_high": ends[:, 1]}
    label = str(bar.get_label() or "")
    yield ("" if label.startswith("_") else _words(label)), to_hex(line.get_color()), _lines(**columns)


def _of_steps(steps: StepPatch) -> list[Line]:
    values, edges, baseline = steps.get_data()
    columns = {"x_low": edges[:-1], "x_high": edges[1:]}
    if baseline is None or np.ndim(baseline) == 0:
        return _lines(**columns, y=values)
    low, high = np.minimum(baseline, values), np.maximum(baseline, values)
    return _lines(**columns, y_low=low, y_high=high)


def _of_band(band: PolyCollection) -> list[Line]:
    corners = np.concatenate([path.vertices for path in band.get_paths()])
    places = np.unique(corners[:, 0])
    inside = [corners[corners[:, 0] == x, 1] for x in places]
    return _lines(
        x=places, y_low=np.array([y.min() for y in inside]), y_high=np.array([y.max() for y in inside])
    )


def _of_cells(cells: PolyCollection) -> list[Line]:
    """Middles of the corners of polygons, and the value that colours each."""
    # A path that is closed has its first corner twice.
    middle = np.array([np.asarray(path.vertices)[:-1].mean(0) for path in cells.get_paths()])
    values = np.ma.filled(np.ma.asarray(cells.get_array(), np.float64), np.nan)
    return _lines(x=middle[:, 0], y=middle[:, 1], value=values)


def _of_mesh(mesh: QuadMesh) -> list[Line]:
    corners = np.asarray(mesh.get_coordinates())
    values = np.ma.filled(np.ma.asarray(mesh.get_array(), np.float64), np.nan).reshape(
        corners.shape[0] - 1, corners.shape[1] - 1
    )
    rows, columns = np.nonzero(np.isfinite(values))
    low, high = corners[rows, columns], corners[rows + 1, columns + 1]
    return _lines(
        x_low=low[:, 0], x_high=high[:, 0], y_low=low[:, 1], y_high=high[:, 1], value=values[rows, columns]
    )


def _of_image(ax: Axes, image: AxesImage) -> list[Line]:
    values = np.asarray(image.get_array(), np.float64)
    names = [
        dict(zip(axis.get_majorticklocs(), (text.get_text() for text in axis.get_ticklabels()), strict=False))
        for axis in (ax.xaxis, ax.yaxis)
    ]
    return [
        {"x": names[0].get(column, column), "y": names[1].get(row, row), "value": float(values[row, column])}
        for row, column in np.ndindex(*values.shape)
    ]


def _fits(points: list[Line], others: list[Line]) -> bool:
    """Whether two lists are of the same places, so that one says more of the other."""
    if len(points) != len(others) or not points:
        return False
    mine, theirs = (np.array([_place(line) for line in lines]) for lines in (points, others))
    near = np.allclose(mine, theirs, rtol=1e-9, atol=0.0, equal_nan=True)
    heights = [np.array([line.get("y", np.nan) for line in lines]) for lines in (points, others)]
    both = np.isfinite(heights[0]) & np.isfinite(heights[1])
    return bool(near) and bool(np.allclose(heights[0][both], heights[1][both]))


def _place(line: Line) -> float:
    if "x" in line and not isinstance(line["x"], str):
        return float(line["x"])
    return float((line["x_low"] + line["x_high"]) / 2) if "x_low" in line else float("nan")


def _lines(**columns: Array) -> list[Line]:
    return [
        {name: float(values[place]) for name, values in columns.items()}
        for place in range(len(next(iter(columns.values()))))
    ]


def _patch_colour(patch: StepPatch) -> Any:
    return patch.get_facecolor() if patch.get_fill() else patch.get_edgecolor()


def _label(artist: Artist) -> str:
    label = str(artist.get_label() or "")
    return "" if label.startswith("_") else _words(label)


def _shared_xlabel(ax: Axes) -> str:
    """The label of the axis, which stands at the lowest of several panels that share it."""
    if ax.get_xlabel():
        return ax.get_xlabel()
    shared = ax.get_shared_x_axes().get_siblings(ax)
    return next((each.get_xlabel() for each in shared if each.get_xlabel()), "")


def _words(text: str) -> str:
    """A label without the signs of formulae."""
    text = text.replace(r"\$", "\0")
    text = re.sub(r"\$([^$]*)\$", lambda formula: re.sub(r"[{}]", "", formula[1]), text)
    for sign, word in _MATHTEXT:
        text = text.replace(sign, word)
    return text.replace("\0", "$")

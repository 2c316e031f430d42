"""How do figures become files for papers and talks: with their legend inside, and their numbers beside them?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from matplotlib.axes import Axes
from matplotlib.legend import Legend

from lorentzoo.output.figure import ReportFigure
from lorentzoo.output.figure_numbers import read_numbers
from lorentzoo.output.files import name_folder, write_bytes
from lorentzoo.output.spreadsheet import to_csv
from lorentzoo.output.style import legend_beside, save_figure, style

__all__ = ["figure_bytes", "figure_csv", "legend_inside", "write_figures"]

_FORMS: Final[tuple[Literal["pdf", "png"], ...]] = ("pdf", "png")
_HIGHEST: Final = 0.45
"""Part of the axes' height that a legend may take; a higher one stands beside them."""
_GAP: Final = 0.04


def write_figures(figures: Sequence[ReportFigure], folder: Path) -> list[Path]:
    """Write each figure as PDF and PNG with its legend inside, and its numbers as CSV; returns the files."""
    written = []
    for figure in figures:
        for ending, payload in figure_bytes(figure).items():
            path = folder / f"{name_folder(figure.name)}.{ending}"
            write_bytes(path, payload)
            written.append(path)
    return written


def figure_bytes(figure: ReportFigure) -> dict[str, bytes]:
    """PDF, PNG and CSV of a figure, by their ending."""
    with legend_inside(figure.axes):
        found: dict[str, bytes] = {form: save_figure(figure.axes, form) for form in _FORMS}
    return {**found, "csv": figure_csv(figure).encode()}


def figure_csv(figure: ReportFigure) -> str:
    """The numbers that a figure shows, see `read_numbers`."""
    return to_csv(read_numbers(figure.axes))


@contextmanager
def legend_inside(ax: Axes) -> Iterator[None]:
    """A legend in the axes for as long as this lasts, in room that is made for it above the curves.

    On a page all figures of rows share one legend, so that theirs have none; others have it beside them. A legend within
    the axes, or one of the whole figure, is left alone; one that would take half of the axes stands beside them.
    """
    root = ax.get_figure(root=True)
    assert root is not None
    old, limits = ax.get_legend(), ax.get_ylim()
    handles, labels = ax.get_legend_handles_labels()
    if not handles or root.legends or (old is not None and not _is_beside(old)):
        yield
        return
    with style():
        if old is not None:
            old.remove()
        legend = _place(ax, labels)
        # Sizes of texts are known once they are drawn.
        root.draw_without_rendering()
        part = legend.get_window_extent().height / ax.get_window_extent().height + _GAP
        if part < _HIGHEST and legend.get_window_extent().width <= 1.02 * ax.get_window_extent().width:
            _make_room(ax, part)
        else:
            legend.remove()
            legend_beside(ax)
    try:
        yield
    finally:
        current = ax.get_legend()
        if current is not None:
            current.remove()
        if old is not None:
            with style():
                legend_beside(ax)
        ax.set_ylim(limits)


def _place(ax: Axes, labels: Sequence[str]) -> Legend:
    columns = 2 if len(labels) > 2 and max(map(len, labels)) < 34 else 1
    return ax.legend(loc="upper center", ncols=columns, frameon=False, handlelength=2.2, borderaxespad=0.3)


def _make_room(ax: Axes, part: float) -> None:
    """Move the upper end of the axis so far that this part of it is free above what it shows."""
    transform = ax.yaxis.get_transform()
    low, high = transform.transform(list(ax.get_ylim()))
    raised = low + (high - low) / (1.0 - part)
    ax.set_ylim(*transform.inverted().transform([low, raised]))


def _is_beside(legend: Legend) -> bool:
    box = legend.get_bbox_to_anchor().transformed(legend.axes.transAxes.inverted())
    return bool(box.x0 > 1.0)

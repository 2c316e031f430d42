"""What is a figure of a report?"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ReportFigure"]


class ReportFigure(NamedTuple):
    """A figure, what to call its file, and what it shows.

    Attributes
    ----------
    name
        Short, for a file.
    axes
        Where it is drawn.
    caption
        One or two sentences.
    wide
        Whether it takes the whole width of a page.
    """

    name: str
    axes: Axes
    caption: str
    wide: bool = False

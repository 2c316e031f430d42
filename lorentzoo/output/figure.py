"""What is a figure of a report?"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lorentzoo.output.report_texts import FigureTexts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ReportFigure", "with_texts"]


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


def with_texts(figure: ReportFigure, texts: FigureTexts) -> ReportFigure:
    """The figure with a title, labels and a caption of one's own, where they are given; its axes are changed.

    A figure of several panels has the title above all of them, and a label where a panel has one.
    """
    from lorentzoo.output.style import style

    root = figure.axes.get_figure(root=True)
    assert root is not None
    panels = [each for each in root.axes if each.get_label() != "<colorbar>"]
    with style():
        if texts.title is not None and len(panels) > 1:
            root.suptitle(texts.title, y=1.0, va="bottom")
        elif texts.title is not None:
            figure.axes.set_title(texts.title)
        for panel in panels:
            if texts.xlabel is not None and panel.get_xlabel():
                panel.set_xlabel(texts.xlabel)
            if texts.ylabel is not None and panel.get_ylabel() and panel is figure.axes:
                panel.set_ylabel(texts.ylabel)
    return figure if texts.caption is None else figure._replace(caption=texts.caption)

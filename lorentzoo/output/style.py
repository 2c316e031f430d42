"""How do figures look, and how do they get onto a page?"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

import matplotlib as mpl
import mplhep
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from lorentzoo.output.style_names import COLOURS, LINES, MARKERS

__all__ = [
    "COLOURS",
    "LINES",
    "MARKERS",
    "axes_or_new",
    "legend_beside",
    "plain_text",
    "save_figure",
    "style",
    "to_svg",
]


_DOTS: Final = 200
"""An inch, of figures that consist of dots."""


@contextmanager
def style() -> Iterator[None]:
    """The style of the field, at a size that fits a page."""
    logger = logging.getLogger("matplotlib.font_manager")
    level = logger.level
    # Fonts that are not installed are replaced; that is no news.
    logger.setLevel(logging.ERROR)
    smaller: dict[Any, Any] = {
        "font.size": 12.0,
        "axes.labelsize": 13.0,
        "axes.titlesize": 12.0,
        "legend.fontsize": 9.5,
        "xtick.labelsize": 11.0,
        "ytick.labelsize": 11.0,
        "figure.figsize": (6.4, 4.4),
        "figure.dpi": 100,
        "lines.linewidth": 1.6,
        "axes.linewidth": 1.0,
        "xtick.major.size": 7.0,
        "ytick.major.size": 7.0,
        "xtick.minor.size": 4.0,
        "ytick.minor.size": 4.0,
        "font.sans-serif": ["TeX Gyre Heros", "Helvetica", "Arial", "Nimbus Sans", "DejaVu Sans"],
        "mathtext.fontset": "dejavusans",
        "svg.fonttype": "path",
        "svg.hashsalt": "lorentzoo",
    }
    try:
        with mpl.rc_context({**dict[Any, Any](mplhep.style.ROOT), **smaller}):
            yield
    finally:
        logger.setLevel(level)


def axes_or_new(ax: Axes | None) -> Axes:
    """The axes given, or those of a new figure."""
    return Figure(layout="constrained").subplots() if ax is None else ax


def legend_beside(ax: Axes) -> None:
    """A legend beside the axes, so that no name hides any curve; none where nothing has a label."""
    handles, labels = ax.get_legend_handles_labels()
    if handles:
        ax.legend(
            handles, labels, loc="upper left", bbox_to_anchor=(1.01, 1.02), frameon=False, handlelength=2.4
        )


def plain_text(text: str) -> str:
    """A label that is drawn as it is written: signs that matplotlib reads as formulae are escaped."""
    return text.replace("$", r"\$")


def to_svg(ax: Axes) -> str:
    """The figure of some axes as SVG text, the same for the same figure."""
    return save_figure(ax, "svg").decode()


def save_figure(ax: Axes, form: Literal["svg", "pdf", "png"]) -> bytes:
    """The figure of some axes as a file, the same for the same figure."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    options: dict[str, Any] = {
        "format": form,
        "bbox_inches": "tight",
        "metadata": {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form, {}),
        "dpi": _DOTS,
    }
    with style():
        stream = io.BytesIO()
        try:
            figure.savefig(stream, **options)
        except ValueError:
            # A label that is not mathtext must not cost a report after hours of training.
            for text in figure.findobj(Text):
                text.set_parse_math(False)
            stream = io.BytesIO()
            figure.savefig(stream, **options)
    return stream.getvalue()

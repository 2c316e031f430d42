"""What is a table, whatever it is written to?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lorentzoo.core.numbers import format_range, format_uncertain
from lorentzoo.output.render import to_latex, to_markdown, to_text
from lorentzoo.output.uncertainty import Difference, summarise

__all__ = ["Cell", "Table", "difference_cell", "range_cell", "spread_cell", "text_cell"]


@dataclass(frozen=True)
class Cell:
    """A text and the number behind it, by which a table is sorted."""

    text: str
    value: float | str | None = None


@dataclass(frozen=True)
class Table:
    """A table with notes, in every format.

    Attributes
    ----------
    title, columns
        What it is; the first column names the row.
    rows
        One cell a column.
    messages
        Rows without numbers: a label, and why there are none.
    notes
        What a reader must know.
    caption
        In a paper; the title by default.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    messages: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    caption: str = ""

    @property
    def texts(self) -> list[list[str]]:
        """The texts alone."""
        return [[cell.text for cell in row] for row in self.rows]

    def to_text(self, width: int = 160) -> str:
        """For a terminal."""
        return to_text(self.title, self.columns, self.texts, self.messages, self.notes, width)

    def to_markdown(self) -> str:
        """For a README."""
        return to_markdown(self.title, self.columns, self.texts, self.messages, self.notes)

    def to_latex(self, label: str = "") -> str:
        """For a paper; needs booktabs and graphicx.

        Parameters
        ----------
        label
            Under which it is referred to, as ``tab:LABEL``; none by default.
        """
        caption = self.caption or self.title
        return to_latex(caption, self.columns, self.texts, self.messages, self.notes, label)


def text_cell(text: str) -> Cell:
    """A name, by which rows are sorted as text."""
    return Cell(text, text)


def spread_cell(values: Sequence[float], statistical: Sequence[float] = ()) -> Cell:
    """Mean over seeds ± the error of one seed.

    Parameters
    ----------
    values
        One a seed.
    statistical
        Errors of the finite test sample, one a seed: their mean and the spread of one seed (standard deviation) are added
        in quadrature, so that a number has one error whatever it consists of.
    """
    summary = summarise(values)
    spread = 0.0 if math.isnan(summary.spread) else summary.spread
    error = math.hypot(spread, summarise(statistical).mean) if len(statistical) else spread
    return Cell(format_uncertain(summary.mean, error), summary.mean)


def range_cell(values: Sequence[float], form: Callable[[float], str]) -> Cell:
    """Smallest and largest of several values, or the value where all are alike."""
    low, high = form(min(values)), form(max(values))
    return Cell(low if low == high else f"{low} – {high}", summarise(values).mean)


def difference_cell(difference: Difference | None) -> Cell:
    """A paired difference with its interval, starred where it leaves zero out."""
    if difference is None:
        return Cell("–")
    mean = difference.mean
    if difference.has_spread:
        text = format_range(mean, difference.low, difference.high) + "*" * difference.is_significant
    else:
        text = (
            f"{mean:+.3g}".replace("-", "−")
            + f" ({'one seed' if difference.count == 1 else 'equal in all seeds'})"
        )
    return Cell(text, mean)

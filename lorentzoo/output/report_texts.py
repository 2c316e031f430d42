"""Which titles, labels and captions does a person want instead of the usual ones?"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from lorentzoo.core.errors import ParameterError

__all__ = ["FigureTexts", "ReportTexts", "read_texts"]

_TABLE: Final = "table"


class FigureTexts(BaseModel):
    """Texts of a figure; what is None stays as it is. Formulae of matplotlib's mathtext stand between dollars.

    Attributes
    ----------
    title
        Above the axes.
    xlabel, ylabel
        Of the axes.
    caption
        Below the figure on a page.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str | None = None
    xlabel: str | None = None
    ylabel: str | None = None
    caption: str | None = None


class ReportTexts(BaseModel):
    """Texts of a report and its files.

    Attributes
    ----------
    title
        Of the page.
    figures
        Texts by the name of a figure, or a pattern such as ``"costs-*"``; of several that fit, later ones win.
    tables
        Captions by the name of a table, for LaTeX and the page.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str | None = None
    figures: dict[str, FigureTexts] = {}
    tables: dict[str, str] = {}

    def of_figure(self, name: str) -> FigureTexts:
        """What is wanted of one figure."""
        chosen: dict[str, str] = {}
        for pattern, texts in self.figures.items():
            if fnmatch.fnmatchcase(name, pattern):
                chosen |= texts.model_dump(exclude_none=True)
        return FigureTexts(**chosen)

    def over(self, other: ReportTexts) -> ReportTexts:
        """These where they say something, and the others elsewhere."""
        # A pattern here wins over a name there, since it comes later.
        figures = {name: texts for name, texts in other.figures.items() if name not in self.figures}
        for name, texts in self.figures.items():
            below = other.figures.get(name, FigureTexts())
            figures[name] = below.model_copy(update=texts.model_dump(exclude_none=True))
        return ReportTexts(
            title=other.title if self.title is None else self.title,
            figures=figures,
            tables={**other.tables, **self.tables},
        )

    def check_names(self, figures: Collection[str], tables: Collection[str] = ()) -> None:
        """Refuse texts that are of nothing.

        Raises
        ------
        ParameterError
            Naming the figure or table that is not there, and those that are.
        """
        for pattern in self.figures:
            if not fnmatch.filter(figures, pattern):
                raise ParameterError(
                    f"there is no figure {pattern!r} to give texts to; there are {', '.join(figures) or 'none'}"
                )
        for name in self.tables:
            if name not in tables:
                raise ParameterError(
                    f"there is no table {name!r} to give a caption to; there are {', '.join(tables) or 'none'}"
                )


def read_texts(pairs: Mapping[str, Any]) -> ReportTexts:
    """Texts from ``title``, ``table.NAME``, and ``FIGURE.title``, ``.xlabel``, ``.ylabel``, ``.caption``.

    Raises
    ------
    ParameterError
        Naming the key that is none of these.

    >>> read_texts({"roc.title": "Top tagging", "table.results": "Taggers."}).of_figure("roc").title
    'Top tagging'
    """
    data: dict[str, Any] = {"figures": {}, "tables": {}}
    fields = list(FigureTexts.model_fields)
    for key, value in pairs.items():
        name, dot, field = key.rpartition(".")
        if key == "title":
            data["title"] = str(value)
        elif name == _TABLE:
            data["tables"][field] = str(value)
        elif dot and name and field in fields:
            data["figures"].setdefault(name, {})[field] = str(value)
        else:
            raise ParameterError(
                f"{key!r} is not a text of a report: write title, {_TABLE}.NAME, or FIGURE.FIELD with one of "
                f"{', '.join(fields)}, e.g. roc.title"
            )
    try:
        return ReportTexts.model_validate(data)
    except ValidationError as error:
        raise ParameterError(f"texts of a report: {error}") from None

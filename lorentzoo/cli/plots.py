"""``--plots`` and ``--text``: figures as files, with titles and labels of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import typer

__all__ = ["TEXT", "read_report_texts", "write_plots"]

TEXT: Final[list[str]] = typer.Option(
    [],
    "--text",
    help="A text instead of the usual one: FIGURE.title, .xlabel, .ylabel or .caption, table.NAME (caption), title (of "
    "the page); e.g. --text 'roc.title=Top tagging'; may be repeated. FIGURE may be a pattern.",
)


def read_report_texts(pairs: Sequence[str]) -> Any:
    """`lorentzoo.output.report_texts.ReportTexts` from ``key=text``."""
    from lorentzoo.core.errors import ParameterError
    from lorentzoo.output.report_texts import read_texts

    found = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise ParameterError(f"--text takes key=text, not {pair!r}, e.g. --text 'roc.title=Top tagging'")
        found[key] = text
    return read_texts(found)


def write_plots(figures: Sequence[Any], folder: Path, texts: Any = None) -> None:
    """Write figures as PDF, PNG and CSV, and say which."""
    from lorentzoo.output.figure import with_texts
    from lorentzoo.output.figure_files import write_figures

    if texts is not None:
        texts.check_names([figure.name for figure in figures])
        figures = [with_texts(each, texts.of_figure(each.name)) for each in figures]
    for path in write_figures(figures, folder):
        typer.echo(f"wrote {path}", err=True)

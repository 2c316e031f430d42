"""How does a page without anything from outside come from a template: style, script and figures inside it?"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from lorentzoo.output.figure import ReportFigure
from lorentzoo.output.figure_files import figure_csv
from lorentzoo.output.rows import Look, Row
from lorentzoo.output.style import to_svg

__all__ = ["legend_entries", "render_page"]

_EPRINT: Final = re.compile(r"\barXiv:(\d{4}\.\d{4,5}|[a-z-]+/\d{7})\b")
_DASHES: Final = {"-": "", "--": "7 4", ":": "2 3", "-.": "7 3 2 3"}
_SHAPES: Final = {
    "o": "M20 3.8 A4.2 4.2 0 1 1 20 12.2 A4.2 4.2 0 1 1 20 3.8 Z",
    "s": "M16 4 h8 v8 h-8 Z",
    "^": "M20 3 L25 12.5 L15 12.5 Z",
    "D": "M20 2.8 L25.2 8 L20 13.2 L14.8 8 Z",
    "v": "M20 13 L25 3.5 L15 3.5 Z",
    "P": "M18 3 h4 v3 h3 v4 h-3 v3 h-4 v-3 h-3 v-4 h3 Z",
}


def render_page(template: str, **values: Any) -> str:
    """A page from one of the templates; every text is escaped.

    Parameters
    ----------
    template
        Name of a file in ``lorentzoo/output/templates``.
    values
        What it asks for; a missing one is an error.
    """
    return _environment().get_template(template).render(**values)


def legend_entries(rows: Sequence[Row]) -> list[tuple[str, Look, str, str]]:
    """Label, look, dashes and marker of each row, for the legend of a page."""
    return [(row.label, row.look, _DASHES[row.look.line], _SHAPES[row.look.marker]) for row in rows]


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lorentzoo.output"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "symbols": _mark_symbols,
        "hard_hyphens": _harden_hyphens,
        "image": _embed_figure,
        "numbers": _embed_numbers,
        "papers": _link_papers,
    }
    return environment


def _mark_symbols(text: str) -> Markup:
    """Indices as such; a number with its errors stays on one line."""
    safe = str(escape(text))
    for index in ("B", "S", "beam"):
        safe = safe.replace(f"_{index}", f"<sub>{index}</sub>")
    safe = safe.replace(" = ", "&nbsp;=&nbsp;").replace(" ± ", "&nbsp;±&nbsp;")
    return Markup(safe.replace(" · ", "&nbsp;· "))


def _link_papers(text: str) -> Markup:
    """The same with numbers of eprints as links, which nobody follows but who clicks."""
    return Markup(
        _EPRINT.sub(
            r'<a href="https://arxiv.org/abs/\1" rel="noreferrer">\g<0></a>', str(_mark_symbols(text))
        )
    )


def _harden_hyphens(text: str) -> str:
    """Names may break between words, but not at their hyphens."""
    return text.replace("-", "\N{NON-BREAKING HYPHEN}")


def _embed_figure(figure: ReportFigure) -> str:
    """A figure as an image of its own, so that names inside one cannot meddle with another's."""
    return _embed("image/svg+xml", to_svg(figure.axes))


def _embed_numbers(figure: ReportFigure) -> str:
    return _embed("text/csv;charset=utf-8", figure_csv(figure))


def _embed(kind: str, text: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}"

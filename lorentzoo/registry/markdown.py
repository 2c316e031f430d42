"""How does anybody's text stand in Markdown as the text that it is?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from lorentzoo.core.text import plain

__all__ = ["as_code", "as_text", "fence", "table"]

_ACTIVE: Final = re.compile(r"[\\`*\[\]<>|~&$@^]|(?<!\w)_|_(?!\w)|(?<=:)//|(?<=[Ww]{3})\.")
"""What begins or ends emphasis, code, links, addresses, HTML, entities, formulas and cells."""
_FIRST: Final = re.compile(r"^\s*(?:[-+=#]|\d+(?=[.)](?:\s|$)))")
"""What makes a list or a heading of a line."""


def as_text(text: object) -> str:
    """Text in which nothing is Markdown, on one line.

    >>> as_text("a *star*, <b> and num_jets")
    'a \\\\*star\\\\*, \\\\<b\\\\> and num_jets'
    """
    escaped = _ACTIVE.sub(lambda found: "".join(f"\\{sign}" for sign in found[0]), plain(text).strip())
    return _FIRST.sub(_escape_last, escaped)


def as_code(text: object) -> str:
    """Text as a span of code.

    >>> as_code("hidden=[4]")
    '`hidden=[4]`'
    """
    shown = plain(text).strip()
    if not shown:
        return ""
    ticks = "`" * (_longest_run(shown) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def fence(text: str, language: str = "") -> str:
    """Lines as a block of code, whatever they hold."""
    lines = "\n".join(plain(line) for line in text.splitlines())
    ticks = "`" * max(3, _longest_run(lines) + 1)
    return f"{ticks}{language}\n{lines}\n{ticks}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are Markdown by now, as `as_text` and `as_code` make them."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_as_cell, row))} |" for row in lines)


def _as_cell(cell: str) -> str:
    # A bar ends a cell also within code; what is escaped already stays so.
    return re.sub(r"(?<!\\)\|", r"\\|", cell) if cell.startswith("`") else cell


def _escape_last(found: re.Match[str]) -> str:
    if found[0][-1].isdigit():
        return f"{found[0]}\\"
    return f"{found[0][:-1]}\\{found[0][-1]}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)

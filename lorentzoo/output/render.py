"""How is a table of texts written for a terminal, a README and a paper?"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from lorentzoo.core.text import plain

__all__ = ["to_latex", "to_markdown", "to_text"]

Rows = Sequence[Sequence[str]]
Messages = Sequence[tuple[str, str]]


def to_text(
    title: str, columns: Sequence[str], rows: Rows, messages: Messages, notes: Sequence[str], width: int
) -> str:
    """Plain text with aligned columns."""
    title, columns, rows, messages, notes = _make_plain(title, columns, rows, messages, notes)
    table = RichTable(title=Text(title, style="bold"), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(Text(column), justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(text) for text in row))
    stream = io.StringIO()
    console = Console(file=stream, width=width, color_system=None, force_terminal=False, highlight=False)
    console.print(table)
    for label, message in messages:
        console.print(Text(f"{label}: {message}"))
    for note in notes:
        console.print(Text(note))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def to_markdown(
    title: str, columns: Sequence[str], rows: Rows, messages: Messages, notes: Sequence[str]
) -> str:
    """A GitHub table; rows without numbers give their message in the second column."""
    title, columns, rows, messages, notes = _make_plain(title, columns, rows, messages, notes)
    lines = [f"### {_markdown(title)}", "", _markdown_row(columns)]
    lines.append("|" + "|".join([":--", *("--:" for _ in columns[1:])]) + "|")
    lines += [_markdown_row(row) for row in rows]
    lines += [_markdown_row([label, message, *[""] * (len(columns) - 2)]) for label, message in messages]
    lines += ["", *(_markdown(note) + "  " for note in notes)]
    return "\n".join(lines) + "\n"


def to_latex(title: str, columns: Sequence[str], rows: Rows, messages: Messages, notes: Sequence[str]) -> str:
    """A table environment with booktabs rules."""
    title, columns, rows, messages, notes = _make_plain(title, columns, rows, messages, notes)
    rest = len(columns) - 1
    lines = [
        r"\begin{table}",
        r"\centering",
        r"\small",
        rf"\caption{{{_latex(title)}. {_latex(' '.join(notes))}}}",
    ]
    lines += [rf"\begin{{tabular}}{{l{'r' * rest}}}", r"\toprule", _latex_row(columns), r"\midrule"]
    lines += [_latex_row(row) for row in rows]
    # A reason is a sentence: it needs a box that breaks lines.
    lines += [
        rf"{_latex(label)} & \multicolumn{{{rest}}}{{p{{0.7\textwidth}}}}{{{_latex(message)}}} \\"
        for label, message in messages
    ]
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def _make_plain(
    title: str, columns: Sequence[str], rows: Rows, messages: Messages, notes: Sequence[str]
) -> tuple[str, list[str], list[list[str]], list[tuple[str, str]], list[str]]:
    """The same texts without control characters, which a terminal would obey."""
    return (
        plain(title),
        [plain(column) for column in columns],
        [[plain(cell) for cell in row] for row in rows],
        [(plain(label), plain(message)) for label, message in messages],
        [plain(note) for note in notes],
    )


_MARKDOWN: Final = str.maketrans({"|": "\\|", "<": "&lt;", ">": "&gt;", "&": "&amp;"})


def _markdown_row(texts: Sequence[str]) -> str:
    return "| " + " | ".join(_markdown(text) for text in texts) + " |"


def _markdown(text: str) -> str:
    """Text without HTML, cells, links and images of its own."""
    return text.translate(_MARKDOWN).replace("](", "]\\(")


def _latex_row(texts: Sequence[str]) -> str:
    return " & ".join(_latex(text) for text in texts) + r" \\"


_LATEX: Final = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "⁺": r"$^+$",
    "−": r"$-$",
    "–": "--",
    "Δ": r"$\Delta$",
    "ε": r"$\varepsilon$",
    "⁻": r"$^{-}$",
    **{digit: f"$^{{{number}}}$" for number, digit in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
    "∞": r"$\infty$",
    "χ": r"$\chi$",
    "σ": r"$\sigma$",
    "δ": r"$\delta$",
    "α": r"$\alpha$",
    "φ": r"$\varphi$",
    "η": r"$\eta$",
    "*": r"$^*$",
}


def _latex(text: str) -> str:
    text = "".join(_LATEX.get(character, character) for character in text.replace("\n", " "))
    # Subscripts of efficiencies, which are escaped above.
    for letter in "BS":
        text = text.replace(rf"$\varepsilon$\_{letter}", rf"$\varepsilon_{letter}$")
    return text.replace(r"\_beam", r"$_\mathrm{beam}$")

"""How is a table of texts written for a terminal, a README and a paper?"""

from __future__ import annotations

import io
import re
import unicodedata
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
    # A notebook is no place for it: rich would show the table there and leave the stream empty.
    console = Console(
        file=stream,
        width=width,
        color_system=None,
        force_terminal=False,
        force_jupyter=False,
        highlight=False,
    )
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


def to_latex(
    caption: str,
    columns: Sequence[str],
    rows: Rows,
    messages: Messages,
    notes: Sequence[str],
    label: str = "",
) -> str:
    """A table environment with booktabs rules, made narrower (graphicx) where it is wider than the text.

    Notes stand below the rows, so that the caption is as short as a list of tables has it.
    """
    caption, columns, rows, messages, notes = _make_plain(caption, columns, rows, messages, notes)
    rest = len(columns) - 1
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_latex(caption).rstrip('.')}.}}",
        *([rf"\label{{tab:{_latex_label(label)}}}"] if label else []),
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
    ]
    lines += [rf"\begin{{tabular}}{{l{'r' * rest}}}", r"\toprule", _latex_row(columns), r"\midrule"]
    lines += [_latex_row(row) for row in rows]
    # A reason is a sentence: it needs a box that breaks lines.
    lines += [
        rf"{_latex(label)} & \multicolumn{{{rest}}}{{p{{0.7\textwidth}}}}{{{_latex(message)}}} \\"
        for label, message in messages
    ]
    lines += [r"\bottomrule", r"\end{tabular}}"]
    if notes:
        # A line of its own for each: they are sentences about different columns.
        lines += [r"\par\medskip", r"\begin{minipage}{\linewidth}\footnotesize"]
        lines += [rf"{_latex(note)}\par" for note in notes]
        lines += [r"\end{minipage}"]
    lines += [r"\end{table}"]
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
    **{
        sign: f"${command}$"
        for sign, command in {
            "η": r"\eta",
            "β": r"\beta",
            "γ": r"\gamma",
            "θ": r"\theta",
            "κ": r"\kappa",
            "λ": r"\lambda",
            "Λ": r"\Lambda",
            "μ": r"\mu",
            "µ": r"\mu",
            "ν": r"\nu",
            "π": r"\pi",
            "Π": r"\Pi",
            "ρ": r"\rho",
            "Σ": r"\Sigma",
            "τ": r"\tau",
            "ω": r"\omega",
            "ℓ": r"\ell",
            "⟨": r"\langle",
            "⟩": r"\rangle",
            "≤": r"\leq",
            "≥": r"\geq",
            "≈": r"\approx",
            "≠": r"\neq",
            "→": r"\to",
            "√": r"\surd",
            "∈": r"\in",
            "∩": r"\cap",
            "∂": r"\partial",
            "½": r"\frac{1}{2}",
            "₀": "_0",
            "₁": "_1",
            "₂": "_2",
        }.items()
    },
    "…": r"\ldots{}",
    "—": "---",
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
    '"': "''",
    "|": r"$|$",
    "[": "{[}",
    "]": "{]}",
    "\N{THIN SPACE}": r"\,",
    "\N{NO-BREAK SPACE}": "~",
    "*": r"$^*$",
}


def _latex_label(text: str) -> str:
    """Signs that a key of LaTeX may have."""
    return re.sub(r"[^A-Za-z0-9:-]+", "-", text).strip("-")


def _latex_character(character: str) -> str:
    if character in _LATEX:
        return _LATEX[character]
    if character.isascii() or ("À" <= character <= "ž" and character.isalpha()):
        return character
    # What LaTeX has no sign for would stop it; a name can still be read by its simpler letters, or by its number.
    simpler = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return "".join(map(_latex_character, simpler)) or rf"\texttt{{U+{ord(character):04X}}}"


def _latex(text: str) -> str:
    text = "".join(map(_latex_character, text.replace("\n", " ")))
    # Subscripts of efficiencies, which are escaped above.
    for letter in "BS":
        text = text.replace(rf"$\varepsilon$\_{letter}", rf"$\varepsilon_{letter}$")
    return text.replace(r"\_beam", r"$_\mathrm{beam}$")

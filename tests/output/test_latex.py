"""Tables for papers: whatever texts they hold, LaTeX takes them, and captions are short."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorentzoo.output.table import Cell, Table, text_cell
from lorentzoo.output.task import load_task
from lorentzoo.registry.catalogue import catalogue

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SPECIAL = re.compile(r"(?<!\\)[&%#_]")


def check_syntax(latex: str, columns: int) -> None:
    """Environments and braces are closed, formulae too, and every line of the table has as many cells."""
    opened = re.findall(r"\\begin\{(\w+)\}", latex)
    assert sorted(opened) == sorted(re.findall(r"\\end\{(\w+)\}", latex))
    bare = re.sub(r"\\[{}$&%#_\\]", "", latex)
    depth = 0
    for character in bare:
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert depth == 0
    assert bare.count("$") % 2 == 0
    body = latex.split(r"\toprule")[1].split(r"\bottomrule")[0]
    for line in body.splitlines():
        if line.endswith(r"\\"):
            cells = len(re.findall(r"(?<!\\)&", line)) + 1
            spanned = re.search(r"\\multicolumn\{(\d+)\}", line)
            assert cells + (int(spanned[1]) - 1 if spanned else 0) == columns


@given(title=TEXTS, heads=st.lists(TEXTS, min_size=2, max_size=4), note=TEXTS, data=st.data())
def test_any_text_makes_a_table(title: str, heads: list[str], note: str, data: st.DataObject) -> None:
    cells = st.lists(TEXTS, min_size=len(heads), max_size=len(heads))
    rows = tuple(tuple(map(text_cell, row)) for row in data.draw(st.lists(cells, max_size=3)))
    table = Table(title, tuple(heads), rows, ((title, note),), (note,))
    latex = table.to_latex("a label")
    check_syntax(latex, len(heads))
    text = re.sub(r"\\[a-z]+\{|\\\\|\$[^$]*\$", "", latex.split(r"\midrule")[1].split(r"\bottomrule")[0])
    for line in text.splitlines():
        assert not re.search(r"(?<!\\)[%#_]", line), line
    assert r"\label{tab:a-label}" in latex


def test_captions_are_short_and_notes_stand_below() -> None:
    table = Table(
        "Results", ("Model", "AUC"), ((text_cell("a"), Cell("0.9", 0.9)),), (), ("One note.", "Two.")
    )
    latex = table.to_latex()
    assert r"\caption{Results.}" in latex
    assert latex.index("One note.") > latex.index(r"\end{tabular}")
    own = Table(table.title, table.columns, table.rows, (), table.notes, "Taggers at 50 %.")
    assert r"\caption{Taggers at 50 \%.}" in own.to_latex()


@pytest.mark.parametrize("task", [component.full_name for component in catalogue().components("task")])
def test_headings_and_notes_of_every_task_are_plain_latex(task: str) -> None:
    """Every sign that they use has one in LaTeX, which needs no further package."""
    metrics = load_task(task).metrics
    table = Table("t", tuple(metric.heading for metric in metrics), (), (), tuple(m.note for m in metrics))
    latex = table.to_latex()
    assert latex.isascii(), sorted({character for character in latex if not character.isascii()})
    assert "U+" not in latex


def test_names_keep_their_letters_and_strange_signs_are_told_by_number() -> None:
    latex = Table("Müller, Łódź, ﬁt, ☃", ("a",), ()).to_latex()
    assert r"\caption{Müller, Łódź, fit, \texttt{U+2603}.}" in latex


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_tables_compile(tmp_path: Path) -> None:
    texts = r"a_b & 50 % {x} \y ~ ^ # $ <1> ε_S ± × · ⁺ ⟨w⟩ χ²/n GeV² |δ| µs Müller → ≤ ½ √ 10⁻⁷ [q] “x” – −"
    row = tuple(text_cell(word) for word in texts.split())
    wide = Table(texts, tuple(cell.text for cell in row), (row, row), (("label", texts),), (texts,))
    (tmp_path / "main.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}\n"
        + wide.to_latex("wide")
        + "\\end{document}\n"
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"],
        cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout

"""Texts of others, in tables of any format, and numbers that have no spread."""

from __future__ import annotations

import csv
import io
import math

import pytest

from lorentzoo.output.spreadsheet import to_csv
from lorentzoo.output.table import Cell, Table, text_cell
from lorentzoo.output.uncertainty import paired_difference, summarise


def test_no_cell_of_a_csv_file_is_a_formula() -> None:
    """Neither a value nor the name of a metric that a plugin recorded."""
    lines = [{"label": "=1+1", "@metric": -0.5}, {"label": "+x", "=SUM(A1)": 2, "text": "a,b\n-c"}]
    header, *rows = csv.reader(io.StringIO(to_csv(lines)))
    assert header == ["label", "'@metric", "'=SUM(A1)", "text"]
    assert rows == [["'=1+1", "-0.5", "", ""], ["'+x", "", "2", "a,b\n-c"]]


def test_markdown_is_plain_text_everywhere() -> None:
    odd = "<img src=x> | ![x](http://there/y.png) & more"
    text = Table(odd, ("Model", odd), ((text_cell(odd), Cell(odd)),), ((odd, odd),), (odd,)).to_markdown()
    assert "<img" not in text
    assert "](" not in text
    assert text.count("&lt;img src=x&gt;") == 7


def test_text_is_a_text_in_notebooks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """There rich shows what it is asked to write into a stream, and the stream stays empty."""
    table = Table("Results", ("Model", "AUC"), ((text_cell("a"), text_cell("0.9")),), (), ("A note.",))
    before = table.to_text()
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert table.to_text() == before
    assert "A note." in before


def test_infinite_numbers_have_no_spread_and_no_difference() -> None:
    """Without a warning."""
    summary = summarise([math.inf, math.inf, 1.0])
    assert summary.mean == math.inf
    assert math.isnan(summary.spread)
    assert paired_difference({0: math.inf, 1: 2.0}, {0: math.inf, 1: 1.0}) is None
    assert paired_difference({0: 3.0, 1: 2.5}, {0: 1.0, 1: 1.0}) is not None

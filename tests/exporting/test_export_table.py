"""The table of docs/export.md: every model, every format, yes or the reason."""

from __future__ import annotations

import pytest
from export_table import COLUMNS, SOURCE, UNKNOWN, build_small, list_networks, read_table, try_format

from lorentzoo.core.exportable import find_refusal

TABLE = read_table()
REMEDY = "run: python tests/exporting/export_table.py"
STATED = [(name, form) for name, row in TABLE.items() for form, cell in row.items() if cell != UNKNOWN]


def test_every_model_and_every_format_is_there() -> None:
    missing = set(list_networks()) ^ set(TABLE)
    assert not missing, f"{REMEDY}; {missing}"
    assert all(list(row) == list(COLUMNS) for row in TABLE.values()), REMEDY


def test_cells_say_yes_or_why_not() -> None:
    for name, form in STATED:
        assert TABLE[name][form] == "yes" or len(TABLE[name][form]) > len("no: because"), (name, form)


@pytest.mark.slow
def test_declared_reasons_are_those_of_the_table() -> None:
    for name in list_networks():
        reason = find_refusal(build_small(name))
        for cell in (cell for form, cell in TABLE[name].items() if form != SOURCE):
            assert (cell == f"no: {reason}") if reason else not cell.startswith("no: the "), name


@pytest.mark.slow
@pytest.mark.parametrize(("name", "form"), STATED, ids="-".join)
def test_cells_are_true(name: str, form: str) -> None:
    assert try_format(name, form) == TABLE[name][form]

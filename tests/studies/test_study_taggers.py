"""The table of taggers: every number says where it is from."""

from __future__ import annotations

import csv
import io
import json

import pytest

import lorentzoo as lz
from lorentzoo.core.errors import StudyError
from lorentzoo.studies.closed_forms import published_flops
from lorentzoo.studies.published_table import PUBLISHED, SOURCE
from lorentzoo.studies.taggers import TaggerTable, tagger_table


@pytest.fixture(scope="module")
def result() -> TaggerTable:
    return tagger_table(
        ["pfn", "transformer:num_blocks=1", "substructure-bdt"],
        multiplicity=8,
        batch_size=4,
        progress=False,
    )


def test_measured_and_quoted_stand_apart(result: TaggerTable) -> None:
    flow = result.to_data()["rows"][0]
    assert flow["measured"]["parameters"] == 86_154
    assert flow["measured"]["flops"] == flow["closed_form_flops"] == published_flops("pfn", multiplicity=8)
    assert flow["measured"]["multiplicity"] == 8
    assert flow["measured"]["symmetry"] == "SO(2)_beam"
    assert flow["quoted"]["auc"] == 0.9714
    assert flow["quoted"]["source"] == SOURCE
    forest = result.to_data()["rows"][2]
    assert forest["quoted"] is None
    assert forest["closed_form_flops"] is None
    assert forest["measured"]["forward_ms"] > 0


def test_every_format_has_every_row(result: TaggerTable) -> None:
    table = result.table()
    for text in (table.to_text(240), table.to_markdown(), result.to_csv(), json.dumps(result.to_data())):
        for name in ("pfn", "transformer", "substructure-bdt"):
            assert name in text
    assert "Accuracy [q]" in table.to_text(300)
    lines = list(csv.DictReader(io.StringIO(result.to_csv())))
    assert lines[0]["quoted_accuracy"] == "0.772"
    assert lines[2]["quoted_accuracy"] == ""
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_quoted_rows_are_models_and_sizes_agree_but_for_the_one_that_is_noted() -> None:
    for name, row in PUBLISHED.items():
        count = lz.create_model(name).num_parameters / 1e3
        agrees = abs(count - row.kiloparameters) < 1
        assert agrees != (name == "mipart-l")
        flops = published_flops(name, convention="table") / 1e6
        # Printed with three digits, rounded, or cut off.
        assert row.megaflops in (float(f"{flops:.3g}"), round(flops), int(flops))


@pytest.mark.parametrize(
    ("models", "options", "reason"),
    [
        (["nothing-*"], {}, "no model is called 'nothing-\\*'"),
        (["lgatr-amplitudes"], {}, "is not a tagger of single jets"),
        (["pfn"], {"batch_size": 10**6}, "batch_size must be 2 to"),
    ],
)
def test_what_cannot_be_measured_is_refused(models: list[str], options: dict, reason: str) -> None:
    with pytest.raises(StudyError, match=reason):
        tagger_table(models, progress=False, **options)

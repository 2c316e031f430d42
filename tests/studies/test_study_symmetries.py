"""Does a study say what its networks learned of the Lorentz group?"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

import lorentzoo as lz
from lorentzoo.studies import run_study
from lorentzoo.studies.report.figures import study_figures
from lorentzoo.studies.report.symmetries import symmetry_table
from lorentzoo.verification.spectrum import SUBGROUPS

STUDY: dict[str, Any] = {
    "name": "symmetry",
    "dataset": {"name": "toptag", "num_jets": 200, "max_constituents": 8},
    "axes": {
        "model": [
            {"label": "free", "name": "transformer", "embedding": "momenta", "backbone": {"num_blocks": 1}},
            {"label": "kept", "name": "lloca-transformer-full", "backbone": {"num_blocks": 1}},
            "substructure-bdt",
        ]
    },
    "seeds": 2,
    "budget": {"steps": 2},
    "symmetry_events": 12,
}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run_study(STUDY, out=tmp_path_factory.mktemp("study"), workers=1, progress=False)


def test_numbers_are_those_of_the_trained_networks(result: Any) -> None:
    free = result.rows[0].runs[1]
    test = lz.load_dataset(**STUDY["dataset"]).split("test")
    again = lz.symmetry_spectrum(lz.load(free.directory), test, num_events=12)
    stated = free.symmetry["subgroups"]
    assert {name: pytest.approx(pair) for name, pair in stated.items()} == {
        name: list(pair) for name, pair in again.subgroups.items()
    }
    assert free.symmetry["num_events"] == 12


def test_the_table_has_what_is_kept_and_what_is_broken(result: Any) -> None:
    table = symmetry_table(result)
    assert table is not None
    assert [row[0].text for row in table.rows] == ["free", "kept"]
    free, kept = ([cell.value for cell in row[2:]] for row in table.rows)
    assert max(kept) < 1e-9 < 1e-3 < min(free)
    assert table.columns[2:] == tuple(SUBGROUPS)
    ((label, text),) = table.messages
    assert label == "substructure-bdt"
    assert text.startswith("no spectrum: the outputs of BoostedTrees are piecewise constant")


def test_report_and_spreadsheet_have_it(result: Any) -> None:
    page = (result.directory / "report.html").read_text()
    assert "Learned symmetry" in page
    assert "learned-symmetry" in {figure.name for figure in study_figures(result).all}
    with (result.directory / "results.csv").open() as file:
        rows = {row["label"]: row for row in csv.DictReader(file)}
    assert float(rows["kept"]["breaks SO⁺(1,3)"]) < 1e-9
    assert rows["substructure-bdt"]["breaks SO⁺(1,3)"] == ""


def test_it_is_part_of_a_run_only_where_it_is_asked_for(result: Any, tmp_path: Path) -> None:
    from lorentzoo.studies.plan import RunSpec

    run = result.rows[0].runs[0].run
    assert RunSpec.from_data(run.to_data()) == run
    without = {key: value for key, value in run.to_data().items() if key != "symmetry_events"}
    assert RunSpec.from_data(without).to_data() == without
    assert RunSpec.from_data(without).key != run.key
    quiet = {**STUDY, "symmetry_events": 0, "seeds": 1, "axes": {"model": STUDY["axes"]["model"][:1]}}
    other = run_study(quiet, out=tmp_path, workers=1, progress=False)
    assert other.rows[0].runs[0].symmetry is None
    assert symmetry_table(other) is None
    assert not list(Path(tmp_path).rglob("symmetry.json"))

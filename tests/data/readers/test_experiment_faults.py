"""What do files of experiments say that lack something, are damaged, or are of another kind?"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from experiment_layouts import (
    JetEvents,
    delphes_columns,
    nanoaod_columns,
    nested_columns,
    physlite_columns,
    random_events,
    write_columns,
    write_nested,
)

import lorentzoo as lz
from lorentzoo.cli.main import main
from lorentzoo.data.make import describe_sample
from lorentzoo.data.readers.source import EventFileError

pytestmark = pytest.mark.filterwarnings("ignore:.* events were left out")

TREES = {"nanoaod": "Events", "delphes-root": "Delphes", "physlite": "CollectionTree"}
COLUMNS: dict[str, Callable[[JetEvents], dict[str, Any]]] = {
    "nanoaod": nanoaod_columns,
    "delphes-root": delphes_columns,
    "physlite": physlite_columns,
}


@pytest.fixture(scope="module")
def events() -> JetEvents:
    return random_events()


def write(name: str, path: Path, columns: dict[str, Any]) -> dict[str, Any]:
    write_columns(path / "a.root", columns, TREES[name], rntuple=name != "nanoaod")
    return {"name": name, "path": str(path / "a.root")}


@pytest.mark.parametrize(
    ("name", "without", "message"),
    [
        ("nanoaod", "FatJetPFCands_jetIdx", "no candidates of jets: 'FatJetPFCands_jetIdx' .*jets FatJet"),
        ("nanoaod", "FatJetPFCands_pFCandsIdx", "no candidates of jets"),
        ("nanoaod", "PFCands_eta", "'PFCands_eta' missing, needed for momenta of candidates"),
        ("nanoaod", "FatJet_pt", "no candidates of jets"),
        (
            "delphes-root",
            "ParticleFlowJet08.Constituents",
            "'Jet.Constituents' missing; no collection has const",
        ),
        ("delphes-root", "EFlowPhoton.ET", "'EFlowPhoton.ET' missing, needed for momenta of EFlowPhoton"),
        (
            "delphes-root",
            "EFlowPhoton.fUniqueID",
            r"a constituent of jet \d+ of 'ParticleFlowJet08' in event \d+ is",
        ),
        (
            "physlite",
            "AnalysisLargeRJetsAuxDyn.constituentLinks",
            "AuxDyn.constituentLinks' missing.*there are none",
        ),
        ("physlite", "UFOCSSKAuxDyn.pt", r"names 'UFOCSSK' \(key 1036585512\), which the file does not hold"),
        ("physlite", "AnalysisLargeRJetsAuxDyn.pt", "AuxDyn.pt' missing, needed for jets"),
    ],
)
def test_a_missing_branch_is_named(
    name: str, without: str, message: str, events: JetEvents, tmp_path: Path
) -> None:
    columns = COLUMNS[name](events)
    columns.pop(without)
    with pytest.raises(EventFileError, match=rf"a\.root: .*{message}") as found:
        lz.load_dataset(**write(name, tmp_path, columns), on_bad="skip").batch(slice(None))
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize(
    "option", [{"jets": "OtherJet"}, {"select": "charm > 1"}, {"target": "charm"}, {"tree": "t"}]
)
def test_what_is_not_there_is_answered_by_what_there_is(
    name: str, option: dict[str, str], events: JetEvents, tmp_path: Path
) -> None:
    there = {"jets": "Jet", "select": "(pt|PT)", "target": "(pt|PT)", "tree": TREES[name]}
    with pytest.raises(EventFileError, match=there[next(iter(option))]):
        lz.load_dataset(**write(name, tmp_path, COLUMNS[name](events)), **option)


@pytest.mark.parametrize("name", COLUMNS)
def test_files_without_events_and_without_jets(name: str, events: JetEvents, tmp_path: Path) -> None:
    columns = COLUMNS[name](events)
    with pytest.raises(EventFileError, match=r"a\.root: it holds no events"):
        lz.load_dataset(**write(name, tmp_path, {key: column[:0] for key, column in columns.items()}))
    alone = np.flatnonzero(events.jets == 0)
    without = {key: column[alone] for key, column in columns.items()}
    with pytest.raises(EventFileError, match=r"its \d+ events have 0 jets of '\w+', none .*jets=\.\.\."):
        lz.load_dataset(**write(name, tmp_path, without))
    assert describe_sample(tmp_path / "a.root")["events"] == 0
    high = "PT > 1e9" if name == "delphes-root" else "pt > 1e9"
    with pytest.raises(EventFileError, match=r"none that 'p[tT] > 1e9' chooses|none that 'PT > 1e9' chooses"):
        lz.load_dataset(**write(name, tmp_path, columns), select=high)


@pytest.mark.parametrize("name", COLUMNS)
def test_jets_without_constituents(name: str, events: JetEvents, tmp_path: Path) -> None:
    columns = COLUMNS[name](events)
    if name == "nanoaod":
        kept = columns["FatJetPFCands_jetIdx"] != 0
        for key in ("FatJetPFCands_jetIdx", "FatJetPFCands_pFCandsIdx"):
            columns[key] = columns[key][kept]
    else:
        key = next(key for key in columns if key.endswith(("Constituents", "constituentLinks")))
        field = {"delphes-root": "refs"}.get(name)
        lists = columns[key][field] if field else columns[key]
        emptied = [
            [[] if place == 0 else jet for place, jet in enumerate(event)] for event in lists.to_list()
        ]
        if field:
            columns[key] = ak.Array([[{"refs": jet} for jet in event] for event in emptied])
        else:
            columns[key] = ak.values_astype(ak.Array(emptied), np.uint32)
    opened = write(name, tmp_path, columns)
    lost = int((events.jets > 0).sum())
    with pytest.raises(
        EventFileError, match=rf"jet 0 of '\w+' in event 0 has no constituents \({lost} of the"
    ):
        lz.load_dataset(**opened)
    with pytest.warns(UserWarning, match=rf"{lost} of \d+ events were left out: .*jets without constituents"):
        data = lz.load_dataset(**opened, on_bad="skip")
    assert len(data) == int(events.jets.sum()) - lost
    assert describe_sample(opened["path"])["left_out"] == lost


def test_indices_out_of_range_are_named(events: JetEvents, tmp_path: Path) -> None:
    columns = nanoaod_columns(events)
    for key, message in (
        ("FatJetPFCands_jetIdx", r"event 0 has 99 in 'FatJetPFCands_jetIdx', but 3 'FatJet'"),
        ("FatJetPFCands_pFCandsIdx", r"event 0 has 99 in 'FatJetPFCands_pFCandsIdx', but \d+ 'PFCands'"),
    ):
        flat, counts = np.asarray(ak.flatten(columns[key])).copy(), ak.num(columns[key])
        flat[1] = 99
        broken = {**columns, key: ak.unflatten(flat, counts)}
        with pytest.raises(EventFileError, match=message):
            lz.load_dataset(**write("nanoaod", tmp_path, broken)).batch(slice(None))
    ties = physlite_columns(events)
    ties = {key: column[:, :2] if key.startswith("UFO") else column for key, column in ties.items()}
    with pytest.raises(
        EventFileError, match=r"event \d+: '.*constituentLinks' names place \d+ of 'UFOCSSK', which has 2"
    ):
        lz.load_dataset(**write("physlite", tmp_path, ties)).batch(slice(None))


def test_candidates_of_no_jet_are_left_out(events: JetEvents, tmp_path: Path) -> None:
    columns = nanoaod_columns(events)
    index = np.asarray(ak.flatten(columns["FatJetPFCands_jetIdx"])).copy()
    index[2] = -1
    columns["FatJetPFCands_jetIdx"] = ak.unflatten(index, ak.num(columns["FatJetPFCands_jetIdx"]))
    data = lz.load_dataset(**write("nanoaod", tmp_path, columns))
    assert int(data.lengths.sum()) == int((events.jet >= 0).sum()) - 1


@pytest.mark.parametrize("name", [*COLUMNS, "jets-parquet", "lhe"])
def test_another_kind_of_file_and_truncated_ones(name: str, events: JetEvents, tmp_path: Path) -> None:
    path = tmp_path / {"jets-parquet": "a.parquet", "lhe": "a.lhe"}.get(name, "a.root")
    path.write_text("this is a text\n" * 40)
    with pytest.raises(EventFileError, match=r"not a (ROOT|Parquet) file|damaged or not a file of events"):
        lz.load_dataset(name, path=str(path))
    if name == "lhe":
        return
    if name == "jets-parquet":
        write_nested(path, nested_columns(events))
    else:
        write(name, tmp_path, COLUMNS[name](events))
    whole = path.read_bytes()
    for part in (0.3, 0.9):
        path.write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(EventFileError, match=r"truncated|damaged") as found:
            lz.load_dataset(name, path=str(path)).batch(slice(None))
        assert "\n" not in str(found.value)


def test_a_damaged_basket_is_named(events: JetEvents, tmp_path: Path) -> None:
    opened = write("nanoaod", tmp_path, nanoaod_columns(events))
    path = Path(opened["path"])
    with uproot.open(path) as file:
        basket = file["Events"]["PFCands_eta"].basket_chunk_cursor(0)
        place = basket[1].index if isinstance(basket, tuple) else 0
    contents = bytearray(path.read_bytes())
    contents[place + 60 : place + 400] = bytes(340)
    path.write_bytes(contents)
    with pytest.raises(
        EventFileError, match=r"rows \d+ to \d+ of .*PFCands_eta.* cannot be read, the file is damaged"
    ):
        lz.load_dataset(**opened).batch(slice(None))


def test_files_of_another_reader_are_refused(events: JetEvents, tmp_path: Path) -> None:
    for written in COLUMNS:
        opened = write(written, tmp_path, COLUMNS[written](events))
        for name in set(COLUMNS) - {written}:
            with pytest.raises(
                EventFileError, match=f"there is no tree '{TREES[name]}'; it has {TREES[written]}"
            ):
                lz.load_dataset(name, path=opened["path"])
        described = describe_sample(opened["path"])
        assert described["dataset"] == written
        assert described["events"] == int(events.jets.sum())


def test_the_command_line_says_it_in_one_line(
    events: JetEvents,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    columns = nanoaod_columns(events)
    columns.pop("FatJetPFCands_jetIdx")
    dataset = f"nanoaod:path={write('nanoaod', tmp_path, columns)['path']}"
    given = ["train", "deep-sets", "--dataset", dataset, "--out", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", ["lorentzoo", *given])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code not in (0, None)
    said = capsys.readouterr().err.strip()
    assert "no candidates of jets" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("name", "short", "other"),
    [
        ("nanoaod", "PFCands_phi", "PFCands"),
        ("nanoaod", "FatJetPFCands_pFCandsIdx", "FatJetPFCands_jetIdx"),
        ("nanoaod", "GenPart_eta", "GenPart_pdgId"),
        ("nanoaod", "FatJet_phi", "FatJet_eta"),
        ("delphes-root", "EFlowTrack.Phi", "EFlowTrack.fUniqueID"),
        ("delphes-root", "Particle.M1", "Particle.PID"),
        ("physlite", "UFOCSSKAuxDyn.phi", "UFOCSSKAuxDyn"),
    ],
)
def test_columns_of_different_lengths_are_named(
    name: str, short: str, other: str, events: JetEvents, tmp_path: Path
) -> None:
    columns = COLUMNS[name](events)
    columns[short] = columns[short][:, :-1] if len(columns[short][0]) else columns[short]
    columns[short] = ak.concatenate([columns[short][:1], COLUMNS[name](events)[short][1:]])
    with pytest.raises(EventFileError, match=rf"row 0 has \d+ entries in '{other}.*', but \d+ in '"):
        lz.load_dataset(**write(name, tmp_path, columns)).batch(slice(None))

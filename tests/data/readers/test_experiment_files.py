"""Are jets of files of experiments read as what they hold, with their constituents, numbers and classes?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import torch
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
from lorentzoo.data.readers import files
from lorentzoo.data.readers import jets as reading
from lorentzoo.data.readers.files import FileDataset
from lorentzoo.data.readers.source import EventFileError
from lorentzoo.data.readers.storegate import key_of

pytestmark = pytest.mark.filterwarnings("ignore:.* events were left out")

FORMATS = ("nanoaod", "nanoaod-rntuple", "delphes-root", "physlite", "jets-parquet")


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of many blocks, which are read in many pieces."""
    monkeypatch.setitem(FileDataset.__init__.__kwdefaults__, "block_size", 16)
    monkeypatch.setattr(reading, "EVENTS_AT_ONCE", 7)


@pytest.fixture(scope="module")
def events() -> JetEvents:
    return random_events()


def write(kind: str, path: Path, events: JetEvents, **options: Any) -> dict[str, Any]:
    """Writes a file and says how it is opened."""
    name = kind.removesuffix("-rntuple")
    path.mkdir(exist_ok=True)
    file = path / ("a.parquet" if name == "jets-parquet" else "a.root")
    if name == "nanoaod":
        write_columns(file, nanoaod_columns(events, **options), "Events", rntuple=kind.endswith("rntuple"))
    elif name == "delphes-root":
        write_columns(file, delphes_columns(events, **options), "Delphes", rntuple=True)
    elif name == "physlite":
        write_columns(file, physlite_columns(events, **options), "CollectionTree", rntuple=True)
    else:
        write_nested(file, nested_columns(events))
    return {"name": name, "path": str(file)}


@pytest.mark.parametrize("kind", FORMATS)
def test_jets_are_the_sums_of_their_constituents(kind: str, events: JetEvents, tmp_path: Path) -> None:
    target = {"delphes-root": ["PT", "Eta"], "jets-parquet": ["pt"]}.get(kind, ["pt", "eta"])
    data = lz.load_dataset(**write(kind, tmp_path, events), target=target)
    axes = events.axes
    assert data.lengths.tolist() == axes[:, 4].astype(int).tolist()
    batch = data.batch(slice(None))
    assert batch.cloud.momenta.dtype == torch.float64
    np.testing.assert_allclose(batch.cloud.total().numpy(), axes[:, :4], rtol=1e-5, atol=1e-3)
    scale = 1e3 if kind == "physlite" else 1.0  # columns that are named are as in the file
    target_pt = data.target.reshape(len(data), -1)[:, 0].numpy() / scale
    np.testing.assert_allclose(target_pt, events.per_jet()["pt"], rtol=1e-5)
    # A batch in any order is the same jets.
    chosen = np.random.default_rng(0).permutation(len(data))
    total = data.batch(chosen).cloud.total().numpy()
    np.testing.assert_allclose(total, batch.cloud.total().numpy()[chosen], rtol=1e-12)


@pytest.mark.parametrize("kind", ["nanoaod", "nanoaod-rntuple", "delphes-root"])
def test_classes_by_generator_particles(kind: str, events: JetEvents, tmp_path: Path) -> None:
    data = lz.load_dataset(**write(kind, tmp_path, events))
    assert data.class_names == ("qcd", "top", "W", "Z", "H")
    assert data.target.tolist() == events.is_top.tolist()
    # With a narrow radius no jet holds all of a decay, and jets with a part of one are of no class.
    narrow = lz.load_dataset(**write(kind, tmp_path, events), radius=0.05, class_names=["qcd"])
    assert len(narrow) == int((events.is_top == 0).sum())
    two = lz.load_dataset(**write(kind, tmp_path, events), class_names=["top", "qcd"])
    assert two.class_names == ("top", "qcd")
    assert two.target.tolist() == (1 - events.is_top).tolist()


@pytest.mark.parametrize("kind", FORMATS)
def test_jets_of_one_event_are_in_one_split(kind: str, events: JetEvents, tmp_path: Path) -> None:
    data = lz.load_dataset(**write(kind, tmp_path, events))
    event = np.repeat(np.arange(len(events.jets)), events.jets)
    assert data.event_id.tolist() == event.tolist()


@pytest.mark.parametrize("kind", FORMATS)
def test_classes_by_conditions_and_a_choice_of_jets(kind: str, events: JetEvents, tmp_path: Path) -> None:
    pt = "PT" if kind == "delphes-root" else "pt"
    unit = 1e3 if kind == "physlite" else 1
    axes = events.per_jet()["pt"]
    middle = float(np.median(axes))
    data = lz.load_dataset(
        **write(kind, tmp_path, events),
        select=f"{pt} > {0.5 * middle * unit}",
        classes={"soft": f"{pt} <= {middle * unit}", "hard": f"{pt} > {middle * unit}"},
    )
    kept = axes[axes > 0.5 * middle]
    assert data.target.tolist() == (kept > middle).astype(int).tolist()
    assert data.lengths.tolist() == events.axes[axes > 0.5 * middle, 4].astype(int).tolist()


def test_numbers_of_constituents(events: JetEvents, tmp_path: Path) -> None:
    clouds = {
        kind: lz.load_dataset(**write(kind, tmp_path / kind, events)).batch(slice(None)).cloud
        for kind in ("nanoaod", "delphes-root", "physlite")
    }
    nano, delphes = clouds["nanoaod"], clouds["delphes-root"]
    assert nano.scalar_names == (
        *("charge", "is_charged_hadron", "is_neutral_hadron", "is_photon", "is_electron", "is_muon"),
        *("tanh_d0", "tanh_dz"),
    )
    assert delphes.scalar_names == (*nano.scalar_names[:6], "tanh_d0")
    assert clouds["physlite"].scalar_names == ("charge",)
    # Exactly one kind each; impact parameters in mm, of charged ones alone.
    assert bool((nano.scalars[:, 1:6].sum(1) == 1).all())
    assert bool((nano.scalars[nano.scalars[:, 0] == 0, 6] == 0).all())
    torch.testing.assert_close(nano.scalars[:, :7], delphes.scalars[:, :7], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("features", ["fourmomenta", "pid"])
def test_fewer_numbers(features: str, events: JetEvents, tmp_path: Path) -> None:
    data = lz.load_dataset(**write("nanoaod", tmp_path, events), features=features, scalars="d0")
    assert data.num_scalars == {"fourmomenta": 1, "pid": 7}[features]
    with pytest.raises(
        EventFileError, match=r"'PFCands_d0Err', 'PFCands_dzErr' missing, .*features='default'"
    ):
        lz.load_dataset(**write("nanoaod", tmp_path, events), features="displacements")


@pytest.mark.parametrize(
    "options",
    [
        {"index": "pfCandIdx"},
        {"table": "FatJetPFCand", "candidates": "PFCand", "index": "pfCandIdx"},
        {"table": "FatJetPFCand", "index": "candIdx"},
        {"index": None},
        {"jets": "Jet", "table": "JetPFCands"},
        {"jets": "GenJetAK8", "table": "GenFatJetCands", "candidates": "GenCands"},
    ],
    ids=str,
)
def test_spellings_of_tables_of_candidates(
    options: dict[str, Any], events: JetEvents, tmp_path: Path
) -> None:
    data = lz.load_dataset(**write("nanoaod", tmp_path, events, **options), truth="none")
    assert data.lengths.tolist() == events.axes[:, 4].astype(int).tolist()
    assert data.class_names == ("jets",)


def test_a_table_of_any_name(events: JetEvents, tmp_path: Path) -> None:
    opened = write("nanoaod", tmp_path, events, table="Constituents", index="candIdx")
    with pytest.raises(EventFileError, match=r"no candidates of jets: .*candidates=\.\.\."):
        lz.load_dataset(**opened)
    data = lz.load_dataset(**opened, jets="FatJet", candidates="Constituents")
    assert data.lengths.tolist() == events.axes[:, 4].astype(int).tolist()


def test_puppi_weights_are_taken_where_jets_have_them(events: JetEvents, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    columns = nanoaod_columns(events)
    weight = rng.choice([0.0, 0.25, 1.0], len(events.jet))
    columns["PFCands_puppiWeight"] = ak.unflatten(weight.astype(np.float32), events.candidates)
    plain = {"pt": columns["FatJet_pt"]}
    scaled = events.pt * weight
    inside = (events.jet >= 0) & (weight > 0)
    first = np.cumsum(events.jets) - events.jets
    rows = (first[events.event] + events.jet)[inside]
    px, py = (
        np.bincount(rows, (scaled * part(events.phi))[inside], len(events.is_top))
        for part in (np.cos, np.sin)
    )
    weighted = {"pt": ak.unflatten(np.hypot(px, py).astype(np.float32), events.jets)}
    for name, jets, expected in (("plain", plain, 1.0), ("weighted", weighted, 0.0)):
        write_columns(
            tmp_path / f"{name}.root", {**columns, "FatJet_pt": jets["pt"]}, "Events", rntuple=False
        )
        data = lz.load_dataset("nanoaod", path=str(tmp_path / f"{name}.root"), target="pt", on_bad="skip")
        total = data.batch(slice(None)).cloud.total()
        torch.testing.assert_close(total[:, 1:3].norm(dim=1), data.target.double(), rtol=1e-4, atol=1e-3)
        says = lz.load_dataset(
            "nanoaod", path=str(tmp_path / f"{name}.root"), puppi="no", target="pt", on_bad="skip"
        )
        assert (says.lengths.sum() == data.lengths.sum()) == (expected == 1.0)


def test_hadron_flavour_of_narrow_jets_and_weights(events: JetEvents, tmp_path: Path) -> None:
    opened = write("nanoaod", tmp_path, events, jets="Jet", table="JetPFCands")
    data = lz.load_dataset(**opened, weight="genWeight")
    assert data.class_names == ("light", "c", "b")
    assert data.target.tolist() == (2 * events.is_top).tolist()
    weight = np.where(np.arange(len(events.jets)) % 3, 1.5, -0.5)
    assert data.weight.tolist() == np.repeat(weight, events.jets).tolist()
    listed = lz.load_dataset(
        **write("physlite", tmp_path / "p", events), weight="EventInfoAuxDyn.mcEventWeights[1]"
    )
    assert set(listed.weight.tolist()) == {3.0}
    single = lz.load_dataset(**write("delphes-root", tmp_path / "d", events), weight="Event.Weight")
    assert set(single.weight.tolist()) == {0.5}


def test_keys_of_collections_are_those_of_athena() -> None:
    # As they stand in files of ATLAS.
    assert key_of("InDetTrackParticles", "TrackParticleContainer") == 490246363
    assert key_of("CombinedMuonTrackParticles", "TrackParticleContainer") == 873304470
    assert key_of("UFOCSSK", "FlowElementContainer") == 1036585512


def test_a_jet_a_row_and_momenta_by_name(events: JetEvents, tmp_path: Path) -> None:
    rows = ak.flatten(nested_columns(events)["jet"])
    write_nested(tmp_path / "a.parquet", rows)
    flat = lz.load_dataset(
        "jets-parquet",
        path=str(tmp_path / "a.parquet"),
        label="top",
        class_names=["qcd", "top"],
        scalars=["charge"],
    )
    nested = lz.load_dataset(
        **write("jets-parquet", tmp_path / "n", events),
        momentum={part: f"jet.constituents.{part}" for part in ("pt", "eta", "phi")},
        label="top",
        class_names=["qcd", "top"],
        scalars={"charge": "jet.constituents.charge"},
    )
    assert flat.target.tolist() == nested.target.tolist() == events.is_top.tolist()
    a, b = flat.batch(slice(None)).cloud, nested.batch(slice(None)).cloud
    torch.testing.assert_close(a.momenta, b.momenta, rtol=1e-12, atol=1e-12)
    assert torch.equal(a.scalars, b.scalars)
    # The general reader takes the same columns of a jet a row.
    general = lz.load_dataset(
        "parquet",
        path=str(tmp_path / "a.parquet"),
        momentum={part: f"constituents.{part}" for part in ("pt", "eta", "phi")},
        label="top",
    )
    torch.testing.assert_close(general.batch(slice(None)).cloud.momenta, a.momenta, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", FORMATS)
def test_streams_and_several_files_hold_the_same_jets(kind: str, events: JetEvents, tmp_path: Path) -> None:
    for number in range(2):
        opened = write(kind, tmp_path / f"{number}", random_events(20, seed=number))
    opened["path"] = str(tmp_path)
    data = lz.load_dataset(**opened, num_jets=10)
    assert len(data) == 10
    whole = lz.load_dataset(**opened)
    stream = lz.load_dataset(**opened, stream=True)
    assert len(stream) == len(whole)
    part = stream.split("train")
    seen = sum(len(batch.target) for batch in part.loader(16, shuffle=True, seed=0, num_workers=0))
    assert seen == len(part)


def test_pieces_do_not_change_what_is_read(
    events: JetEvents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = write("nanoaod", tmp_path, events)
    pieces = lz.load_dataset(**opened)
    monkeypatch.setattr(reading, "EVENTS_AT_ONCE", 1000)
    whole = lz.load_dataset(**opened)
    assert pieces.fingerprint() == whole.fingerprint()
    one, other = (each.batch(slice(None)).cloud.momenta for each in (pieces, whole))
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_links_to_tracks_clusters_and_truth(tmp_path: Path) -> None:
    """Each class of objects keeps its momenta in its own way; links that name nothing are left out."""
    rng = np.random.default_rng(0)
    pt, eta, phi = rng.uniform(1e3, 1e5, 6), rng.normal(size=6), rng.uniform(-3, 3, 6)
    charge = np.array([1, -1, 1, -1, 1, -1])
    mass = 139.57039
    theta = 2 * np.arctan(np.exp(-eta))
    three = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=1)
    collections = {
        ("InDetTrackParticles", "TrackParticleContainer"): {
            "qOverP": charge / np.linalg.norm(three, axis=1),
            "theta": theta,
            "phi": phi,
            "d0": np.full(6, 0.5),
            "z0": np.zeros(6),
        },
        ("CaloCalTopoClusters", "CaloClusterContainer"): {
            "calE": pt * np.cosh(eta),
            "calEta": eta,
            "calPhi": phi,
        },
        ("TruthParticles", "TruthParticleContainer"): {
            **dict(zip(("px", "py", "pz"), three.T, strict=True)),
            "e": np.sqrt((three**2).sum(1) + mass**2),
            "pdgId": 211.0 * charge,
        },
    }
    for (name, container), own in collections.items():
        key = key_of(name, container)
        links = [[[(key, 0), (0, 0), (key, 2)], [(key, 1)]], [], [[(key, 1), (key, 0)]]]
        records = [
            [[dict(zip(("m_persKey", "m_persIndex"), each, strict=True)) for each in jet] for jet in e]
            for e in links
        ]
        columns = {f"{name}AuxDyn.{item}": ak.unflatten(values, [3, 0, 3]) for item, values in own.items()}
        columns["AnalysisJetsAuxDyn.pt"] = ak.Array([[1e5, 1e5], [], [1e5]])
        columns["AnalysisJetsAuxDyn.GhostTrack"] = ak.values_astype(ak.Array(records), np.uint32)
        write_columns(tmp_path / f"{name}.root", columns, "CollectionTree", rntuple=True)
        data = lz.load_dataset(
            "physlite", path=str(tmp_path / f"{name}.root"), jets="AnalysisJets", links="GhostTrack"
        )
        assert data.lengths.tolist() == [2, 1, 2]
        cloud = data.batch(slice(None)).cloud
        rows = [0, 2, 1, 4, 3]
        by_pt = [r for part in ([0, 2], [1], [4, 3]) for r in sorted(part, key=lambda r: -pt[r])]
        assert sorted(by_pt) == sorted(rows)
        np.testing.assert_allclose(cloud.momenta[:, 1:].numpy(), three[by_pt] / 1e3, rtol=1e-6)
        if name != "CaloCalTopoClusters":
            np.testing.assert_allclose(
                cloud.momenta[:, 0] ** 2 - (cloud.momenta[:, 1:] ** 2).sum(1), (mass / 1e3) ** 2, rtol=1e-2
            )
        if name == "InDetTrackParticles":
            assert cloud.scalars[:, 0].tolist() == charge[by_pt].tolist()
            assert data.scalar_names == ("charge", "tanh_d0", "tanh_dz")


def test_few_of_many_files_are_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_MOST_OPEN", 2)
    for number in range(6):
        opened = write("nanoaod", tmp_path / f"{number}", random_events(12, seed=number))
    opened["path"] = str(tmp_path)
    data = lz.load_dataset(**opened)
    sources = {block.source for block in data._blocks._blocks}
    assert len(sources) == 6

    def are_open() -> int:
        return sum(source._file._file._file._opened is not None for source in sources)

    assert are_open() <= 2
    whole = data.batch(slice(None))
    assert are_open() <= 2
    assert len(whole.target) == len(data)

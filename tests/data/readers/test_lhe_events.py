"""Are events of Les Houches files read as what they hold: particles, roles, processes and weights?"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.data.make import describe_sample
from lorentzoo.data.readers import lhe_file
from lorentzoo.data.readers.files import FileDataset
from lorentzoo.data.readers.lhe_file import LheFile
from lorentzoo.data.readers.source import EventFileError

pylhe = pytest.importorskip("pylhe")

# The first events of test files of pylhe; their origin stands beside them.
FILES = Path(__file__).parents[2] / "plugins" / "amplitudes" / "lhe"
MADGRAPH = FILES / "madgraph-pp-jj.lhe.gz"
POWHEG = FILES / "powheg-zj.lhe"
SHERPA = FILES / "sherpa-ee-jjj.lhe"
ALL = (MADGRAPH, POWHEG, SHERPA)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of many blocks."""
    monkeypatch.setitem(FileDataset.__init__.__kwdefaults__, "block_size", 5)


def parsed(path: Path) -> list:
    return list(pylhe.LHEFile.fromfile(path).events)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
@pytest.mark.parametrize("particles", ["final", "hard", "all"])
def test_particles_are_those_of_pylhe(path: Path, particles: str) -> None:
    data = lz.load_dataset("lhe", path=str(path), particles=particles, scalars=["pdg", "role", "spin"])
    kept = {"final": (1,), "hard": (-1, 1), "all": (-1, 1, 2)}[particles]
    for event, found in zip(parsed(path), (data.batch([i]) for i in range(len(data))), strict=True):
        wanted = [each for each in event.particles if each.status in kept]
        rows = sorted(found.cloud.momenta[:, [1, 2, 3, 0]].tolist())
        # Energies that rounding has put below |p| are raised to it.
        expected = sorted([each.px, each.py, each.pz, each.e] for each in wanted)
        np.testing.assert_allclose(rows, expected, rtol=1e-9)
        assert sorted(found.cloud.scalars[:, 0].tolist()) == sorted(each.id for each in wanted)
        assert sorted(found.cloud.scalars[:, 1].tolist()) == sorted(each.status for each in wanted)
        assert found.weight.tolist() == [event.eventinfo.weight]
    if particles == "final":
        transverse = data.batch(slice(None)).cloud.total()[:, 1:3]
        assert float(transverse.abs().max()) < 1e-4


def test_weights_by_name_and_by_what_the_head_says() -> None:
    events = parsed(MADGRAPH)
    by_id = lz.load_dataset("lhe", path=str(MADGRAPH), weight="16")
    assert by_id.weight.tolist() == [event.weights["16"] for event in events]
    assert torch.equal(lz.load_dataset(f"lhe:path={MADGRAPH},weight=16").weight, by_id.weight)
    by_text = lz.load_dataset("lhe", path=str(MADGRAPH), weight="MUF=0.5")
    assert torch.equal(by_text.weight, by_id.weight)
    with pytest.raises(
        EventFileError,
        match=r"'mu' missing, needed for target, weight.*145 further weights: 1 \(MUR=0.5 MUF=0.5\)",
    ):
        lz.load_dataset("lhe", path=str(MADGRAPH), weight="mu")


def test_processes_and_channels_are_classes_and_values() -> None:
    data = lz.load_dataset("lhe", path=str(POWHEG))
    assert (data.class_names, set(data.target.tolist())) == (("process_10001",), {0})
    gluons = [sum(each.id == 21 for each in event.particles) == 4 for event in parsed(MADGRAPH)]
    one = lz.load_dataset(
        "lhe",
        path=str(MADGRAPH),
        classes={"other": "channel != '21 21 > 21 21'", "gluons": "channel == '21 21 > 21 21'"},
    )
    assert one.target.tolist() == [int(each) for each in gluons]
    two = lz.load_dataset("lhe", path=str(SHERPA), label="process", class_names=["none", "jets"])
    assert set(two.target.tolist()) == {1}
    values = lz.load_dataset("lhe", path=str(SHERPA), target=["scale", "alpha_s"], context="num_outgoing")
    assert values.target.tolist() == [[e.eventinfo.scale, e.eventinfo.aqcd] for e in parsed(SHERPA)]
    assert values.context[:, 0].tolist() == [e.eventinfo.nparticles - 2 for e in parsed(SHERPA)]


def test_kinds_are_one_hot() -> None:
    kinds = ["is_quark", "is_gluon", "is_charged_lepton", "is_neutrino", "is_photon", "is_boson"]
    data = lz.load_dataset(
        "lhe", path=str(POWHEG), particles="all", scalars=[*kinds, "is_antiparticle", "pdg"]
    )
    scalars = data.batch(slice(None)).cloud.scalars
    assert bool((scalars[:, :6].sum(1) == 1).all())
    assert torch.equal(scalars[:, 6] > 0, scalars[:, 7] < 0)
    with pytest.raises(EventFileError, match=r"no scalar 'flavour'; they have pdg, role"):
        lz.load_dataset("lhe", path=str(POWHEG), scalars="flavour")


@pytest.mark.parametrize("chunk", [32, 100, 1 << 20])
def test_events_are_found_wherever_chunks_end(
    chunk: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lhe_file, "_CHUNK", chunk)
    packed = tmp_path / "a.lhe.gz"
    packed.write_bytes(gzip.compress(POWHEG.read_bytes()))
    whole = LheFile(POWHEG).read(0, len(parsed(POWHEG)))
    for path in (POWHEG, packed):
        file = LheFile(path)
        assert file.num_events == len(whole)
        # From anywhere, in any order.
        parts = [file.read(start, min(start + 3, len(whole))) for start in range(0, len(whole), 3)][::-1]
        joined = np.concatenate([part.momenta for part in parts[::-1]])
        np.testing.assert_array_equal(joined, whole.momenta)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.lhe"
    text = SHERPA.read_text()
    for damage, message in (
        (text[: text.rindex("<event")], "after 4 events|after 3 events"),
        (text[: text.rindex("</event>")], "after 3 events: it breaks off in the middle"),
        (text.replace("   4    1   6.7", "   5    1   6.7", 1), "4 particles where 5 are announced"),
        (text.replace("2.2000000000e+01", "many", 1), "after 0 events"),
        (text.replace("2.2000000000e+01", "nan", 1), "event 0 has momenta that are not finite"),
        (text.replace("<init>", "<start>"), "no <init> block|damaged"),
        (text[: text.index("<event")] + "</LesHouchesEvents>", "it holds no events"),
        ("", "after 0 events: it has no <init> block"),
    ):
        path.write_text(damage)
        with pytest.raises(EventFileError, match=message) as found:
            lz.load_dataset("lhe", path=str(path)).batch(slice(None))
        assert "\n" not in str(found.value)
        assert str(found.value).count(str(path)) == 1
    path.write_text(text.replace("   4    1   6.7", "   4    7   6.7", 1))
    with pytest.raises(EventFileError, match="event 0 is of the process 7, but <init> announces 1"):
        lz.load_dataset("lhe", path=str(path))
    packed = tmp_path / "b.lhe.gz"
    packed.write_bytes(gzip.compress(text.encode())[:-200])
    with pytest.raises(EventFileError, match="damaged or not a file of events"):
        lz.load_dataset("lhe", path=str(packed))


def test_folders_patterns_and_info(tmp_path: Path) -> None:
    for number, source in enumerate((SHERPA, SHERPA)):
        (tmp_path / f"{number}.lhe").write_bytes(source.read_bytes())
    (tmp_path / "2.lhe.gz").write_bytes(gzip.compress(SHERPA.read_bytes()))
    (tmp_path / "notes.gz").write_bytes(gzip.compress(b"no events"))
    one = lz.load_dataset("lhe", path=str(SHERPA))
    assert len(lz.load_dataset("lhe", path=str(tmp_path))) == 3 * len(one)
    assert len(lz.load_dataset("lhe", path=str(tmp_path / "*.lhe"))) == 2 * len(one)
    assert len(lz.load_dataset("lhe", path=str(tmp_path), num_jets=7)) == 7
    described = describe_sample(MADGRAPH)
    assert (described["dataset"], described["events"]) == ("lhe", 12)
    (tmp_path / "c.lhe").write_text("no events")
    with pytest.raises(EventFileError, match=r"c\.lhe: damaged or not a file of events, after 0 events"):
        describe_sample(tmp_path / "c.lhe")

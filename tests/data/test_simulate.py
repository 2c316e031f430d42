"""Does generation survive a kill, not depend on the workers, and select what it says?"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lorentzoo.core.errors import MissingExtraError
from lorentzoo.data.make import make_sample
from lorentzoo.data.ragged import event_index, jet_observables
from lorentzoo.data.sample import Sample
from lorentzoo.data.simulate import chunks, engine, make_recipe
from lorentzoo.data.simulate.chunks import Chunk, Plan
from lorentzoo.data.simulate.jets10 import Jets10, impact_parameters
from lorentzoo.data.simulate.particles import mass_codes
from lorentzoo.data.simulate.toptag import TopTag, contains_top
from lorentzoo.output.progress import ProgressLine

PLAN = Plan(TopTag(), jets=7, seed=11, chunk_size=3)


@pytest.fixture(scope="module")
def engines() -> None:
    pytest.importorskip("pythia8mc")
    pytest.importorskip("fastjet")


@pytest.fixture(scope="module")
def uninterrupted(engines: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reference") / "sample.npz"
    chunks.run(PLAN, out, progress=False)
    return out


@pytest.fixture(scope="module")
def top_events(engines: None) -> engine.Events:
    return engine.Generator(TopTag().pythia_settings("top"), seed=1).generate(200)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Indices of the chunks that this process generates."""
    indices: list[int] = []
    original = chunks.generate_chunk

    def counted(recipe: TopTag, chunk: Chunk) -> Sample:
        indices.append(chunk.index)
        return original(recipe, chunk)

    monkeypatch.setattr(chunks, "generate_chunk", counted)
    return indices


def test_a_few_jets(uninterrupted: Path) -> None:
    sample = Sample.load(uninterrupted)
    mass, pt, multiplicity = jet_observables(sample.four_momenta(), sample.ptr)
    assert np.bincount(sample.labels).tolist() == [4, 3]
    assert 549.9 < pt.min() < pt.max() < 650.1
    assert (multiplicity > 5).all()
    assert np.median(mass[sample.labels == 1]) > 120
    assert not uninterrupted.with_name("sample.npz.chunks").exists()
    assert sample.metadata["command"] == "lorentzoo data make toptag --jets 7 --seed 11"


def test_workers_do_not_matter(uninterrupted: Path, tmp_path: Path) -> None:
    chunks.run(PLAN, tmp_path / "sample.npz", workers=2, progress=False)
    assert (tmp_path / "sample.npz").read_bytes() == uninterrupted.read_bytes()


def test_a_killed_run_continues(uninterrupted: Path, tmp_path: Path, made: list[int]) -> None:
    out = tmp_path / "sample.npz"
    program = (
        "from pathlib import Path; from lorentzoo.data.simulate.chunks import Plan, run; "
        "from lorentzoo.data.simulate.toptag import TopTag; "
        f"run(Plan(TopTag(), jets=7, seed=11, chunk_size=3), Path({str(out)!r}), progress=False)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment)
    first = tmp_path / "sample.npz.chunks" / "chunk-00000.npz"
    deadline = time.monotonic() + 60
    while not first.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = sorted(int(path.stem[-5:]) for path in first.parent.glob("chunk-*.npz"))
    assert 0 in finished

    chunks.run(PLAN, out, progress=False)
    assert sorted(made + finished) == [0, 1, 2]
    assert out.read_bytes() == uninterrupted.read_bytes()


def test_only_lost_and_damaged_chunks_are_remade(
    uninterrupted: Path, tmp_path: Path, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, folder = tmp_path / "sample.npz", tmp_path / "sample.npz.chunks"

    def stopped(*_: object) -> Sample:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(chunks, "_merge", stopped)
        with pytest.raises(KeyboardInterrupt):
            chunks.run(PLAN, out, progress=False)
    assert made == [0, 1, 2]
    made.clear()
    (folder / "chunk-00001.npz").unlink()
    damaged = folder / "chunk-00002.npz"
    damaged.write_bytes(damaged.read_bytes()[:200])
    with pytest.raises(FileExistsError, match="unfinished sample with other settings"):
        chunks.run(Plan(TopTag(), jets=7, seed=12, chunk_size=3), out, progress=False)
    assert made == []
    chunks.run(PLAN, out, progress=False)
    assert made == [1, 2]
    assert out.read_bytes() == uninterrupted.read_bytes()


def test_a_finished_sample_is_kept(uninterrupted: Path, made: list[int]) -> None:
    before = uninterrupted.stat().st_mtime_ns
    chunks.run(PLAN, uninterrupted, progress=False)
    assert made == []
    assert uninterrupted.stat().st_mtime_ns == before
    with pytest.raises(FileExistsError, match="holds another sample"):
        chunks.run(Plan(TopTag(), jets=7, seed=12, chunk_size=3), uninterrupted, progress=False)


def test_jets_are_the_sums_of_their_constituents(top_events: engine.Events) -> None:
    jets = engine.cluster(top_events, radius=0.8, min_pt=50.0)
    sums = np.zeros_like(jets.momenta)
    np.add.at(sums, event_index(jets.ptr), top_events.momenta[jets.constituents])
    np.testing.assert_allclose(sums, jets.momenta, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(top_events.event[jets.constituents], jets.event[event_index(jets.ptr)])
    leading = jets.leading()
    for event, pt in zip(leading.event, leading.pt, strict=True):
        assert pt == jets.pt[jets.event == event].max()


def test_top_matching_equals_a_plain_loop(top_events: engine.Events) -> None:
    jets = engine.cluster(top_events, radius=0.8, min_pt=200.0).leading()
    matched = contains_top(top_events, jets, radius=0.8)
    assert 0 < matched.sum() < len(jets)
    for jet, event in enumerate(jets.event):
        entries = range(top_events.ptr[event], top_events.ptr[event + 1])
        expected = False
        for sign in (1, -1):
            partons = []
            for entry in entries:
                mother = top_events.mother[entry]
                if 1 <= abs(top_events.pdg_id[entry]) <= 5 and top_events.pdg_id[mother] in (
                    6 * sign,
                    24 * sign,
                ):
                    partons += [entry] if top_events.pdg_id[mother] == 24 * sign else [entry, mother]
            distances = engine.angular_distance(top_events.momenta[partons], jets.momenta[jet])
            expected |= len(partons) == 4 and bool((distances < 0.8).all())
        assert matched[jet] == expected


@given(
    arrays(np.float64, (6, 3), elements=st.floats(-5, 5)),
    arrays(np.float64, (6, 3), elements=st.floats(0.1, 50)),
)
def test_impact_parameters_are_those_of_the_closest_approach(vertices: np.ndarray, p: np.ndarray) -> None:
    d0, dz = impact_parameters(np.concatenate([np.zeros((6, 1)), p], axis=1), vertices)
    along = -(vertices[:, :2] * p[:, :2]).sum(1) / np.square(p[:, :2]).sum(1)  # closest to the beam axis
    closest = vertices + along[:, None] * p
    np.testing.assert_allclose(np.abs(d0), np.hypot(*closest.T[:2]), atol=1e-4)
    np.testing.assert_allclose(dz, closest[:, 2], atol=1e-4)
    assert not impact_parameters(np.ones((3, 4)), np.zeros((3, 3)))[0].any()


def test_ten_class_jets_hold_their_decay(engines: None) -> None:
    recipe = Jets10()
    events = engine.Generator(recipe.pythia_settings("h_qql"), seed=1).generate(150)
    jets = recipe.select(events, "h_qql")
    assert len(jets) > 3
    kinds, mothers = np.abs(events.pdg_id), np.abs(events.pdg_id[events.mother])
    for jet, event in enumerate(jets.event):
        decay = (events.event == event) & (mothers == 24) & (kinds != 24)
        partons = np.flatnonzero(decay & np.isin(kinds, (1, 2, 3, 4, 5, 11, 13)))
        assert sorted(kinds[partons] > 5) == [False, False, True]
        assert (engine.angular_distance(events.momenta[partons], jets.momenta[jet]) < 0.8).all()


def test_plan_divides_jets_and_seeds() -> None:
    plan = Plan(TopTag(), jets=1001, seed=5, chunk_size=100)
    pieces = plan.chunks()
    assert [sum(c.jets for c in pieces if c.label == label) for label in (0, 1)] == [501, 500]
    assert len({chunk.seed for chunk in pieces}) == len(pieces)
    assert pieces == plan.chunks()
    assert pieces[0].seed != Plan(TopTag(), jets=1001, seed=6, chunk_size=100).chunks()[0].seed


def test_missing_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", absent)
    engine.versions.cache_clear()
    with pytest.raises(MissingExtraError, match=r'pip install "lorentzoo\[simulate\]"') as caught:
        make_sample("toptag", jets=10, seed=1, out=tmp_path / "x.npz", progress=False)
    assert isinstance(caught.value, ImportError)
    assert "pythia8mc" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no simulated sample is called 'top'; there are: .*toptag"):
        make_recipe("top")
    with pytest.raises(ValueError, match="toptag has no setting pthat; allowed are: pthat_min, pthat_max"):
        make_recipe("toptag", {"pthat": 3})
    with pytest.raises(ValueError, match=r"write to .*x\.npz instead of .*x\.h5"):
        make_sample("toptag", jets=10, seed=1, out=tmp_path / "x.h5")
    with pytest.raises(ValueError, match="2 classes"):
        Plan(TopTag(), jets=1, seed=1)
    with pytest.raises(ValueError, match="workers must be at least 1"):
        chunks.run(PLAN, tmp_path / "x.npz", workers=0)
    with pytest.raises(ValueError, match=r"\(6, 173.0\)"):
        mass_codes(np.array([22, -6]), np.array([0.0, 173.0]))


def test_plain_lines_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine("toptag", total=10, items="jets") as line:
        line.count(4, done_before=True)
        line.count(6)
    error = capsys.readouterr().err
    assert error.startswith("toptag: 10 of 10 jets, ")
    assert error.count("\n") == 1

"""Are tt̄ events six jets of six quarks, within the cuts to the last digit?"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Final

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError, ParameterError
from lorentzoo.data.sample import Sample
from lorentzoo.data.simulate import chunks, engine
from lorentzoo.data.simulate.chunks import Chunk, generate_chunk
from lorentzoo.data.simulate.ttbar import TopPairs, decay_quarks

SHIPPED: Final = "974cf0c5a245d6b2"
"""Of the events that come with the package, by which runs are keyed."""


@pytest.fixture(scope="module")
def events() -> engine.Events:
    pytest.importorskip("pythia8mc")
    pytest.importorskip("fastjet")
    return engine.Generator(TopPairs().pythia_settings("ttbar"), seed=3).generate(200)


@pytest.fixture(scope="module")
def chunk(events: engine.Events) -> Sample:
    return generate_chunk(TopPairs(), Chunk(0, 0, 40, 3))


def mass(p: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(p[..., 0] ** 2 - np.square(p[..., 1:]).sum(-1), 0))


def test_decay_quarks_are_those_of_one_top_and_one_antitop(events: engine.Events) -> None:
    quarks = decay_quarks(events)
    assert (quarks >= 0).all()
    assert (events.event[quarks] == np.arange(len(events))[:, None]).all()
    for first, sign in ((0, 1), (3, -1)):
        total = events.momenta[quarks[:, first : first + 3]].sum(1)
        w = events.momenta[quarks[:, first + 1 : first + 3]].sum(1)
        assert np.median(mass(w)) == pytest.approx(80.4, abs=1)
        assert np.median(mass(total)) == pytest.approx(172.5, abs=3)
        charge = events.pdg_id[quarks[:, first]]
        assert (np.sign(charge) == sign).all()


def test_matching_agrees_with_a_loop_over_events(events: engine.Events) -> None:
    """The selection, written out: nearest jets of all quarks, all different, all near, all apart."""
    recipe = TopPairs()
    jets = engine.cluster(events, recipe.radius, recipe.pt_min)
    within = np.flatnonzero((np.abs(jets.eta) < recipe.max_abs_eta) & (jets.mass > recipe.mass_min))
    quarks = decay_quarks(events)
    wanted: list[tuple[int, tuple[float, ...]]] = []
    for e in range(len(events)):
        own = [j for j in within if jets.event[j] == e]
        if len(own) < 6:
            continue
        chosen = []
        for quark in quarks[e]:
            distances = [float(engine.angular_distance(events.momenta[quark], jets.momenta[j])) for j in own]
            nearest = int(np.argmin(distances))
            chosen.append((own[nearest], distances[nearest]))
        indices = [j for j, _ in chosen]
        apart = [
            float(engine.angular_distance(jets.momenta[a], jets.momenta[b]))
            for a, b in itertools.combinations(indices, 2)
        ]
        if len(set(indices)) == 6 and max(d for _, d in chosen) < 0.4 and min(apart) > 0.5:
            wanted.append((e, tuple(sorted(jets.pt[indices]))))
    found = recipe.select(events, "ttbar")
    assert found.event[::6].tolist() == [e for e, _ in wanted]
    for row, (_, pt) in zip(found.pt.reshape(-1, 6), wanted, strict=True):
        np.testing.assert_allclose(np.sort(row), pt, rtol=1e-4)


def test_events_obey_the_cuts_to_the_last_digit(chunk: Sample) -> None:
    p = chunk.four_momenta().reshape(-1, 6, 4)
    assert len(chunk) == 40
    pt = np.hypot(p[..., 1], p[..., 2])
    assert pt.min() > 22
    assert np.abs(np.arcsinh(p[..., 3] / pt)).max() < 5
    assert mass(p).min() > 1 - 1e-9
    for a, b in itertools.combinations(range(6), 2):
        assert engine.angular_distance(p[:, a], p[:, b]).min() > 0.5


def test_quarks_of_a_w_are_ordered_and_every_jet_says_which_it_is(chunk: Sample) -> None:
    p = chunk.four_momenta().reshape(-1, 6, 4)
    pt = np.hypot(p[..., 1], p[..., 2])
    assert (pt[:, 1] >= pt[:, 2]).all()
    assert (pt[:, 4] >= pt[:, 5]).all()
    np.testing.assert_array_equal(chunk.scalars.reshape(-1, 6, 6), np.broadcast_to(np.eye(6), (40, 6, 6)))
    assert chunk.scalar_names == TopPairs().scalar_names == ("b", "q1", "q2", "b_bar", "q1_bar", "q2_bar")


@pytest.mark.parametrize(("extra", "fewest", "most"), [("0-4", 0, 4), (2, 2, 2), ("1-3", 1, 3)])
def test_further_jets_are_the_hardest_of_those_without_a_quark(
    events: engine.Events, extra: int | str, fewest: int, most: int
) -> None:
    """Beside the six of the sample without further jets; events whose jets are too close are left out as a whole."""
    recipe = TopPairs(extra_jets=extra)
    plain, found = TopPairs().select(events, "ttbar"), recipe.select(events, "ttbar")
    within = recipe._in_acceptance(engine.cluster(events, recipe.radius, recipe.pt_min))
    wanted = []
    for e in np.unique(plain.event):
        six = plain.momenta[plain.event == e]
        others = within.momenta[within.event == e]
        others = others[[not (row == six).all(1).any() for row in others]]
        others = others[np.argsort(-np.hypot(others[:, 1], others[:, 2]))][:most]
        every = np.concatenate([six, others])
        apart = [float(engine.angular_distance(a, b)) for a, b in itertools.combinations(every, 2)]
        if len(others) >= fewest and min(apart) > 0.5:
            wanted.append((e, every))
    assert len(wanted) > 5
    assert [e for e, _ in wanted] == np.unique(found.event).tolist()
    np.testing.assert_array_equal(found.momenta, np.concatenate([every for _, every in wanted]))


def test_events_of_several_multiplicities_are_one_sample() -> None:
    pytest.importorskip("pythia8mc")
    pytest.importorskip("fastjet")
    recipe = TopPairs(extra_jets="0-4")
    sample = generate_chunk(recipe, Chunk(0, 0, 30, 3))
    lengths = np.diff(sample.ptr)
    assert len(sample) == 30
    assert set(lengths) <= set(range(6, 11))
    assert len(set(lengths)) > 2
    assert sample.scalar_names == (*TopPairs().scalar_names, "jet1", "jet2", "jet3", "jet4")
    for start, length in zip(sample.ptr, lengths, strict=False):
        one_hot = sample.scalars[start : start + length]
        np.testing.assert_array_equal(one_hot, np.eye(10, dtype=np.float32)[:length])
    assert "at least 0 further jets, of which the 4 hardest are kept" in recipe.selection()


def test_too_many_further_jets_are_refused() -> None:
    with pytest.raises(ValueError, match="extra_jets is at most 4, not 2-5"):
        TopPairs(extra_jets="2-5")


class TestByName:
    """`lorentzoo.load_dataset` with further jets; fifty events in half a second each time."""

    @pytest.fixture
    def made(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        pytest.importorskip("pythia8mc")
        pytest.importorskip("fastjet")
        indices: list[int] = []
        original = chunks.generate_chunk

        def counted(recipe: TopPairs, chunk: Chunk) -> Sample:
            indices.append(chunk.index)
            return original(recipe, chunk)

        monkeypatch.setattr(chunks, "generate_chunk", counted)
        return indices

    @pytest.fixture(autouse=True)
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("LORENTZOO_CACHE", str(tmp_path))
        return tmp_path

    def test_a_sample_is_made_once(self, made: list[int], cache: Path) -> None:
        first = lz.load_dataset("ttbar", extra_jets="1-4", num_simulated=40)
        again = lz.load_dataset("ttbar:extra_jets=1-4,num_simulated=40")
        assert made == [0]
        assert len(list(cache.rglob("ttbar-40-*.npz"))) == 1
        assert first.fingerprint() == again.fingerprint()
        assert len(first) == 40
        assert set(first.lengths.tolist()) <= set(range(7, 11))
        assert first.particle_names[-1] == "jet4"
        assert first.resonances == TopPairs.resonances
        assert len(first.split("train")) > len(first.split("test")) > 0
        assert first.metadata["command"].endswith("--jets 40 --seed 1 --set extra_jets=1-4")

    def test_the_number_is_context_where_asked(self, made: list[int]) -> None:
        source = {"extra_jets": "0-4", "num_simulated": 40}
        plain = lz.load_dataset("ttbar", **source)
        number = lz.load_dataset("ttbar", multiplicity="number", **source)
        one_hot = lz.load_dataset("ttbar", multiplicity="one-hot", context="weight", **source)
        assert plain.num_context == 0
        assert number.context_names == ("extra_jets",)
        assert number.context[:, 0].tolist() == (plain.lengths - 6).tolist()
        present = sorted(set((plain.lengths - 6).tolist()))
        assert one_hot.context_names == ("weight", *(f"extra_jets_{n}" for n in present))
        numbers = one_hot.context[:, 1:].double() @ torch.tensor(present).double()
        assert numbers.tolist() == (plain.lengths - 6).tolist()
        assert made == [0]

    def test_the_shipped_sample_is_still_the_default(self) -> None:
        data = lz.load_dataset("ttbar")
        assert data.fingerprint() == SHIPPED
        assert data.particle_names == TopPairs().scalar_names
        assert lz.load_dataset("ttbar", extra_jets="0-0", num_events=5).num_scalars == 6

    def test_what_makes_no_sense_is_refused(self) -> None:
        with pytest.raises(ParameterError, match="a sample that is simulated now, but path names one"):
            lz.load_dataset("ttbar", extra_jets=2, path="ttbar.npz")
        with pytest.raises(ParameterError, match="extra_jets is a whole number or a range such as '0-4'"):
            lz.load_dataset("ttbar", extra_jets="some")
        with pytest.raises(CompositionError, match="extra_jets is at most 4, not 5"):
            lz.load_dataset("ttbar", extra_jets=5)

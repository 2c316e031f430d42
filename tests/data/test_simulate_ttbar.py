"""Are tt̄ events six jets of six quarks, within the cuts to the last digit?"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lorentzoo.data.sample import Sample
from lorentzoo.data.simulate import engine
from lorentzoo.data.simulate.chunks import Chunk, generate_chunk
from lorentzoo.data.simulate.ttbar import TopPairs, decay_quarks


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
    assert chunk.scalar_names == TopPairs.scalar_names

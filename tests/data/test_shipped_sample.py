"""Is the shipped sample the physics that it says it is?"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from lorentzoo.data.make import describe_sample
from lorentzoo.data.named import ttbar
from lorentzoo.data.ragged import event_index, jet_observables
from lorentzoo.data.sample import Sample
from lorentzoo.data.shipped import sample_path, shipped_samples
from lorentzoo.data.simulate.chunks import Plan, generate_chunk
from lorentzoo.data.simulate.engine import angular_distance, versions
from lorentzoo.data.simulate.recipe import make_recipe
from lorentzoo.data.splits import stratified_splits


def area_under_curve(score: np.ndarray, labels: np.ndarray) -> float:
    """Probability that a signal event scores above a background event; ties count one half."""
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - 0.5 * (counts - 1))[inverse]
    signal, background = (labels == 1).sum(), (labels == 0).sum()
    return float((rank[labels == 1].sum() - signal * (signal + 1) / 2) / (signal * background))


def test_sanity_numbers(shipped: Sample) -> None:
    """Medians to 2 GeV and areas to 0.01, several times their statistical errors on 10,000 jets."""
    mass, pt, multiplicity = jet_observables(shipped.four_momenta(), shipped.ptr)
    labels = shipped.labels
    assert np.median(mass[labels == 0]) == pytest.approx(76, abs=2)
    assert np.median(mass[labels == 1]) == pytest.approx(174, abs=2)
    assert area_under_curve(-np.abs(mass - 172), labels) == pytest.approx(0.95, abs=0.01)
    assert area_under_curve(multiplicity, labels) == pytest.approx(0.68, abs=0.01)
    assert area_under_curve(pt, labels) == pytest.approx(0.51, abs=0.015)


def test_jets_obey_the_selection(shipped: Sample) -> None:
    _, pt, multiplicity = jet_observables(shipped.four_momenta(), shipped.ptr)
    rounding = 0.01  # GeV, from momenta rounded to 14 bits
    assert 550 - rounding < pt.min() < pt.max() < 650 + rounding
    assert multiplicity.max() <= 200
    transverse = np.hypot(*shipped.momenta.astype(np.float64).T[:2])
    falling = np.diff(transverse) <= 0
    falling[shipped.ptr[1:-1] - 1] = True  # from one event to the next anything goes
    assert falling.all()


def test_size_balance_and_splits(shipped: Sample) -> None:
    assert len(shipped) >= 6000
    assert sample_path("toptag").stat().st_size < 6e6
    assert np.bincount(shipped.labels).tolist() == [len(shipped) // 2] * 2
    assert len(np.unique(shipped.event_ids)) == len(shipped)
    np.testing.assert_array_equal(shipped.splits, stratified_splits(shipped.labels, shipped.event_ids))


def test_metadata_says_how_it_was_made(shipped: Sample) -> None:
    metadata = shipped.metadata
    plan = metadata["plan"]
    assert metadata["command"] == f"lorentzoo data make toptag --jets {len(shipped)} --seed {plan['seed']}"
    assert (plan["settings"]["pthat_min"], plan["settings"]["pthat_max"]) == (400.0, 1000.0)
    assert set(plan["versions"]) == {"pythia8", "fastjet"}
    assert "no detector" in metadata["notes"]
    for counts in metadata["counts"].values():
        assert counts["generated_events"] > counts["accepted_jets"] >= counts["stored_jets"]


@pytest.mark.parametrize("name", shipped_samples())
def test_the_command_reproduces_the_sample(name: str) -> None:
    """The first chunk begins with the same jets, bit for bit, if the same programs are installed."""
    pytest.importorskip("pythia8mc")
    pytest.importorskip("fastjet")
    sample = Sample.load(sample_path(name))
    made_with = sample.metadata["plan"]
    if made_with["versions"] != versions():
        pytest.skip(f"made with {made_with['versions']}, installed are {versions()}")
    recipe = make_recipe(name, made_with["settings"])
    plan = Plan(recipe, made_with["jets"], made_with["seed"], made_with["chunk_size"])
    assert json.loads(json.dumps(plan.describe())) == made_with
    again = generate_chunk(recipe, replace(plan.chunks()[0], jets=5))
    order = np.argsort(sample.event_ids, kind="stable")[:5]
    np.testing.assert_array_equal(sample.event_ids[order], again.event_ids)
    for column in ("momenta", "mass_codes", "free_masses", "scalars", "labels"):
        np.testing.assert_array_equal(getattr(sample.take(order), column), getattr(again, column))


def test_ten_classes() -> None:
    """Masses of the decaying particles, kinds as one-hot, leptons and displaced tracks where they belong."""
    sample = Sample.load(sample_path("jets10"))
    mass, pt, _ = jet_observables(sample.four_momenta(), sample.ptr)
    columns = dict(zip(sample.scalar_names, sample.scalars.T, strict=True))
    kinds = np.stack([column for name, column in columns.items() if name.startswith("is_")])
    label = sample.labels[event_index(sample.ptr)]
    name = {number: sample.class_names.index(number) for number in sample.class_names}

    assert np.bincount(sample.labels).tolist() == [200] * 10
    assert 499.9 < pt.min() < pt.max() < 1000.1
    for class_name, expected in {"h_bb": 125, "h_4q": 125, "z_qq": 91, "w_qq": 80, "t_bqq": 173}.items():
        assert np.median(mass[sample.labels == name[class_name]]) == pytest.approx(expected, rel=0.15)
    assert (kinds.sum(axis=0) == 1).all()
    assert set(np.unique(columns["charge"])) == {-1.0, 0.0, 1.0}
    assert ((columns["charge"] == 0) == (columns["is_photon"] + columns["is_neutral_hadron"] == 1)).all()
    assert not columns["d0"][columns["charge"] == 0].any()
    displaced = [np.mean(np.abs(columns["d0"][label == name[c]]) > 0.1) for c in ("h_bb", "h_cc", "h_gg")]
    assert displaced[0] > 2 * displaced[1] > 4 * displaced[2]

    hard = (columns["is_electron"] + columns["is_muon"] == 1) & (np.hypot(*sample.momenta.T[:2]) > 50)
    leptons = np.bincount(label[hard], minlength=10) / 200
    assert leptons[name["t_bl"]] > 0.7
    assert leptons[name["h_qql"]] > 0.5
    assert leptons[name["h_4q"]] < 0.05
    charges = columns["charge"][hard & (label == name["h_qql"])]
    assert abs(charges.mean()) < 0.3  # the sign must not give the class away


def test_top_pairs() -> None:
    """Six jets an event, all within the cuts, whose masses in pairs and threes are those of W and top."""
    events = ttbar()
    assert len(events) == 25_000
    assert sample_path("ttbar").stat().st_size < 3e6
    p = events.momenta.numpy().reshape(-1, 6, 4)
    pt, eta = np.hypot(p[..., 1], p[..., 2]), np.arcsinh(p[..., 3] / np.hypot(p[..., 1], p[..., 2]))
    assert pt.min() > 22
    assert np.abs(eta).max() < 5
    assert mass_of(p).min() > 1 - 1e-9
    for first in range(6):
        for second in range(first):
            assert angular_distance(p[:, first], p[:, second]).min() > 0.5
    for first in (0, 3):
        w, top = mass_of(p[:, first + 1 : first + 3].sum(1)), mass_of(p[:, first : first + 3].sum(1))
        # Radiation out of the cones of R = 0.4 lowers both.
        assert 74 < np.median(w) < 81
        assert 155 < np.median(top) < 173
    assert (events.scalars.numpy().reshape(-1, 6, 6) == np.eye(6)).all()
    assert len(ttbar("train", num_events=100)) == 100
    with pytest.raises(ValueError, match=r"num_events must be 1 to 25000"):
        ttbar(num_events=30_000)


def mass_of(p: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(p[..., 0] ** 2 - np.square(p[..., 1:]).sum(-1), 0))


def test_describe(shipped: Sample) -> None:
    description = describe_sample("toptag")
    assert description["events"] == len(shipped)
    assert description["particles"] == len(shipped.momenta)
    assert sum(description["classes"]["top"][split] for split in ("train", "validation", "test")) == 5000
    assert description["classes"]["top"]["median_mass"] == pytest.approx(174, abs=2)
    assert "toptag" in shipped_samples()
    with pytest.raises(FileNotFoundError, match=r"topptag is neither .* \(.*toptag.*\)"):
        describe_sample("topptag")

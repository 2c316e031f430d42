"""Is the shipped sample the physics that it says it is?"""

from __future__ import annotations

import numpy as np
import pytest

from lorentzoo.data.make import describe_sample, jet_observables
from lorentzoo.data.sample import Sample
from lorentzoo.data.shipped import sample_path, shipped_samples
from lorentzoo.data.splits import stratified_splits


def area_under_curve(score: np.ndarray, labels: np.ndarray) -> float:
    """Probability that a signal event scores above a background event; ties count one half."""
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - 0.5 * (counts - 1))[inverse]
    signal, background = (labels == 1).sum(), (labels == 0).sum()
    return float((rank[labels == 1].sum() - signal * (signal + 1) / 2) / (signal * background))


def test_sanity_numbers(shipped: Sample) -> None:
    """Medians to 2 GeV and areas to 0.01, several times their statistical errors on 10,000 jets."""
    mass, pt, multiplicity = jet_observables(shipped)
    labels = shipped.labels
    assert np.median(mass[labels == 0]) == pytest.approx(76, abs=2)
    assert np.median(mass[labels == 1]) == pytest.approx(174, abs=2)
    assert area_under_curve(-np.abs(mass - 172), labels) == pytest.approx(0.95, abs=0.01)
    assert area_under_curve(multiplicity, labels) == pytest.approx(0.68, abs=0.01)
    assert area_under_curve(pt, labels) == pytest.approx(0.51, abs=0.015)


def test_jets_obey_the_selection(shipped: Sample) -> None:
    _, pt, multiplicity = jet_observables(shipped)
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


def test_describe(shipped: Sample) -> None:
    description = describe_sample("toptag")
    assert description["events"] == len(shipped)
    assert description["particles"] == len(shipped.momenta)
    assert sum(description["classes"]["top"][split] for split in ("train", "validation", "test")) == 5000
    assert description["classes"]["top"]["median_mass"] == pytest.approx(174, abs=2)
    assert "toptag" in shipped_samples()
    with pytest.raises(FileNotFoundError, match=r"topptag is neither .* \(toptag\)"):
        describe_sample("topptag")

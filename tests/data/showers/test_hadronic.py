"""Do hadronic showers obey their parametrisation and the physics that it stands for?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammainc

import lorentzoo as lz
from lorentzoo.data.showers.cells import CellGrid, CellLayer
from lorentzoo.data.showers.detectors import Detector, find_detector
from lorentzoo.data.showers.hadronic import draw_profile, hadronic_radius, mean_electromagnetic
from lorentzoo.data.showers.materials import MATERIALS, homogeneous, sandwich
from lorentzoo.data.showers.simulate import simulate_showers

TILE = find_detector("tile-like")


def deep(layers: int, lengths: float, half: float = 5e3) -> Detector:
    """The plates of ``tile-like`` in layers that hold a shower, of one cell each."""
    thickness = lengths * TILE.medium.interaction_length / layers
    corners = half * np.array([[[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]])
    grid = CellGrid(
        tuple(
            CellLayer(i * thickness, (i + 1) * thickness, np.zeros(1), np.zeros(1), corners, i)
            for i in range(layers)
        )
    )
    return replace(TILE, grid=grid, threshold=1e-9)


def pions(detector: Detector, energy: float, count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return simulate_showers(detector, np.full(count, energy), np.zeros(count), rng, "pion").astype(np.float64)


class TestMedia:
    @pytest.mark.parametrize(
        ("name", "grams"), [("lead", 199.6), ("iron", 132.1), ("tungsten", 191.9), ("silicon", 108.4), ("argon", 119.7)]
    )  # fmt: skip
    def test_interaction_lengths_are_those_of_the_particle_data_group(self, name: str, grams: float) -> None:
        material = MATERIALS[name]
        assert homogeneous(material).interaction_length == pytest.approx(
            10 * grams / material.density, rel=2e-3
        )

    def test_they_add(self) -> None:
        iron, light = MATERIALS["iron"], MATERIALS["scintillator"]
        medium = sandwich(iron, 14.0, light, 3.0)
        assert 17.0 / medium.interaction_length == pytest.approx(14.0 / 167.7 + 3.0 / 787.8)
        assert sandwich(iron, 1.0, iron, 2.0).interaction_length == pytest.approx(iron.interaction_length)


class TestProfile:
    def test_showers_begin_exponentially(self) -> None:
        profile = draw_profile(TILE.medium, np.full(40_000, 50.0), np.random.default_rng(0))
        start = profile.start / TILE.medium.interaction_length
        for depth in (0.2, 1.0, 3.0):
            assert (start > depth).mean() == pytest.approx(np.exp(-depth), abs=0.008)

    @settings(max_examples=30, deadline=None)
    @given(energy=st.floats(2.0, 1000.0))
    def test_the_electromagnetic_part_has_the_stated_mean(self, energy: float) -> None:
        profile = draw_profile(TILE.medium, np.full(20_000, energy), np.random.default_rng(0))
        mean = 1 - energy**-0.18
        assert mean_electromagnetic(np.array([energy]))[0] == pytest.approx(mean)
        assert profile.fraction.mean() == pytest.approx(mean, abs=0.006)
        assert profile.fraction.var() == pytest.approx(mean * (1 - mean) / 9.0, rel=0.06)
        assert ((profile.fraction >= 0) & (profile.fraction <= 1)).all()

    def test_it_grows_with_the_energy_to_what_bock_has(self) -> None:
        found = mean_electromagnetic(np.array([0.5, 1.0, 31.0, 300.0]))
        assert found[:2].tolist() == [0.0, 0.0]
        assert found[2] == pytest.approx(0.4634, abs=0.005)
        assert (np.diff(found[1:]) > 0).all()

    def test_most_of_the_hadronic_part_is_within_an_interaction_length(self) -> None:
        length = TILE.medium.interaction_length
        rng = np.random.default_rng(0)
        radius = hadronic_radius(TILE.medium, np.full(20_000, length), rng) / length
        assert 0.5 < np.quantile(radius, 0.95) < 1.3
        early = hadronic_radius(TILE.medium, np.zeros(20_000), rng) / length
        assert np.median(early) < np.median(radius)


class TestShowers:
    @pytest.mark.parametrize("energy", [10.0, 100.0])
    def test_the_mean_profile_is_bocks(self, energy: float) -> None:
        """In interaction lengths from the front, the start being exponential."""
        detector, medium = deep(24, 12.0), TILE.medium
        # Coarse sampling makes fewer spots, and changes no mean.
        coarse = replace(detector, hadronic_response=1.0, resolution=0.03 * np.sqrt(10 * energy))
        found = pions(coarse, energy, 1200).mean(0)
        a, d = 0.6165 + 0.3183 * np.log(energy), 0.9099 - 0.0237 * np.log(energy)
        start = np.random.default_rng(5).exponential(1.0, 20_000)[:, None]
        behind = np.maximum(np.linspace(0, 12, 25) - start, 0.0)
        f = 1 - energy**-0.18
        ratio = medium.interaction_length / medium.radiation_length
        above = f * gammainc(a, 0.2198 * ratio * behind) + (1 - f) * gammainc(a, d * behind)
        expected = energy * medium.sampling_fraction * np.diff(above.mean(0))
        assert found == pytest.approx(expected, rel=0.12, abs=0.004 * expected.sum())
        assert found.sum() == pytest.approx(expected.sum(), rel=0.03)

    def test_hadrons_are_seen_less_than_electrons(self) -> None:
        detector = replace(deep(15, 30.0), resolution=0.5)
        rng = np.random.default_rng(0)
        ratios = []
        for energy in (10.0, 60.0):
            electrons = simulate_showers(detector, np.full(400, energy), np.zeros(400), rng).sum(1).mean()
            seen = pions(detector, energy, 600).sum(1)
            f = 1 - energy**-0.18
            ratios.append(seen.mean() / electrons)
            assert ratios[-1] == pytest.approx(f + (1 - f) / 1.36, rel=0.03)
            assert ratios[-1] < 1
        assert ratios[0] < ratios[1]

    def test_the_resolution_is_worse_than_of_electrons_and_falls(self) -> None:
        detector = deep(15, 30.0)
        widths = []
        for energy in (10.0, 100.0):
            total = pions(detector, energy, 400).sum(1)
            widths.append(total.std() / total.mean())
        assert widths[1] < widths[0]
        assert 0.5 * 10**-0.5 * 0.8 < widths[0] < 0.35
        # What the electromagnetic part varies does not fall with the root of the energy.
        assert widths[1] > widths[0] / np.sqrt(10)

    @settings(max_examples=10, deadline=None)
    @given(
        name=st.sampled_from(["tile-like", "lead-argon", "tungsten-hexagons", "lead-tungstate"]),
        seed=st.integers(0, 99),
    )
    def test_no_more_is_seen_than_may_be(self, name: str, seed: int) -> None:
        detector = find_detector(name)
        rng = np.random.default_rng(seed)
        energy = np.exp(rng.uniform(0.0, 4.0, 60))
        voxels = simulate_showers(detector, energy, np.zeros(60), rng, "pion")
        assert (voxels.sum(1, dtype=np.float64) <= detector.max_ratio * energy).all()
        assert ((voxels == 0) | (voxels >= np.float32(detector.threshold))).all()

    def test_a_thin_detector_is_passed(self) -> None:
        """Electromagnetic calorimeters are one interaction length deep: a third leaves nothing."""
        detector = find_detector("tungsten-hexagons")
        depth = detector.grid.layers[-1].z_high / detector.medium.interaction_length
        empty = (pions(detector, 20.0, 2000).sum(1) == 0).mean()
        assert empty == pytest.approx(np.exp(-depth), abs=0.05)


class TestDataset:
    def test_particles_are_told_apart(self) -> None:
        given = {"detector": "tile-like", "num_showers": 40, "energy_min": 10, "energy_max": 20}
        electrons, hadrons = (
            lz.load_dataset("showers", particle=name, **given) for name in ("electron", "pion")
        )
        assert "Bock" in hadrons.metadata["notes"]
        assert "Bock" not in electrons.metadata["notes"]
        again = lz.load_dataset("showers", particle="pion", **given)
        assert (again.showers()[0] == hadrons.showers()[0]).all()
        # Electrons end in the first layer.
        behind = [data.showers()[0][:, 64:].sum() for data in (electrons, hadrons)]
        assert behind[0] < 0.1 * behind[1]

    def test_what_has_no_showers_is_refused(self) -> None:
        with pytest.raises(ValueError, match="particle must be one of electron, pion, not 'muon'"):
            lz.load_dataset("showers", particle="muon", num_showers=2)
        old = TILE.to_data()
        del old["medium"]["interaction_length"], old["hadronic_response"]
        made = Detector.from_data(old)
        assert made.hadronic_response == 0.7
        with pytest.raises(
            ValueError, match="need the interaction length of the detector's medium, which it does not"
        ):
            pions(made, 10.0, 2)
        with pytest.raises(ValueError, match="hadronic_response must be above 0 and at most 1, not 2"):
            replace(TILE, hadronic_response=2)

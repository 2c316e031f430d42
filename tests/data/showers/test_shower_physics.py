"""Do parametrised showers obey the parametrisation and the physics that it stands for?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorentzoo.data.showers.detectors import DETECTORS, find_detector
from lorentzoo.data.showers.materials import MATERIALS, homogeneous, sandwich
from lorentzoo.data.showers.profile import Longitudinal, longitudinal, mean_maximum, radial, spots
from lorentzoo.data.showers.simulate import draw_incident, simulate_showers

OWN = ("lead-argon", "tungsten-silicon", "iron-scintillator", "lead-tungstate")


def at(name: str, energy: float, count: int, angle: float = 0.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return simulate_showers(find_detector(name), np.full(count, energy), np.full(count, angle), rng)


class TestMaterials:
    def test_moliere_radii_are_those_of_the_particle_data_group(self) -> None:
        for name, tabulated in (
            ("lead", 16.02),
            ("tungsten", 9.327),
            ("iron", 17.19),
            ("lead-tungstate", 19.59),
        ):
            assert homogeneous(MATERIALS[name]).moliere_radius == pytest.approx(tabulated, rel=0.01)

    def test_plates_of_one_material_are_that_material(self) -> None:
        lead = MATERIALS["lead"]
        whole, plates = homogeneous(lead), sandwich(lead, 1.0, lead, 3.0)
        assert plates.radiation_length == pytest.approx(whole.radiation_length)
        assert plates.critical_energy == pytest.approx(whole.critical_energy)
        assert plates.moliere_radius == pytest.approx(whole.moliere_radius)
        assert plates.sampling_fraction == pytest.approx(0.75)

    def test_radiation_lengths_add(self) -> None:
        medium = sandwich(MATERIALS["lead"], 2.0, MATERIALS["argon"], 4.0)
        assert 6.0 / medium.radiation_length == pytest.approx(2.0 / 5.612 + 4.0 / 140.0)

    def test_a_plate_without_thickness_is_refused(self) -> None:
        with pytest.raises(
            ValueError, match=r"plates need a thickness, not 0.0 mm of lead .* is homogeneous"
        ):
            sandwich(MATERIALS["lead"], 0.0, MATERIALS["argon"], 4.0)


class TestProfile:
    @pytest.mark.parametrize("name", OWN)
    def test_drawn_parameters_have_the_stated_moments(self, name: str) -> None:
        medium = find_detector(name).medium
        drawn = longitudinal(medium, np.full(200_000, 100.0), np.random.default_rng(0))
        log_y = np.log(100.0 / medium.critical_energy)
        if medium.is_sampling:
            maximum = np.log(
                log_y - 0.812 - 0.55 / medium.sampling_frequency - 0.69 * (1 - medium.electron_response)
            )
            alpha = np.log(0.81 + (0.458 + 2.26 / medium.charge) * log_y - 0.476 / medium.sampling_frequency)
            width, correlation = 1 / (-2.5 + 1.25 * log_y), 0.784 - 0.023 * log_y
        else:
            maximum = np.log(log_y - 0.812)
            alpha = np.log(0.81 + (0.458 + 2.26 / medium.charge) * log_y)
            width, correlation = 1 / (-1.4 + 1.26 * log_y), 0.705 - 0.023 * log_y
        assert np.log(drawn.maximum).mean() == pytest.approx(maximum, abs=0.003)
        assert np.log(drawn.alpha).mean() == pytest.approx(alpha, abs=0.003)
        assert np.log(drawn.maximum).std() == pytest.approx(width, rel=0.01)
        measured = np.corrcoef(np.log(drawn.maximum), np.log(drawn.alpha))[0, 1]
        assert measured == pytest.approx(correlation, abs=0.01)

    def test_the_maximum_moves_with_the_logarithm_of_the_energy(self) -> None:
        medium = find_detector("lead-tungstate").medium
        energies = np.array([1.0, np.e, 100.0])
        assert mean_maximum(medium, energies) == pytest.approx(
            np.log(energies / medium.critical_energy) - 0.858
        )

    @settings(max_examples=25, deadline=None)
    @given(energy=st.floats(1.0, 1000.0), tau=st.floats(0.05, 4.0), name=st.sampled_from(OWN))
    def test_radii_follow_their_distribution(self, energy: float, tau: float, name: str) -> None:
        medium = find_detector(name).medium
        made = radial(medium, np.full(20_000, energy), np.full(20_000, tau))
        core, tail, weight = (float(x[0]) for x in (made.core, made.tail, made.weight))
        assert 0 < core <= tail
        assert 0 <= weight <= 1
        drawn = made.draw(np.random.default_rng(0))
        assert drawn.max() <= 5.0
        for r in (0.3, 1.0, 2.0):
            parts = [(r**2 / (r**2 + s**2)) / (25.0 / (25.0 + s**2)) for s in (core, tail)]
            expected = weight * parts[0] + (1 - weight) * parts[1]
            assert (drawn < r).mean() == pytest.approx(expected, abs=0.02)

    def test_spots_are_more_where_sampling_is_finer(self) -> None:
        medium, energy = find_detector("lead-argon").medium, np.array([10.0])
        profile = Longitudinal(np.array([5.0]), np.array([4.0]))
        coarse, where = spots(medium, energy, profile, 0.2)
        fine, _ = spots(medium, energy, profile, 0.1)
        assert fine == pytest.approx(2 * coarse)
        assert where.maximum == pytest.approx(5.0 * (0.813 + 0.0019 * medium.charge))


class TestShowers:
    @pytest.mark.parametrize("name", OWN)
    def test_the_deepest_layer_follows_the_parametrisation(self, name: str) -> None:
        detector = find_detector(name)
        thickness = detector.grid.layers[0].z_high / detector.medium.radiation_length
        depth = []
        for energy in (2.0, 100.0):
            layers = detector.grid.layer_energies(at(name, energy, 150)).mean(0)
            # A parabola through the largest layer and its neighbours.
            top = int(layers.argmax())
            before, here, after = layers[top - 1 : top + 2]
            depth.append(thickness * (top + 0.5 + 0.5 * (before - after) / (before - 2 * here + after)))
        expected = mean_maximum(detector.medium, np.array([2.0, 100.0]))
        assert depth[1] - depth[0] == pytest.approx(expected[1] - expected[0], abs=1.0)
        assert depth == pytest.approx(expected, abs=0.35 * thickness + 0.5)

    @pytest.mark.parametrize("name", OWN[:3])
    def test_the_resolution_falls_with_the_root_of_the_energy(self, name: str) -> None:
        detector = find_detector(name)
        for energy, count in ((2.0, 600), (18.0, 500)):
            total = at(name, energy, count).sum(1)
            stochastic = total.std() / total.mean() * np.sqrt(energy)
            assert stochastic == pytest.approx(detector.resolution, rel=0.15)

    @pytest.mark.parametrize("name", OWN)
    def test_a_cylinder_of_one_moliere_radius_holds_nine_tenths(self, name: str) -> None:
        detector = find_detector(name)
        rng = np.random.default_rng(0)
        size, count = detector.medium.moliere_radius, 40
        energy = np.full(count, 50.0)
        profile = longitudinal(detector.medium, np.repeat(energy, 500), rng)
        # Depths of single deposits, from the gamma distribution itself.
        tau = rng.gamma(profile.alpha) / profile.beta / profile.maximum
        radius = radial(detector.medium, np.repeat(energy, 500), tau).draw(rng)
        assert (radius < 1.0).mean() == pytest.approx(0.90, abs=0.05)
        # And of showers in cells, within what the edges of cells allow.
        voxels = at(name, 50.0, count).sum(0)
        edges = detector.grid.layers[0].r_edges
        inner = max(edge for edge in edges if edge <= size)
        outer = min(edge for edge in edges if edge >= size)
        parts = [voxels[detector.grid.radius < edge].sum() / voxels.sum() for edge in (inner, outer)]
        assert parts[0] - 0.03 < 0.90 < parts[1] + 0.03

    @pytest.mark.parametrize("name", OWN)
    def test_what_is_deposited_is_bounded(self, name: str) -> None:
        detector = find_detector(name)
        rng = np.random.default_rng(1)
        energy, angle = draw_incident(detector, 150, rng)
        energy = np.minimum(energy, 60.0)
        voxels = simulate_showers(detector, energy, angle, rng)
        ratio = voxels.sum(1, dtype=np.float64) / energy
        assert ratio.max() <= detector.max_ratio
        assert ratio.mean() <= detector.medium.sampling_fraction * 1.02
        assert ratio.mean() >= detector.medium.sampling_fraction * 0.80
        hit = voxels[voxels > 0]
        assert hit.min() >= np.float32(detector.threshold)
        if not detector.medium.is_sampling:
            assert (ratio <= 1.0).all()

    def test_an_inclined_shower_goes_aside(self) -> None:
        detector = find_detector("tungsten-silicon")
        grid = detector.grid
        voxels = at("tungsten-silicon", 20.0, 60, angle=0.3).sum(0)
        x, y = grid.radius * np.cos(grid.alpha), grid.radius * np.sin(grid.alpha)
        layer = grid.layer == 4
        middle = 0.5 * (grid.layers[4].z_low + grid.layers[4].z_high)
        assert (voxels * x)[layer].sum() / voxels[layer].sum() == pytest.approx(middle * np.tan(0.3), rel=0.1)
        assert abs((voxels * y)[layer].sum() / voxels[layer].sum()) < 0.5

    def test_showers_do_not_depend_on_how_spots_are_cut_into_pieces(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = at("lead-argon", 5.0, 20)
        monkeypatch.setattr("lorentzoo.data.showers.simulate._SPOTS_AT_A_TIME", 3000)
        after = at("lead-argon", 5.0, 20)
        # Other random numbers, the same layer energies: they are drawn before.
        grid = find_detector("lead-argon").grid
        assert before.sum() == pytest.approx(after.sum(), rel=0.01)
        assert grid.layer_energies(before)[:, 4] == pytest.approx(grid.layer_energies(after)[:, 4], rel=0.1)

    def test_bad_energies_and_angles_are_refused(self) -> None:
        rng, detector = np.random.default_rng(0), find_detector("lead-argon")
        with pytest.raises(ValueError, match="incident energies must be positive, but shower 1 is not"):
            simulate_showers(detector, np.array([1.0, -1.0]), np.zeros(2), rng)
        with pytest.raises(ValueError, match="polar angles must be 0 to below"):
            simulate_showers(detector, np.ones(1), np.full(1, 2.0), rng)
        with pytest.raises(ValueError, match=r"one shape \(n,\), not \(2,\) and \(1,\)"):
            simulate_showers(detector, np.ones(2), np.zeros(1), rng)

    def test_detectors_differ_and_are_found_by_name(self) -> None:
        assert (
            len({(d.grid.num_layers, d.grid.num_voxels, d.medium.charge) for d in DETECTORS.values()}) == 12
        )
        assert all(detector.name == name for name, detector in DETECTORS.items())
        assert DETECTORS["calochallenge-2"].grid.num_voxels == 6480
        assert DETECTORS["calochallenge-3"].grid.num_voxels == 40500
        with pytest.raises(ValueError, match="no detector is called 'water'; there are: lead-argon, "):
            find_detector("water")

"""Observables against numbers by hand, distances against closed forms, weights and histograms against counting."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy import linalg

import lorentzoo as lz
from lorentzoo.core import minkowski
from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.data.dataset import JetDataset
from lorentzoo.output.weights import effective_fraction, ratio_weights
from lorentzoo.tasks.generation.frechet import frechet_distance, frechet_physics_distance
from lorentzoo.tasks.generation.observables import Observable, default_observables, observable_table, places
from lorentzoo.tasks.generation.plots import plot_marginal, plot_marginals
from lorentzoo.testing import random_cloud


@pytest.fixture(scope="module")
def events() -> JetDataset:
    return lz.load_dataset("ttbar", num_events=800)


@pytest.fixture(scope="module")
def cloud(events: JetDataset) -> ParticleCloud:
    return events.batch(range(800)).cloud


PT = Observable("pt", "pT", lambda cloud: minkowski.pt(places(cloud)).numpy())


class TestObservables:
    def test_top_pairs_declare_their_resonances(self, events: JetDataset, cloud: ParticleCloud) -> None:
        assert events.split("train").resonances == {"top": ((0, 1, 2), (3, 4, 5)), "W": ((1, 2), (4, 5))}
        made = {one.name: one for one in default_observables(events.particle_names, events.resonances)}
        assert [*made] == [
            *("pt-b", "pt-q1", "pt-q2", "eta-b", "eta-q1", "eta-q2", "delta-r-min"),
            *("mass-top", "mass-W", "mass-all", "pt-all"),
        ]
        momenta = cloud.momenta.reshape(-1, 6, 4)
        np.testing.assert_allclose(made["pt-q1"](cloud), minkowski.pt(momenta[:, [1, 4]]))
        np.testing.assert_allclose(made["mass-W"](cloud)[:, 1], minkowski.mass(momenta[:, 4] + momenta[:, 5]))
        # The order is that of the decay: masses lie where top quarks and W bosons do.
        assert np.median(made["mass-top"](cloud)) == pytest.approx(172, abs=20)
        assert np.median(made["mass-W"](cloud)) == pytest.approx(80, abs=8)
        assert made["delta-r-min"](cloud).min() > 0.5

    def test_without_names_every_particle_is_of_its_own_kind(self, cloud: ParticleCloud) -> None:
        made = default_observables(6)
        assert [one.name for one in made][:6] == [f"pt-{place}" for place in range(1, 7)]
        # One number each but for masses of resonances, of which there are none.
        assert observable_table(cloud, made).shape == (800, 15)

    def test_units_and_padding_do_not_matter(self, events: JetDataset, cloud: ParticleCloud) -> None:
        made = default_observables(events.particle_names, events.resonances)
        wanted = observable_table(cloud, made)
        np.testing.assert_allclose(
            observable_table(cloud.to_units("MeV"), made), wanted, rtol=1e-9, atol=1e-6
        )
        np.testing.assert_allclose(observable_table(cloud.to_padded(8), made), wanted, rtol=1e-12)

    def test_what_has_no_places_is_refused(self) -> None:
        with pytest.raises(
            ValueError, match="2 to 3 particles; observables by place need particles in these places in all"
        ):
            places(random_cloud([2, 3]))
        wrong = Observable("wrong", "", lambda cloud: np.zeros(5))
        with pytest.raises(ValueError, match=r"'wrong' must give \(B,\) or \(B, k\) values for B = 2"):
            wrong(random_cloud([2, 3]))

    @settings(max_examples=20, deadline=None)
    @given(log=st.booleans(), bins=st.integers(1, 30), seed=st.integers(0, 100))
    def test_bins_hold_the_part_that_they_should(self, log: bool, bins: int, seed: int) -> None:
        values = np.random.default_rng(seed).lognormal(size=4000)
        one = Observable("x", "x", lambda cloud: values, log, bins, coverage=0.9)
        edges = one.edges(values)
        assert len(edges) == bins + 1
        assert (np.diff(edges) > 0).all()
        assert np.mean((values >= edges[0]) & (values <= edges[-1])) == pytest.approx(0.9, abs=0.005)
        widths = np.diff(np.log(edges) if log else edges)
        np.testing.assert_allclose(widths, widths[0])


class TestFrechet:
    @settings(max_examples=20, deadline=None)
    @given(features=st.integers(1, 8), seed=st.integers(0, 1000))
    def test_distance_of_gaussians_is_the_closed_form(self, features: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        roots = rng.normal(size=(2, features, features + 2))
        first, second = roots @ roots.swapaxes(1, 2)
        a, b = rng.normal(size=(2, features))
        root = linalg.sqrtm(first @ second).real
        wanted = np.square(a - b).sum() + np.trace(first + second - 2 * root)
        assert frechet_distance(a, first, b, second) == pytest.approx(wanted, rel=1e-6, abs=1e-6)
        assert frechet_distance(b, second, a, first) == pytest.approx(wanted, rel=1e-6, abs=1e-6)
        assert frechet_distance(a, first, a, first) == pytest.approx(0, abs=1e-6)

    def test_extrapolation_finds_the_distance_within_its_error(self) -> None:
        """Ten pairs of samples each, without and with a true distance: unbiased, with errors of the right size."""
        for shift, scale in ((0.0, 1.0), (0.2, 1.0), (0.1, 1.3)):
            # Standardised by the second: μ = shift, σ = scale in the first of four observables.
            wanted = shift**2 + (scale - 1) ** 2
            pulls = []
            for seed in range(10):
                rng = np.random.default_rng(seed)
                first, second = rng.normal(size=(2, 2000, 4))
                first[:, 0] = scale * first[:, 0] + shift
                found = frechet_physics_distance(first, second, seed=seed)
                pulls.append((found.value - wanted) / found.error)
            assert abs(np.mean(pulls)) < 1.0
            assert 0.3 < np.std(pulls) < 2.0
            # Without the extrapolation the bias would be seen.
            assert found.distances[-1] < found.distances[0]

    def test_what_cannot_be_compared_is_refused(self) -> None:
        x = np.random.default_rng(0).normal(size=(100, 3))
        with pytest.raises(ValueError, match=r"\(n, F\) and \(m, F\), not \(100, 3\) and \(100, 2\)"):
            frechet_physics_distance(x, x[:, :2])
        with pytest.raises(ValueError, match="3 observables need at least 25 events"):
            frechet_physics_distance(x[:20], x)
        bad = np.where(np.arange(100)[:, None] == 7, np.nan, x)
        with pytest.raises(
            ValueError, match="1 of 100 generated events have observables that are not finite"
        ):
            frechet_physics_distance(bad, x)


class TestWeights:
    def test_weights_are_ratios_with_mean_one(self) -> None:
        weights = ratio_weights(np.array([0.0, np.log(3), 800.0, -800.0]) - 800)
        assert weights.mean() == pytest.approx(1)
        assert weights[2] == pytest.approx(4)
        np.testing.assert_allclose(ratio_weights(np.log([1.0, 3.0])), [0.5, 1.5])
        assert effective_fraction(np.array([0.5, 1.5])) == pytest.approx(4 / 2.5 / 2)

    def test_clipping_costs_no_normalisation(self) -> None:
        log_ratio = np.random.default_rng(0).normal(size=1000, scale=2)
        raw, clipped = ratio_weights(log_ratio), ratio_weights(log_ratio, clip=5)
        assert clipped.mean() == pytest.approx(1)
        assert raw.max() > 5
        assert effective_fraction(clipped) > effective_fraction(raw)
        with pytest.raises(ValueError, match=r"above 1, not 0\.5"):
            ratio_weights(log_ratio, clip=0.5)
        assert len(ratio_weights(np.zeros(0))) == 0


class TestMarginals:
    def test_densities_ratios_and_what_lies_outside(self, cloud: ParticleCloud) -> None:
        values = {800: np.repeat([1.0, 3.0], 400), 400: np.repeat([1.0, 3.0, 9.0], [100, 200, 100])}
        one = Observable("x", "Label [GeV]", lambda cloud: values[cloud.num_events], bins=2, coverage=1)
        axes = (Figure().subplots(), Figure().subplots())
        part = cloud.select(torch.arange(400))
        weights = np.repeat([2.0, 0.5, 1.0], [100, 200, 100])
        upper, lower = plot_marginal(one, cloud, {"flow": part}, weights={"flow": weights}, axes=axes)
        assert upper is axes[0]
        assert lower is axes[1]
        # Of 400 units of weight 100 lie above the range; bins are one wide: 200, 100 and 100 of them.
        bars = [container[2][0].get_segments() for ax in axes for container in ax.containers]
        # mplhep also draws an empty one, for the legend.
        truth, flow, ratio = (np.array([one[:, 1] for one in drawn]) for drawn in bars if len(drawn))
        np.testing.assert_allclose(truth.mean(1), [0.5, 0.5])
        np.testing.assert_allclose(flow.mean(1), [0.5, 0.25])
        np.testing.assert_allclose(ratio.mean(1), [1.0, 0.5])
        # Poisson: √(100 · 2²) = 20 and √(200 · 0.5²) = 7.07, of 200 true ones.
        np.testing.assert_allclose(np.ptp(ratio, axis=1) / 2, [0.1, np.sqrt(50) / 200], rtol=1e-6)
        assert upper.get_title(loc="right") == "outside [%]: 0, 25"
        assert lower.get_xlabel() == "Label [GeV]"
        assert upper.get_legend_handles_labels()[1] == ["true", "flow"]

    def test_a_page_has_a_pair_of_axes_for_each(self, cloud: ParticleCloud) -> None:
        figure = plot_marginals([PT, PT, PT, PT], cloud, {"a": cloud, "b": cloud})
        assert len(figure.axes) == 8
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["true", "a", "b"]

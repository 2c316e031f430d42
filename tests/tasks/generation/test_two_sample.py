"""Does a classifier find the difference of two samples that is there, and none where there is none?"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
import torch
from scipy import stats

import lorentzoo as lz
from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.errors import TrainingError
from lorentzoo.core.layout import Packed
from lorentzoo.data.dataset import JetDataset
from lorentzoo.studies import evaluate
from lorentzoo.tasks.generation.two_sample import CLASSIFIERS, TwoSampleTest, label_samples, two_sample_test
from lorentzoo.testing import random_cloud
from lorentzoo.training.train import train


def numbers(values: torch.Tensor) -> ParticleCloud:
    """Events of one particle, always the same, whose context is drawn."""
    rest = torch.tensor([[20.0, 3.0, 4.0, 5.0]], dtype=torch.float64).repeat(len(values), 1)
    return ParticleCloud.from_packed(rest, torch.arange(len(values) + 1), None, values)


RATIO = {
    "backbone": "deep-sets:hidden=[8]",
    "embedding": "kinematics",
    "head": {"name": "likelihood-ratio", "hidden": [64, 64], "activation": "silu"},
}
RECIPE = {"epochs": 20, "batch_size": 256, "learning_rate": 5e-3, "weight_decay": 0.0}


@pytest.fixture(scope="module")
def top_pairs() -> ParticleCloud:
    return lz.load_dataset("ttbar", num_events=4000).batch(range(4000)).cloud


@pytest.fixture(scope="module")
def shifted() -> TwoSampleTest:
    """Two normal distributions of two numbers, one standard deviation apart: q about 0 and p about (1, 0)."""
    rng = torch.Generator().manual_seed(0)
    generated, true = torch.randn(2, 4000, 2, generator=rng)
    true[:, 0] += 1
    return two_sample_test(numbers(generated), numbers(true), classifier=RATIO, config=RECIPE)


class TestTwoSample:
    def test_the_area_is_the_closed_form(self, shifted: TwoSampleTest) -> None:
        """Φ(1/√2) = 0.7602 for the best classifier; the bootstrap's error is that of Hanley and McNeil."""
        best = stats.norm.cdf(1 / math.sqrt(2))
        assert shifted.auc == pytest.approx(best, abs=4 * shifted.auc_error)
        pairs = (best / (2 - best) - best**2) + (2 * best**2 / (1 + best) - best**2)
        assert shifted.auc_error == pytest.approx(math.sqrt(pairs * 1999 + best - best**2) / 2000, rel=0.2)

    def test_each_event_is_told_on_which_the_test_was_made(self, shifted: TwoSampleTest) -> None:
        assert len(shifted.generated) == len(shifted.true) == 2000
        assert len(set(shifted.generated.tolist())) == 2000
        rng = torch.Generator().manual_seed(0)
        generated, true = torch.randn(2, 4000, 2, generator=rng)
        true[:, 0] += 1
        # ln p/q = x - 1/2 of the first number.
        wanted = np.concatenate([generated[shifted.generated, 0], true[shifted.true, 0]]) - 0.5
        difference = shifted.log_ratio - wanted
        assert np.sqrt(np.square(difference).mean()) < 0.25

    def test_weights_make_generated_events_true(self, shifted: TwoSampleTest) -> None:
        rng = torch.Generator().manual_seed(0)
        generated = torch.randn(2, 4000, 2, generator=rng)[0].numpy()
        x = generated[shifted.generated, 0]
        weights = shifted.weights()
        assert np.mean(x) == pytest.approx(0, abs=0.08)
        assert np.average(x, weights=weights) == pytest.approx(1, abs=0.12)
        # (Σw)²/(n Σw²) = 1/⟨w²⟩ = 1/e for this shift.
        assert shifted.metrics()["c2st_effective_fraction"] == pytest.approx(math.exp(-1), rel=0.35)

    def test_probabilities_are_calibrated(self, shifted: TwoSampleTest) -> None:
        predictions = shifted.predictions
        assert predictions.class_names == ("generated", "true")
        probability = predictions.values[:, 1]
        for low, high in ((0.1, 0.4), (0.4, 0.6), (0.6, 0.9)):
            chosen = (probability > low) & (probability < high)
            assert predictions.target[chosen].mean() == pytest.approx(probability[chosen].mean(), abs=0.05)

    @pytest.mark.parametrize("name", ["boosted-trees"])
    def test_equal_samples_are_not_told_apart(self, top_pairs: ParticleCloud, name: str) -> None:
        even, odd = (top_pairs.select(torch.arange(start, 4000, 2)) for start in (0, 1))
        found = two_sample_test(even, odd, classifier=name)
        assert found.auc == pytest.approx(0.5, abs=4 * found.auc_error)
        assert found.metrics()["c2st_effective_fraction"] > 0.5

    def test_seeds_decide_everything(self, top_pairs: ParticleCloud) -> None:
        even, odd = (top_pairs.select(torch.arange(start, 600, 2)) for start in (0, 1))
        first, again, other = (two_sample_test(even, odd, seed=seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first.log_ratio, again.log_ratio)
        assert first.auc == again.auc
        assert not np.array_equal(first.generated, other.generated)

    def test_trees_see_masses_that_no_marginal_of_a_jet_shows(self, top_pairs: ParticleCloud) -> None:
        """Jets of different events in one: every jet is right, and no mass of a pair."""
        even, odd = (top_pairs.select(torch.arange(start, 4000, 2)) for start in (0, 1))
        momenta = even.momenta.reshape(-1, 6, 4)
        mixed = torch.stack([momenta[:, place].roll(place, 0) for place in range(6)], 1)
        generated = ParticleCloud.from_packed(mixed.flatten(0, 1), even.layout.ptr, even.scalars)
        assert two_sample_test(generated, odd).auc > 0.93

    def test_unequal_numbers_do_not_shift_the_ratio(self, top_pairs: ParticleCloud) -> None:
        """Trees see classes as often as they come; the ratio does not."""
        few, many = top_pairs.select(torch.arange(800)), top_pairs.select(torch.arange(800, 4000))
        found = two_sample_test(few, many)
        assert np.median(found.log_ratio) == pytest.approx(0, abs=0.3)

    def test_what_cannot_be_compared_is_refused(self, top_pairs: ParticleCloud) -> None:
        six = top_pairs.select(torch.arange(20))
        with pytest.raises(TrainingError, match="generated events have 0 scalars, true ones 6"):
            label_samples(random_cloud([6] * 20), six)
        ragged = random_cloud([2, 3] * 10)
        with pytest.raises(
            TrainingError,
            match="particles that have places, but these events have 2 to 3 of them, without scalars",
        ):
            two_sample_test(ragged, ragged)
        with pytest.raises(TrainingError, match="3 events are too few"):
            two_sample_test(six.select(torch.arange(3)), six)
        with pytest.raises(ValueError, match="between 0 and 1, not 1"):
            two_sample_test(six, six, train_fraction=1)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", list(CLASSIFIERS))
    def test_all_classifiers_by_name(self, top_pairs: ParticleCloud, name: str) -> None:
        even, odd = (top_pairs.select(torch.arange(start, 4000, 2)) for start in (0, 1))
        harder = ParticleCloud.from_packed(1.1 * even.momenta, even.layout.ptr, even.scalars)
        assert two_sample_test(harder, odd, classifier=name).auc > 0.52


class TestLikelihoodRatio:
    """Ratios of known densities, trained as any model on labelled events: `train` and `evaluate`."""

    @pytest.mark.parametrize(("criterion", "dim"), [("mlc", 10), ("bce", 2)])
    def test_a_known_ratio_is_recovered(self, criterion: Literal["mlc", "bce"], dim: int) -> None:
        """From 15,000 events: ln w within 0.25 (2 dimensions) and 0.35 (10), root mean square over q.

        The spread of ln w itself is above 0.9.
        """
        self._recovered(criterion, dim, 10_000, 10, 0.25 if dim == 2 else 0.35)

    @pytest.mark.slow
    @pytest.mark.parametrize("criterion", ["mlc", "bce"])
    @pytest.mark.parametrize("dim", [2, 10])
    def test_more_events_come_closer(self, criterion: Literal["mlc", "bce"], dim: int) -> None:
        """At a lower rate: the maximum-likelihood loss grows as w, and in many steps one may be too far."""
        self._recovered(criterion, dim, 100_000, 10, 0.1 if dim == 2 else 0.15, rate=2e-3)

    @staticmethod
    def _recovered(
        criterion: str, dim: int, count: int, epochs: int, within: float, rate: float = 5e-3
    ) -> None:
        rng = torch.Generator().manual_seed(0)
        shift, width = 1 / math.sqrt(dim), 0.8

        def drawn(n: int, of_p: bool) -> torch.Tensor:
            x = torch.randn(n, dim, generator=rng, dtype=torch.float64)
            if of_p:
                x[:, 0] *= width
                x += shift
            return x

        # Half as many events of p, which must not matter.
        data = label_samples(numbers(drawn(count, False)), numbers(drawn(count // 2, True)))
        spec = {**RATIO, "head": {**RATIO["head"], "criterion": criterion}}
        torch.manual_seed(0)
        model = lz.compose(**spec, in_context=dim)
        train(model, data, None, {**RECIPE, "epochs": epochs, "learning_rate": rate}, progress=False)
        x = drawn(5000, False)
        held = numbers(x)
        assert isinstance(held.layout, Packed)
        test = JetDataset(
            held.momenta, held.layout.ptr, torch.zeros(5000).long(), context=x, class_names=("q", "p")
        )
        scaled = torch.cat([(x[:, :1] - shift) / width, x[:, 1:] - shift], -1)
        wanted = ((x.square().sum(-1) - scaled.square().sum(-1)) / 2 - math.log(width)).numpy()
        probability = evaluate(model, test).values[:, 1]
        found = np.log(probability / (1 - probability))
        assert wanted.std() > 0.9
        assert np.sqrt(np.square(found - wanted).mean()) < within

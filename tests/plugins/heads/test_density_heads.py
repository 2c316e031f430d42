"""Do density heads and likelihood ratios find distributions that are known?"""

from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
from torch import Tensor

import lorentzoo as lz
from lorentzoo.plugins.heads.normal_mixture import NormalMixture
from lorentzoo.plugins.heads.ratio import LikelihoodRatio
from lorentzoo.testing import random_cloud


def alone(count: int) -> lz.ParticleCloud:
    """Events of one particle: pooled features are its own."""
    return random_cloud([1] * count)


def batch(target: Tensor) -> lz.Batch:
    n = len(target)
    return lz.Batch(alone(n), target, torch.ones(n, dtype=torch.float64), torch.arange(n))


class TestDensity:
    @pytest.mark.parametrize(("num_targets", "components"), [(1, 1), (2, 1), (3, 2)])
    def test_loss_is_that_of_the_distribution_and_units_are_the_targets(
        self, num_targets: int, components: int
    ) -> None:
        torch.manual_seed(0)
        head = NormalMixture(num_targets, components, in_scalars=4)
        target = 5 + 3 * torch.randn(50, num_targets, dtype=torch.float64)
        head.fit_statistics([batch(target)])
        output = head(lz.Features.of_scalars(torch.randn(50, 4)), alone(50))
        made = head.distribution(output)
        assert made.batch_shape == (50,)
        assert made.event_shape == (num_targets,)
        assert float(head.loss(output, target).detach()) == pytest.approx(
            -float(made.log_prob(target).mean().detach()), rel=1e-6
        )
        draws = made.sample((4000,)).mean(0)
        torch.testing.assert_close(draws, made.mean.detach(), atol=0.5, rtol=0)
        torch.testing.assert_close(head.predict(output).double(), made.mean, rtol=1e-5, atol=1e-5)

    def test_zeros_are_the_targets_own_mean_and_width(self) -> None:
        head = NormalMixture(1, in_scalars=4)
        target = 5 + 3 * torch.randn(1000, 1, dtype=torch.float64)
        head.fit_statistics([batch(target)])
        made = head.distribution(torch.zeros(1, 3))
        assert made.mean.item() == pytest.approx(target.mean().item(), rel=1e-5)
        assert made.stddev.item() == pytest.approx(target.std(unbiased=False).item(), rel=1e-3)

    def test_means_widths_and_correlations_are_learned(self) -> None:
        """Of a normal distribution whose mean and width are given; KL divergence below 0.02."""
        torch.manual_seed(0)
        head = NormalMixture(2, in_scalars=2, hidden=(32, 32), activation="silu")

        def drawn(n: int) -> tuple[Tensor, Tensor, Tensor]:
            x = 2 * torch.rand(n, 2) - 1
            z = torch.randn(n, 2)
            width = 3 * torch.exp(0.5 * x[:, 1])
            target = torch.stack([10 + 4 * x[:, 0] + width * z[:, 0], 2 * z[:, 0] + z[:, 1]], -1).double()
            log_p = -z.double().square().sum(-1) / 2 - width.log().double() - math.log(2 * math.pi)
            return x, target, log_p

        head.fit_statistics([batch(drawn(2000)[1])])
        optimiser = torch.optim.Adam(head.parameters(), 5e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 300)
        for _ in range(300):
            x, target, _ = drawn(512)
            loss = head.loss(head(lz.Features.of_scalars(x), alone(512)), target)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        x, target, log_p = drawn(5000)
        with torch.no_grad():
            made = head.distribution(head(lz.Features.of_scalars(x), alone(5000)))
        assert float((log_p - made.log_prob(target)).mean()) < 0.02

    def test_what_cannot_be_is_refused(self) -> None:
        with pytest.raises(ValueError, match="components must be positive, not 0"):
            NormalMixture(1, 0)
        with pytest.raises(ValueError, match="num_targets must be positive, not -1"):
            NormalMixture(-1)


class TestLikelihoodRatio:
    def test_losses_are_their_formulas(self) -> None:
        log_w = torch.tensor([[0.5], [-1.0], [2.0]])
        target, weight = torch.tensor([1, 0, 0]), torch.tensor([3.0, 1.0, 3.0])
        f = log_w.squeeze(1).exp()
        mlc = -log_w[0, 0] + ((f[1] - 1) + 3 * (f[2] - 1)) / 4
        torch.testing.assert_close(LikelihoodRatio("mlc", in_scalars=2).loss(log_w, target, weight), mlc)
        s = torch.sigmoid(log_w.squeeze(1))
        bce = -s[0].log() - ((1 - s[1]).log() + 3 * (1 - s[2]).log()) / 4
        torch.testing.assert_close(LikelihoodRatio("bce", in_scalars=2).loss(log_w, target, weight), bce)
        torch.testing.assert_close(LikelihoodRatio().ratio(log_w), f.double())
        with pytest.raises(ValueError, match="criterion is one of mlc, bce, not 'mse'"):
            LikelihoodRatio("mse")  # type: ignore[arg-type]

    @staticmethod
    def _of(raw: Tensor, criterion: Literal["mlc", "bce"] = "mlc") -> tuple[LikelihoodRatio, Tensor]:
        """A head that shows what it makes of the network's raw outputs (B,)."""
        head = LikelihoodRatio(criterion, in_scalars=1).to(raw.dtype)
        with torch.no_grad():
            for parameter in head.parameters():
                parameter.fill_(float(parameter.ndim > 1))
        return head, head(lz.Features.of_scalars(raw.unsqueeze(-1)), alone(len(raw)))

    def test_large_outputs_have_finite_losses_and_bounded_gradients(self) -> None:
        raw = torch.tensor([-200.0, 0.0, 4.9, 5.1, 90.0, 1e4, 1e20], requires_grad=True)
        head, output = self._of(raw)
        for of_p in (0, 1):
            loss = head.loss(output, torch.full((7,), of_p))
            (gradient,) = torch.autograd.grad(7 * loss, raw, retain_graph=True)
            assert math.isfinite(float(loss.detach()))
            assert bool(torch.isfinite(gradient).all())
            assert bool((gradient.abs() <= math.exp(5) * (1 + 1e-5)).all())
            assert bool((gradient[4:] != 0).all()), "they are brought back"
        # The loss of outputs that were not continued, for which this is.
        assert math.isinf(float(head.loss(raw.detach().unsqueeze(-1), torch.zeros(7))))

    def test_w_is_the_exponential_and_then_its_tangent(self) -> None:
        raw = torch.linspace(-3, 12, 61, dtype=torch.float64, requires_grad=True)
        head, output = self._of(raw)
        w = head.ratio(output)
        wanted = torch.where(raw <= 5, raw.exp(), math.exp(5) * (raw - 4))
        torch.testing.assert_close(w, wanted, rtol=1e-12, atol=0)
        (slope,) = torch.autograd.grad(w.sum(), raw)
        torch.testing.assert_close(slope, raw.detach().clamp(max=5).exp(), rtol=1e-12, atol=0)
        torch.testing.assert_close(self._of(raw, "bce")[1].squeeze(-1), raw, rtol=0, atol=0)

    @pytest.mark.parametrize("ratio", [0.01, 3.0, 140.0, 160.0, 2000.0])
    def test_the_loss_is_least_at_the_ratio_beyond_the_bound_too(self, ratio: float) -> None:
        """One kind of event, `ratio` times as frequent among those of p as among those of q."""
        least = math.log(ratio) if ratio <= math.exp(5) else ratio / math.exp(5) + 4
        raw = torch.linspace(-10, 10, 41, dtype=torch.float64) + least
        raw.requires_grad_()
        head, output = self._of(raw)
        assert float(head.ratio(output.detach())[20]) == pytest.approx(ratio, rel=1e-12)
        of_p, of_q = torch.ones(41), torch.zeros(41)
        (slope,) = torch.autograd.grad(ratio * head.loss(output, of_p) + head.loss(output, of_q), raw)
        assert abs(float(slope[20])) < 1e-12 * ratio
        assert bool((slope[:20] < 0).all() and (slope[21:] > 0).all())
        assert bool((slope.diff() > 0).all()), "convex"

    def test_high_learning_rates_do_not_overflow(self) -> None:
        """At this rate e^s of the outputs overflows within a few steps."""
        torch.manual_seed(0)
        head = LikelihoodRatio("mlc", hidden=(64, 64), in_scalars=2)
        optimiser = torch.optim.Adam(head.parameters(), 0.3)
        target = torch.arange(256) % 2
        for _ in range(100):
            x = 5 * torch.randn(256, 2) + target.unsqueeze(-1)
            loss = head.loss(head(lz.Features.of_scalars(x), alone(256)), target)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            assert math.isfinite(float(loss.detach()))
        assert all(bool(torch.isfinite(parameter).all()) for parameter in head.parameters())

    @pytest.mark.parametrize("criterion", ["mlc", "bce"])
    @pytest.mark.parametrize("dim", [2, 10])
    def test_a_known_ratio_is_recovered(self, criterion: Literal["mlc", "bce"], dim: int) -> None:
        """Two normal distributions apart and of different widths: ln w within 0.15, root mean square over q.

        A third of the events are of p, which must not matter.
        """
        self._recovered(criterion, dim, steps=500, within=0.15)

    @pytest.mark.slow
    @pytest.mark.parametrize("criterion", ["mlc", "bce"])
    @pytest.mark.parametrize("dim", [2, 10])
    def test_longer_training_comes_closer(self, criterion: Literal["mlc", "bce"], dim: int) -> None:
        self._recovered(criterion, dim, steps=4000, within=0.07)

    @staticmethod
    def _recovered(criterion: Literal["mlc", "bce"], dim: int, steps: int, within: float) -> None:
        torch.manual_seed(0)
        shift, width, n = torch.full((dim,), 1 / math.sqrt(dim)), 0.8, 768
        head = LikelihoodRatio(criterion, hidden=(64, 64), activation="silu", in_scalars=dim)
        optimiser = torch.optim.Adam(head.parameters(), 5e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        target = torch.arange(n) % 3 == 0
        cloud = alone(n)
        for _ in range(steps):
            x = torch.randn(n, dim)
            moved = torch.cat([width * x[:, :1], x[:, 1:]], -1) + shift
            x = torch.where(target.unsqueeze(1), moved, x)
            loss = head.loss(head(lz.Features.of_scalars(x), cloud), target)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        x = torch.randn(n * 4, dim)
        scaled = torch.cat([(x[:, :1] - shift[0]) / width, x[:, 1:] - shift[1:]], -1)
        wanted = (x.square().sum(-1) - scaled.square().sum(-1)) / 2 - math.log(width)
        with torch.no_grad():
            found = head(lz.Features.of_scalars(x), alone(n * 4)).squeeze(-1)
        assert float((found - wanted).square().mean().sqrt()) < within


def test_both_compose() -> None:
    cloud = random_cloud([3, 2])
    for head in ("density:num_targets=2,components=3", "likelihood-ratio:criterion=mlc"):
        model = lz.compose(backbone="deep-sets", head=head)
        assert model(cloud).shape == (2, 18 if head.startswith("density") else 1)

"""Predictions and losses against plain formulas."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import lorentzoo as lz
from lorentzoo.core.means import mean_loss
from lorentzoo.plugins.heads.classify import Classify
from lorentzoo.plugins.heads.regress import Regress
from lorentzoo.testing import random_cloud

CLOUD = random_cloud([4, 0, 2])
WEIGHT = torch.tensor([1.0, 2.0, 0.5])


def features(width: int = 3) -> lz.Features:
    return lz.Features.of_scalars(torch.randn(6, width))


@pytest.mark.parametrize("pooling", ["mean", "sum", "max"])
def test_pooling_then_one_linear_map(pooling: str) -> None:
    head = Classify(num_classes=2, pooling=pooling, in_scalars=3)  # type: ignore[arg-type]
    x = features()
    rows = [x.scalars[:4], x.scalars[4:]]
    reduced = [{"mean": r.mean(0), "sum": r.sum(0), "max": r.amax(0)}[pooling] for r in rows]
    wanted = head.readout.layers(torch.stack([reduced[0], torch.zeros(3), reduced[1]]))
    torch.testing.assert_close(head(x, CLOUD), wanted)


def test_classification() -> None:
    head = Classify(num_classes=3, in_scalars=3)
    logits, target = torch.randn(3, 3), torch.tensor([0, 2, 1])
    wanted = F.cross_entropy(logits, target, reduction="none")
    torch.testing.assert_close(head.loss(logits, target), wanted.mean())
    torch.testing.assert_close(head.loss(logits, target, WEIGHT), (wanted * WEIGHT).sum() / 3.5)
    torch.testing.assert_close(head.predict(logits), logits.softmax(-1))


def test_one_logit_is_two_classes() -> None:
    head = Classify(num_classes=1, in_scalars=3)
    logits, target = torch.randn(3, 1), torch.tensor([0, 1, 1])
    two = torch.cat([torch.zeros(3, 1), logits], dim=1)
    torch.testing.assert_close(
        head.loss(logits, target, WEIGHT), Classify(2, in_scalars=3).loss(two, target, WEIGHT)
    )
    torch.testing.assert_close(head.predict(logits), two.softmax(-1))
    with pytest.raises(ValueError, match="num_classes must be at least 1, not 0"):
        Classify(0)


@pytest.mark.parametrize("transform", ["none", "log", "signed-log"])
@pytest.mark.parametrize("num_targets", [1, 2])
def test_regression_there_and_back(transform: str, num_targets: int) -> None:
    head = Regress(num_targets, transform, in_scalars=3)  # type: ignore[arg-type]
    target = torch.rand(50, num_targets, dtype=torch.float64) * 10 + 0.1
    weight = torch.rand(50, dtype=torch.float64)
    batches = [
        lz.Batch(random_cloud([1] * 25), target[i : i + 25], weight[i : i + 25], torch.arange(25))
        for i in (0, 25)
    ]
    head.fit_statistics(iter(batches))
    wanted = {"none": target, "log": target.log(), "signed-log": target.log1p()}[transform]
    mean = (weight[:, None] * wanted).sum(0) / weight.sum()
    torch.testing.assert_close(head.mean.double(), mean, rtol=1e-5, atol=1e-5)
    head = head.double()
    perfect = (wanted - head.mean) / head.std
    assert float(head.loss(perfect, target, weight)) < 1e-10
    torch.testing.assert_close(head.predict(perfect), target, rtol=1e-6, atol=1e-6)


def test_regression_of_constant_targets_is_finite() -> None:
    head = Regress(in_scalars=3)
    head.fit_statistics([lz.Batch(random_cloud([1, 1]), torch.ones(2), torch.ones(2), torch.arange(2))])
    assert torch.isfinite(head.predict(torch.zeros(2, 1))).all()


def test_without_statistics_nothing_needs_to_be_fitted() -> None:
    head = Regress(standardise=False, in_scalars=3)
    assert "mean" not in head.state_dict()
    torch.testing.assert_close(head.loss(torch.zeros(2, 1), torch.tensor([1.0, 3.0])), torch.tensor(5.0))


def test_weights_that_are_all_zero_give_no_nan() -> None:
    assert float(mean_loss(torch.ones(3), torch.zeros(3))) == 0
    assert float(mean_loss(torch.tensor([1.0, 2.0]), None)) == 1.5


def test_hidden_layers() -> None:
    head = Classify(2, hidden=[5, 4], dropout=0.1, activation="silu", in_scalars=3)
    names = [type(layer).__name__ for layer in head.readout.layers]
    assert names == ["Linear", "SiLU", "Dropout", "Linear", "SiLU", "Dropout", "Linear"]
    # A backbone that projects emits the first hidden width, and its own layer is the first one.
    projected = Classify(2, hidden=[5], in_scalars=None)
    assert projected.out_scalars == 5
    assert [type(layer).__name__ for layer in projected.readout.layers] == ["ReLU", "Linear"]

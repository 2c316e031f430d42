"""Are weighted means right, and do events without weight leave gradients alone?"""

from __future__ import annotations

import pytest
import torch

from lorentzoo.core.means import mean_and_deviation, mean_loss


def test_mean_losses() -> None:
    values = torch.tensor([1.0, 2.0, 6.0])
    assert float(mean_loss(values, None)) == pytest.approx(3.0)
    assert float(mean_loss(values, torch.tensor([1, 0, 3], dtype=torch.float64))) == pytest.approx(19 / 4)
    # Of signed weights the absolute values divide: a batch whose weights cancel does not turn its gradients around.
    assert float(mean_loss(values, torch.tensor([3.0, -1.0, 0.0]))) == pytest.approx((3 - 2) / 4)
    assert float(mean_loss(values, torch.tensor([1.0, -2.0, 0.0]))) == pytest.approx((1 - 4) / 3)


@pytest.mark.parametrize("scale", [1.0, 2.0**16])
def test_no_weight_at_all(scale: float) -> None:
    """The losses of mixed precision are scaled by 65536: so are their gradients on the way."""
    values = torch.tensor([1.0, 2.0], requires_grad=True)
    mean = mean_loss(values, torch.zeros(2))
    (gradient,) = torch.autograd.grad(scale * mean, values)
    assert float(mean.detach()) == 0
    assert torch.equal(gradient, torch.zeros(2))


def test_standardised_columns_have_mean_zero_and_width_one() -> None:
    torch.manual_seed(0)
    values = 5 + 3 * torch.randn(200, 3, dtype=torch.float64)
    mean, deviation = mean_and_deviation(values)
    torch.testing.assert_close(deviation, values.std(0, correction=0))
    torch.testing.assert_close(mean, values.mean(0))
    counts = torch.randint(0, 4, (200,))
    repeated = values.repeat_interleave(counts, dim=0)
    for found, wanted in zip(mean_and_deviation(values, counts), mean_and_deviation(repeated), strict=True):
        torch.testing.assert_close(found, wanted)


def test_columns_that_do_not_vary_are_divided_by_one() -> None:
    """Also where rounding gives them a spread, and where only events without weight differ."""
    values = torch.full((1001, 2), 0.1, dtype=torch.float64)
    values[0] = 7.0
    weight = torch.ones(1001)
    weight[0] = 0
    mean, deviation = mean_and_deviation(values, weight)
    torch.testing.assert_close(mean, torch.full((2,), 0.1, dtype=torch.float64))
    assert torch.equal(deviation, torch.ones(2, dtype=torch.float64))

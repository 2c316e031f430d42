"""Are weighted means right, and do events without weight leave gradients alone?"""

from __future__ import annotations

import pytest
import torch

from lorentzoo.core.means import weighted_mean


def test_means() -> None:
    values = torch.tensor([1.0, 2.0, 6.0])
    assert float(weighted_mean(values, None)) == pytest.approx(3.0)
    assert float(weighted_mean(values, torch.tensor([1, 0, 3], dtype=torch.float64))) == pytest.approx(19 / 4)
    assert float(weighted_mean(values, torch.tensor([3.0, -1.0, 0.0]))) == pytest.approx(0.5)


@pytest.mark.parametrize("scale", [1.0, 2.0**16])
def test_no_weight_at_all(scale: float) -> None:
    """The losses of mixed precision are scaled by 65536: so are their gradients on the way."""
    values = torch.tensor([1.0, 2.0], requires_grad=True)
    mean = weighted_mean(values, torch.zeros(2))
    (gradient,) = torch.autograd.grad(scale * mean, values)
    assert float(mean.detach()) == 0
    assert torch.equal(gradient, torch.zeros(2))

"""A feed-forward layer in pieces is the layer of its three parts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lorentzoo.nn import FeedForward

ROWS = 3 * 512 + 100


def make(dtype: torch.dtype = torch.float64) -> FeedForward:
    torch.manual_seed(0)
    return FeedForward(6, 3).to(dtype)


def written_out(layer: FeedForward, x: torch.Tensor) -> torch.Tensor:
    for part in layer:
        x = part(x)
    return x


def derivatives(y: torch.Tensor, wanted: list[torch.Tensor]) -> list[torch.Tensor]:
    weight = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
    return list(torch.autograd.grad(y, wanted, weight))


@pytest.mark.parametrize("lead", [(), (0,), (1,), (7, 3), (ROWS,)])
def test_values_and_derivatives(lead: tuple[int, ...]) -> None:
    layer = make()
    x = torch.randn(*lead, 6, dtype=torch.float64, requires_grad=True)
    wanted = [x, *layer.parameters()]
    found, expected = layer(x), written_out(layer, x)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
    for one, two in zip(derivatives(found, wanted), derivatives(expected, wanted), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-13)


def test_any_order_of_memory() -> None:
    layer = make()
    x = torch.randn(6, 40, dtype=torch.float64).T
    torch.testing.assert_close(layer(x), written_out(layer, x), rtol=0, atol=1e-13)


def test_second_derivatives() -> None:
    layer = make()
    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))
    assert torch.autograd.gradgradcheck(layer, (x,))


@pytest.mark.parametrize("frozen", [0, 1, 2, 3, 4])
def test_only_what_is_trained_has_a_gradient(frozen: int) -> None:
    layer = make()
    x = torch.randn(5, 6, dtype=torch.float64, requires_grad=True)
    inputs = [x, *layer.parameters()]
    inputs[frozen].requires_grad_(False)
    wanted = [part for part in inputs if part.requires_grad]
    for one, two in zip(
        derivatives(layer(x), wanted), derivatives(written_out(layer, x), wanted), strict=True
    ):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)
    layer(x).sum().backward()
    assert inputs[frozen].grad is None


def test_hooks_see_what_goes_through() -> None:
    layer = make()
    seen: list[torch.Size] = []
    handle = layer[2].register_forward_pre_hook(lambda module, given: seen.append(given[0].shape))
    layer(torch.randn(4, 6, dtype=torch.float64))
    assert seen == [torch.Size([4, 18])]
    handle.remove()
    layer(torch.randn(4, 6, dtype=torch.float64))
    assert len(seen) == 1


def test_lower_precision_and_transforms() -> None:
    layer = make(torch.float32)
    x = torch.randn(4, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    moved = torch.func.jvp(layer, (x,), (torch.ones_like(x),))[1]
    expected = torch.func.jvp(nn.Sequential(*layer), (x,), (torch.ones_like(x),))[1]
    torch.testing.assert_close(moved, expected)
    assert layer.to("meta")(x.to("meta")).shape == x.shape

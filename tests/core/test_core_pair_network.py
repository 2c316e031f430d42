"""The network on pairs has the derivatives of the same network written out."""

from __future__ import annotations

import pytest
import torch

from lorentzoo.nn.pair_network import pair_hidden

B, N, C, K = 2, 3, 4, 2


def _inputs(edge: bool, products: bool, layers: int) -> list[torch.Tensor | None]:
    torch.manual_seed(layers)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    inputs = [draw(B, N, C), draw(B, N, C)]
    inputs += [draw(B, N, N), draw(C)] if edge else [None, None]
    inputs += [draw(B, N, K), draw(B, K, N, C)] if products else [None, None]
    for _ in range(layers):
        inputs += [draw(C, C), draw(C)]
    return inputs


def _call(receive, send, edge, weight, left, right, *flat):
    layers = list(zip(flat[::2], flat[1::2], strict=True))
    return pair_hidden(receive, send, edge, weight, left, right, layers)


@pytest.mark.parametrize("edge", [False, True])
@pytest.mark.parametrize("products", [False, True])
@pytest.mark.parametrize("layers", [0, 1, 2])
def test_first_and_second_derivatives(edge, products, layers):
    inputs = _inputs(edge, products, layers)
    given = [x for x in inputs if x is not None]

    def run(*tensors):
        left = iter(tensors)
        return _call(*[None if x is None else next(left) for x in inputs])

    assert torch.autograd.gradcheck(run, given)
    assert torch.autograd.gradgradcheck(run, given)


def test_values_without_gradients_are_the_same():
    inputs = _inputs(True, True, 2)
    with torch.no_grad():
        plain = _call(*inputs)
    assert torch.equal(plain, _call(*inputs))

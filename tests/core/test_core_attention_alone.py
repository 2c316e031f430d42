"""Events that attend one after the other have the values and derivatives of the definition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from lorentzoo import Packed
from lorentzoo.core.layout import alone

HERE = [17, 20, 31]


def draw(lengths: list[int], *shape: int, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(sum(lengths), *shape, generator=rng, dtype=torch.float64).requires_grad_()


def compare(found: Tensor, wanted: Tensor, inputs: list[Tensor]) -> None:
    assert "_Alone" in type(found.grad_fn).__name__
    assert "_Alone" not in type(wanted.grad_fn).__name__
    upstream = torch.randn_like(found)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    for a, b in zip(*(torch.autograd.grad(x, inputs, upstream) for x in (found, wanted)), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("longest", [19, 128])
@pytest.mark.parametrize("there", [[17, 20, 31], [24, 16, 19]], ids=str)
def test_derivatives(there: list[int], longest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alone, "LONGEST_IN_PRODUCTS", longest)
    inputs = [draw(HERE, 2, 3), draw(there, 2, 3, seed=1), draw(there, 2, 5, seed=2)]
    layout, keys_layout = Packed.from_lengths(HERE), Packed.from_lengths(there)
    found = layout.attend(*inputs, keys_layout=keys_layout, scale=0.3)
    with sdpa_kernel(SDPBackend.MATH):
        wanted = layout.attend(*inputs, keys_layout=keys_layout, scale=0.3)
    compare(found, wanted, inputs)


@pytest.mark.parametrize("longest", [19, 128])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_derivatives_with_biases(longest: int, scale: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alone, "LONGEST_IN_PRODUCTS", longest)
    inputs = [draw(HERE, 2, 3, seed=seed) for seed in range(3)]
    layout, values = Packed.from_lengths(HERE), draw(HERE, 2, seed=3)

    def attend() -> Tensor:
        bias = layout.pair_values(lambda a, b: a * b + b, values)
        return layout.attend(*inputs, bias=bias, scale=scale)

    found = attend()
    with sdpa_kernel(SDPBackend.MATH):
        wanted = attend()
    compare(found, wanted, [*inputs, values])


def test_biases_without_gradients() -> None:
    inputs = [draw(HERE, 2, 3, seed=seed) for seed in range(3)]
    layout = Packed.from_lengths(HERE)
    bias = layout.pair_values(lambda a, b: a - b, draw(HERE, 2, seed=3).detach())
    found = layout.attend(*inputs, bias=bias)
    with sdpa_kernel(SDPBackend.MATH):
        compare(found, layout.attend(*inputs, bias=bias), inputs)
    with torch.no_grad():
        torch.testing.assert_close(layout.attend(*inputs, bias=bias), found, rtol=0, atol=1e-12)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("longest", [3, 128])
def test_second_derivatives(biased: bool, longest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alone, "LONGEST_IN_PRODUCTS", longest)
    queries, keys = [2, 4], [3, 1]
    inputs = [draw(queries, 2, 3), draw(keys, 2, 3, seed=1), draw(keys, 2, 2, seed=2)]
    biases = [draw([1], 2, n, m, seed=3 + n) for n, m in zip(queries, keys, strict=True)] if biased else []

    def attend(q: Tensor, k: Tensor, v: Tensor, *biases: Tensor) -> Tensor:
        return alone.attend_alone(q, k, v, queries, keys, 0.3, biases)

    assert torch.autograd.gradcheck(attend, [*inputs, *biases])
    assert torch.autograd.gradgradcheck(attend, [*inputs, *biases])


@pytest.mark.parametrize("serving", ["keys", "values", "both"])
def test_one_head_of_keys_or_values_serves_all(serving: str) -> None:
    heads = {"keys": (1, 2), "values": (2, 1), "both": (1, 1)}[serving]
    q, (k, v) = draw(HERE, 2, 3), (draw(HERE, number, 3, seed=seed) for seed, number in enumerate(heads, 1))
    layout = Packed.from_lengths(HERE)
    found = layout.attend(q, k, v)
    wanted = layout.attend(q, k.expand(-1, 2, -1), v.expand(-1, 2, -1))
    inputs = [q, k, v]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    for a, b in zip(*(torch.autograd.grad(x.square().sum(), inputs) for x in (found, wanted)), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)

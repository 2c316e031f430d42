"""The MLP of L-GATr-slim in tiles is what its maps and gates give one after the other, with their derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from lorentzoo.plugins.lgatr import slim_unit
from lorentzoo.plugins.lgatr.gate import Activation, activate, activate_with_slope, activate_without_graph
from lorentzoo.plugins.lgatr.slim_layers import SlimGains, SlimMLP, SlimOptions, SlimStream

ACTIVATIONS = st.sampled_from(get_args(Activation))


def stream(lead: Sequence[int], channels: int, scalars: int, channels_first: bool) -> SlimStream:
    rng = torch.Generator().manual_seed(len(lead) + channels)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng, dtype=torch.float64).requires_grad_()

    if not channels_first:
        return SlimStream(draw(*lead, scalars), draw(4, *lead, channels))
    return SlimStream(draw(scalars, *lead).movedim(0, -1), draw(channels, 4, *lead).movedim(0, -1))


@settings(max_examples=40, deadline=None)
@given(
    lead=st.lists(st.integers(0, 12), max_size=2),
    channels=st.integers(0, 3),
    scalars=st.integers(1, 5),
    activations=st.tuples(ACTIVATIONS, ACTIVATIONS),
    channels_first=st.booleans(),
    with_gains=st.booleans(),
    numbers=st.sampled_from([1, 400, slim_unit.HIDDEN_NUMBERS]),
)
def test_tiles(
    lead: list[int],
    channels: int,
    scalars: int,
    activations: tuple[Activation, Activation],
    channels_first: bool,
    with_gains: bool,
    numbers: int,
) -> None:
    torch.manual_seed(scalars)
    options = SlimOptions(
        activation=activations[0], vector_activation=activations[1], gate_scale=0.7, mlp_ratio=2
    )
    mlp = SlimMLP(channels, scalars, options).double()
    gains = SlimGains(channels, scalars).double() if with_gains else None
    for parameter in (*mlp.parameters(), *(gains.parameters() if gains else ())):
        torch.nn.init.normal_(parameter)
    x = stream(lead, channels, scalars, channels_first)
    inputs = [*x, *mlp.parameters(), *(gains.parameters() if gains else ())]

    def results() -> list[Tensor]:
        out = mlp(x, gains)
        upstream = [torch.cos(torch.arange(y.numel(), dtype=y.dtype)).view(y.shape) for y in out]
        return [*out, *torch.autograd.grad(out, inputs, upstream, materialize_grads=True)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slim_unit, "HIDDEN_NUMBERS", numbers)
        found = results()
        with torch.no_grad():
            found += mlp(x, gains)
    with sdpa_kernel(SDPBackend.MATH):
        wanted = results()
    for one, other in zip(found, [*wanted, *wanted[:2]], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


def test_tiles_hold_each_token_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slim_unit, "HIDDEN_NUMBERS", 1000)
    for tokens in (0, 1, 15, 16, 17, 333):
        tiles = list(slim_unit._tiles(tokens, 20))
        assert [place for tile in tiles for place in range(tile.start, tile.stop)] == list(range(tokens))
        assert all(20 * (tile.stop - tile.start) <= 1000 for tile in tiles)


def test_only_training_keeps_the_hidden_stream() -> None:
    mlp, x = SlimMLP(3, 5, SlimOptions(mlp_ratio=2)), SlimStream(torch.randn(40, 5), torch.randn(4, 40, 3))
    kept: list[int] = []

    def note(saved: Tensor) -> Tensor:
        kept.append(saved.numel())
        return saved

    with torch.autograd.graph.saved_tensors_hooks(note, lambda saved: saved):
        mlp(x)
    assert max(kept) == 40 * 4 * 3 * 2 * 3
    with torch.no_grad():
        assert all(part.grad_fn is None for part in mlp(x))


@pytest.mark.parametrize("activation", get_args(Activation))
def test_value_and_slope(activation: Activation) -> None:
    x = torch.linspace(-30, 30, 4001, dtype=torch.float64, requires_grad=True)
    expected = activate(x, activation)
    (slope,) = torch.autograd.grad(expected.sum(), x)
    with torch.no_grad():
        torch.testing.assert_close(activate_without_graph(x, activation), expected, rtol=1e-12, atol=1e-13)
        for found, wanted in zip(activate_with_slope(x, activation), (expected, slope), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-13)

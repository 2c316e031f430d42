"""What is written in pieces, or in another order of memory, is what the plain formula gives, with its derivatives."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

import lorentzoo as lz
from lorentzoo.core.layout import alone
from lorentzoo.plugins.lgatr import columns
from lorentzoo.plugins.lgatr.columns import join_channels, map_channels
from lorentzoo.plugins.lgatr.gate import Activation, activate
from lorentzoo.plugins.lgatr.head_norm import normalize_to_heads
from lorentzoo.plugins.lgatr.heads import HeadWidths
from lorentzoo.plugins.lgatr.norm import EpsilonMode, Factors
from lorentzoo.plugins.lgatr.paired import Paired
from lorentzoo.plugins.lgatr.slim_gate import SlimGate, gate_slim

forward_mode = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
SHAPES = st.lists(st.integers(0, 4), max_size=3)


def normal(*shape: int, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=rng, dtype=torch.float64).requires_grad_()


def gradients(outputs: list[Tensor], inputs: list[Tensor]) -> list[Tensor]:
    upstream = [torch.cos(torch.arange(x.numel(), dtype=x.dtype)).view(x.shape) for x in outputs]
    return list(torch.autograd.grad(outputs, inputs, upstream, retain_graph=True, materialize_grads=True))


def compare(outputs: list[Tensor], expected: list[Tensor], inputs: list[Tensor]) -> None:
    for found, wanted in zip(outputs, expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    for found, wanted in zip(gradients(outputs, inputs), gradients(expected, inputs), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(SHAPES, st.integers(0, 5), st.integers(0, 150), st.booleans(), st.booleans())
def test_linear_maps(lead: list[int], width: int, out: int, biased: bool, channels_first: bool) -> None:
    x = normal(width, *lead).movedim(0, -1) if channels_first else normal(*lead, width)
    weight, bias = normal(out, width, seed=1), normal(out, seed=2) if biased else None
    inputs = [weight, *([] if bias is None else [bias])]
    compare([map_channels(x, weight, bias)], [F.linear(x, weight, bias)], inputs)


def test_a_linear_map_of_many_tokens_writes_channels_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "COLUMNS", 7)
    x, weight = normal(3, 4, 25), normal(130, 3, seed=1)
    out = map_channels(x.movedim(0, -1), weight)
    assert out.movedim(-1, 0).is_contiguous()
    compare([out], [F.linear(x.movedim(0, -1), weight)], [x, weight])
    assert torch.autograd.gradgradcheck(lambda x, w: map_channels(x, w), (normal(3, 2), normal(2, 2)))


def test_channels_are_joined() -> None:
    parts = [normal(2, 3, 4), normal(5, 2, 3, seed=1).movedim(0, -1)]
    compare([join_channels(parts)], [torch.cat(parts, -1)], parts)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=2),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from(["clamp", "add"]),
)
def test_heads_of_multivectors(
    lead: list[int],
    sets: int,
    heads: int,
    channels: int,
    scalars: int,
    query: bool,
    mode: EpsilonMode,
) -> None:
    count = sets * heads
    multivectors = normal(*lead, count * channels, 16)
    rest = normal(*lead, count * scalars, seed=1)
    x = Paired.from_components(multivectors, rest)
    widths = HeadWidths.of_multivectors(channels, scalars)
    factors = Factors.of_multivectors(x, count, 0.01, mode, 1e-5)
    fast = normalize_to_heads(x, widths, sets, factors, query=query)
    with sdpa_kernel(SDPBackend.MATH):
        plain = normalize_to_heads(x, widths, sets, factors, query=query)
    compare(list(fast), list(plain), [multivectors, *([rest] if scalars else [])])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 5), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_heads_of_scalars_and_vectors(
    tokens: int, sets: int, channels: int, scalars: int, query: bool
) -> None:
    s, v = normal(tokens, 2 * sets * scalars), normal(4, tokens, 2 * sets * channels, seed=1)
    stream = s, v, v.new_empty(3, tokens, 0)
    factors = Factors.of_both(s, v, 2 * sets, 0.01)
    widths = HeadWidths.of_vectors(channels, scalars)
    fast = normalize_to_heads(stream, widths, sets, factors, query=query)
    with sdpa_kernel(SDPBackend.MATH):
        plain = normalize_to_heads(stream, widths, sets, factors, query=query)
    compare(list(fast), list(plain), [s, v])


@forward_mode
@pytest.mark.parametrize("activation", ["gelu", "sigmoid", "silu"])
def test_gates_of_slim(activation: Activation) -> None:
    gate = SlimGate("gelu-exact", activation, 0.7)
    inputs = [normal(3, 4), normal(4, 3, 6, seed=1)]
    s, v = inputs
    product = v[0, :, 2:4] * v[0, :, 4:] - (v[1:, :, 2:4] * v[1:, :, 4:]).sum(0)
    expected = [s[:, :2] * F.gelu(s[:, 2:]), v[..., :2] * activate(0.7 * product, activation)]
    compare(list(gate_slim(s, v, gate)), expected, inputs)
    assert torch.autograd.gradcheck(lambda s, v: gate_slim(s, v, gate), inputs, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda s, v: gate_slim(s, v, gate), inputs)


def test_an_unread_gate_has_no_gradient() -> None:
    s, v = normal(3, 4), normal(4, 3, 6)
    gate_slim(s, v, SlimGate("gelu", "gelu", 1.0))[0].sum().backward()
    assert s.grad is not None
    assert v.grad is None


@pytest.mark.parametrize("longest", [3, 128])
@pytest.mark.parametrize("channels_first", [False, True])
def test_attention_does_not_depend_on_the_order_of_memory(
    longest: int, channels_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = lz.Packed.from_lengths([3, 50, 1, 120])  # too different to share blocks
    monkeypatch.setattr(alone, "LONGEST_IN_PRODUCTS", longest)
    rows = [normal(layout.num_rows, 2, 5, seed=seed) for seed in range(3)]
    heads = [x.permute(1, 2, 0).contiguous().permute(2, 0, 1) if channels_first else x for x in rows]
    out = alone.attend_alone(*heads, layout.lengths, layout.lengths, None)
    assert channels_first == (out.stride(0) == 1)
    expected = []
    for q, k, v in zip(*(x.split(layout.lengths) for x in rows), strict=True):
        weights = torch.softmax(torch.einsum("ihd,jhd->hij", q, k) / 5**0.5, -1)
        expected.append(torch.einsum("hij,jhd->ihd", weights, v))
    compare([out], [torch.cat(expected)], rows)

"""Derivatives of the layers' own autograd functions, dropout, norms, linear maps."""

from __future__ import annotations

import pytest
import torch

from lorentzoo.plugins.lgatr.gate import Activation, activate, gate
from lorentzoo.plugins.lgatr.heads import HeadWidths, from_heads, metric, normalize_heads, to_heads
from lorentzoo.plugins.lgatr.linear import EquivariantLinear
from lorentzoo.plugins.lgatr.mlp import drop
from lorentzoo.plugins.lgatr.norm import NormGains, normalize, normalize_jointly
from lorentzoo.plugins.lgatr.paired import Paired

forward_mode = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")


def stream(tokens: int, channels: int, scalars: int, scale: float = 1.0) -> Paired:
    generator = torch.Generator().manual_seed(tokens + channels)
    multivectors = scale * torch.randn(tokens, channels, 16, generator=generator, dtype=torch.float64)
    return Paired.from_components(
        multivectors, torch.randn(tokens, scalars, generator=generator, dtype=torch.float64)
    )


def check(function, x: Paired) -> None:
    inputs = [part.clone().requires_grad_() for part in x]
    assert torch.autograd.gradcheck(function, inputs, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, inputs)


@forward_mode
@pytest.mark.parametrize("scale", [1.0, 0.005])
@pytest.mark.parametrize("mode", ["clamp", "add"])
def test_derivatives_of_the_norm(mode: str, scale: float) -> None:
    check(lambda *x: tuple(normalize(Paired(*x), 0.01, mode)), stream(2, 2, 3, scale))  # type: ignore[arg-type]


@forward_mode
def test_derivatives_of_the_joint_norm() -> None:
    x = stream(3, 2, 4)
    check(lambda s, v, _: normalize_jointly(s, v), x)


@forward_mode
@pytest.mark.parametrize("scalars", [0, 4])
def test_derivatives_of_normalized_heads(scalars: int) -> None:
    widths = HeadWidths(1, scalars // 2)
    function = lambda *x: normalize_heads(to_heads(Paired(*x), widths), widths, 2)  # noqa: E731
    check(function, stream(2, 2, scalars))


@forward_mode
@pytest.mark.parametrize("activation", ["gelu", "gelu-exact", "relu", "sigmoid", "silu", "tanh"])
def test_derivatives_of_the_gate(activation: Activation) -> None:
    check(lambda *x: tuple(gate(Paired(*x), activation)), stream(2, 2, 3))


def test_unknown_activation_is_refused() -> None:
    with pytest.raises(ValueError, match="activation must be one of"):
        activate(torch.zeros(1), "swish")  # type: ignore[arg-type]


def test_heads_hold_what_the_stream_held_and_the_inner_product() -> None:
    from lorentzoo.core.clifford import SPACETIME

    widths, x, y = HeadWidths(2, 3), stream(4, 2, 3), stream(5, 2, 3)
    assert all(torch.equal(a, b) for a, b in zip(from_heads(to_heads(x, widths), widths), x, strict=True))
    q, k = (to_heads(z, widths)[:, 0] for z in (x, y))
    q = q[:4]
    inner = (q * metric(widths, q)) @ k[:4].T
    a, b = x.to_components().numpy(), y.to_components().numpy()[:4]
    expected = torch.as_tensor(SPACETIME.inner(a[:, None], b[None]).sum(-1))
    expected = expected + x.auxiliary @ y.auxiliary[:4].T
    torch.testing.assert_close(inner, expected, atol=1e-12, rtol=0)


def test_norm_makes_the_mean_square_one() -> None:
    from lorentzoo.core.clifford import SPACETIME

    y = normalize(stream(6, 3, 4)).to_components()
    squares = [
        (SPACETIME.grade(y.numpy(), k) ** 2 * SPACETIME.inner_signs).sum(-1).__abs__() for k in range(5)
    ]
    torch.testing.assert_close(torch.as_tensor(sum(squares)).mean(-1), torch.ones(6, dtype=torch.float64))


@pytest.mark.parametrize(("group", "maps", "pair"), [("connected", 10, 2), ("full", 5, 1)])
@pytest.mark.parametrize("scalars", [0, 3])
def test_number_of_parameters(group: str, maps: int, pair: int, scalars: int) -> None:
    i, o, so = 4, 6, 5
    linear = EquivariantLinear(i, o, scalars, so, group=group)  # type: ignore[arg-type]
    expected = maps * i * o + pair * (o * scalars + i * so) + scalars * so
    expected += (pair * o if scalars else o) + so
    assert sum(parameter.numel() for parameter in linear.parameters()) == expected


def test_bias_is_invariant_only() -> None:
    linear = EquivariantLinear(2, 3, 0, 0)
    torch.nn.init.ones_(linear.bias)
    out = linear(Paired.from_vectors(torch.zeros(1, 2, 4))).to_components()
    assert torch.equal(out[0, 0], torch.eye(16)[0])


def test_gains_are_folded() -> None:
    x, gains, linear = stream(3, 2, 3), NormGains(2, 3).double(), EquivariantLinear(2, 4, 3, 2).double()
    for parameter in gains.parameters():
        torch.nn.init.normal_(parameter)
    from lorentzoo.plugins.lgatr.linear import apply_maps

    for part, other in zip(apply_maps(gains.fold(linear.maps()), x), linear(gains.scale(x)), strict=True):
        torch.testing.assert_close(part, other)


def test_dropout_drops_whole_multivectors() -> None:
    torch.manual_seed(0)
    x = stream(50, 4, 3)
    dropped = drop(x, 0.5, training=True).to_components()
    ratio = (dropped / x.to_components()).flatten(0, 1)
    assert set(ratio.round(decimals=9).unique().tolist()) == {0.0, 2.0}
    assert torch.equal(ratio.amax(-1), ratio.amin(-1))
    assert drop(x, 0.5, training=False) is x


def test_initialization_keeps_the_scale() -> None:
    torch.manual_seed(0)
    x = normalize(stream(400, 32, 64)).to(torch.float32)
    out = EquivariantLinear(32, 32, 64, 64)(x)
    assert 0.2 < out.to_components().std() < 2
    assert 0.2 < out.auxiliary.std() < 2
    unit = EquivariantLinear(32, 32, 64, initialization="near-unit")(x).to_components()
    assert (unit[..., 0].mean() - 1).abs() < 0.3

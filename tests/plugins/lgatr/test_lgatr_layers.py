"""Derivatives of the layers' own autograd functions, dropout, norms, linear maps."""

from __future__ import annotations

import pytest
import torch

from lorentzoo.plugins.lgatr.gate import Activation, activate, gate
from lorentzoo.plugins.lgatr.heads import HeadWidths, from_heads, metric, to_heads
from lorentzoo.plugins.lgatr.linear import EquivariantLinear
from lorentzoo.plugins.lgatr.mlp import drop
from lorentzoo.plugins.lgatr.norm import NormGains, normalize, normalize_jointly
from lorentzoo.plugins.lgatr.paired import Paired

forward_mode = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")


def stream(tokens: int, channels: int, scalars: int, scale: float = 1.0) -> Paired:
    rng = torch.Generator().manual_seed(tokens + channels)
    multivectors = scale * torch.randn(tokens, channels, 16, generator=rng, dtype=torch.float64)
    return Paired.from_components(
        multivectors, torch.randn(tokens, scalars, generator=rng, dtype=torch.float64)
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
@pytest.mark.parametrize("query", [False, True])
def test_derivatives_of_normalized_heads(scalars: int, query: bool) -> None:
    widths = HeadWidths.of_multivectors(1, scalars // 2)

    def heads(*x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return to_heads(*normalize(Paired(*x), groups=2), widths, sets=2, query=query)

    check(heads, stream(2, 2, scalars))


@forward_mode
def test_derivatives_of_jointly_normalized_heads() -> None:
    widths = HeadWidths.of_vectors(2, 3)

    def heads(scalars: torch.Tensor, vectors: torch.Tensor, bivectors: torch.Tensor) -> torch.Tensor:
        scalars, vectors = normalize_jointly(scalars, vectors, groups=2)
        (joined,) = to_heads(scalars, vectors, bivectors[..., :0], widths, query=True)
        return joined

    check(heads, stream(2, 2, 2))


@pytest.mark.parametrize("groups", [1, 3])
def test_groups_are_normalized_each_for_itself(groups: int) -> None:
    x = stream(4, 3, 6)
    whole = normalize(x, groups=groups)
    for group in range(groups):
        channels, scalars = 6 // groups, 6 // groups
        own = slice(group * channels, (group + 1) * channels)
        rest = x.auxiliary[:, group * scalars : (group + 1) * scalars]
        part = normalize(
            Paired(torch.cat([x.scalars[:, own], rest], -1), x.vectors[..., own], x.bivectors[..., own])
        )
        for name in ("vectors", "bivectors"):
            torch.testing.assert_close(getattr(whole, name)[..., own], getattr(part, name))
        torch.testing.assert_close(whole.scalars[:, own], part.scalars[:, :channels])
        torch.testing.assert_close(
            whole.auxiliary[:, group * scalars : (group + 1) * scalars], part.auxiliary
        )


@forward_mode
@pytest.mark.parametrize("activation", ["gelu", "gelu-exact", "relu", "sigmoid", "silu", "tanh"])
def test_derivatives_of_the_gate(activation: Activation) -> None:
    check(lambda *x: tuple(gate(Paired(*x), activation)), stream(2, 2, 3))


def test_unknown_activation_is_refused() -> None:
    with pytest.raises(ValueError, match="activation must be one of"):
        activate(torch.zeros(1), "swish")  # type: ignore[arg-type]


def test_heads_hold_what_the_stream_held_and_the_inner_product() -> None:
    from lorentzoo.nn.clifford import SPACETIME

    widths, x, y = HeadWidths.of_multivectors(2, 3), stream(4, 2, 3), stream(5, 2, 3)
    (heads,), (query,), (keys,) = to_heads(*x, widths), to_heads(*x, widths, query=True), to_heads(*y, widths)
    assert all(torch.equal(a, b) for a, b in zip(from_heads(heads, widths), x, strict=True))
    torch.testing.assert_close(query, heads * metric(widths, heads))
    inner = query[:, 0] @ keys[:4, 0].T
    a, b = x.to_components().numpy(), y.to_components().numpy()[:4]
    expected = torch.as_tensor(SPACETIME.inner(a[:, None], b[None]).sum(-1))
    expected = expected + x.auxiliary @ y.auxiliary[:4].T
    torch.testing.assert_close(inner, expected, atol=1e-12, rtol=0)


def test_norm_makes_the_mean_square_one() -> None:
    from lorentzoo.nn.clifford import SPACETIME

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

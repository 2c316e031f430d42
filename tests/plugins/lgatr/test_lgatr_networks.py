"""L-GATr and L-GATr-slim as backbones: symmetry over random configurations, presets, layouts, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError
from lorentzoo.core.minkowski import exp, generators
from lorentzoo.plugins.lgatr.network import LGATr
from lorentzoo.plugins.lgatr.slim import LGATrSlim

SMALL = {"num_blocks": 2, "hidden_channels": 4, "hidden_scalars": 8, "num_heads": 2}
SLIM = {"num_blocks": 2, "hidden_vectors": 4, "hidden_scalars": 8, "num_heads": 2, "mlp_ratio": 2}
NONE = torch.zeros(3, 0)


def unit_scale(network: torch.nn.Module) -> torch.nn.Module:
    """Double precision and weights at unit scale, so that no branch is accidentally off."""
    network.double().eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return network


def momenta(*shape: int, mass: float = 1.0) -> Tensor:
    space = torch.randn(*shape, 3, dtype=torch.float64)
    return torch.cat([(space.square().sum(-1, keepdim=True) + mass**2).sqrt(), space], dim=-1)


def run(network: Any, vectors: Tensor, scalars: Tensor, layout: lz.Layout, **condition: Any) -> lz.Features:
    features = lz.Features(scalars, vectors)
    context = torch.zeros(layout.num_events, 0, dtype=vectors.dtype)
    return network(features, lz.Frames.identity(layout), layout, context, **condition)


def lorentz(rapidity: float, seed: int) -> Tensor:
    direction = np.random.default_rng(seed).normal(size=6)
    direction[:3] *= rapidity / np.linalg.norm(direction[:3])
    return torch.as_tensor(exp(torch.as_tensor(direction)))


def relative_change(
    network: Any, matrix: Tensor, vectors: Tensor, scalars: Tensor, layout: lz.Layout, second: Any = None
) -> float:
    def condition(change: Tensor) -> dict[str, Any]:
        if second is None:
            return {}
        features = lz.Features(second[1], second[0] @ change.T)
        return {"condition": features, "condition_layout": second[2]}

    one = torch.eye(4, dtype=torch.float64)
    before = run(network, vectors, scalars, layout, **condition(one))
    after = run(network, vectors @ matrix.T, scalars, layout, **condition(matrix))
    expected = before.vectors @ matrix.T
    errors = [
        (after.scalars - before.scalars).abs().max() / before.scalars.abs().max(),
        (after.vectors - expected).abs().max() / expected.abs().max(),
    ]
    return max(error.item() for error in errors)


configurations = st.fixed_dictionaries(
    {
        "num_heads": st.sampled_from([1, 2, 4]),
        "attention_ratio": st.sampled_from([1, 2]),
        "mlp_ratio": st.sampled_from([1, 2]),
        "mlp_layers": st.sampled_from([2, 3]),
        "norm_gains": st.booleans(),
        "qkv_bias": st.booleans(),
        "activation": st.sampled_from(["gelu", "relu", "tanh"]),
    }
)


@settings(max_examples=15, deadline=None)
@given(
    configurations,
    st.fixed_dictionaries(
        {
            "multi_query": st.booleans(),
            "head_scale": st.booleans(),
            "group": st.sampled_from(["connected", "full"]),
            "eps_mode": st.sampled_from(["clamp", "add"]),
            "read_out": st.sampled_from(["multivectors", "scalars"]),
            "condition_vectors": st.sampled_from([0, 2]),
            "reinsert_vectors": st.sampled_from([(), (1,)]),
        }
    ),
    st.floats(0.0, float(np.arccosh(100.0))),
    st.integers(0, 99),
)
def test_lgatr_is_equivariant(
    common: dict[str, Any], own: dict[str, Any], rapidity: float, seed: int
) -> None:
    torch.manual_seed(seed)
    network = unit_scale(
        LGATr(**{**SMALL, **common, **own}, in_scalars=2, in_vectors=2, out_scalars=2, out_vectors=1)
    )
    layout = lz.Packed.from_lengths([3, 1, 4])
    second = None
    if own["condition_vectors"]:
        second = momenta(6, 2), torch.zeros(6, 0, dtype=torch.float64), lz.Packed.from_lengths([2, 1, 3])
    inputs = momenta(8, 2), torch.randn(8, 2, dtype=torch.float64), layout, second
    assert relative_change(network, lorentz(rapidity, seed), *inputs) < 1e-9
    if own["group"] == "full":
        parity = torch.diag(torch.tensor([1.0, -1.0, -1.0, -1.0], dtype=torch.float64))
        assert relative_change(network, parity, *inputs) < 1e-12


@settings(max_examples=15, deadline=None)
@given(configurations, st.sampled_from([0, 2]), st.floats(0.0, float(np.arccosh(100.0))), st.integers(0, 99))
def test_slim_is_equivariant(common: dict[str, Any], condition: int, rapidity: float, seed: int) -> None:
    torch.manual_seed(seed)
    network = LGATrSlim(
        **{**SLIM, **common},
        condition_vectors=condition,
        in_scalars=2,
        in_vectors=2,
        out_scalars=2,
        out_vectors=1,
    )
    second = None
    if condition:
        second = momenta(6, 2), torch.zeros(6, 0, dtype=torch.float64), lz.Packed.from_lengths([2, 1, 3])
    inputs = momenta(8, 2), torch.randn(8, 2, dtype=torch.float64), lz.Packed.from_lengths([3, 1, 4]), second
    assert relative_change(unit_scale(network), lorentz(rapidity, seed), *inputs) < 1e-9


@pytest.mark.parametrize("kind", [LGATr, LGATrSlim])
def test_axial_and_encoded_forms_are_equivariant(kind: type) -> None:
    torch.manual_seed(0)
    form = {"grid": (2, 3)} if kind is LGATr else {}
    network = kind(
        **(SMALL if kind is LGATr else SLIM),
        **form,
        condition_vectors=1,
        condition_blocks=1,
        in_vectors=2,
        in_scalars=2,
        out_scalars=2,
        out_vectors=1,
    )
    layout = lz.Padded(torch.ones(3, 6, dtype=torch.bool))
    second = (
        momenta(3, 4, 1),
        torch.zeros(3, 4, 0, dtype=torch.float64),
        lz.Padded(torch.ones(3, 4, dtype=torch.bool)),
    )
    inputs = momenta(3, 6, 2), torch.randn(3, 6, 2, dtype=torch.float64), layout, second
    assert relative_change(unit_scale(network), lorentz(2.0, 1), *inputs) < 1e-9


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
def test_derivatives_along_all_generators_vanish() -> None:
    torch.manual_seed(0)
    network = unit_scale(LGATr(**SMALL, in_scalars=2, in_vectors=1, out_scalars=2))
    layout = lz.Padded(torch.ones(2, 5, dtype=torch.bool))
    vectors, scalars = momenta(2, 5, 1), torch.randn(2, 5, 2, dtype=torch.float64)
    basis = torch.as_tensor(generators())
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.MATH):
        outputs, sensitivity = torch.func.jvp(
            lambda v: run(network, v, scalars, layout).scalars, (vectors,), (torch.randn_like(vectors),)
        )
        for generator in basis:
            tangent = vectors @ generator.T
            _, change = torch.func.jvp(
                lambda v: run(network, v, scalars, layout).scalars, (vectors,), (tangent,)
            )
            assert change.abs().max() < 1e-11 * max(
                sensitivity.abs().max().item(), outputs.abs().max().item()
            )


PRESETS = {
    "lgatr": 1_078_946,
    "lgatr-jetclass": 1_081_620,
    "lgatr-slim": 2_031_201,
    "lgatr-slim-jetclass": 2_033_034,
    "lgatr-amplitudes": 1_547_442,
}


@pytest.mark.parametrize(("name", "parameters"), PRESETS.items())
def test_presets_have_the_reference_counts(name: str, parameters: int) -> None:
    assert lz.create_model(name).num_parameters == parameters


def test_event_generation_has_the_reference_count() -> None:
    model = LGATr(
        num_blocks=6,
        attention_ratio=1,
        mlp_ratio=4,
        head_scale=False,
        time_features=8,
        read_out="scalars",
        in_scalars=6,
        in_vectors=4,
        in_context=1,
        out_scalars=2,
        out_vectors=1,
    )
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == 842_864
    assert count - sum(p.numel() for p in model.parameters() if p.requires_grad) == 4


@pytest.mark.parametrize("kind", [LGATr, LGATrSlim])
@pytest.mark.parametrize("positions", ["none", "rotary", "learned"])
def test_packed_equals_padded_and_order_matters_only_with_positions(kind: type, positions: str) -> None:
    torch.manual_seed(0)
    small = SMALL if kind is LGATr else SLIM
    network = unit_scale(
        kind(**small, positions=positions, in_vectors=1, in_scalars=2, out_scalars=2, out_vectors=1)
    )
    layout = lz.Packed.from_lengths([4, 1, 2])
    vectors, scalars = momenta(7, 1), torch.randn(7, 2, dtype=torch.float64)
    packed = run(network, vectors, scalars, layout)
    padded_layout = lz.Padded(torch.arange(4)[None] < torch.tensor([4, 1, 2])[:, None])
    padded = run(network, layout.pad(vectors), layout.pad(scalars), padded_layout)
    torch.testing.assert_close(layout.unpad(padded.scalars), packed.scalars)
    torch.testing.assert_close(layout.unpad(padded.vectors), packed.vectors)
    order = torch.tensor([2, 0, 3, 1, 4, 6, 5])
    permuted = run(network, vectors[order], scalars[order], layout)
    same = torch.allclose(permuted.scalars, packed.scalars[order], atol=1e-9)
    assert same == (positions == "none")
    assert network.permutation_symmetric == (positions == "none")


def test_grid_of_ragged_events() -> None:
    torch.manual_seed(0)
    network = unit_scale(LGATr(**SMALL, grid=(2, 3), in_vectors=1, in_scalars=2, out_scalars=2))
    assert network.num_particles == 6
    layout = lz.Packed.from_lengths([6, 4])
    vectors, scalars = momenta(10, 1), torch.randn(10, 2, dtype=torch.float64)
    together = run(network, vectors, scalars, layout).scalars
    alone = run(network, vectors[6:], scalars[6:], lz.Packed.from_lengths([4])).scalars
    torch.testing.assert_close(together[6:], alone)
    rows = torch.tensor([3, 4, 5, 0, 1, 2])
    swapped = run(network, vectors[rows], scalars[rows], lz.Packed.from_lengths([6])).scalars
    torch.testing.assert_close(swapped, together[:6][rows])
    with pytest.raises(ValueError, match="grid holds 2 x 3"):
        run(network, momenta(7, 1), torch.zeros(7, 2).double(), lz.Packed.from_lengths([7]))


@pytest.mark.parametrize("kind", [LGATr, LGATrSlim])
def test_context_time_and_checkpointing(kind: type) -> None:
    torch.manual_seed(0)
    small = SMALL if kind is LGATr else SLIM
    widths = {"in_vectors": 1, "in_scalars": 1, "in_context": 2, "out_scalars": 1}
    network = kind(**small, time_features=4, **widths).double()
    layout, features = lz.Packed.from_lengths([2, 3]), lz.Features(torch.randn(5, 1).double(), momenta(5, 1))
    frames, context = lz.Frames.identity(layout), torch.rand(2, 2).double()
    first = network(features, frames, layout, context).scalars
    other = network(features, frames, layout, context + torch.tensor([[0.1, 0.0]]).double()).scalars
    assert not torch.allclose(first, other)
    trained = [p for p in network.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(first.sum(), trained, allow_unused=True)
    network.network.checkpoint_blocks = True
    again = network(features, frames, layout, context).scalars
    repeated = torch.autograd.grad(again.sum(), trained, allow_unused=True)
    assert torch.equal(again, first)
    for one, two in zip(gradients, repeated, strict=True):
        assert (one is None) == (two is None)
        if one is not None:
            torch.testing.assert_close(one, two)


@pytest.mark.parametrize("kind", [LGATr, LGATrSlim])
def test_bf16_autocast_trains_without_nan(kind: type) -> None:
    torch.manual_seed(0)
    network = kind(
        **(SMALL if kind is LGATr else SLIM), dropout=0.1, in_vectors=1, in_scalars=2, out_scalars=1
    )
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    layout = lz.Packed.from_lengths([3, 5])
    vectors, scalars = 10 * momenta(8, 1, mass=0.0).float(), torch.randn(8, 2)
    for _ in range(5):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = run(network, vectors, scalars, layout).scalars.float().square().mean()
        loss.backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())
        optimizer.step()
    assert loss.isfinite()


@pytest.mark.parametrize("kind", [LGATr, LGATrSlim])
def test_no_graph_break_on_the_padded_layout(kind: type) -> None:
    torch.manual_seed(0)
    network = kind(
        **{**(SMALL if kind is LGATr else SLIM), "num_blocks": 1}, in_vectors=1, in_scalars=2, out_scalars=1
    )
    network.double()

    def forward(vectors: Tensor, scalars: Tensor, mask: Tensor) -> Tensor:
        return run(network, vectors, scalars, lz.Padded(mask)).scalars

    inputs = (
        momenta(2, 4, 1),
        torch.randn(2, 4, 2).double(),
        torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]).bool(),
    )
    compiled = torch.compile(forward, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(*inputs), forward(*inputs))


def test_events_without_and_with_one_particle() -> None:
    network = unit_scale(LGATr(**SMALL, in_vectors=1, in_scalars=1, out_scalars=1))
    layout = lz.Packed.from_lengths([0, 1, 0])
    assert run(network, momenta(1, 1), torch.ones(1, 1).double(), layout).scalars.isfinite().all()


@pytest.mark.parametrize(("kind", "small"), [(LGATr, SMALL), (LGATrSlim, SLIM)])
def test_errors_say_what_to_do(kind: type, small: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"10 .*cannot be shared by num_heads=4: choose a multiple of 4"):
        kind(**{**small, "hidden_scalars": 10, "num_heads": 4, "attention_ratio": 1})
    layout = lz.Packed.from_lengths([2])
    conditional = kind(**small, condition_vectors=1, in_scalars=1)
    with pytest.raises(ValueError, match="needs a condition"):
        run(conditional, torch.randn(2, 1, 4), torch.randn(2, 1), layout)
    plain = kind(**small, in_scalars=1)
    features = lz.Features(torch.zeros(2, 0), torch.randn(2, 1, 4))
    with pytest.raises(ValueError, match="made without a condition"):
        run(
            plain,
            torch.randn(2, 1, 4),
            torch.randn(2, 1),
            layout,
            condition=features,
            condition_layout=layout,
        )
    with pytest.raises(ValueError, match=r"input is torch.float64, the weights are torch.float32"):
        run(plain, momenta(2, 1), torch.randn(2, 1).double(), layout)
    with pytest.raises(ValueError, match="time_features=4"):
        kind(**small, time_features=4)


@pytest.mark.parametrize(
    ("backbone", "sizes"),
    [
        ("lgatr", ("num_heads", "attention_ratio", "head_channels", "mlp_ratio", "hidden_channels")),
        ("lgatr-slim", ("num_heads", "attention_ratio", "mlp_ratio")),
    ],
)
def test_sizes_below_one_are_refused_by_name(backbone: str, sizes: tuple[str, ...]) -> None:
    for name in sizes:
        with pytest.raises(CompositionError, match=f"{name} must be at least 1, not 0"):
            lz.compose(backbone={"name": backbone, name: 0}, embedding="momenta")

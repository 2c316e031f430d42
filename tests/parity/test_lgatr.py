"""Our networks with published weights give the published outputs and gradients, in float64 on GeV inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from lorentzoo.core.errors import CheckpointError
from lorentzoo.core.foreign import StateDictError
from lorentzoo.core.layout import Layout, Packed, Padded
from lorentzoo.plugins.lgatr.options import Options
from lorentzoo.plugins.lgatr.paired import Paired
from lorentzoo.plugins.lgatr.slim_layers import SlimOptions, SlimStream
from lorentzoo.plugins.lgatr.slim_transformer import SlimTransformer
from lorentzoo.plugins.lgatr.slim_weights import import_slim_state
from lorentzoo.plugins.lgatr.stream import Condition, Widths
from lorentzoo.plugins.lgatr.transformer import MultivectorTransformer
from lorentzoo.plugins.lgatr.weights import import_multivector_state

GOLDENS = sorted((Path(__file__).parent / "goldens").glob("lgatr-1.4-*.safetensors"))
TOLERANCE = 1e-10


def momenta(*shape: int) -> Tensor:
    space = 20 * torch.randn(*shape, 3, dtype=torch.float64)
    return torch.cat([(space.square().sum(-1, keepdim=True) + 0.14**2).sqrt(), space], dim=-1)


def assert_equal(ours: Tensor, published: Tensor) -> None:
    assert ours.shape == published.shape
    if published.numel():
        scale = published.abs().max().clamp(min=1e-300)
        assert ((ours - published).abs().max() / scale).item() < TOLERANCE


def everything(batch: int, items: int) -> Layout:
    return Padded(torch.ones(batch, items, dtype=torch.bool))


def double_normal(model: torch.nn.Module, std: float = 0.3) -> torch.nn.Module:
    """Weights at unit scale: initial ones would leave the norms' clamps in charge."""
    model.double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return model


# ---- lgatr 2.0, live --------------------------------------------------------------------------

FULL_CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "full group": {"subgroup": False},
    "multi-query": {"multi_query": True},
    "no gains": {"gains": False},
    "no head scale": {"head_scale": False},
    "no bivectors": {"bivector": False},
    "no geometric product": {"geometric_product": False},
    "no scalars": {"scalars": 0, "geometric_product": False},
    "three layers and dropout": {"layers": 3, "dropout": 0.1},
    "one layer": {"layers": 1},
    "relu": {"activation": "relu"},
    "reinserted": {"reinsert": True},
    "conditional": {"condition": True},
    "conditional multi-query": {"condition": True, "multi_query": True, "gains": False},
}


def full_pair(
    *,
    subgroup: bool = True,
    multi_query: bool = False,
    gains: bool = True,
    head_scale: bool = True,
    bivector: bool = True,
    geometric_product: bool = True,
    scalars: int = 3,
    layers: int = 2,
    dropout: float | None = None,
    activation: str = "gelu",
    reinsert: bool = False,
    condition: bool = False,
) -> tuple[torch.nn.Module, MultivectorTransformer]:
    lgatr = pytest.importorskip("lgatr", minversion="2.0")
    hidden = 8 if scalars else 0
    attention = {"num_heads": 4, "attn_ratio": 2, "multi_query": multi_query, "head_scale": head_scale}
    config: dict[str, Any] = {
        "num_blocks": 2,
        "in_mv_channels": 3,
        "out_mv_channels": 2,
        "hidden_mv_channels": 8,
        "in_s_channels": scalars,
        "out_s_channels": 4 if scalars else 0,
        "hidden_s_channels": hidden,
        "attention": attention,
        "mlp": {"mlp_ratio": 2, "num_layers_mlp": layers, "nonlinearity": activation},
        "primitives": {
            "subgroup": subgroup,
            "bivector": bivector,
            "geometric_product": geometric_product,
        },
        "norm_elementwise_affine": gains,
        "dropout_prob": dropout,
    }
    further: dict[str, Any] = {}
    if condition:
        config |= {"mv_channels_cond": 4, "s_channels_cond": 3, "crossattention": attention}
        further["condition"] = Widths(4, 3)
        published = lgatr.ConditionalLGATr(**config)
    elif reinsert:
        further |= {"reinsert_channels": (0, 2), "reinsert_scalars": (1,)}
        published = lgatr.LGATr(**config, reinsert_mv_channels=(0, 2), reinsert_s_channels=(1,))
    else:
        published = lgatr.LGATr(**config)
    options = Options(
        group="connected" if subgroup else "full",
        num_heads=4,
        multi_query=multi_query,
        head_scale=head_scale,
        qkv_bias=False,
        norm_gains=gains,
        mlp_layers=layers,
        activation=activation,  # type: ignore[arg-type]
        bivectors=bivector,
        geometric_product=geometric_product,
    )
    ours = MultivectorTransformer(
        2, Widths(3, scalars), Widths(8, hidden), Widths(2, 4 if scalars else 0), options, **further
    )
    return double_normal(published), ours.double().eval()


@pytest.mark.parametrize("case", FULL_CASES)
def test_lgatr_2(case: str) -> None:
    import lgatr

    torch.manual_seed(0)
    published, ours = full_pair(**FULL_CASES[case])
    import_multivector_state(ours, published.state_dict(), "lgatr-2.0")
    vectors, scalars = momenta(3, 5, 3), torch.randn(3, 5, ours.inputs.scalars, dtype=torch.float64)
    scalars_given = scalars if ours.inputs.scalars else None
    theirs, mine = (vectors.clone().requires_grad_() for _ in range(2))
    second, keywords = None, {}
    if ours.condition is not None:
        condition, further = momenta(3, 4, 4), torch.randn(3, 4, 3, dtype=torch.float64)
        second = Condition(Paired.from_vectors(condition, further), everything(3, 4))
        keywords = {"multivectors_cond": lgatr.embed_vector(condition), "scalars_cond": further}
    expected, expected_scalars = published(lgatr.embed_vector(theirs), scalars=scalars_given, **keywords)
    out = ours(Paired.from_vectors(mine, scalars_given), [everything(3, 5)], second)
    assert_equal(out.to_components(), expected)
    weight = torch.randn_like(expected)
    losses = [(part * weight).sum() for part in (expected, out.to_components())]
    if expected_scalars is not None:
        assert_equal(out.auxiliary, expected_scalars)
        losses = [losses[0] + expected_scalars.sin().sum(), losses[1] + out.auxiliary.sin().sum()]
    assert_equal(torch.autograd.grad(losses[1], mine)[0], torch.autograd.grad(losses[0], theirs)[0])


def test_lgatr_2_on_packed_events() -> None:
    import lgatr

    torch.manual_seed(1)
    published, ours = full_pair()
    import_multivector_state(ours, published.state_dict(), "lgatr-2.0")
    lengths = [5, 1, 7]
    vectors, scalars = momenta(13, 3), torch.randn(13, 3, dtype=torch.float64)
    out = ours(Paired.from_vectors(vectors, scalars), [Packed.from_lengths(lengths)])
    for part, event, extra in zip(
        out.to_components().split(lengths), vectors.split(lengths), scalars.split(lengths), strict=True
    ):
        assert_equal(part, published(lgatr.embed_vector(event), scalars=extra)[0])


SLIM_CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "no gains": {"gains": False},
    "three layers and dropout": {"layers": 3, "dropout": 0.1},
    "scalars only": {"vectors_out": 0},
    "vectors only": {"scalars_out": 0},
    "heads that do not divide": {"heads": 3},
    "conditional": {"condition": True},
    "one activation": {"vector_activation": None},
}


@pytest.mark.parametrize("case", SLIM_CASES)
def test_lgatr_slim_2(case: str) -> None:
    lgatr = pytest.importorskip("lgatr", minversion="2.0")
    torch.manual_seed(0)
    settings = SLIM_CASES[case]
    gains, layers, heads = (settings.get(*pair) for pair in (("gains", True), ("layers", 2), ("heads", 4)))
    outputs = Widths(settings.get("vectors_out", 2), settings.get("scalars_out", 3))
    conditional = settings.get("condition", False)
    vector_activation = settings.get("vector_activation", "sigmoid")
    config = {
        "nonlinearity_v": vector_activation,
        "num_blocks": 2,
        "in_v_channels": 3,
        "out_v_channels": outputs.channels,
        "hidden_v_channels": 8,
        "in_s_channels": 3,
        "out_s_channels": outputs.scalars,
        "hidden_s_channels": 8,
        "num_heads": heads,
        "num_layers_mlp": layers,
        "norm_elementwise_affine": gains,
        "dropout_prob": settings.get("dropout"),
    }
    kind = lgatr.ConditionalLGATrSlim if conditional else lgatr.LGATrSlim
    published = double_normal(
        kind(**config, **({"v_channels_cond": 4, "s_channels_cond": 2} if conditional else {}))
    )
    by_hand = {"head_vectors": 2, "head_scalars": 4} if 8 % heads else {}
    options = SlimOptions(
        num_heads=heads, mlp_ratio=2, mlp_layers=layers, qkv_bias=False, norm_gains=gains, **by_hand
    )
    condition_widths = Widths(4, 2) if conditional else None
    ours = SlimTransformer(2, Widths(3, 3), Widths(8, 8), outputs, options, condition=condition_widths)
    ours = ours.double().eval()
    import_slim_state(ours, published.state_dict(), "lgatr-2.0", vector_activation)
    vectors, scalars = momenta(3, 5, 3), torch.randn(3, 5, 3, dtype=torch.float64)
    theirs, mine = (vectors.clone().requires_grad_() for _ in range(2))
    second, arguments = None, (theirs, scalars)
    if conditional:
        condition, further = momenta(3, 4, 4), torch.randn(3, 4, 2, dtype=torch.float64)
        second = Condition(SlimStream(further, condition.movedim(-1, 0)), everything(3, 4))
        arguments = (theirs, condition, scalars, further)
    expected, expected_scalars = published(*arguments)
    out = ours(SlimStream(scalars, mine.movedim(-1, 0)), [everything(3, 5)], second)
    assert_equal(out.vectors.movedim(0, -1), expected)
    assert_equal(out.scalars, expected_scalars)
    losses = [
        v.square().sum() + s.sin().sum()
        for v, s in ((expected, expected_scalars), (out.vectors, out.scalars))
    ]
    assert_equal(torch.autograd.grad(losses[1], mine)[0], torch.autograd.grad(losses[0], theirs)[0])


# ---- lgatr 1.4, recorded ----------------------------------------------------------------------


def network_of(config: dict[str, Any], connected: bool) -> MultivectorTransformer | SlimTransformer:
    """Our network for the constructor arguments of lgatr 1.4."""
    if "in_v_channels" in config:
        options = SlimOptions(num_heads=config["num_heads"], mlp_ratio=2)
        condition = (
            Widths(config["condition_v_channels"], config["condition_s_channels"])
            if "condition_v_channels" in config
            else None
        )
        inputs, hidden, outputs = (
            Widths(config[f"{kind}_v_channels"], config[f"{kind}_s_channels"])
            for kind in ("in", "hidden", "out")
        )
        return SlimTransformer(config["num_blocks"], inputs, hidden, outputs, options, condition=condition)
    attention, mlp = config["attention"], config["mlp"]
    options = Options(
        group="connected" if connected else "full",
        num_heads=attention["num_heads"],
        attention_ratio=attention["increase_hidden_channels"],
        multi_query=attention.get("multi_query", False),
        head_scale=attention["head_scale"],
        mlp_ratio=mlp["increase_hidden_channels"],
        mlp_layers=1 + mlp.get("num_hidden_layers", 1),
    )
    condition = (
        Widths(config["condition_mv_channels"], config["condition_s_channels"])
        if "condition_mv_channels" in config
        else None
    )
    inputs, hidden, outputs = (
        Widths(config[f"{kind}_mv_channels"], config[f"{kind}_s_channels"])
        for kind in ("in", "hidden", "out")
    )
    return MultivectorTransformer(
        config["num_blocks"],
        inputs,
        hidden,
        outputs,
        options,
        condition=condition,
        reinsert_channels=config.get("reinsert_mv_channels", ()),
    )


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_lgatr_1_4(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    assert metadata["lgatr"].startswith("1.4.")
    state = {key.removeprefix("state."): value for key, value in tensors.items() if key.startswith("state.")}
    network = network_of(json.loads(metadata["config"]), json.loads(metadata["connected"])).double().eval()
    vectors = tensors["vectors"].requires_grad_()
    layout, second = everything(2, 5), everything(2, 4)
    condition = tensors.get("condition_vectors")
    if isinstance(network, SlimTransformer):
        import_slim_state(network, state, "lgatr-1.4")
        further = None
        if condition is not None:
            further = Condition(SlimStream(tensors["condition_scalars"], condition.movedim(-1, 0)), second)
        out = network(SlimStream(tensors["scalars"], vectors.movedim(-1, 0)), [layout], further)
        results = out.vectors.movedim(0, -1), out.scalars
    else:
        import_multivector_state(network, state, "lgatr-1.4")
        joined = None
        if condition is not None:
            joined = Condition(Paired.from_vectors(condition, tensors["condition_scalars"]), second)
        y = network(Paired.from_vectors(vectors, tensors["scalars"]), [layout], joined)
        results = y.to_components(), y.auxiliary
    assert_equal(results[0], tensors["output_multivectors"])
    assert_equal(results[1], tensors["output_scalars"])
    loss = (results[0] * tensors["weight_multivectors"]).sum() + (
        results[1] * tensors["weight_scalars"]
    ).sum()
    assert_equal(torch.autograd.grad(loss, vectors)[0], tensors["gradient"])


def test_goldens_are_there() -> None:
    assert len(GOLDENS) == 6


# ---- what does not fit ------------------------------------------------------------------------


def test_every_key_that_does_not_fit_is_named() -> None:
    published, ours = full_pair()
    state = dict(published.state_dict())
    before = {key: value.clone() for key, value in ours.state_dict().items()}
    del state["blocks.1.attention.head_scale"]
    state["blocks.7.something"] = torch.zeros(1)
    state["linear_in.weight"] = torch.zeros(8, 2, 10)
    with pytest.raises(StateDictError) as caught:
        import_multivector_state(ours, state, "lgatr-2.0")
    error = caught.value
    assert error.missing == ["blocks.1.attention.head_scale"]
    assert error.extra == ["blocks.7.something"]
    assert error.misshapen == {"linear_in.weight": ((8, 3, 10), (8, 2, 10))}
    for name in ("head_scale", "blocks.7.something", "linear_in.weight"):
        assert name in str(error)
    assert all(torch.equal(value, before[key]) for key, value in ours.state_dict().items())


def test_unknown_source() -> None:
    _, ours = full_pair()
    with pytest.raises(
        CheckpointError, match=r"'lgatr-0\.1' cannot be read here; known: lgatr-1\.4, lgatr-2\.0"
    ):
        import_multivector_state(ours, {}, "lgatr-0.1")  # type: ignore[arg-type]

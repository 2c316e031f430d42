"""What a state dict does not say is asked for, and `check` runs the published network beside ours."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import lorentzoo as lz
from lorentzoo.core.errors import CheckpointError
from lorentzoo.registry.published import check_published

lloca = pytest.importorskip("lloca")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from lloca.backbone.graphnet import GraphNet
    from lloca.backbone.mlp import MLP
    from lloca.backbone.particlenet import ParticleNet
    from lloca.backbone.particletransformer import ParticleTransformer
    from lloca.backbone.transformer import Transformer
    from lloca.equivectors.mlp import MLPVectors
    from lloca.framesnet import equi_frames

FEW = settings(max_examples=6, deadline=None, derandomize=True)
REPS = {1: ("8x0n+2x1n", "4x0n+3x1n"), 2: ("16x0n+4x1n", "0x0n+8x1n")}


def shake(module: nn.Module, seed: int = 0) -> nn.Module:
    """Draw every parameter and running statistic, so that nothing is hidden by its initial value."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if not tensor.is_floating_point() or "parity_odd" in name:
                continue
            if "running_var" in name:
                tensor.copy_(torch.rand(tensor.shape, generator=rng) + 0.5)
            elif tensor.ndim < 2:
                tensor.add_(0.2 * torch.randn(tensor.shape, generator=rng))
    return module.eval()


def read(made: Any, published: nn.Module, package: str, **further: Any) -> Any:
    """Import with the published network beside ours."""
    return lz.import_weights(made, published.state_dict(), package, check=published, **further)


def refuse(match: str, made: Any, published: nn.Module, package: str, **further: Any) -> None:
    """Imports are refused, and leave the model as it was."""
    before = {key: value.clone() for key, value in made.state_dict().items()}
    spec = made.spec
    with pytest.raises(CheckpointError, match=match):
        lz.import_weights(made, published.state_dict(), package, **further)
    assert made.spec == spec
    assert all(torch.equal(before[key], value) for key, value in made.state_dict().items())


@FEW
@given(
    heads=st.sampled_from([2, 4]),
    reps=st.sampled_from(["8x0n+2x1n", "4x0n+3x1n", "0x0n+2x1n"]),
    blocks=st.integers(1, 3),
    preserve=st.booleans(),
    classes=st.integers(1, 3),
)
def test_transformers(heads: int, reps: str, blocks: int, preserve: bool, classes: int) -> None:
    published = shake(Transformer(7, reps, classes, blocks, heads, preserve_variance=preserve))
    made = lz.create_model(
        "lloca-transformer",
        backbone={"num_blocks": blocks, "num_heads": heads, "head_reps": reps},
        num_classes=classes,
    )
    read(made, published, "lloca-2.0", options={"preserve_variance": preserve})
    assert made.spec.backbone.parameters["preserve_variance"] is preserve
    refuse("differs from the published Transformer", made, published, "lloca-2.0", check=published,
           options={"preserve_variance": not preserve})  # fmt: skip


def test_the_epsilon_of_the_variance_is_that_of_the_package() -> None:
    """A floor of 0.01 GeV moves the output by less than a millionth, one of 30 GeV by much more: both are given."""
    published = shake(Transformer(7, "8x0n+2x1n", 1, 2, 4))
    published.attention.variance_eps = 30.0
    made = lz.create_model("lloca-transformer", backbone={"num_blocks": 2, "num_heads": 4})
    read(made, published, "lloca-2.0", options={"variance_eps": 30.0})
    refuse("differs", made, published, "lloca-2.0", options={}, check=published)


@pytest.mark.parametrize("name", ["lloca-transformer", "lloca-transformer-arch-so3"])
def test_models_with_a_variance_floor_keep_their_symmetry_and_come_back(name: str, tmp_path: Any) -> None:
    published = shake(Transformer(7, "8x0n+2x1n", 1, 2, 4))
    made = lz.create_model(name, backbone={"num_blocks": 2, "num_heads": 4})
    lz.import_weights(made, published.state_dict(), "lloca-2.0", options={})
    data = lz.load_dataset("toptag", split="train")
    made.fit_statistics([data.batch(range(20))])
    lz.save(made, tmp_path / "m")
    cloud = data.batch(range(5)).cloud
    assert torch.equal(lz.load(tmp_path / "m").eval()(cloud), made.eval()(cloud))
    assert lz.verify(made).passed


@FEW
@given(
    preserve=st.booleans(),
    pre_activation=st.booleans(),
    widths=st.lists(st.sampled_from([8, 12]), max_size=2),
    blocks=st.integers(1, 2),
)
def test_particle_transformers(preserve: bool, pre_activation: bool, widths: list[int], blocks: int) -> None:
    published = shake(
        ParticleTransformer(
            7,
            "4x0n+1x1n",
            3,
            num_heads=4,
            num_layers=blocks,
            embed_dims=(16, 32),
            pair_embed_dims=(8, 8),
            fc_params=[(width, 0.1) for width in widths],
            use_pre_activation_pair=pre_activation,
            preserve_variance=preserve,
        )
    )
    made = small_part("lloca-part", blocks, widths)
    options = {"preserve_variance": preserve, "use_pre_activation_pair": pre_activation}
    read(made, published, "lloca-2.0", options=options)
    other = {**options, "use_pre_activation_pair": not pre_activation}
    refuse("differs", made, published, "lloca-2.0", options=other, check=published)


def small_part(name: str, blocks: int, widths: list[int]) -> Any:
    backbone = {"num_heads": 4, "head_reps": "4x0n+1x1n", "num_blocks": blocks, "embed_dims": [16, 32]}
    return lz.create_model(
        name, backbone={**backbone, "pair_dims": [8, 8]}, head={"num_classes": 3, "hidden": widths}
    )


@FEW
@given(pre_activation=st.booleans(), widths=st.lists(st.sampled_from([8, 12]), max_size=2))
def test_particle_transformers_of_weaver(pre_activation: bool, widths: list[int]) -> None:
    weaver = pytest.importorskip("weaver.nn.model.ParticleTransformer")
    published = shake(
        weaver.ParticleTransformer(
            7,
            3,
            num_heads=4,
            num_layers=1,
            embed_dims=(16, 32),
            pair_embed_dims=(8, 8),
            fc_params=[(width, 0.1) for width in widths],
            use_pre_activation_pair=pre_activation,
            trim=False,
        )
    )
    made = small_part("part", 1, widths)
    read(made, published, "weaver-0.5", options={"use_pre_activation_pair": pre_activation})


@FEW
@given(
    neighbours=st.integers(3, 7),
    widths=st.lists(st.sampled_from([16, 24]), min_size=1, max_size=3),
    of_weaver=st.booleans(),
)
def test_particlenets_with_any_number_of_last_layers(
    neighbours: int, widths: list[int], of_weaver: bool
) -> None:
    given_ = {
        "conv_params": [(neighbours, (16, 16)), (neighbours, (24, 24))],
        "fc_params": [(width, 0.1) for width in widths],
        "use_fusion": False,
    }
    if of_weaver:
        weaver = pytest.importorskip("weaver.nn.model.ParticleNet")
        published = weaver.ParticleNet(7, 2, **given_)
    else:
        published = ParticleNet(7, ["7x0n", "8x0n+2x1n"], 2, **given_)
    made = lz.create_model(
        "particlenet" if of_weaver else "lloca-particlenet",
        backbone={
            "neighbours": neighbours,
            "channels": [16, 24],
            "num_layers": 2,
            "hidden_reps": ["16x0n" if of_weaver else "8x0n+2x1n"],
        },
        head={"num_classes": 2, "hidden": widths},
    )
    read(made, shake(published), "weaver-0.5" if of_weaver else "lloca-2.0", options={})


@FEW
@given(aggregate=st.sampled_from(["add", "sum", "mean"]), edges=st.booleans(), layers=st.integers(1, 3))
def test_graphnets(aggregate: str, edges: bool, layers: int) -> None:
    published = shake(
        GraphNet(
            7,
            "8x0n+2x1n",
            2,
            2,
            num_layers_mlp1=layers,
            num_layers_mlp2=0,
            aggr=aggregate,
            num_edge_attr=int(edges),
        )
    )
    made = lz.create_model(
        "lloca-graphnet-edges" if edges else "lloca-graphnet",
        backbone={"num_blocks": 2, "hidden_reps": "8x0n+2x1n", "num_layers": layers},
        num_classes=2,
    )
    read(made, published, "lloca-2.0", options={"aggr": aggregate})
    other = "mean" if aggregate != "mean" else "add"
    refuse("differs", made, published, "lloca-2.0", options={"aggr": other}, check=published)


def test_perceptrons() -> None:
    made = lz.compose(backbone="mlp:num_particles=12,hidden=[16,16],activation=gelu", embedding="kinematics")
    published = shake(MLP([7 * 12], [2], 16, 2))
    read(made, published, "lloca-2.0")


@FEW
@given(
    vectors=st.sampled_from([None, "sigmoid", "relu", "tanh", "silu"]),
    scalars=st.sampled_from(["gelu", "silu"]),
)
def test_lgatr_slim(vectors: str | None, scalars: str) -> None:
    lgatr = pytest.importorskip("lgatr", minversion="2.0")
    published = shake(
        lgatr.LGATrSlim(2, 4, 0, 8, 9, 1, 8, 4, nonlinearity=scalars, nonlinearity_v=vectors)
    ).double()  # fmt: skip
    for parameter in published.parameters():
        nn.init.normal_(parameter, std=0.3)
    made = slim(scalars)
    read(made, published, "lgatr-2.0", options={"nonlinearity_v": vectors})
    refuse("differs", made, published, "lgatr-2.0", options={"nonlinearity_v": "relu" if vectors != "relu" else "tanh"},
           check=published)  # fmt: skip


def slim(activation: str = "gelu") -> Any:
    backbone = {"num_blocks": 2, "hidden_vectors": 8, "hidden_scalars": 8, "num_heads": 4, "mlp_ratio": 2}
    return lz.compose(
        spurions=["beam-lightlike", "time"],
        embedding=["kinematics", "momenta:scale=20"],
        spurion_mode="channels",
        backbone={
            "name": "lgatr-slim",
            **backbone,
            "activation": activation,
            "qkv_bias": False,
            "norm_gains": True,
        },
        head="classify:num_classes=1",
        in_context=2,
    )


@pytest.mark.parametrize("bivectors", [True, False])
def test_lgatr(bivectors: bool) -> None:
    lgatr = pytest.importorskip("lgatr", minversion="2.0")
    published = lgatr.LGATr(
        2,
        1,
        1,
        8,
        3,
        None,
        8,
        attention={"num_heads": 4, "attn_ratio": 2},
        mlp={"mlp_ratio": 2},
        primitives={"bivector": bivectors},
    )
    for parameter in published.parameters():
        nn.init.normal_(parameter, std=0.3)
    made = lz.compose(
        embedding="momenta:scale=20",
        backbone={
            "name": "lgatr",
            "num_blocks": 2,
            "hidden_channels": 8,
            "hidden_scalars": 8,
            "num_heads": 4,
            "attention_ratio": 2,
            "mlp_ratio": 2,
            "qkv_bias": False,
            "norm_gains": True,
            "bivectors": bivectors,
            "head_scale": False,
        },
        head="classify:num_classes=1",
        in_scalars=3,
    )
    read(made, published, "lgatr-2.0")


def test_frames_are_checked() -> None:
    def equivectors(n_vectors: int) -> nn.Module:
        return MLPVectors(n_vectors, num_scalars=2, hidden_channels=128, num_layers_mlp=2)

    published = equi_frames.LearnedPDFrames(equivectors).double()
    data = lz.load_dataset("toptag", split="train").batch(range(6)).cloud.momenta
    published.equivectors.init_standardization(data[:20].unsqueeze(0))
    made = lz.compose(frames="lloca-polar:gamma_max=1e5", backbone="transformer:num_blocks=1", in_scalars=2)
    read(made, published, "lloca-2.0", part="frames")
    other = lz.compose(frames="lloca-polar:is_global=true", backbone="transformer:num_blocks=1", in_scalars=2)
    refuse(
        "differs from the published LearnedPDFrames",
        other,
        published,
        "lloca-2.0",
        part="frames",
        check=published,
    )


def test_options_are_asked_for_and_named() -> None:
    made = lz.create_model("lloca-transformer", backbone={"num_blocks": 1})
    published = Transformer(7, "8x0n+2x1n", 1, 1, 8)
    refuse(
        r"does not say .*options=\{\} stands for the package's defaults: preserve_variance=True, variance_eps=0.01",
        made,
        published,
        "lloca-2.0",
    )
    refuse(
        "'dropout_prob' is not an option that is asked for 'lloca-2.0'; asked for are preserve_variance, variance_eps",
        made,
        published,
        "lloca-2.0",
        options={"dropout_prob": 0.1},
    )
    graph = lz.create_model("lloca-graphnet", backbone={"num_blocks": 1})
    other = GraphNet(7, "64x0n+16x1n", 1, 1, num_layers_mlp1=3, num_layers_mlp2=0, aggr="max")
    refuse("aggr='max' cannot be read; possible: 'add', 'sum', 'mean'", graph, other, "lloca-2.0",
           options={"aggr": "max"})  # fmt: skip


def test_a_head_of_another_depth_says_what_is_missing() -> None:
    published = ParticleTransformer(
        7, "4x0n+1x1n", 3, num_heads=4, num_layers=1, embed_dims=(16, 32), pair_embed_dims=(8, 8),
        fc_params=[(8, 0.1)],
    )  # fmt: skip
    refuse(
        r"head has 1 linear layers, the published network 2 \(fc.0.0, fc.1\); give the head 1 hidden widths",
        small_part("lloca-part", 1, []),
        published,
        "lloca-2.0",
        options={},
    )


def test_networks_that_cannot_be_run_are_named() -> None:
    made = lz.create_model("pelican")
    with pytest.raises(CheckpointError, match="cannot run the published Linear for `check`"):
        check_published(made, nn.Linear(1, 1), "pelican-lite-1.1")

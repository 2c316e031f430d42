"""Later versions of published networks: weights, outputs and gradients of random configurations in float64."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import lorentzoo as lz
from lorentzoo.core.errors import CheckpointError
from lorentzoo.core.minkowski import random_lorentz

lloca = pytest.importorskip("lloca")
weaver = pytest.importorskip("weaver.nn.model.ParticleTransformer")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from lgatr import LGATr, LGATrSlim
    from lloca.backbone.particletransformer import ParticleTransformer
    from lloca.backbone.transformer_v2 import Transformer as SecondTransformer
    from lloca.equivectors.lgatr import LGATrSlimVectors, LGATrVectors
    from lloca.framesnet import equi_frames
    from lloca.framesnet.frames import Frames as PublishedFrames

FEW = settings(max_examples=8, deadline=None, derandomize=True)
B, N = 2, 9
WIDTH, HEADS, REPS = 32, 4, "4x0n+1x1n"
OURS = {"num_heads": HEADS, "head_reps": REPS, "embed_dims": [16, WIDTH], "pair_dims": [8, 8], "dropout": 0.0}
VERSIONS = {1: "part", 2: "part-v2", 3: "part-v3", 3.5: "part-v3-5", 3.6: "part-v3-6"}


def shake(module: nn.Module, seed: int = 0) -> Any:
    """Draw gains, biases and running statistics, so that nothing is hidden by its initial value."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if not tensor.is_floating_point() or "parity_odd" in name:
                continue
            if "running_var" in name:
                tensor.copy_(torch.rand(tensor.shape, generator=rng) + 0.5)
            elif tensor.ndim < 2:
                tensor.add_(0.2 * torch.randn(tensor.shape, generator=rng))
    return module.double().eval()


def jets() -> Tensor:
    """Collimated massive particles, (B, N, 4)."""
    axis = torch.tensor([300.0, 120.0, 90.0], dtype=torch.float64)
    three = axis * torch.rand(B, N, 1, dtype=torch.float64) / N + 3.0 * torch.randn(
        B, N, 3, dtype=torch.float64
    )
    return torch.cat([(three.square().sum(-1, keepdim=True) + 0.14**2).sqrt(), three], dim=-1)


def agree(
    made: Any, published: nn.Module, framed: bool, *, reads_momenta: bool, totals: bool = False
) -> None:
    """Outputs, and gradients with respect to the scalars, are equal to 1e-10."""
    torch.manual_seed(3)
    made = made.double().eval()
    for module in made.modules():
        if "fitted" in module._buffers:
            module.fitted.fill_(True)
    momenta = jets()
    cloud = lz.ParticleCloud.from_padded(momenta, torch.ones(B, N, dtype=torch.bool))
    matrices = random_lorentz(B, N, max_rapidity=1.5).double()
    frames = lz.Frames.identity(cloud.layout)
    if framed:
        frames = lz.Frames.of_particles(cloud.layout, matrices)
        object.__setattr__(frames, "totals", cloud.total())
    local = frames.take_vectors(momenta.unsqueeze(-2))
    scalars = torch.randn(B, N, 7, dtype=torch.float64, requires_grad=True)
    features = lz.Features(
        scalars,
        local if reads_momenta else local[..., :0, :],
        tuple("abcdefg"),
        ("momentum",) if reads_momenta else (),
    )
    ours = made.head(made.backbone(features, frames, cloud.layout, cloud.context), cloud)
    further = [PublishedFrames(matrices)] if framed else []
    extra = {"p_ref": cloud.total()} if totals else {}
    if reads_momenta:
        v = local.squeeze(-2)[..., [1, 2, 3, 0]].transpose(1, 2)
        theirs = published(scalars.transpose(1, 2), *further, v=v, mask=torch.ones(B, 1, N), **extra)
    else:
        theirs = published(scalars, *further, **extra).mean(1)
    assert float((ours - theirs).detach().abs().max() / theirs.detach().abs().max()) < 1e-10
    (a,) = torch.autograd.grad(ours.square().sum(), scalars)
    (b,) = torch.autograd.grad(theirs.square().sum(), scalars)
    assert float((a - b).abs().max() / b.abs().max()) < 1e-10


def small(name: str, **further: Any) -> Any:
    return lz.create_model(name, backbone={**OURS, **further}, head={"num_classes": 3})


SHAPES: dict[str, Any] = {
    "num_heads": HEADS,
    "embed_dims": (16, WIDTH),
    "pair_embed_dims": (8, 8),
    "trim": False,
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("pre_activation", [True, False])
def test_versions_of_weaver(version: float, pre_activation: bool) -> None:
    published = shake(
        weaver.ParticleTransformer(
            7, 3, num_layers=2, version=version, use_pre_activation_pair=pre_activation, **SHAPES
        )
    )
    made = small(VERSIONS[version], num_blocks=2)
    assert made.num_parameters == sum(parameter.numel() for parameter in published.parameters())
    options = {"use_pre_activation_pair": pre_activation}
    lz.import_weights(made, published.state_dict(), "weaver-0.5", options=options, check=published)
    agree(made, published, False, reads_momenta=True)


@pytest.mark.parametrize("version", [2, 3, 3.5])
@pytest.mark.parametrize("preserve", [True, False])
def test_versions_in_frames(version: float, preserve: bool) -> None:
    published = shake(
        ParticleTransformer(7, REPS, 3, num_layers=2, version=version, preserve_variance=preserve, **SHAPES)
    )
    made = small(f"lloca-{VERSIONS[version]}", num_blocks=2)
    lz.import_weights(made, published.state_dict(), "lloca-2.0", options={"preserve_variance": preserve})
    agree(made, published, True, reads_momenta=True, totals=preserve)


SCALES = {"heads": "scale_heads", "attention": "scale_attn", "mlp": "scale_fc", "residual": "scale_resids"}
BLOCKS = st.fixed_dictionaries(
    {
        "scales": st.lists(st.sampled_from([*SCALES]), unique=True),
        "norm": st.sampled_from(["layer", "rms"]),
        "bias": st.booleans(),
        "swiglu": st.booleans(),
        "query_norm": st.booleans(),
        "attention_gate": st.sampled_from(["none", "heads", "channels"]),
        "layer_scale": st.sampled_from([0.0, 0.5]),
        "bias_scale": st.booleans(),
    }
)


def as_published(block: dict[str, Any]) -> dict[str, Any]:
    """Our options of blocks under the published names."""
    return {
        **{theirs: ours in block["scales"] for ours, theirs in SCALES.items()},
        "use_bias": block["bias"],
        "activation": "swiglu" if block["swiglu"] else "gelu",
        "use_qk_norm": block["query_norm"],
        "headwise_attn_output_gate": block["attention_gate"] == "heads",
        "elementwise_attn_output_gate": block["attention_gate"] == "channels",
        "layer_scale_init_values": block["layer_scale"] or None,
        "scale_attn_mask": block["bias_scale"],
    }


PAIRS: dict[tuple[str, int], list[str]] = {
    ("pp", 3): ["kt", "z", "delta"],
    ("pp", 4): ["kt", "z", "delta", "mass"],
    ("pp", 5): ["interval", "kt", "z", "delta", "mass"],
    ("ee", 1): ["mass"],
    ("ee", 3): ["cosine", "mass", "sine"],
    ("ee", 5): ["mass", "cosine", "sine", "kt-angle", "z-momentum"],
    ("ee", 6): ["jade", "mass", "cosine", "sine", "kt-angle", "z-momentum"],
}


@FEW
@given(
    block=BLOCKS,
    classes=st.integers(0, 2),
    pairs=st.sampled_from([*PAIRS]),
    self_pairs=st.booleans(),
    framed=st.booleans(),
)
def test_blocks_of_any_options(
    block: dict[str, Any], classes: int, pairs: tuple[str, int], self_pairs: bool, framed: bool
) -> None:
    kind, number = pairs
    if framed and pairs == ("pp", 3):  # lloca cannot make it
        kind, number = "pp", 4
    chosen = PAIRS[kind, number]
    # Which norms and biases pairs and the end have is a matter of the version in the published constructor.
    version = 3 if block["norm"] == "rms" else 1
    block = {**block, "bias": block["norm"] == "layer"}
    given_ = {
        "num_layers": 2,
        "num_cls_layers": classes,
        "pair_input_type": kind,
        "pair_input_dim": number,
        "remove_self_pair": not self_pairs,
        "version": version,
        "block_params": as_published(block),
        "cls_block_params": {**as_published(block), "scale_attn_mask": False},
        **SHAPES,
    }
    if framed:
        published = ParticleTransformer(7, REPS, 3, preserve_variance=False, **given_)
    else:
        published = weaver.ParticleTransformer(7, 3, **given_)
    made = small(
        "lloca-part" if framed else "part",
        num_blocks=2,
        num_class_blocks=classes,
        pair_features=chosen,
        self_pairs=self_pairs,
        **block,
    )
    options = {"remove_self_pair": not self_pairs} | ({"preserve_variance": False} if framed else {})
    package = "lloca-2.0" if framed else "weaver-0.5"
    lz.import_weights(made, shake(published).state_dict(), package, options=options)
    agree(made, published, framed, reads_momenta=True)


@FEW
@given(
    heads=st.sampled_from([2, 4]),
    reps=st.sampled_from(["8x0n+2x1n", "4x0n+3x1n", "0x0n+2x1n"]),
    ratio=st.sampled_from([1, 2]),
    mlp=st.integers(1, 3),
    gains=st.booleans(),
    preserve=st.booleans(),
)
def test_second_transformers(
    heads: int, reps: str, ratio: int, mlp: int, gains: bool, preserve: bool
) -> None:
    published = shake(
        SecondTransformer(
            7,
            reps,
            3,
            2,
            heads,
            attention_factor=ratio,
            mlp_factor=mlp,
            elementwise_affine=gains,
            preserve_variance=preserve,
        )
    )
    made = lz.create_model(
        "lloca-transformer-v2",
        backbone={
            "num_blocks": 2,
            "num_heads": heads,
            "head_reps": reps,
            "attention_ratio": ratio,
            "mlp_ratio": mlp,
            "norm_gains": gains,
        },
        num_classes=3,
    )
    own = sum(parameter.numel() for parameter in (*made.backbone.parameters(), *made.head.parameters()))
    assert own == sum(parameter.numel() for parameter in published.parameters())
    options = {"preserve_variance": preserve}
    lz.import_weights(made, published.state_dict(), "lloca-2.0", options=options, check=published)
    agree(made, published, True, reads_momenta=False, totals=preserve)


@pytest.mark.parametrize("kind", ["lgatr-slim", "lgatr"])
@pytest.mark.parametrize("name", ["lloca-polar", "lloca-gramschmidt"])
def test_frames_of_small_networks(kind: str, name: str) -> None:
    hidden: dict[str, Any] = {"num_blocks": 1, "num_heads": 1}
    if kind == "lgatr":

        def equivectors(n_vectors: int) -> nn.Module:
            def net(**widths: int) -> nn.Module:
                return LGATr(
                    in_mv_channels=1, hidden_mv_channels=2, hidden_s_channels=24,
                    attention={"num_heads": 1, "attn_ratio": 1}, mlp={"mlp_ratio": 4}, num_blocks=1, **widths,
                )  # fmt: skip

            return LGATrVectors(n_vectors, 2, 2, 24, net)

        slot: Any = {
            "name": "lgatr", "hidden_channels": 2, "hidden_scalars": 24, "attention_ratio": 1, "mlp_ratio": 4,
            "head_scale": False, "qkv_bias": False, "norm_gains": True, **hidden,
        }  # fmt: skip
    else:

        def equivectors(n_vectors: int) -> nn.Module:
            def net(**widths: int) -> nn.Module:
                return LGATrSlim(
                    in_v_channels=1,
                    hidden_v_channels=6,
                    hidden_s_channels=24,
                    mlp_ratio=4,
                    **hidden,
                    **widths,
                )

            return LGATrSlimVectors(n_vectors, 2, 6, 24, net)

        slot = "lgatr-slim"
    cls = equi_frames.LearnedPDFrames if name == "lloca-polar" else equi_frames.LearnedSO13Frames
    published = cls(equivectors).double()
    for parameter in published.parameters():
        nn.init.normal_(parameter, std=0.3)
    made = lz.compose(
        frames={"name": name, "equivectors": slot, "gamma_max": 1e5},
        backbone="transformer:num_blocks=1",
        in_scalars=2,
    )
    lz.import_weights(made, published.state_dict(), "lloca-2.0", part="frames", check=published)
    assert lz.verify(made).passed


def test_what_no_package_has_is_said() -> None:
    made = small("part", pair_features=["mass", "jade"])
    with pytest.raises(CheckpointError, match=r"no network with the pair_features \['mass', 'jade'\]"):
        lz.import_weights(made, {"cls_token": torch.zeros(1, 1, WIDTH)}, "weaver-0.5", options={})
    with pytest.raises(CheckpointError, match="first version of the Particle Transformer is known here"):
        lz.import_weights(small("part-v2"), {"cls_token": torch.zeros(1, 1, WIDTH)}, "weaver-0.4", options={})
    other = lz.compose(
        frames={"equivectors": "lorentznet:num_blocks=1", "name": "lloca-polar"},
        backbone="transformer:num_blocks=1",
    )
    with pytest.raises(CheckpointError, match="an L-GATr or an L-GATr-slim, not a LorentzNet"):
        lz.import_weights(other, {"net.linear_in.weight": torch.zeros(1)}, "lloca-2.0", part="frames")


def test_small_taggers_have_the_parameters_of_the_published_networks() -> None:
    """The sizes of arXiv:2512.17011: transformer, Particle Transformer and frames-net, made with lloca 2.0."""
    from lloca.backbone.transformer import Transformer
    from lloca.equivectors.mlp import MLPVectors

    def count(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    shapes = {
        "1k": (("4x0n+1x1n", 1, 2, 1), ((8, 16, 8), (4, 4, 4), 1, 1, 2), 4),
        "10k": (("4x0n+1x1n", 2, 4, 2), ((32, 32, 32), (8, 8, 8), 4, 1, 1), 8),
        "100k": (("12x0n+1x1n", 4, 4, 2), ((64, 64, 64), (16, 16, 16), 4, 3, 1), 16),
    }
    for size, (
        (reps, blocks, heads, ratio),
        (embed, pair, part_heads, layers, classes),
        hidden,
    ) in shapes.items():
        transformer = Transformer(7, reps, 1, blocks, heads, mlp_factor=ratio)
        frames = MLPVectors(3, num_scalars=7, hidden_channels=hidden, num_layers_mlp=2)
        part = ParticleTransformer(
            7, reps, 1, embed_dims=embed, pair_embed_dims=pair, num_heads=part_heads, num_layers=layers,
            num_cls_layers=classes,
        )  # fmt: skip
        found = {
            name: lz.create_model(f"{name}-{size}").num_parameters
            for name in ("transformer", "lloca-transformer", "part")
        }
        assert found["transformer"] == count(transformer)
        assert found["lloca-transformer"] == count(transformer) + count(frames)
        assert found["part"] == count(part)

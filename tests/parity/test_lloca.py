"""Imported weights of the installed ``lloca`` and ``weaver-core`` give their numbers."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor

import lorentzoo as lz
from lorentzoo.core.minkowski import random_lorentz

lloca = pytest.importorskip("lloca")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from lloca.backbone.graphnet import GraphNet
    from lloca.backbone.particlenet import ParticleNet
    from lloca.backbone.particletransformer import ParticleTransformer
    from lloca.backbone.transformer import Transformer
    from lloca.equivectors.mlp import MLPVectors
    from lloca.framesnet import equi_frames
    from lloca.framesnet.frames import Frames as PublishedFrames

B, N = 3, 21


@pytest.fixture(autouse=True)
def _float64():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(7)
    yield
    torch.set_default_dtype(before)


def jets(mass: float = 0.14) -> Tensor:
    """Collimated massive particles, (B, N, 4)."""
    axis = torch.tensor([300.0, 120.0, 90.0])
    p3 = axis * torch.rand(B, N, 1) / N + 3.0 * torch.randn(B, N, 3)
    return torch.cat([(p3.square().sum(-1, keepdim=True) + mass**2).sqrt(), p3], dim=-1)


def relative(a: Tensor, b: Tensor) -> float:
    return float((a.detach() - b.detach()).abs().max() / b.detach().abs().max())


def shake(module: torch.nn.Module) -> None:
    """Draw every parameter and running statistic, so that nothing is hidden by its initial value."""
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if not tensor.is_floating_point() or "parity_odd" in name:
                continue
            if "running_var" in name:
                tensor.uniform_(0.5, 1.5)
            elif tensor.ndim < 2:
                tensor.add_(0.2 * torch.randn_like(tensor))


def setting(vectors: bool = False):
    """A cloud, local frames, features and the same for the published packages."""
    momenta = jets()
    matrices = random_lorentz(B, N, max_rapidity=1.5)
    cloud = lz.ParticleCloud.from_padded(momenta, torch.ones(B, N, dtype=torch.bool))
    frames = lz.Frames.of_particles(cloud.layout, matrices)
    scalars = torch.randn(B, N, 7)
    names = ("log_pt", "log_e", "log_pt_rel", "log_e_rel", "dphi", "deta", "delta_r")
    local = frames.take_vectors(momenta.unsqueeze(-2))
    if not vectors:
        local = local[..., :0, :]
    return cloud, frames, lz.Features(scalars, local, names, ("momentum",) if vectors else ()), matrices


def model(name: str, **backbone) -> lz.Model:
    made = lz.create_model(name, backbone=backbone).double().eval()
    for module in made.frames_net.modules():
        if "fitted" in module._buffers:
            module.fitted.fill_(True)
    return made


def run(made: lz.Model, cloud, features, frames) -> Tensor:
    out = made.backbone(features, frames, cloud.layout, cloud.context)
    return made.head(out, cloud)


def check_gradients(ours: Tensor, theirs: Tensor, x: Tensor) -> None:
    (a,) = torch.autograd.grad(ours.sum(), x, retain_graph=True)
    (b,) = torch.autograd.grad(theirs.sum(), x, retain_graph=True)
    assert relative(a, b) < 1e-10


@pytest.mark.parametrize(
    ("heads", "reps", "blocks"), [(8, "8x0n+2x1n", 3), (4, "4x0n+3x1n", 2), (2, "0x0n+2x1n", 1)]
)
def test_transformer(heads, reps, blocks):
    published = Transformer(7, reps, 1, blocks, heads, preserve_variance=False).double().eval()
    shake(published)
    made = model("lloca-transformer", num_blocks=blocks, num_heads=heads, head_reps=reps)
    lz.import_weights(made, published.state_dict(), "lloca-2.0", options={"preserve_variance": False})
    cloud, frames, features, matrices = setting()
    features.scalars.requires_grad_()
    theirs = published(features.scalars, PublishedFrames(matrices)).mean(1)
    ours = run(made, cloud, features, frames)
    assert relative(ours, theirs) < 1e-10
    check_gradients(ours, theirs, features.scalars)


def test_transformer_in_identity_frames():
    published = Transformer(7, "8x0n+2x1n", 1, 2, 8, preserve_variance=False).double().eval()
    made = model("transformer", num_blocks=2)
    lz.import_weights(made, published.state_dict(), "lloca-2.0", options={"preserve_variance": False})
    cloud, _, features, _ = setting()
    theirs = published(
        features.scalars, PublishedFrames(is_identity=True, shape=(B, N), device="cpu", dtype=torch.float64)
    ).mean(1)
    assert relative(run(made, cloud, features, lz.Frames.identity(cloud.layout)), theirs) < 1e-10


def graph(mask_self: bool = True) -> Tensor:
    rows = [
        (b * N + i, b * N + j)
        for b in range(B)
        for i in range(N)
        for j in range(N)
        if i != j or not mask_self
    ]
    return torch.tensor(rows).T


@pytest.mark.parametrize("edges", [False, True])
def test_graphnet(edges):
    published = (
        GraphNet(7, "64x0n+16x1n", 1, 2, num_layers_mlp1=3, num_layers_mlp2=0, num_edge_attr=int(edges))
        .double()
        .eval()
    )
    shake(published)
    name = "lloca-graphnet-edges" if edges else "lloca-graphnet"
    made = model(name, num_blocks=2)
    lz.import_weights(made, published.state_dict(), "lloca-2.0", options={})
    cloud, frames, features, matrices = setting(vectors=edges)
    index = graph()
    attributes = None
    if edges:
        made.backbone.edge_mean.fill_(3.0)
        made.backbone.edge_std.fill_(2.0)
        made.backbone.mark_fitted()
        p = cloud.momenta.reshape(-1, 4)
        pair = p[index[0]] + p[index[1]]
        square = pair[:, 0] ** 2 - pair[:, 1:].square().sum(-1)
        attributes = ((square.clamp(min=1e-10).log() - 3.0) / 2.0).unsqueeze(-1)
    features.scalars.requires_grad_()
    theirs = published(
        features.scalars.reshape(-1, 7),
        PublishedFrames(matrices.reshape(-1, 4, 4)),
        index,
        edge_attr=attributes,
    )
    theirs = theirs.reshape(B, N, 1).mean(1)
    ours = run(made, cloud, features, frames)
    assert relative(ours, theirs) < 1e-10
    check_gradients(ours, theirs, features.scalars)


def test_particlenet():
    published = (
        ParticleNet(
            7,
            ["7x0n", "32x0n+8x1n", "64x0n+16x1n"],
            1,
            conv_params=[(16, (64,) * 3), (16, (128,) * 3), (16, (256,) * 3)],
            fc_params=[(256, 0.1)],
            use_fusion=False,
        )
        .double()
        .eval()
    )
    shake(published)
    made = model("lloca-particlenet")
    lz.import_weights(made, published.state_dict(), "lloca-2.0", options={})
    cloud, frames, features, matrices = setting()
    x = features.scalars.detach()
    theirs = published(
        x[..., [5, 4]].transpose(1, 2), x.transpose(1, 2), PublishedFrames(matrices.flatten(0, 1))
    )
    assert relative(run(made, cloud, features, frames), theirs) < 1e-10


def test_particle_transformer():
    published = (
        ParticleTransformer(
            7,
            "8x0n+2x1n",
            1,
            pair_input_dim=4,
            num_layers=2,
            use_pre_activation_pair=False,
            preserve_variance=False,
        )
        .double()
        .eval()
    )
    shake(published)
    made = model("lloca-part", num_blocks=2)
    lz.import_weights(
        made,
        published.state_dict(),
        "lloca-2.0",
        options={"preserve_variance": False, "use_pre_activation_pair": False},
    )
    cloud, frames, features, matrices = setting(vectors=True)
    local = features.vectors.squeeze(-2)
    theirs = published(
        features.scalars.transpose(1, 2),
        PublishedFrames(matrices),
        v=local[..., [1, 2, 3, 0]].transpose(1, 2),
        mask=torch.ones(B, 1, N),
    )
    assert relative(run(made, cloud, features, frames), theirs) < 1e-10


def test_weaver_networks():
    weaver = pytest.importorskip("weaver.nn.model.ParticleTransformer")
    from weaver.nn.model.ParticleNet import ParticleNet as WeaverParticleNet

    cloud, _, features, _ = setting(vectors=True)
    identity = lz.Frames.identity(cloud.layout)
    published = (
        weaver.ParticleTransformer(
            7, 1, pair_input_dim=4, num_layers=2, use_pre_activation_pair=False, trim=False
        )
        .double()
        .eval()
    )
    shake(published)
    made = model("part", num_blocks=2)
    lz.import_weights(made, published.state_dict(), "weaver-0.5", options={"use_pre_activation_pair": False})
    p = cloud.momenta
    theirs = published(
        features.scalars.transpose(1, 2), v=p[..., [1, 2, 3, 0]].transpose(1, 2), mask=torch.ones(B, 1, N)
    )
    lab = lz.Features(features.scalars, p.unsqueeze(-2), features.scalar_names, ("momentum",))
    assert relative(run(made, cloud, lab, identity), theirs) < 1e-10

    published = (
        WeaverParticleNet(
            7,
            1,
            conv_params=[(16, (64,) * 3), (16, (128,) * 3), (16, (256,) * 3)],
            fc_params=[(256, 0.1)],
            use_fusion=False,
        )
        .double()
        .eval()
    )
    shake(published)
    made = model("particlenet")
    lz.import_weights(made, published.state_dict(), "weaver-0.5", options={})
    x = features.scalars
    theirs = published(x[..., [5, 4]].transpose(1, 2), x.transpose(1, 2))
    assert relative(run(made, cloud, features, identity), theirs) < 1e-10


@pytest.mark.parametrize(
    ("ours", "theirs", "vectors", "options"),
    [
        ("lloca-polar", "LearnedPDFrames", 3, {}),
        ("lloca-gramschmidt", "LearnedSO13Frames", 3, {}),
        ("lloca-so3", "LearnedSO3Frames", 2, {}),
        ("lloca-so2", "LearnedSO2Frames", 1, {"axes": "published"}),
        ("lloca-beam", "LearnedZFrames", 2, {"axes": "published"}),
        ("lloca-polar", "LearnedPDFrames", 3, {"is_global": True}),
    ],
)
def test_frames(ours, theirs, vectors, options):
    """Frames end to end, from the published weights and edge statistics."""

    def equivectors(n_vectors):
        return MLPVectors(n_vectors, num_scalars=2, hidden_channels=128, num_layers_mlp=2)

    published = getattr(equi_frames, theirs)(equivectors, is_global=options.get("is_global", False)).double()
    momenta = jets()
    scalars = torch.randn(B, N, 2)
    published.equivectors.init_standardization(momenta)
    expected = published(momenta, scalars=scalars).matrices
    made = lz.compose(
        frames={"name": ours, "gamma_max": 1e5, **options}, backbone="transformer:num_blocks=1", in_scalars=2
    ).double()
    lz.import_weights(made, published.state_dict(), "lloca-2.0", part="frames")
    cloud = lz.ParticleCloud.from_padded(momenta, torch.ones(B, N, dtype=torch.bool), scalars=scalars)
    matrices = made.frames_net(cloud).per_particle()
    # The published edge statistics are float32 numbers' worth of digits only where they were stored so.
    assert relative(matrices, expected.reshape(B, N, 4, 4)) < 1e-8


def test_a_state_that_does_not_fit_names_every_key():
    made = model("transformer", num_blocks=2)
    state = Transformer(7, "8x0n+2x1n", 1, 3, 8).state_dict()
    state.pop("linear_in.bias")
    state["linear_out.weight"] = torch.zeros(5, 128)
    before = {k: v.clone() for k, v in made.state_dict().items()}
    with pytest.raises(lz.core.foreign.StateDictError) as caught:
        lz.import_weights(made, state, "lloca-2.0", options={})
    message = str(caught.value)
    assert "missing: linear_in.bias" in message
    assert "extra: blocks.2.mlp.0.bias" in message
    assert "misshapen: linear_out.weight is (5, 128), needed (1, 128)" in message
    assert all(torch.equal(before[k], v) for k, v in made.state_dict().items())


def test_an_unknown_package_is_refused():
    made = model("transformer", num_blocks=1)
    with pytest.raises(lz.core.errors.CheckpointError, match=r"'lloca-9\.9'.*known: lloca-1\.3, lloca-2\.0"):
        lz.import_weights(made, {"linear_in.weight": torch.zeros(1)}, "lloca-9.9")

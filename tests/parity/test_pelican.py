"""Imported weights of the installed ``pelican-lite`` give its numbers and gradients."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import lorentzoo as lz
from lorentzoo.core.errors import CheckpointError
from lorentzoo.testing import random_cloud

pelican = pytest.importorskip("pelican")
from pelican.nets import PELICAN  # noqa: E402
from pelican.utils import get_edge_attr, get_edge_index_from_ptr  # noqa: E402

NAMES = {
    "num_blocks": "num_blocks",
    "hidden_channels": "hidden_channels",
    "message_ratio": "increase_hidden_channels",
    "factorised": "factorize",
    "multipliers": "map_multipliers",
    "aggregate": "aggr",
}


@pytest.fixture(autouse=True)
def _float64():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(3)
    yield
    torch.set_default_dtype(before)


def shake(module: torch.nn.Module) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter) / max(parameter.ndim, 1))


def heavy(cloud: lz.ParticleCloud) -> lz.ParticleCloud:
    """With 4 GeV a particle: of nearly massless ones the last digits of m² are rounding in both networks."""
    p = cloud.momenta[:, 1:]
    return replace(cloud, momenta=torch.cat([(p.square().sum(-1, keepdim=True) + 16).sqrt(), p], dim=-1))


def pair(scalars: int, rank: int, outputs: int = 3, **options) -> tuple[PELICAN, lz.Model, lz.ParticleCloud]:
    """The published network and ours with its weights, and events in GeV."""
    given = {"num_blocks": 2, "hidden_channels": 11, "message_ratio": 0.59, **options}
    published = PELICAN(
        in_channels_rank2=1,
        in_channels_rank1=scalars,
        in_channels_rank0=0,
        out_rank=rank,
        out_channels=outputs,
        activation=given.get("activation", "gelu").replace("-", "_"),
        **{NAMES[name]: value for name, value in {"factorised": True, **given}.items() if name in NAMES},
    )
    shake(published)
    made = lz.compose(
        backbone={"name": "pelican", "pool_rows": rank == 0, **given},
        embedding="momenta:scale=20",
        head={"name": "classify", "num_classes": outputs},
        in_scalars=scalars,
        anchor="none",
    ).eval()
    lz.import_weights(made, published.state_dict(), "pelican-lite-1.1")
    cloud = heavy(random_cloud([5, 21, 2, 9], in_scalars=scalars, seed=4))
    made.backbone.edge_mean.fill_(1.3)
    made.backbone.edge_std.fill_(2.1)
    made.backbone.fitted.fill_(True)
    return published, made, cloud


def theirs(published: PELICAN, cloud: lz.ParticleCloud, momenta: Tensor, scalars: Tensor) -> Tensor:
    layout = cloud.layout
    index = get_edge_index_from_ptr(layout.ptr, momenta.shape, remove_self_loops=False)
    edges = (get_edge_attr(momenta / 20, index) - 1.3) / 2.1
    return published(
        edge_index=index,
        batch=layout.event,
        in_rank2=edges.unsqueeze(-1),
        in_rank1=scalars if scalars.shape[-1] else None,
        num_graphs=layout.num_events,
    )


@pytest.mark.parametrize(
    ("scalars", "rank", "options"),
    [
        (0, 0, {}),
        (4, 0, {}),
        (4, 0, {"factorised": False, "activation": "leaky-relu"}),
        (3, 0, {"multipliers": False, "activation": "silu"}),
        (3, 0, {"aggregate": "sum", "num_blocks": 1}),
        (4, 1, {}),
        (0, 1, {"factorised": False, "activation": "tanh"}),
    ],
)
def test_outputs_and_gradients(scalars: int, rank: int, options: dict) -> None:
    published, made, cloud = pair(scalars, rank, **options)
    given = [cloud.momenta.clone().requires_grad_(), cloud.scalars.double().clone().requires_grad_()]
    expected = theirs(published, cloud, *given)
    if rank == 1:
        expected = cloud.layout.pool(expected, "mean")
    found = made(replace(cloud, momenta=given[0], scalars=given[1]))
    assert (found - expected).abs().max() <= 1e-10 * expected.abs().max()
    mixed = torch.randn_like(expected)
    wanted = torch.autograd.grad((expected * mixed).sum(), given, allow_unused=True, retain_graph=True)
    ours = torch.autograd.grad((found * mixed).sum(), given, allow_unused=True, retain_graph=True)
    for a, b in zip(ours, wanted, strict=True):
        if b is not None and b.numel():
            assert (a - b).abs().max() <= 1e-10 * b.abs().max()
    # Of the weights too: a wrong order of maps that a symmetric input hides shows there.
    weights = torch.autograd.grad((expected * mixed).sum(), list(published.parameters()))
    state = {name: g for (name, _), g in zip(published.named_parameters(), weights, strict=True)}
    holder = lz.compose(
        backbone={
            "name": "pelican",
            "pool_rows": rank == 0,
            "num_blocks": 2,
            "hidden_channels": 11,
            **options,
        },
        embedding="momenta:scale=20",
        head={"name": "classify", "num_classes": 3},
        in_scalars=scalars,
    )
    lz.import_weights(holder, state, "pelican-lite-1.1")
    gradients = torch.autograd.grad((found * mixed).sum(), list(made.backbone.parameters()))
    for (name, b), a in zip(holder.backbone.named_parameters(), gradients, strict=True):
        assert (a - b).abs().max() <= 1e-9 * max(b.abs().max(), 1e-3), name


def test_edge_statistics_come_along_where_they_are_stored() -> None:
    published, made, _ = pair(0, 0)
    state = {
        **published.state_dict(),
        "edge_mean": torch.tensor(0.5),
        "edge_std": torch.tensor(1.5),
        "edge_inited": torch.tensor(True),
    }
    made.backbone.fitted.fill_(False)
    lz.import_weights(made, state, "pelican-lite-1.1")
    assert made.backbone.edge_mean.tolist() == [0.5]
    assert made.backbone.edge_std.tolist() == [1.5]
    assert made.backbone.fitted


def test_an_unknown_version_and_a_network_of_another_size_are_refused() -> None:
    published, made, _ = pair(0, 0)
    with pytest.raises(CheckpointError, match=r"'pelican-9'.*known: pelican-lite-1\.1"):
        lz.import_weights(made, published.state_dict(), "pelican-9")
    state = published.state_dict()
    state["blocks.2.mlp.0.bias"] = state.pop("blocks.1.mlp.0.bias")
    with pytest.raises(CheckpointError, match=r"missing: blocks\.1\.mlp\.0\.bias\n  extra: blocks\.2"):
        lz.import_weights(made, state, "pelican-lite-1.1")


def published_vectors(num_vectors: int, scalars: int):
    lloca = pytest.importorskip("lloca.equivectors.pelican")

    def network(in_channels_rank1: int, out_channels: int) -> PELICAN:
        return PELICAN(
            in_channels_rank2=1,
            in_channels_rank1=in_channels_rank1,
            in_channels_rank0=0,
            out_rank=2,
            out_channels=out_channels,
            num_blocks=1,
            hidden_channels=32,
            increase_hidden_channels=0.5,
        )

    made = lloca.PELICANVectors(num_vectors, scalars, network, fm_norm=True, layer_norm=True)
    shake(made)
    return made


@pytest.mark.parametrize(("scalars", "lengths"), [(0, [5, 12, 7]), (3, [14])])
def test_vectors_of_the_frames_net(scalars: int, lengths: list[int]) -> None:
    """With scalars one event only: the published network gives all others the scalars of the first."""
    published = published_vectors(3, scalars)
    cloud = heavy(random_cloud(lengths, in_scalars=scalars, seed=2))
    layout, values = cloud.layout, cloud.scalars.double()
    momenta = cloud.momenta.clone().requires_grad_()
    published.init_standardization(cloud.momenta, ptr=layout.ptr)
    expected = published(momenta, scalars=values, ptr=layout.ptr, num_graphs=len(lengths))
    made = lz.compose(
        frames={"name": "lloca-polar", "equivectors": "pelican"},
        backbone="transformer:num_blocks=1",
        in_scalars=scalars,
    )
    lz.import_weights(made, published.state_dict(), "lloca-2.0", part="frames")
    vectors = made.frames_net.equivectors
    ones = torch.ones(layout.num_rows)
    found = vectors(momenta, values, ones, ones, layout)
    assert (found - expected).abs().max() <= 1e-10 * expected.abs().max()
    mixed = torch.randn_like(expected)
    gradients = [torch.autograd.grad((v * mixed).sum(), momenta)[0] for v in (found, expected)]
    assert (gradients[0] - gradients[1]).abs().max() <= 1e-9 * gradients[1].abs().max()


def test_frames_end_to_end() -> None:
    equi_frames = pytest.importorskip("lloca.framesnet.equi_frames")
    published = equi_frames.LearnedPDFrames(lambda n_vectors: published_vectors(n_vectors, 0))
    cloud = heavy(random_cloud([9, 6], seed=5))
    published.equivectors.init_standardization(cloud.momenta, ptr=cloud.layout.ptr)
    expected = published(cloud.momenta, ptr=cloud.layout.ptr, num_graphs=2).matrices
    made = lz.compose(
        frames={"name": "lloca-polar", "equivectors": "pelican", "gamma_max": 1e5},
        backbone="transformer:num_blocks=1",
    )
    lz.import_weights(made, published.state_dict(), "lloca-2.0", part="frames")
    found = made.frames_net(cloud).per_particle()
    assert (found - expected).abs().max() <= 1e-8 * expected.abs().max()


def test_weights_of_another_frames_net_are_refused() -> None:
    made = lz.compose(frames="lloca-polar:equivectors=pelican", backbone="transformer:num_blocks=1")
    state = published_vectors(3, 0).state_dict()
    state["net.blocks.0.mlp.0.weights"] = state.pop("net.blocks.0.mlp.0.weight")
    with pytest.raises(
        CheckpointError, match=r"missing: net\.blocks\.0\.mlp\.0\.weight\n  extra: net\.blocks"
    ):
        lz.import_weights(made, state, "lloca-2.0", part="frames")

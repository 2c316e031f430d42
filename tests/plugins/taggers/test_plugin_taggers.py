"""The first taggers against plain layers with the published names of weights."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError
from lorentzoo.core.foreign import StateDictError
from lorentzoo.core.minkowski import random_lorentz
from lorentzoo.testing import random_cloud
from lorentzoo.verification import fit_if_needed

FLAGS = ("charge", "is_charged_hadron", "is_neutral_hadron", "is_photon", "is_electron", "is_muon")
IMPACT = ("d0", "d0err", "dz", "dzerr")


def published_flow(features: int) -> nn.ModuleDict:
    """Layers and names of the published particle-flow network."""
    widths = [features, 128, 128, 128]
    phi = [nn.Sequential(nn.Conv1d(a, b, 1), nn.Identity(), nn.ReLU()) for a, b in pairwise(widths)]
    fc = [nn.Sequential(nn.Linear(128, 128), nn.ReLU()) for _ in range(3)]
    return nn.ModuleDict({"phi": nn.Sequential(*phi), "fc": nn.Sequential(*fc, nn.Linear(128, 10))})


class PublishedUnit(nn.Module):
    """A residual unit with the published names."""

    def __init__(self, a: int, b: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv1d(a, b, 3, stride, 1), nn.BatchNorm1d(b)
        self.conv2, self.bn2 = nn.Conv1d(b, b, 3, 1, 1), nn.BatchNorm1d(b)
        if (a, stride) != (b, 1):
            self.conv_sc = nn.Conv1d(a, b, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))
        return y + (self.conv_sc(x) if hasattr(self, "conv_sc") else x)


def published_convolutions(features: int) -> nn.ModuleDict:
    """Layers and names of the published P-CNN."""
    stem = nn.Sequential(
        nn.BatchNorm1d(features), nn.Conv1d(features, 32, 3, padding=1), nn.BatchNorm1d(32), nn.ReLU()
    )
    plan = [[(32, 64, 1), (64, 64, 1)], [(64, 64, 2), (64, 64, 1)], [(64, 128, 2), (128, 128, 1)]]
    stages = nn.ModuleDict(
        {
            f"resnet_unit_{s}": nn.Sequential(*(PublishedUnit(*unit) for unit in stage))
            for s, stage in enumerate(plan)
        }
    )
    fc = nn.Sequential(nn.Sequential(nn.Linear(128, 512), nn.ReLU(), nn.Dropout(0.2)), nn.Linear(512, 10))
    return nn.ModuleDict({"fts_conv": stem, "resnet_units": stages, "fc": fc})


def shaken(net: nn.Module) -> nn.Module:
    """In float64 and evaluation mode, with drawn running statistics and gains."""
    for name, tensor in net.double().eval().state_dict().items():
        if tensor.is_floating_point() and tensor.ndim == 1:
            tensor.copy_(0.5 + torch.rand_like(tensor) if "var" in name else 0.3 * torch.randn_like(tensor))
    return net


def weaver_order(cloud: lz.ParticleCloud) -> Tensor:
    """The 17 inputs, written down one by one: (B, 17, N), zero in padded places."""
    padded = cloud.to_padded()
    kinematics = lz.compose(backbone="deep-sets").embedding(padded, lz.Frames.identity(padded.layout))
    column = kinematics.scalar
    first = [column(name).clamp(-5, 5) for name in ("log_pt", "log_e", "log_pt_rel", "log_e_rel", "delta_r")]
    columns = [*first, *padded.scalars.double().unbind(-1), column("deta"), column("dphi")]
    return padded.layout.pad(torch.stack(columns, dim=-1)).transpose(1, 2)


def cloud_of(lengths: list[int]) -> lz.ParticleCloud:
    return random_cloud(lengths, in_scalars=10)


def test_published_particle_flow_network() -> None:
    published = shaken(published_flow(17))
    model = lz.create_model("pfn").double().eval()
    assert model.num_parameters == 86_154 == sum(p.numel() for p in published.parameters())
    lz.import_weights(model, published.state_dict(), "weaver-0.5")
    cloud = cloud_of([9, 1, 30, 5])
    x = weaver_order(cloud)
    mask = cloud.to_padded().layout.mask.unsqueeze(1)
    wanted = published["fc"]((published["phi"](x) * mask).sum(-1))
    torch.testing.assert_close(model(cloud), wanted, rtol=1e-10, atol=1e-12)


def test_published_convolutions_along_128_places() -> None:
    published = shaken(published_convolutions(17))
    model = lz.create_model("pcnn").double().eval()
    assert model.num_parameters == 354_540 == sum(p.numel() for p in published.parameters())
    lz.import_weights(model, published.state_dict(), "weaver-0.5")
    cloud = cloud_of([9, 1, 130, 128, 5])
    dense = weaver_order(cloud)[:, :, :128]
    x = published["fts_conv"](dense)
    for stage in published["resnet_units"].values():
        x = stage(x)
    torch.testing.assert_close(model(cloud), published["fc"](x.mean(-1)), rtol=1e-10, atol=1e-12)


def test_batch_norms_as_an_option_of_the_published_network_are_no_keys_of_ours() -> None:
    state = published_flow(17).state_dict() | {"input_bn.weight": torch.ones(17)}
    with pytest.raises(StateDictError, match=r"extra: input_bn\.weight"):
        lz.import_weights(lz.create_model("pfn"), state, "weaver-0.5")


@pytest.mark.parametrize(
    ("scalars", "count"), [((), 7), (FLAGS, 13), (FLAGS + IMPACT, 17)], ids=["kin", "kinpid", "full"]
)
def test_inputs_stand_in_the_order_of_the_configurations(scalars: tuple[str, ...], count: int) -> None:
    model = lz.compose(backbone="deep-sets", embedding="kinematics-weaver", in_scalars=len(scalars))
    assert model.backbone.layers[0].in_features == count
    cloud = random_cloud([6], in_scalars=len(scalars))
    features = model.embedding(cloud, lz.Frames.identity(cloud.layout))
    torch.testing.assert_close(features.scalars[..., 5 : count - 2], cloud.scalars.double())
    assert features.scalar_names[:5] == ("log_pt", "log_e", "log_pt_rel", "log_e_rel", "delta_r")
    assert features.scalar_names[-2:] == ("deta", "dphi")


def test_standardised_inputs_are_clipped_and_angles_are_not() -> None:
    wide = torch.tensor([[2e9, 1.9e9, 0, 3e8], [50, 0.1, 0.2, -49.0]], dtype=torch.float64)
    cloud = lz.ParticleCloud.from_packed(wide, torch.tensor([0, 2]), validate=False)
    model = lz.compose(backbone="deep-sets", embedding="kinematics-weaver")
    values = model.embedding(cloud, lz.Frames.identity(cloud.layout)).scalars
    assert float(values[:, :5].abs().max()) == 5.0
    assert float(values[:, 5:].abs().max()) > 5.0


def test_two_embeddings_cannot_both_place_the_scalars() -> None:
    with pytest.raises(CompositionError, match="twice"):
        lz.compose(
            backbone="deep-sets", embedding=["kinematics-weaver", "kinematics-weaver:clip=3"], in_scalars=2
        )


def test_places_of_missing_particles_count_and_further_ones_do_not() -> None:
    model = lz.create_model("pcnn:num_particles=16").double().eval()
    few, many = cloud_of([3]), cloud_of([20])
    cut = lz.ParticleCloud.from_packed(many.momenta[:16], torch.tensor([0, 16]), many.scalars[:16])
    # The jet's momentum, to which features are relative, is still that of all particles: compare the network alone.
    frames = lz.Frames.identity(many.layout)
    features = model.embedding(many, frames)
    shorter = lz.Features.of_scalars(features.scalars[:16], features.scalar_names)
    whole = model.backbone(features, frames, many.layout, many.context).scalars
    part = model.backbone(shorter, lz.Frames.identity(cut.layout), cut.layout, cut.context).scalars
    torch.testing.assert_close(whole, part)
    longer = lz.create_model("pcnn:num_particles=40").double().eval()
    longer.load_state_dict(model.state_dict())
    assert not torch.allclose(longer(few), model(few))


@pytest.mark.parametrize("name", ["pfn", "pcnn:num_particles=16"])
def test_learned_frames_make_them_symmetric(name: str) -> None:
    model = lz.create_model(name, frames="lloca-polar").double().eval()
    assert model.symmetry.name == "SO⁺(1,3)"
    cloud = cloud_of([8, 6])
    fit_if_needed(model, cloud)
    model.anchor = "none"
    boosted = cloud.transform(random_lorentz(2, max_rapidity=1.5))
    torch.testing.assert_close(model(boosted), model(cloud), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "backbone", ["pcnn:num_particles=0", "pcnn:stages=[]", "pcnn:units=0", "pcnn:stem=0"]
)
def test_empty_networks_are_refused(backbone: str) -> None:
    with pytest.raises(CompositionError, match="must be at least 1"):
        lz.compose(backbone=backbone)


def test_clipping_needs_room() -> None:
    with pytest.raises(CompositionError, match="clip must be positive"):
        lz.compose(backbone="deep-sets", embedding="kinematics-weaver:clip=0")

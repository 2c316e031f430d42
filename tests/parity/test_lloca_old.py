"""Weights of lloca 1.3 and weaver-core 0.4 give the numbers recorded with them (``record_*.py``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import lorentzoo as lz

GOLDENS = Path(__file__).parent / "goldens"
NAMES = ("log_pt", "log_e", "log_pt_rel", "log_e_rel", "dphi", "deta", "delta_r")
NETWORKS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "transformer": ("lloca-transformer", {"num_blocks": 2, "num_heads": 2, "head_reps": "2x0n+1x1n"}, {}),
    "graphnet": ("lloca-graphnet", {"num_blocks": 2, "hidden_reps": "4x0n+2x1n"}, {}),
    "particlenet": (
        "lloca-particlenet",
        {"neighbours": 4, "channels": [8, 12], "hidden_reps": ["4x0n+1x1n"]},
        {"hidden": [16], "dropout": 0.1},
    ),
    "part": (
        "lloca-part",
        {
            "num_blocks": 2,
            "num_heads": 2,
            "head_reps": "2x0n+1x1n",
            "embed_dims": [8, 16, 12],
            "pair_dims": [8, 8],
        },
        {},
    ),
    "mlp": ("mlp", {"num_particles": 6, "hidden": [16, 16, 16]}, {}),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "graphnet": {},
    "particlenet": {},
    "part": {"use_pre_activation_pair": False},
}
FRAMES: dict[str, tuple[str, dict[str, Any]]] = {
    "LearnedPDFrames": ("lloca-polar", {}),
    "LearnedSO13Frames": ("lloca-gramschmidt", {}),
    "LearnedRestFrames": ("lloca-rest", {"gamma_max": 1e15}),
    "LearnedSO3Frames": ("lloca-so3", {}),
    "LearnedSO2Frames": ("lloca-so2", {"axes": "published"}),
    "LearnedZFrames": ("lloca-beam", {"axes": "published"}),
    "LearnedPDFrames-global": ("lloca-polar", {"is_global": True}),
}


PART = NETWORKS["part"][1]


def golden(name: str, package: str = "lloca-1.3") -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    tensors = load_file(GOLDENS / f"{package}-{name}.safetensors")
    state = {key.removeprefix("state."): value for key, value in tensors.items() if key.startswith("state.")}
    return state, {key: value for key, value in tensors.items() if not key.startswith("state.")}


def relative(a: Tensor, b: Tensor) -> float:
    return float((a.detach() - b).abs().max() / b.abs().max())


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name):
    """Outputs and gradients in given frames."""
    model, backbone, head = NETWORKS[name]
    check("lloca-1.3", name, model, backbone, head)


def test_particle_transformer_of_weaver():
    check("weaver-0.4", "part", "part", PART, {})


def test_versions_with_another_order_of_heads_differ():
    with pytest.raises(AssertionError):
        check("weaver-0.4", "part", "part", PART, {}, as_package="weaver-0.5")


def check(
    package: str,
    name: str,
    model: str,
    backbone: dict[str, Any],
    head: dict[str, Any],
    as_package: str | None = None,
) -> None:
    state, given = golden(name, package)
    made = lz.create_model(model, backbone=backbone, head=head).double().eval()
    lz.import_weights(made, state, as_package or package, options=OPTIONS.get(name))
    for module in made.frames_net.modules():
        if "fitted" in module._buffers:
            module.fitted.fill_(True)
    momenta = given["momenta"]
    cloud = lz.ParticleCloud.from_padded(momenta, torch.ones(momenta.shape[:2], dtype=torch.bool))
    frames = (
        lz.Frames.of_particles(cloud.layout, given["frames"])
        if "frames" in given
        else lz.Frames.identity(cloud.layout)
    )
    vectors = frames.take_vectors(momenta.unsqueeze(-2)) if made.backbone.reads_vectors == "pairs" else None
    scalars = given["scalars"].requires_grad_()
    features = lz.Features(
        scalars,
        momenta.new_zeros(*momenta.shape[:2], 0, 4) if vectors is None else vectors,
        NAMES,
        () if vectors is None else ("momentum",),
    )
    output = made.head(made.backbone(features, frames, cloud.layout, cloud.context), cloud)
    assert relative(output, given["output"]) < 1e-10
    (gradient,) = torch.autograd.grad(output.sum(), scalars)
    assert relative(gradient, given["gradient"]) < 1e-10


@pytest.mark.parametrize("name", FRAMES)
def test_frames(name):
    """Frames end to end, from the recorded weights and edge statistics."""
    state, given = golden(name)
    frames, options = FRAMES[name]
    made = lz.compose(
        frames={"name": frames, "gamma_max": 1e5, "hidden": 16} | options,
        backbone="transformer:num_blocks=1",
        in_scalars=2,
    ).double()
    lz.import_weights(made, state, "lloca-1.3", part="frames")
    momenta = given["momenta"]
    mask = torch.ones(momenta.shape[:2], dtype=torch.bool)
    cloud = lz.ParticleCloud.from_padded(momenta, mask, scalars=given["scalars"])
    assert relative(made.frames_net(cloud).per_particle(), given["frames"]) < 1e-8

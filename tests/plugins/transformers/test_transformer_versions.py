"""Later Transformers: what the package promises of every network, the symmetry of pair features, and dropped branches."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError
from lorentzoo.plugins.transformers.pairs import pair_features
from lorentzoo.testing import check_model, random_cloud
from lorentzoo.verification import redraw_weights

QUICK = (
    "outputs finite",
    "permutation symmetry",
    "packed equals padded",
    "padding does not leak",
    "symmetry as declared",
    "gradients finite",
    "empty and one-particle events",
)
PART: dict[str, Any] = {
    "num_blocks": 2,
    "num_heads": 2,
    "head_reps": "4x0n+1x1n",
    "embed_dims": [8, 16],
    "pair_dims": [8],
}
SMALL: dict[str, dict[str, Any]] = {
    **dict.fromkeys(
        ("part-v2", "part-v3", "part-v3-5", "part-v3-6", "lloca-part-v3-5", "lloca-part-v3-6"), PART
    ),
    "transformer-v2": {"num_blocks": 2, "num_heads": 2},
    "lloca-transformer-v2": {"num_blocks": 2, "num_heads": 2},
}


def make(name: str, **further: Any) -> Any:
    torch.manual_seed(0)
    return lz.create_model(name, backbone={**SMALL.get(name, PART), **further})


FIRST = ("part-v3-6", "lloca-part-v3-5", "lloca-transformer-v2")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FIRST else pytest.mark.slow) for name in SMALL]
)
def test_they_keep_what_the_package_promises(name: str) -> None:
    check_model(make(name), checks=QUICK).raise_if_failed()


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_they_are_exported(name: str) -> None:
    check_model(make(name), checks=["exports"]).raise_if_failed()


@pytest.mark.parametrize(
    ("features", "symmetry"),
    [
        (["kt", "z", "delta", "mass"], "SO⁺(1,1)_beam × SO(2)_beam"),
        (["mass", "interval"], "SO⁺(1,3)"),
        (["mass", "cosine", "sine", "kt-angle", "z-momentum", "jade"], "SO(3)"),
        (["delta", "jade"], "SO(2)_beam"),
    ],
)
def test_the_symmetry_follows_from_the_features_of_pairs(features: list[str], symmetry: str) -> None:
    backbone = {"name": "part", **PART, "pair_features": features, "self_pairs": False}
    model = lz.compose(backbone=backbone, embedding=["momenta", "invariants"])
    assert model.symmetry.name == symmetry
    assert lz.verify(model).passed


def test_features_of_pairs_are_symmetric_and_finite_with_finite_gradients() -> None:
    names = ("kt", "z", "delta", "mass", "interval", "cosine", "sine", "kt-angle", "z-momentum", "jade")
    p = random_cloud([6]).momenta
    p = torch.cat([p, p[:1], torch.tensor([[1.0, 0, 0, 1], [2, 0, 0, -2]], dtype=p.dtype)]).requires_grad_()
    a, b = p.unsqueeze(0), p.unsqueeze(1)
    both = pair_features(*torch.broadcast_tensors(a, b), names)
    assert torch.allclose(both, both.transpose(0, 1), rtol=1e-10)
    (gradient,) = torch.autograd.grad(both.sum(), p)
    assert bool(both.isfinite().all() & gradient.isfinite().all())


def test_branches_are_dropped_event_by_event_in_training_alone() -> None:
    model = make("part", dropout=0.0, drop_path=0.5, num_class_blocks=0).double()
    redraw_weights(model)
    cloud = random_cloud([4] * 40)
    model.eval()
    kept = model.backbone.blocks[0]
    x = torch.randn(160, 16, dtype=torch.float64)
    frames = lz.Frames.identity(cloud.layout)
    triangle = cloud.layout.triangle()
    bias = triangle.to_pairs(torch.zeros(triangle.first.shape[0], 2, dtype=torch.float64))
    whole = kept(x, frames, cloud.layout, bias)
    assert torch.equal(whole, kept(x, frames, cloud.layout, bias))
    kept.train()
    kept.residual_scale.data.fill_(1.0)
    drawn = kept(x, frames, cloud.layout, bias).reshape(40, 4, 16)
    same = (drawn == x.reshape(40, 4, 16)).all(-1)
    assert bool((same.all(1) == same.any(1)).all())  # of an event all rows or none
    assert 0.05 < float(same.all(1).double().mean()) < 0.5  # both branches: a quarter of the events


@pytest.mark.parametrize(
    ("further", "message"),
    [
        (
            {"global_token": True},
            "a global_token stands in the place of class blocks: give num_class_blocks=0",
        ),
        ({"pair_features": []}, "pair_features names functions, each once"),
        ({"pair_features": ["kt", "kt"]}, "pair_features names functions, each once"),
        ({"drop_path": 1.0}, "drop_path must be at least 0 and below 1, not 1.0"),
    ],
)
def test_what_makes_no_sense_is_said(further: dict[str, Any], message: str) -> None:
    with pytest.raises(CompositionError, match=message):
        make("part", **further)


def test_attention_may_be_wider_than_the_network_by_a_divisor_alone() -> None:
    assert make("transformer-v2", attention_ratio=4).backbone.width == 8
    with pytest.raises(
        CompositionError, match="attention_ratio must divide the 32 channels of the heads, which 3 does not"
    ):
        make("transformer-v2", attention_ratio=3)

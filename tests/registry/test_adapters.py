"""Do adapters begin as the model was, keep its symmetry, and end in its weights?"""

from __future__ import annotations

import pytest
import torch
from small_networks import SMALL

import lorentzoo as lz
from lorentzoo.core.errors import ParameterError
from lorentzoo.testing import random_cloud
from lorentzoo.testing.report import relative_change
from lorentzoo.verification.inputs import fit_if_needed

SLOW = ("cgenn", "lgatr-full", "pelican")
SYMMETRIC = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in SMALL]
)


def make(name: str) -> lz.Model:
    torch.manual_seed(0)
    frames = "lloca-polar:hidden=16" if name == "transformer" else "identity"
    slots = {"embedding": ["momenta", "invariants"], "frames": frames, "spurions": "time"}
    model = lz.compose(backbone=SMALL[name], **slots).double().eval()
    fit_if_needed(model, CLOUD)
    return model


CLOUD = random_cloud([7, 5, 9, 6, 8, 7, 9, 5])


def learn(model: lz.Model) -> None:
    """Something else in every adapter than nothing."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.2 * torch.randn_like(parameter)


@SYMMETRIC
def test_low_rank_updates_keep_the_symmetry_and_end_in_the_weights(name: str, tmp_path) -> None:
    model = make(name)
    weights, parameters = set(model.state_dict()), model.num_parameters
    before = model(CLOUD).detach()
    lz.adapt(model, "low-rank:rank=2,alpha=4")
    assert torch.equal(model(CLOUD), before)
    assert 0 < model.num_parameters < parameters
    learn(model)
    adapted = model(CLOUD).detach()
    assert relative_change(adapted, before) > 1e-3
    result = lz.verify(model, CLOUD, redraw=False, rapidities=())
    assert result.passed, str(result)
    # Saved with the update in the weights, and left as it is.
    loaded = lz.load(lz.save(model, tmp_path / "a"))
    assert set(loaded.state_dict()) == weights
    torch.testing.assert_close(loaded(CLOUD).detach(), adapted)
    assert model.adapters is not None
    lz.merge_adapters(model)
    assert set(model.state_dict()) == weights
    assert model.num_parameters == parameters
    torch.testing.assert_close(model(CLOUD).detach(), adapted)


def test_biases_and_norms_alone() -> None:
    model = lz.compose(backbone="part:num_blocks=1,num_class_blocks=1", embedding=["kinematics", "momenta"])
    lz.adapt(model, "bias")
    for name, parameter in model.named_parameters():
        path, _, own = name.rpartition(".")
        norm = "Norm" in type(model.get_submodule(path)).__name__
        assert parameter.requires_grad == (name.startswith("head.") or norm or own == "bias"), name
    # Norms are trained, so that they see what training shows them.
    assert model.train().backbone.norm.training
    lz.merge_adapters(model)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_frozen_parts_get_no_adapters_and_a_glob_chooses() -> None:
    model = lz.compose(
        frames="lloca-polar:hidden=16", backbone="transformer:num_blocks=2,num_heads=2", embedding="momenta"
    )
    model.freeze("frames")
    lz.adapt(model, {"name": "low-rank", "rank": 1, "parameters": "backbone.blocks.*.qkv.weight"})
    left = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    qkv = [f"backbone.blocks.{number}.attention.qkv.parametrizations.weight.0." for number in (0, 1)]
    assert {name for name in left if not name.startswith("head.")} == {
        f"{path}{factor}" for path in qkv for factor in ("down", "up")
    }
    lz.merge_adapters(model)
    assert not any(parameter.requires_grad for parameter in model.frames_net.parameters())
    assert all(parameter.requires_grad for parameter in model.backbone.parameters())


@pytest.mark.parametrize(
    ("adapters", "message"),
    [
        ("lora", r"there are no adapters 'lora', but bias, low-rank"),
        ("low-rank:rang=3", r"adapters 'low-rank' has no parameter 'rang'; did you mean 'rank'\?"),
        ("low-rank:rank=0", r"rank must be at least 1, not 0"),
        ("low-rank:parameters=nothing", r"there is nothing that LowRank.* could adapt"),
    ],
)
def test_wrong_adapters_are_named(adapters: str, message: str) -> None:
    model = lz.compose(backbone="transformer:num_blocks=1,num_heads=2")
    with pytest.raises(ParameterError, match=message):
        lz.adapt(model, adapters)
    assert model.adapters is None
    lz.adapt(model, "bias")
    with pytest.raises(ParameterError, match=r"this model has adapters: merge them"):
        lz.adapt(model, "bias")


@pytest.mark.slow
def test_an_adapted_model_is_exported_merged(tmp_path) -> None:
    model = make("lorentznet").float()
    lz.adapt(model, "low-rank:rank=1")
    learn(model)
    path = lz.export(model, tmp_path / "model.pt2", "torch-export")
    exported = lz.load_exported(path)
    wanted = model.predict(CLOUD)
    assert abs(exported.predict(CLOUD) - wanted).max() < 1e-4
    assert model.adapters is not None

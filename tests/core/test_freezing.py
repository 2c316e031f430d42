"""Is what is frozen left alone, and everything else trained as before?"""

from __future__ import annotations

import copy

import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.errors import ParameterError
from lorentzoo.testing import random_cloud
from lorentzoo.verification.inputs import fit_if_needed

PARTICLENET = {"name": "particlenet", "channels": [8, 8], "hidden_reps": ["4x0n+1x1n"], "neighbours": 3}


def trained(model: lz.Model) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_parts_are_frozen_by_slot_path_and_glob_and_come_back() -> None:
    model = lz.compose(
        frames="lloca-polar:hidden=8", backbone="transformer:num_blocks=3,num_heads=1", embedding="momenta"
    )
    everything = trained(model)
    model.freeze("backbone")
    assert trained(model) == {name for name in everything if not name.startswith("backbone.")}
    model.unfreeze("backbone.blocks.2")
    kept = {name for name in everything if not name.startswith("backbone.")}
    assert trained(model) == kept | {name for name in everything if name.startswith("backbone.blocks.2.")}
    assert model.frozen == ("backbone", "!backbone.blocks.2")
    model.unfreeze()
    assert model.frozen == ()
    assert trained(model) == everything
    model.freeze("backbone.blocks.[01].*", "frames", "!*.bias")
    assert trained(model) == {
        name
        for name in everything
        if name.endswith(".bias")
        or not name.startswith(("backbone.blocks.0.", "backbone.blocks.1.", "frames_net."))
    }
    assert trained(model.unfreeze("backbone.blocks.[01].*", "frames", "!*.bias")) == everything


def test_what_was_never_trained_stays_so() -> None:
    model = lz.compose(
        backbone="lgatr:num_blocks=1,hidden_channels=2,hidden_scalars=4,num_heads=1,time_features=4",
        embedding="momenta",
        in_context=1,
    )
    fixed = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert fixed
    model.freeze("backbone").unfreeze()
    assert {name for name, parameter in model.named_parameters() if not parameter.requires_grad} == fixed


@pytest.mark.parametrize(
    "backbone", ["lgatr:num_blocks=1", "lorentznet:num_blocks=1", "cgenn:num_blocks=1", "pelican"]
)
def test_the_last_map_of_a_backbone_that_projects_is_the_heads(backbone: str) -> None:
    model = lz.compose(backbone=backbone, embedding="momenta", head="classify:num_classes=3")
    model.freeze("backbone")
    left = trained(model)
    assert left
    last = {id(parameter) for parameter in model.backbone.last_map.parameters()}
    assert {id(parameter) for name, parameter in model.named_parameters() if name in left} == last
    model.unfreeze().freeze("head")
    assert not last & {id(parameter) for parameter in model.parameters() if parameter.requires_grad}


def test_frozen_norms_keep_their_statistics_and_drop_nothing() -> None:
    model = lz.compose(backbone=PARTICLENET, head="classify:hidden=[4],dropout=0.5")
    model.freeze("backbone").train()
    assert model.training
    assert not any(module.training for module in model.backbone.modules())
    assert all(module.training for module in model.head.modules())
    before = {name: value.clone() for name, value in model.backbone.state_dict().items()}
    model(random_cloud([5, 6, 7], seed=1))
    assert all(torch.equal(value, before[name]) for name, value in model.backbone.state_dict().items())
    model.unfreeze()
    assert all(module.training for module in model.modules())
    model(random_cloud([5, 6, 7], seed=1))
    assert not all(torch.equal(value, before[name]) for name, value in model.backbone.state_dict().items())
    # By a glob: only the norms whose own parameters are frozen.
    model.freeze("backbone.convolutions.0.*").train()
    assert not any(module.training for module in model.backbone.convolutions[0].modules())
    assert all(module.training for module in model.backbone.convolutions[1].modules())
    assert model.backbone.norm.training
    # The flag of evaluation is not taken for that of training.
    assert not model.eval().unfreeze().training
    assert not any(module.training for module in model.modules())


def test_dropout_inside_a_frozen_block_does_nothing() -> None:
    model = lz.compose(backbone="transformer:num_blocks=2,num_heads=1,dropout=0.5")
    model.freeze("backbone.blocks.0.*", "backbone.in_layer").train()
    dropouts = [block.dropout.training for block in model.backbone.blocks]
    assert dropouts == [False, True]


def test_copies_and_generators_are_frozen_too() -> None:
    generator = lz.create_model("transformer-eventgen", num_blocks=1)
    generator.freeze("backbone")
    assert not any(parameter.requires_grad for parameter in generator.network.backbone.parameters())
    assert any(parameter.requires_grad for parameter in generator.network.head.parameters())
    again = copy.deepcopy(generator).train()
    assert not again.network.backbone.training
    flow = lz.create_model("rqs-flow-eventgen")
    with pytest.raises(
        ParameterError, match=r"has no network, and so no backbone; name its parameters instead"
    ):
        flow.freeze("backbone")


def test_what_names_nothing_is_refused_and_changes_nothing() -> None:
    model = lz.compose(backbone="transformer:num_blocks=1,num_heads=1")
    before = trained(model)
    with pytest.raises(
        ParameterError, match=r"'backbon' names nothing of this model; did you mean 'backbone'\?"
    ):
        model.freeze("head", "backbon")
    assert trained(model) == before
    assert model.frozen == ()
    with pytest.raises(ParameterError, match=r"'!backbone\.block\.\*' names nothing"):
        model.unfreeze("backbone.block.*")


def test_a_frozen_model_saves_and_loads_as_any_other(tmp_path) -> None:
    model = lz.compose(backbone="transformer:num_blocks=1,num_heads=1")
    fit_if_needed(model, random_cloud([4]))
    model.freeze("backbone")
    loaded = lz.load(lz.save(model, tmp_path / "a"))
    assert loaded.frozen == ()
    assert all(parameter.requires_grad for parameter in loaded.parameters())

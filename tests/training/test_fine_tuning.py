"""Is a model trained in part, by adapters or with another head as the recipe says, and is that written down?"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import lorentzoo as lz
from lorentzoo.cli.main import app
from lorentzoo.core.errors import TrainingError
from lorentzoo.registry.composition import build
from lorentzoo.training import loop as loop_module
from lorentzoo.training.config import TrainConfig
from lorentzoo.training.train import train

RECIPE = {"max_steps": 6, "batch_size": 40, "learning_rate": 1e-2}
LOW_RANK = {**RECIPE, "adapters": "low-rank:rank=2", "ema": 0.9, "keep": "best"}
TRANSFORMER = {"backbone": "transformer:num_blocks=1,num_heads=2,head_reps=4x0n+1x1n"}


@pytest.fixture(scope="module")
def jets() -> lz.JetDataset:
    return lz.load_dataset("toptag", num_jets=160, max_constituents=10)


def make(**slots: Any) -> lz.Model:
    torch.manual_seed(0)
    model = lz.compose(**{**TRANSFORMER, "head": "classify:num_classes=2", **slots})
    assert isinstance(model, lz.Model)
    return model


def state_of(model: lz.Model) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_low_rank_training_changes_matrices_by_that_rank_and_nothing_else_but_the_head(jets) -> None:
    model = make()
    before = state_of(model)
    result = lz.train(model, jets, LOW_RANK, progress=False)
    after = state_of(model)
    assert after.keys() == before.keys()
    assert result.config.adapters == {"name": "low-rank", "rank": 2}
    assert TrainConfig.of(result.config.to_data()) == result.config
    assert model.adapters is None
    moved = {name for name in after if not torch.equal(before[name], after[name])}
    matrices = {name for name in moved if not name.startswith("head.")}
    assert "backbone.blocks.0.attention.qkv.weight" in matrices
    for name in matrices:
        values = torch.linalg.svdvals((after[name] - before[name]).double())
        assert float(values[2]) < 1e-5 * float(values[0]), name
    assert {name for name in moved if name.startswith("head.")}
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not model.training


def test_a_training_by_adapters_that_was_killed_goes_on_as_if_it_was_not(jets, tmp_path, monkeypatch) -> None:
    recipe = {**LOW_RANK, "freeze": ["embedding", "backbone.in_layer"]}
    whole = make()
    lz.train(whole, jets, recipe, progress=False)

    class Killed(Exception):
        pass

    written = []

    def kill(*arguments: Any) -> None:
        write(*arguments)
        written.append(arguments)
        raise Killed

    write = loop_module.write_checkpoint
    monkeypatch.setattr(loop_module, "write_checkpoint", kill)
    with pytest.raises(Killed):
        lz.train(make(), jets, recipe, directory=tmp_path, progress=False)
    monkeypatch.setattr(loop_module, "write_checkpoint", write)
    assert written
    again = make()
    result = lz.train(again, jets, recipe, directory=tmp_path, progress=False)
    assert result.resumed_at > 0
    for name, value in state_of(whole).items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_biases_alone(jets) -> None:
    model = make()
    before = state_of(model)
    lz.train(model, jets, {**RECIPE, "adapters": "bias"}, progress=False)
    moved = {name for name, value in state_of(model).items() if not torch.equal(value, before[name])}
    assert all(name.startswith("head.") or name.endswith("bias") for name in moved)
    assert any(name.startswith("backbone.") for name in moved)


def test_what_is_frozen_is_in_the_recipe_whoever_froze_it(jets) -> None:
    model = make().freeze("backbone.blocks.*")
    before = state_of(model)
    result = lz.train(model, jets, {**RECIPE, "freeze": ["embedding"]}, progress=False)
    assert result.config.freeze == ("backbone.blocks.*", "embedding")
    moved = {name for name, value in state_of(model).items() if not torch.equal(value, before[name])}
    assert moved
    assert not any(name.startswith("backbone.blocks.") for name in moved)
    assert model.frozen == result.config.freeze


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"freeze": ["frames", "backbone", "head"]}, r"nothing is left to train: freeze="),
        ({"freeze": ["backbone.blok.*"]}, r"freeze: 'backbone\.blok\.\*' names nothing"),
        ({"freeze": ["bakbone"]}, r"'bakbone' is not a part \(frames, embedding, backbone, head\)"),
        ({"adapters": "lora"}, r"adapters.*there are no adapters 'lora', but bias, low-rank"),
        ({"adapters": "low-rank:parameters=nothing"}, r"adapters: there is nothing that"),
    ],
)
def test_wrong_recipes_are_named(jets, recipe: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        lz.train(make(), jets, {**RECIPE, **recipe}, progress=False)


def test_a_loaded_model_is_trained_in_training_mode(jets, tmp_path) -> None:
    slots = {"backbone": "lorentznet:num_blocks=1,hidden_channels=8", "embedding": "momenta"}
    model = make(**slots)
    lz.train(model, jets, {**RECIPE, "max_steps": 1}, progress=False)
    loaded = lz.load(lz.save(model, tmp_path / "a"))
    assert not loaded.training
    before = state_of(loaded)
    train(loaded, jets, config={**RECIPE, "freeze": ["head"]}, progress=False)
    name = "backbone.blocks.0.edge_norm.running_mean"
    assert not torch.equal(before[name], loaded.state_dict()[name])
    # Frozen, they take no statistics.
    before = state_of(loaded)
    loaded.unfreeze()
    train(loaded, jets, config={**RECIPE, "freeze": ["backbone"]}, progress=False)
    kept = {name for name, value in loaded.state_dict().items() if torch.equal(value, before[name])}
    assert {name for name in before if name.startswith("backbone.") and ".last." not in name} <= kept


@pytest.mark.parametrize(
    "backbone", ["transformer:num_blocks=1,num_heads=1", "lgatr:num_blocks=1,hidden_channels=4,num_heads=2"]
)
def test_one_command_from_saved_weights_to_another_number_of_classes(backbone: str, tmp_path) -> None:
    model = lz.compose(backbone=backbone, embedding=["kinematics", "momenta"], head="classify:num_classes=10")
    data = lz.load_dataset("jets10", num_jets=100, max_constituents=10, scalars=[])
    lz.train(model, data, max_steps=1, batch_size=20, progress=False)
    saved = lz.save(model, tmp_path / "ten")
    run = tmp_path / "two"
    arguments = ["train", "--init-from", str(saved), "-d", "toptag:num_jets=160,max_constituents=10"]
    options = ["-s", "freeze=[backbone]", "-s", "max_steps=2", "-s", "batch_size=20", "-o", str(run)]
    result = CliRunner().invoke(app, [*arguments, *options])
    assert result.exit_code == 0, result.output
    tuned = lz.load(run)
    assert tuned.head.num_classes == 2
    names = {id(parameter): name for name, parameter in tuned.named_parameters()}
    last = tuned.backbone.last_map
    of_head = {names[id(parameter)] for parameter in last.parameters()} if last is not None else set()
    before = model.state_dict()
    for name, value in tuned.state_dict().items():
        if name.startswith("backbone.") and name not in of_head:
            assert torch.equal(value, before[name]), name


def test_a_frozen_recipe_of_parts_by_rate_knows_the_last_map() -> None:
    from lorentzoo.training.optimisers import parameter_groups

    model = build(make(backbone="lgatr:num_blocks=1", embedding="momenta").spec)
    groups = parameter_groups(model, 0.1, {"backbone": 0.1})
    factors = {id(parameter): group["factor"] for group in groups for parameter in group["params"]}
    last = {id(parameter) for parameter in model.backbone.last_map.parameters()}
    assert {factors[number] for number in last} == {1.0}
    assert {factor for number, factor in factors.items() if number not in last} == {0.1}

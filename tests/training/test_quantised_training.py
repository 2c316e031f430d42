"""Does a training with rounded weights learn, keep its promise in the end, and go on where it stopped?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import lorentzoo as lz
from lorentzoo.cli.main import app
from lorentzoo.core.errors import TrainingError
from lorentzoo.core.quantisation import (
    begin_quantised,
    choose_matrices,
    end_quantised,
    find_integers,
    round_rows,
)
from lorentzoo.registry.quantisation import read_quantisation
from lorentzoo.training import loop as loop_module
from lorentzoo.training.config import TrainConfig

RECIPE = {"max_steps": 6, "batch_size": 40, "learning_rate": 1e-2, "quantise": "int4"}


@pytest.fixture(scope="module")
def jets() -> lz.JetDataset:
    return lz.load_dataset("toptag", num_jets=160, max_constituents=10)


def make(name: str = "transformer-1k") -> Any:
    torch.manual_seed(0)
    return lz.create_model(name, num_classes=2)


def is_on_the_grid(model: Any, bits: int) -> bool:
    names = choose_matrices(model, model.quantisation)
    return all(find_integers(model.get_parameter(name), bits) is not None for name in names)


def test_gradients_are_those_of_the_rounded_network(jets: lz.JetDataset) -> None:
    """Straight through: the weight behind gets what a network of rounded weights would give to its own."""
    batch = jets.batch(range(20))
    model, plain = make("lgatr-slim-1k"), make("lgatr-slim-1k")
    names = choose_matrices(model, read_quantisation("int4"))
    with torch.no_grad():
        for name in names:
            plain.get_parameter(name).copy_(round_rows(plain.get_parameter(name), 4))
    for each in (model, plain):
        each.fit_statistics([batch])
    begin_quantised(model, read_quantisation("int4"))
    loss, wanted = model.batch_loss(batch), plain.batch_loss(batch)
    assert torch.equal(loss, wanted)
    loss.backward()
    wanted.backward()
    for name in names:
        path, _, own = name.rpartition(".")
        found = model.get_parameter(f"{path}.parametrizations.{own}.original").grad
        reference = plain.get_parameter(name).grad
        if reference is None:  # behind the last attention nobody reads vectors
            continue
        torch.testing.assert_close(found, reference, rtol=1e-6, atol=1e-9)
    end_quantised(model)
    assert torch.equal(model.batch_loss(batch), wanted)


@pytest.mark.parametrize("name", ["transformer-1k", "lloca-transformer-1k", "lgatr-slim-1k", "part-v3"])
def test_trained_models_have_integer_weights_that_moved(
    name: str, jets: lz.JetDataset, tmp_path: Path
) -> None:
    small = {"num_blocks": 1, "num_class_blocks": 1} if name == "part-v3" else {}
    model = lz.create_model(name, num_classes=2, backbone=small)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    result = lz.train(model, jets, {**RECIPE, "ema": 0.5}, progress=False)
    assert model.state_dict().keys() == before.keys()
    assert result.config.quantise == {"name": "int4"}
    assert TrainConfig.of(result.config.to_data()) == result.config
    assert "quantise" not in TrainConfig.of({}).to_data()
    assert is_on_the_grid(model, 4)
    moved = [
        key
        for key in choose_matrices(model, model.quantisation)
        if not torch.equal(before[key], model.state_dict()[key])
    ]
    assert moved
    cloud = jets.batch(range(6)).cloud
    assert torch.equal(lz.load(lz.save(model, tmp_path / "m"))(cloud), model(cloud))


def test_training_with_rounded_weights_learns(jets: lz.JetDataset) -> None:
    losses = {}
    for kind in ("int8", "int4:activations=8"):
        model = make()
        recipe = {"max_steps": 60, "batch_size": 80, "learning_rate": 1e-2, "quantise": kind}
        course = lz.train(model, jets, recipe, progress=False).course
        losses[kind] = [row["loss"] for row in course.history]
    assert all(history[-1] < 0.8 * history[0] for history in losses.values()), losses


def test_a_training_that_was_killed_goes_on_as_if_it_was_not(
    jets: lz.JetDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = {**RECIPE, "quantise": "int4:activations=8", "keep": "best"}
    whole = make()
    lz.train(whole, jets, recipe, progress=False)

    class Killed(Exception):
        pass

    def kill(*arguments: Any) -> None:
        write(*arguments)
        raise Killed

    write = loop_module.write_checkpoint
    monkeypatch.setattr(loop_module, "write_checkpoint", kill)
    with pytest.raises(Killed):
        lz.train(make(), jets, recipe, directory=tmp_path, progress=False)
    monkeypatch.setattr(loop_module, "write_checkpoint", write)
    again = make()
    assert lz.train(again, jets, recipe, directory=tmp_path, progress=False).resumed_at > 0
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_a_quantised_model_stays_so_until_it_is_told_otherwise(jets: lz.JetDataset) -> None:
    model = lz.quantise(make(), "int8")
    recipe = {"max_steps": 3, "batch_size": 40}
    assert lz.train(model, jets, recipe, progress=False).config.quantise == {"name": "int8"}
    assert is_on_the_grid(model, 8)
    lz.quantise(model, None)
    assert lz.train(model, jets, recipe, progress=False).config.quantise is None
    assert model.quantisation is None


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"quantise": "int2"}, r"quantise.*there is no quantisation 'int2', but int8, int4"),
        (
            {"quantise": "int8:parameters=nothing"},
            r"quantise: no matrix of this Model has a name like 'nothing'",
        ),
        ({"quantise": "int8", "adapters": "bias"}, r"weights are not rounded while adapters are trained"),
    ],
)
def test_recipes_that_cannot_be_are_refused(
    recipe: dict[str, Any], message: str, jets: lz.JetDataset
) -> None:
    model = make()
    with pytest.raises(TrainingError, match=message):
        lz.train(model, jets, {**RECIPE, **recipe}, progress=False)
    assert model.quantisation is None


def test_the_command_line_trains_and_writes_integers(tmp_path: Path) -> None:
    arguments = ["train", "lgatr-slim-1k", "--dataset", "toptag:num_jets=160,max_constituents=10"]
    arguments += ["-s", "max_steps=4", "-s", "quantise=int4", "--out", str(tmp_path / "a")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    loaded = lz.load(tmp_path / "a")
    assert is_on_the_grid(loaded, 4)
    wrong = CliRunner().invoke(app, [*arguments[:-2], "-s", "quantise=int5", "--out", str(tmp_path / "b")])
    assert wrong.exit_code != 0
    assert "quantise: there is no quantisation 'int5', but int8, int4" in str(wrong.exception)

"""A model's name brings its published recipe; given options win."""

from __future__ import annotations

import pytest

import lorentzoo as lz
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.composition import model_spec
from lorentzoo.training.config import TrainConfig
from lorentzoo.training.fitting import read_recipe

NAMED = [component for component in catalogue().components("model") if component.recipe]


def test_some_models_have_one():
    assert {"part", "lgatr"} <= {component.name for component in NAMED}


@pytest.mark.parametrize("component", NAMED, ids=lambda component: component.name)
def test_recipes_are_valid_and_used(component):
    config = read_recipe({"max_steps": 3}, model_spec(component.name))
    assert config.max_steps == 3
    for key, value in component.recipe.items():
        found = getattr(config, key)
        # A list in plain data is a tuple in a value.
        assert (list(found) if isinstance(found, tuple) else found) == value
    assert (
        read_recipe({"learning_rate": 0.5, "max_steps": 3}, model_spec(component.name)).learning_rate == 0.5
    )
    given = TrainConfig.of({"max_steps": 1})
    assert read_recipe(given, model_spec(component.name)) is given


def test_a_composition_without_a_name_has_none():
    spec = lz.compose(backbone="deep-sets").spec
    assert read_recipe({"epochs": 1}, spec) == TrainConfig.of({"epochs": 1})

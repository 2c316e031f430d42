"""Is a model trained on the training part of what it is given, and on no other event?"""

from __future__ import annotations

from typing import Any

import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.errors import TrainingError
from lorentzoo.training import own_data
from lorentzoo.training.config import TrainConfig
from lorentzoo.training.train import seed_everything

SLOTS = {"backbone": "deep-sets:hidden=[8]", "embedding": "kinematics"}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Training and validation sets that the loop is given."""
    calls: list[Any] = []
    train_on = own_data.train_on

    def record(model: Any, training: Any, watched: Any, *rest: Any, **options: Any) -> Any:
        calls.append((training, watched))
        return train_on(model, training, watched, *rest, **options)

    monkeypatch.setattr(own_data, "train_on", record)
    return calls


def ids(data: lz.EventData) -> set[int]:
    return set(data.event_id.tolist())


def test_the_test_part_is_not_looked_at(jets: lz.JetDataset, seen: list[Any]) -> None:
    result = lz.train(SLOTS, jets, epochs=5, batch_size=32, learning_rate=1e-2, progress=False)
    training, watched = seen[0]
    assert ids(training) == ids(jets.split("train"))
    assert ids(watched) == ids(jets.split("validation"))
    assert result.course.history[0]["val_loss"] > 0
    assert lz.evaluate(result.model, jets.split("test"), progress=False).metrics()["auc"] > 0.5


def test_events_without_splits_are_split(jets: lz.JetDataset, seen: list[Any]) -> None:
    bare = jets.subset(slice(0, 200))
    bare.splits = None
    lz.train(SLOTS, bare, epochs=1, progress=False)
    training, watched = seen[0]
    assert (len(training), len(watched)) == (120, 30)
    assert not ids(training) & ids(watched)
    assert bare.splits is None


def test_all_is_trained_on_beside_a_validation_set_or_without_one(
    jets: lz.JetDataset, seen: list[Any]
) -> None:
    lz.train(SLOTS, jets.split("test"), validation=jets.split("validation"), epochs=1, progress=False)
    lz.train(SLOTS, jets.split("train"), epochs=1, progress=False)
    assert ids(seen[0][0]) == ids(jets.split("test"))
    assert ids(seen[1][0]) == ids(jets.split("train"))
    assert seen[1][1] is None


def test_a_name_and_its_slots_and_a_model_train_alike(jets: lz.JetDataset) -> None:
    """Widths, head and first weights are those of a run of a study with this seed."""
    spec = {**SLOTS, "head": {"name": "classify", "num_classes": 2}}
    seed_everything(5)
    built = lz.compose(**spec)
    results = [lz.train(model, jets, {"seed": 5}, max_steps=2, progress=False) for model in (SLOTS, built)]
    first, second = (result.model.state_dict() for result in results)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert results[1].model is built


def test_options_win_over_the_published_recipe(jets: lz.JetDataset) -> None:
    given = {"num_blocks": 1, "num_class_blocks": 1}
    result = lz.train({"model": {"name": "part", **given}}, jets, max_steps=1, batch_size=8, progress=False)
    assert (result.config.optimiser, result.config.batch_size) == ("ranger", 8)
    recipe = TrainConfig.of({"max_steps": 1, "batch_size": 16})
    assert lz.train(SLOTS, jets, recipe, progress=False).config == recipe


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: lz.train(SLOTS, [1, 2]), "not on list; see lorentzoo.JetDataset.from_padded"),
        (lambda d: lz.train(SLOTS, d.split("test")), r"none of the 107 events is for training \(test\)"),
        (lambda d: lz.train(SLOTS, d, {"epochs": 1}, epochs=2), "config and options both say epochs"),
        (lambda d: lz.train(SLOTS, d, epoch=2), "unknown key 'epoch'; did you mean 'epochs'"),
        (lambda d: lz.train(SLOTS, d.subset([])), r"none of the 0 events is for training \(none is there\)"),
    ],
)
def test_what_cannot_be_trained_is_said(jets: lz.JetDataset, call: Any, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        call(jets)

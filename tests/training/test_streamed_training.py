"""Does training on a stream, or in epochs that are not passes, end in the same weights if it is interrupted?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from file_layouts import jetclass_columns, random_jets, write_parquet

import lorentzoo as lz
from lorentzoo.data.events import EventData
from lorentzoo.training.config import TrainConfig
from lorentzoo.training.loop import TrainingLoop
from lorentzoo.training.train import train

SMALL = {"embedding": "kinematics", "backbone": "deep-sets:hidden=[8]", "head": "classify:num_classes=10"}
RECIPE = {"max_steps": 23, "batch_size": 64, "events_per_epoch": 256, "learning_rate": 1e-2}


class Killed(BaseException):
    """No handler of errors catches it, as none catches SIGKILL."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "jets").mkdir()
    for number in range(4):
        momenta, lengths = random_jets(300, seed=number, largest=12)
        columns = jetclass_columns(momenta, lengths, np.arange(300) % 10)
        write_parquet(tmp_path / "jets" / f"{number}.parquet", columns, rows_per_group=100)
    return tmp_path / "jets"


def events(folder: Path, *, streamed: bool) -> EventData:
    options: dict[str, Any] = {"stream": True, "memory_gb": 0.01} if streamed else {"in_memory": True}
    data = lz.load_dataset("jetclass-parquet", path=str(folder), **options)
    assert isinstance(data, EventData)
    return data


def weights(data: EventData, directory: Path | None) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    model = lz.compose(**SMALL, in_scalars=10)
    train(model, data.split("train"), data.split("validation"), RECIPE, directory, progress=False)
    return model.state_dict()


@pytest.mark.parametrize("streamed", [True, False])
def test_interrupted_in_the_middle_of_a_pass(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    data = events(folder, streamed=streamed)
    whole = weights(data, None)
    directory = tmp_path / "run"
    directory.mkdir()
    step = TrainingLoop.on_train_batch_end
    # A pass has 12 steps, an epoch 4: in the first pass, in the second, and between two epochs.
    for last in (6, 8, 14):

        def die(self: TrainingLoop, *args: Any, last: int = last) -> None:
            step(self, *args)
            if self.course.steps == last:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(TrainingLoop, "on_train_batch_end", die)
            with pytest.raises(Killed):
                weights(data, directory)
    ended = weights(data, directory)
    assert all(torch.equal(value, ended[name]) for name, value in whole.items())


def test_an_epoch_may_be_shorter_or_longer_than_a_pass(folder: Path) -> None:
    seen: dict[int, list[list[int]]] = {}
    for size in (128, 2000):
        data = events(folder, streamed=True).split("train")
        model = lz.compose(**SMALL, in_scalars=10)
        loss = TrainingLoop.training_step
        ids: list[list[int]] = []

        def note(
            self: TrainingLoop, batch: Any, at: int, ids: list[list[int]] = ids, loss: Any = loss
        ) -> Any:
            ids.append(batch.batch.event_id.tolist())
            return loss(self, batch, at)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TrainingLoop, "training_step", note)
            result = train(model, data, None, {**RECIPE, "events_per_epoch": size}, progress=False)
        assert len(result.course.history) == -(-23 // -(-size // 64))
        seen[size] = ids
    assert seen[128] == seen[2000]
    passes = [number for batch in seen[128][:12] for number in batch]
    assert len(passes) == len(set(passes)) == len(data)


def test_a_recipe_without_it_keeps_its_hash() -> None:
    assert "events_per_epoch" not in TrainConfig.of({}).to_data()
    assert TrainConfig.of({"events_per_epoch": 5}).to_data()["events_per_epoch"] == 5

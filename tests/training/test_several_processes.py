"""Does a training that several processes share, or that goes in pieces, give what one process gives at once?"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import shared_cases
from shared_cases import QUICK, SPECS, rows, run

from lorentzoo.core.errors import TrainingError
from lorentzoo.nn import mean_loss
from lorentzoo.plugins.heads.ratio import LikelihoodRatio
from lorentzoo.training.config import TrainConfig

TOLERANCE = 1e-12
LONG = tuple(name for name in SPECS if name not in QUICK)
IN_PIECES = [name for name in SPECS if "norms" not in name and name != "convolutions"]
"""Batch norms of a piece are its own."""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return int(found.getsockname()[1])


@pytest.fixture(
    scope="module", params=[QUICK, pytest.param(LONG, marks=pytest.mark.slow)], ids=["few", "all"]
)
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What each of two processes found, which are started as by torchrun and train some cases."""
    out = tmp_path_factory.mktemp("shared") / "rank"
    port, processes = free_port(), []
    for rank in range(2):
        telling = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "localhost"}
        environment = {**os.environ, **{key: str(value) for key, value in telling.items()}}
        environment |= {"MASTER_PORT": str(port), "OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}
        command = [sys.executable, shared_cases.__file__, str(out), *request.param]
        processes.append(subprocess.Popen(command, env=environment))

    def wait() -> list[dict[str, Any]]:
        for process in processes:
            assert process.wait(timeout=300) == 0
        return [json.loads(Path(f"{out}-{rank}.json").read_text(encoding="utf-8")) for rank in range(2)]

    yield wait
    for process in processes:
        process.kill()
        process.wait()


def agree(first: list[dict[str, float]], second: list[dict[str, float]]) -> None:
    assert len(first) == len(second) == 2
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        for key in one:
            assert other[key] == pytest.approx(one[key], rel=TOLERANCE), key


def test_two_processes_give_the_losses_of_one(shared, request: pytest.FixtureRequest) -> None:
    """With weights, with a last batch of a single event, validated on all events; and in two pieces each."""
    names = request.node.callspec.params["shared"]
    alone = {name: rows(run(name)) for name in names}
    alone["pieces"] = rows(run("plain"))
    found = shared()
    for name, one in alone.items():
        agree(one, found[0][name])
        assert found[0][name] == found[1][name]


def test_processes_stop_at_the_same_step_of_a_budget_of_cpu_seconds(shared) -> None:
    first, second = shared()
    assert first["budget"] == second["budget"]
    assert first["budget"][0]["seconds"] >= 0.3


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in IN_PIECES]
)
def test_pieces_give_the_losses_of_whole_steps(name: str) -> None:
    """Of 45 events in 4 pieces, and of a single one."""
    whole = rows(run(name))
    agree(whole, rows(run(name, recipe={"accumulate": 4})))


def test_a_recipe_in_one_piece_has_the_hash_that_it_had() -> None:
    assert "accumulate" not in TrainConfig().to_data()
    assert TrainConfig.of({"accumulate": 2}).to_data()["accumulate"] == 2


def test_processes_that_gather_batches_change_nothing() -> None:
    """Nor do they end before the last epoch."""
    assert rows(run("plain")) == rows(run("plain", num_workers=1))


def test_a_loss_of_other_means_than_it_states_is_not_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    both = LikelihoodRatio.loss
    monkeypatch.setattr(
        LikelihoodRatio, "loss", lambda self, o, t, w: both(self, o, t, w) + mean_loss(o.squeeze(-1), w)
    )
    with pytest.raises(TrainingError, match=r"more means than the 2 that `loss_weights` of its head states"):
        run("two means", recipe={"accumulate": 2})
    monkeypatch.setattr(LikelihoodRatio, "loss", lambda self, o, t, w: mean_loss(o.squeeze(-1), w))
    with pytest.raises(TrainingError, match=r"1 calls of `mean_loss` instead of the 2 that `loss_weights`"):
        run("two means", recipe={"accumulate": 2})

"""Does the kit find what is wrong with a task, and nothing wrong with ours?"""

from __future__ import annotations

from typing import Any

import pytest

import lorentzoo as lz
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.tasks.classification.task import Classification
from lorentzoo.testing import check_task

LEVEL = lz.Metric("level", "Level")


@pytest.mark.parametrize("name", catalogue().names("task"))
def test_built_in_tasks_pass(name: str) -> None:
    check_task(name).raise_if_failed()


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        ({"metrics": ()}, "metrics are stated"),
        ({"metrics": (LEVEL, LEVEL), "ranking": ()}, "metrics are stated"),
        ({"ranking": ("auk",)}, "metrics are stated"),
        ({"metrics": (LEVEL,), "ranking": ("level",)}, "metrics are stated"),
        ({"file": "../elsewhere.npz"}, "files are checked"),
        ({"load": lambda self, path: None}, "files are checked"),
        ({"judges": ("classifikation",)}, "what else it judges is there"),
        ({"judges": ["classification"]}, "what else it judges is there"),
        ({"judges": ("classification-of-mine",)}, "what else it judges is there"),
        ({"columns": lambda self, recorded, data: []}, "every number has a column"),
    ],
)
def test_what_is_wrong_is_found(wrong: dict[str, Any], check: str, own_catalogue: None) -> None:
    lz.register("task", "classification-of-mine")(type("Mine", (Classification,), wrong))
    assert not check_task("classification-of-mine")[check].ok


def test_a_task_for_which_nothing_is_trained(own_catalogue: None) -> None:
    lz.register("task", "lonely")(type("Lonely", (Classification,), {}))
    assert "no head and no generator" in check_task("lonely")["something is trained for it"].detail

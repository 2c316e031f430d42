"""Do all data sets pass the kit, and does the kit find what is wrong with one?"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.data.dataset import JetDataset
from lorentzoo.testing.datasets import DATASET_CHECKS, check_dataset

SHIPPED: dict[str, dict[str, Any]] = {
    "toptag": {},
    "jets10": {},
    "ttbar": {},
    "showers": {"num_showers": 40, "energy_max": 5.0},
}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_data_sets_conform(name: str) -> None:
    check_dataset(name, SHIPPED[name]).raise_if_failed()


def test_values_conform() -> None:
    check_dataset("showers", {**SHIPPED["showers"], "target": ["incident_energy"]}).raise_if_failed()


class Broken(JetDataset):
    """A data set whose `gather` sorts the events."""

    def gather(self, chosen: torch.Tensor) -> lz.Batch:
        return super().gather(chosen.sort().values)


def make(kind: type[JetDataset] = JetDataset, **changes: Any) -> JetDataset:
    rng = np.random.default_rng(0)
    three = rng.normal(size=(60, 3)) * 20 + [60, 5, 10]
    momenta = np.concatenate([np.linalg.norm(three, axis=1, keepdims=True) * 1.001, three], axis=1)
    given = {"target": np.arange(20) % 2, "class_names": ("a", "b"), "splits": "hash"}
    return kind(momenta, np.arange(0, 61, 3), **{**given, **changes})


def spoil(**changes: Any) -> JetDataset:
    data = make()
    for name, value in changes.items():
        setattr(data, name, value)
    return data


@pytest.mark.parametrize(
    ("broken", "check", "detail"),
    [
        (lambda: make(Broken), "order of batches", "do not come in the order asked for"),
        (lambda: make(target=np.full(20, 2)), "target of its kind", "from 2 to 2, but there are 2 classes"),
        (
            lambda: make(event_id=np.zeros(20), splits=np.arange(20) % 3),
            "splits disjoint",
            "0 is in train and in val",
        ),
        (lambda: make(splits=np.full(20, 3)), "splits disjoint", r"splits are \[3\], not 0, 1, 2"),
        (lambda: spoil(weight=torch.full((20,), torch.nan)), "weights finite", "weights are torch.float32"),
        (lambda: make(weight=np.zeros(20)), "weights finite", "all weights are zero"),
        (lambda: spoil(context=torch.zeros(3, 0)), "columns fit", "context does not have one entry"),
        (lambda: spoil(scalar_names=("q",)), "columns fit", "1 scalar_names for 0 columns"),
        (
            lambda: make().subset([0, 0, 1]),
            "identifiers",
            "events 0 and 1 have identifier 0 and are the same",
        ),
    ],
)
def test_the_kit_finds(broken: Callable[[], JetDataset], check: str, detail: str) -> None:
    outcome = check_dataset(broken())[check]
    assert outcome.status == "failed"
    assert re.search(detail, outcome.detail), outcome.detail


def test_expected_failures_need_a_reason_and_a_check() -> None:
    reason = {"order of batches": "it sorts"}
    assert (
        check_dataset(make(Broken), expected_failures=reason)["order of batches"].status
        == "failed as expected"
    )
    with pytest.raises(ValueError, match=r"no checks are called \['speed'\]; there are \['columns fit'"):
        check_dataset(make(), expected_failures={"speed": "slow"})
    with pytest.raises(ValueError, match="expected failures need a reason"):
        check_dataset(make(), expected_failures={next(iter(DATASET_CHECKS)): " "})

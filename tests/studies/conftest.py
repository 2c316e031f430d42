"""Small jets and small models: a training of a second."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import lorentzoo as lz
from lorentzoo.data.dataset import JetDataset
from lorentzoo.registry.specs import Spec

SMALL = {
    "backbone": "deep-sets:hidden=[16]",
    "embedding": "kinematics",
    "head": "classify:num_classes=1,hidden=[16]",
}


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def jets() -> JetDataset:
    """400 shipped jets with at most 20 particles each, with their splits."""
    return lz.load_dataset("toptag", num_jets=400, max_constituents=20)


@pytest.fixture
def small_spec() -> Spec:
    """A small model that trains in a second."""
    return Spec.from_data(SMALL)


@pytest.fixture
def recipe() -> dict[str, Any]:
    """Two short epochs."""
    return {"epochs": 2, "batch_size": 50, "learning_rate": 3e-3}

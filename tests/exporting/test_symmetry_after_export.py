"""Symmetric networks as files, fed with float32 momenta as experiments have them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.minkowski import boost
from lorentzoo.verification.events import random_cloud
from lorentzoo.verification.inputs import fit_if_needed

pytestmark = [
    pytest.mark.slow,
    # Boosted events are unlike those that frames were fitted on.
    pytest.mark.filterwarnings("ignore:events unlike those that the model knows"),
]

NETWORKS: dict[str, dict[str, Any]] = {
    "lorentznet": {"backbone": "lorentznet:num_blocks=1", "embedding": ["momenta", "invariants"]},
    "lgatr-slim": {"backbone": "lgatr-slim:num_blocks=1", "embedding": ["momenta", "invariants"]},
    "lloca": {"backbone": "transformer:num_blocks=1", "frames": "lloca-polar"},
}


def make(name: str) -> lz.Model:
    torch.manual_seed(0)
    model = lz.compose(**{"embedding": ["kinematics", "momenta"], **NETWORKS[name]}, head="classify").eval()
    fit_if_needed(model, random_cloud((8, 6, 5), masses=(0.13957,)))
    return model


def take_stored(cloud: lz.ParticleCloud) -> lz.ParticleCloud:
    return replace(cloud, momenta=cloud.momenta.float().double())


@pytest.fixture(params=NETWORKS, scope="module")
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    path = tmp_path_factory.mktemp(request.param) / "net.onnx"
    return request.param, lz.export(make(request.param), path)


def test_boosts_change_no_more_than_storage_in_float32_does(exported: tuple[str, Path]) -> None:
    name, path = exported
    model, served = make(name).double(), lz.load_exported(path)
    cloud = random_cloud((12, 9, 15, 10), masses=(0.13957,), seed=1)
    for gamma in (1.0, 10.0, 100.0):
        boosted = cloud.transform(boost([0.3, -0.5, 0.8], math.acosh(gamma)))
        scale = np.abs(model.predict(cloud)).max()
        stored = np.abs(model.predict(take_stored(boosted)) - model.predict(take_stored(cloud))).max() / scale
        found = np.abs(served.predict(boosted) - served.predict(cloud)).max() / scale
        assert found <= 2 * stored + 1e-5, gamma


def test_the_anchor_is_in_float64_after_a_cast(exported: tuple[str, Path]) -> None:
    graph = onnx.load(exported[1]).graph
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    casts = [node for node in graph.node if node.op_type == "Cast" and node.input[0] == "momenta"]
    assert [node.attribute[0].i for node in casts] == [onnx.TensorProto.DOUBLE]
    # Nothing else reads momenta, so that anchor and frames see float64 alone.
    readers = [node.op_type for node in graph.node if "momenta" in node.input]
    assert set(readers) <= {"Cast", "Shape"}
    assert make(exported[0]).anchor == "rest"

"""Default files in the runtimes of experiments: in older ones where they are at hand, otherwise by the rules of ONNX."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import onnx
import pytest
import torch

import lorentzoo as lz

PYTHONS = [path for path in os.environ.get("LORENTZOO_OLD_RUNTIMES", "").split(os.pathsep) if path]
"""Interpreters with an older onnxruntime, e.g. of environments with ``onnxruntime==1.17.3 "numpy<2"`` and 1.20.1."""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    backbone = {"name": "deep-sets", "hidden": [8]}
    model = lz.compose(backbone=backbone, embedding=["kinematics", "momenta"], head="classify:num_classes=3")
    return lz.export(model, tmp_path_factory.mktemp("default") / "net.onnx")


def test_default_files_keep_to_ir_8_and_opset_17(path: Path) -> None:
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == 8
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    for node in model.graph.node:
        assert onnx.defs.get_schema(node.op_type, 17).since_version <= 17


@pytest.mark.parametrize(
    "python", PYTHONS or [pytest.param("", marks=pytest.mark.skip("LORENTZOO_OLD_RUNTIMES names none"))]
)
def test_older_runtimes_give_the_golden_numbers(python: str, path: Path) -> None:
    loader = path.with_name("net_loader.py")
    ran = subprocess.run([python, str(loader)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr

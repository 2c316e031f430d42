"""Formats other than ONNX: compiled libraries and C++."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.errors import ExportError, MissingExtraError
from lorentzoo.exporting.formats import FORMATS
from lorentzoo.exporting.plain import PlainModel
from lorentzoo.exporting.sofie_files import _LIBRARIES, SofieLibrary


def make(**slots: object) -> lz.Model:
    torch.manual_seed(0)
    parts = {"backbone": {"name": "deep-sets", "hidden": [8]}, "embedding": "momenta"}
    return lz.compose(**{**parts, "head": "classify:num_classes=2", **slots}).eval()


def require_compiler() -> None:
    """Skip with the reason where the C++ of SOFIE cannot be compiled."""
    pytest.importorskip("sofie")
    if shutil.which("g++") is None:
        pytest.skip("there is no g++")
    for blas in _LIBRARIES:
        command = ["g++", "-shared", "-x", "c++", "/dev/null", "-o", "/dev/null", blas]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return
    pytest.skip("there is no BLAS: apt install libopenblas-dev")


@pytest.mark.slow
def test_a_library_for_this_machine(tmp_path: Path) -> None:
    path = lz.export(make(), tmp_path / "net.pt2", "aoti")
    about = json.loads(path.with_suffix(".json").read_text())
    assert about["kind"] == "aoti"
    assert {"platform", "machine", "device_key"} <= set(about["target"])
    loader = subprocess.run(
        [sys.executable, str(path.with_name("net_loader.py"))], capture_output=True, text=True, check=False
    )
    assert loader.returncode == 0, loader.stderr


def test_cplusplus_of_sofie(tmp_path: Path) -> None:
    require_compiler()
    path = lz.export(make(), tmp_path / "my-net.hxx", "sofie")
    about = json.loads(path.with_suffix(".json").read_text())
    assert max(about["differences"].values()) <= about["tolerance"]
    assert about["precision"] == "float32 throughout"
    assert "namespace SOFIE_my_net" in path.read_text()
    assert not path.with_name("my-net_loader.py").exists()


def test_sofie_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    require_compiler()
    small = {"name": "particlenet", "neighbours": 2, "channels": [4], "num_layers": 1, "hidden_reps": []}
    model = make(backbone=small, embedding="kinematics")
    with pytest.raises(ExportError, match=r"SOFIE does not take this model: .*Its operators are .*TopK"):
        lz.export(model, tmp_path / "net.hxx", "sofie")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("where", ["Session", "infer"])
def test_what_the_generated_code_throws_ends_no_process(where: str) -> None:
    """As SOFIE's does for L-GATr-slim, where it mistakes the length of a reshaped tensor."""
    require_compiler()
    thrown = {
        name: 'throw std::runtime_error("no such sizes");' * (name == where) for name in ("Session", "infer")
    }
    text = f"""
        #include <algorithm>
        #include <cstdint>
        #include <stdexcept>
        #include <vector>
        namespace SOFIE_net {{ struct Session {{
            template <class... Given> Session(Given...) {{ {thrown["Session"]} }}
            template <class... Given> std::vector<std::vector<float>> infer(Given...) {{
                {thrown["infer"]} return {{{{1.0f, 2.0f}}}};
            }}
        }}; }}
    """
    plain = PlainModel(make(), dtype=torch.float32, name="net")
    one = {
        column.name: np.ones([1 if isinstance(x, str) else x for x in column.shape])
        for column in plain.inputs
    }
    given = {column.name: one[column.name].astype(column.dtype) for column in plain.inputs}
    with pytest.raises(ExportError, match=r"the C\+\+ of SOFIE does not run: no such sizes"):
        SofieLibrary(text.encode(), plain)(given)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "sofie", None)
    with pytest.raises(MissingExtraError, match=r"lorentzoo\[sofie\]"):
        lz.export(make(), tmp_path / "net.hxx", "sofie")


def test_every_format_has_another_name() -> None:
    assert {"onnx", "torch-export", "aoti", "sofie"} <= set(FORMATS)
    assert all(form.ending.startswith(".") for form in FORMATS.values())

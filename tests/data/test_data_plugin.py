"""Does the plugin offer its data sets by name, and cheaply?"""

from __future__ import annotations

import subprocess
import sys

import pytest

import lorentzoo as lz
from lorentzoo import data
from lorentzoo.data.named import jets10, toptag, ttbar
from lorentzoo.data.shipped import shipped_samples


@pytest.mark.parametrize(("name", "target"), [("toptag", toptag), ("jets10", jets10), ("ttbar", ttbar)])
def test_data_sets_have_names(name: str, target: object) -> None:
    components = {component.name: component for component in data.lorentzoo_components()}
    assert components[name].kind == "dataset"
    assert components[name].load() is target
    assert name in shipped_samples()


def test_loading_by_name() -> None:
    dataset = lz.load_dataset("toptag", split="test", num_jets=100, max_constituents=32)
    assert len(dataset) == 100
    assert dataset.class_names == ("qcd", "top")


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("lorentzoo.data", {"torch", "numpy", "rich", "pythia8mc", "fastjet", "awkward"}),
        ("lorentzoo.data.make", {"torch", "pythia8mc", "fastjet", "awkward"}),
    ],
)
def test_importing_is_cheap(module: str, heavy: set[str]) -> None:
    program = f"import sys, {module}; print(*{heavy} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == ""

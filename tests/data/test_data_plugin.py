"""Does the plugin offer its data sets by name, and cheaply?"""

from __future__ import annotations

import subprocess
import sys

import pytest

from lorentzoo import data
from lorentzoo.data.dataset import toptag


def test_components_load() -> None:
    components = data.lorentzoo_components()
    assert [(component.kind, component.name) for component in components] == [("dataset", "toptag")]
    assert components[0].load() is toptag


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

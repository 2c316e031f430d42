"""After a bare `pip install lorentzoo`: does every command work, or name what to install?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lorentzoo.core.extras import EXTRAS

STUDY = """
name: small
dataset: toptag:num_jets=200,max_constituents=5
axes: {backbone: ["deep-sets:hidden=[4]"]}
seeds: 1
budget: {steps: 1}
"""
RUN = """
import sys
for module in {modules!r}:
    sys.modules[module] = None
from lorentzoo.cli.main import main
sys.argv = ["lorentzoo", *{arguments!r}]
main()
"""
WITHOUT_TRAINING = (
    ("list",),
    ("describe", "transformer"),
    ("describe", "regression", "--kind", "task"),
    ("plugins",),
    ("data", "list"),
    ("verify", "deep-sets"),
    ("verify", "deep-sets", "--plot", "figure.png"),
    ("train", "deep-sets", "--dataset", "toptag:num_jets=200", "-s", "max_steps=1", "--out", "run"),
    ("study", "run", "study.yaml", "--out", "out"),
    ("table", "taggers", "pfn"),
)


def call(extra: str, arguments: tuple[str, ...], folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "study.yaml").write_text(STUDY)
    code = RUN.format(modules=EXTRAS[extra], arguments=arguments)
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("arguments", WITHOUT_TRAINING, ids=" ".join)
def test_without_training(arguments: tuple[str, ...], tmp_path: Path) -> None:
    ran = call("train", arguments, tmp_path)
    said = ran.stdout + ran.stderr
    assert "Traceback" not in said
    assert "No module named" not in said
    assert ran.returncode in (0, 1)
    if ran.returncode:
        assert 'pip install "lorentzoo[train]"' in said


@pytest.mark.parametrize(
    ("extra", "arguments"),
    [
        ("readers", ("data", "info", "events.root")),
        ("readers", ("train", "deep-sets", "--dataset", "jetclass-root:path=events.root", "--out", "run")),
        ("simulate", ("data", "make", "toptag", "--jets", "10")),
        ("nflows", ("describe", "rqs-flow", "--kind", "generator")),
        ("generative", ("list", "generator")),
        ("onnx", ("export", "deep-sets", "--out", "a.onnx")),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_without_other_extras(extra: str, arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "events.root").write_bytes(b"root" + bytes(200))
    ran = call(extra, arguments, tmp_path)
    said = ran.stdout + ran.stderr
    assert "Traceback" not in said
    assert "No module named" not in said
    assert ran.returncode == 0 or f"lorentzoo[{extra}]" in said


def test_a_specification_that_is_not_there(tmp_path: Path) -> None:
    ran = call("nflows", ("verify", "nope.yaml"), tmp_path)
    assert "there is no file nope.yaml" in ran.stderr

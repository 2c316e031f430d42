"""What the tests of faults share: sizes, small models and studies, and processes that are killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import lorentzoo as lz
from lorentzoo.core.model import Model

STUDY: dict[str, Any] = {
    "name": "killed",
    "dataset": "toptag:num_jets=300,max_constituents=8",
    "axes": {"backbone": ["deep-sets:hidden=[16]", "mlp:num_particles=8,hidden=[16]"]},
    "fixed": {"head": "classify:num_classes=1", "frames": "random-beam"},
    "seeds": 2,
    "training": {"batch_size": 50, "ema": 0.9},
    "budget": {"steps": 60},
}
PREAMBLE = """
import json, os, random, signal, sys, time
import torch
torch.set_num_threads(1)
import lorentzoo as lz
from lorentzoo.studies import runner
from lorentzoo.studies.runner import run_study
# Figures take long, and lose nothing.
runner.write_report = lambda result: result.directory
"""


def sizes(quick: int, slow: int) -> Any:
    """The same test with a few faults in the quick suite, and with many in the slow one."""
    return pytest.mark.parametrize(
        "faults",
        [pytest.param(quick, id=f"{quick}"), pytest.param(slow, id=f"{slow}", marks=pytest.mark.slow)],
    )


def small_model(seed: int = 0, width: int = 4) -> Model:
    torch.manual_seed(seed)
    return lz.compose(backbone=f"deep-sets:hidden=[{width}]").eval()


def same_model(one: Model, other: Model) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def run_script(script: str, *arguments: Any) -> Any:
    """What a script prints last, as JSON."""
    ran = subprocess.run(
        [sys.executable, "-c", PREAMBLE + script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout.splitlines()[-1])


def start_script(script: str, *arguments: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + script, *map(str, arguments)],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def contents_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}

"""Every benchmark runs: once, on as little as it takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
EVENTS = Path(__file__).parents[1] / "plugins" / "amplitudes" / "lhe" / "madgraph-pp-jj.lhe.gz"
NANOAOD = Path(__file__).parents[1] / "data" / "readers" / "real" / "pfnano-ttree.root"
RECORDED = Path(__file__).parents[1] / "recorded"
SMALLEST = {
    "amplitude_recipe": [["--gluons", "2", "--seconds", "1", "--fresh", "100", "--rows", "poly3", "recipe"]],
    "amplitude_published": [["--seconds", "0.2", "--points", "300", "--fresh", "100"]],
    "amplitudes": [["--gluons", "2", "--seconds", "0.1", "--repeats", "1"]],
    "batch_order": [["--cpu-seconds", "0.2"]],
    "beam_boost": [["--jets", "2"]],
    "cgenn": [["--events", "1", "--dense-events", "1", "--repeats", "1"]],
    "few_jets": [["no/such/study"], [str(RECORDED / "study-0.1")]],
    "float32_symmetry": [
        ["--events", "2", "--only", "lgatr-slim"],
        ["--events", "2", "--only", "lorentznet", "--exported"],
    ],
    "helicities": [["--points", "400", "--seconds", "1", "--events", "200"]],
    "integer_weights": [["no/such/study"]],
    "latency": [
        [
            "--models",
            "mlp-i",
            "--ways",
            "eager",
            "onnxruntime",
            "c",
            "c-single",
            "truth",
            "--rounds",
            "1",
            "--batches",
            "1",
            "4",
        ]
    ],
    "jet_observables": [[str(NANOAOD)]],
    "generated_c": [["--models", "sk-dnn", "--truth", "1", "--repeats", "1"]],
    "lgatr": [
        ["--rounds", "1", "--events", "1", "--only", "slim"],
        ["--rounds", "1", "--events", "2", "--only", "amplitudes"],
        ["--rounds", "1", "--curve", "--longest", "8"],
    ],
    "compiled_training": [
        ["--blocks", "1", "--events", "2", "--rounds", "1", "--timeout", "1"],
        ["--only", "slim", "--blocks", "1", "--events", "2", "--rounds", "1", "--backend", "eager"],
    ],
    "lloca": [["--repeats", "1", "--events", "2", "--only", "graphnet"], ["--repeats", "1", "--events", "2"]],
    "other_generators": [
        [str(EVENTS), "--model", "log-polynomial", "--process", "gg-ng", "--points", "300", "--fresh", "50"]
    ],
    "readers": [["--jets", "300"]],
    "scaling": [
        ["--section", "paper"],
        ["--networks", "small", "--batch-size", "8", "--epochs", "1", "--repeats", "1"],
    ],
    "streaming": [
        [
            "--files",
            "10",
            "--jets",
            "60",
            "--group",
            "30",
            "--repeats",
            "1",
            "--steps",
            "2",
            "--formats",
            "parquet",
        ]
    ],
}
"""Arguments of each run. A script that is missing here fails the first test."""
LONG = {("float32_symmetry", 1), ("batch_order", 0), ("lgatr", 1), ("lloca", 1), ("scaling", 1)}
"""Runs that take about a minute on a busy machine."""


def test_every_benchmark_is_tried() -> None:
    assert {path.stem for path in SCRIPTS.glob("*.py")} == set(SMALLEST)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        pytest.param(name, arguments, marks=[pytest.mark.slow] if (name, number) in LONG else [])
        for name, runs in SMALLEST.items()
        for number, arguments in enumerate(runs)
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_benchmarks_run(name: str, arguments: list[str]) -> None:
    needed = {
        "lgatr": ["lgatr"],
        "compiled_training": ["lgatr"],
        "amplitude_published": ["lloca"],
        "lloca": ["lloca"],
        "other_generators": ["pylhe"],
        "jet_observables": ["uproot", "awkward"],
        "readers": ["uproot", "awkward"],
        "streaming": ["uproot", "awkward", "pyarrow"],
        "few_jets": ["sklearn"],
    }
    for package in needed.get(name, []):
        pytest.importorskip(package)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPTS / f"{name}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()
    assert ("not finished" in done.stdout) == ("--timeout" in arguments)

"""A study that is told to end ends, as soon as it is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")

STUDY = """
name: long
dataset: {name: jets10, num_jets: 200}
axes: {backbone: [deep-sets]}
seeds: 1
training: {batch_size: 64}
budget: {cpu_seconds: 600}
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_ends_a_study_whose_runs_are_executed_in_its_process(
    number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    process = subprocess.Popen(
        [sys.executable, "-m", "lorentzoo", "study", "run", "study.yaml", "-w", "1", "--out", "out"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        end = time.monotonic() + 120
        while not list(tmp_path.glob("out/runs/*/checkpoint.ckpt")):
            assert time.monotonic() < end
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.05)
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode in (130, -number)
    assert "tried again" not in said
    assert "Traceback" not in said
    assert not list(tmp_path.glob("out/runs/*/finished.json"))

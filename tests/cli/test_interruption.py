"""Does Ctrl-C end a training with a word, at once, and lose nothing that had finished?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_ctrl_c_in_a_training(tmp_path: Path) -> None:
    code = "from lorentzoo.cli.main import main; main()"
    options = [
        "train",
        "deep-sets",
        "--dataset",
        "toptag:num_jets=400",
        "-s",
        "epochs=100000",
        "--out",
        "run",
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *options],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 120
    while not (tmp_path / "run" / "checkpoint.ckpt").is_file():
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in said
    assert "training events" in said.splitlines()[0]
    assert "Traceback" not in said
    assert (tmp_path / "run" / "checkpoint.ckpt").is_file()

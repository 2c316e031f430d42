"""Does one process at a time have a directory, and is nothing left in it by those that were killed?"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lorentzoo.registry.files import locked, owned, write_atomically
from lorentzoo.training import resume

HOLDER = """
import sys, time
from pathlib import Path
from lorentzoo.registry.files import owned
with owned(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@contextmanager
def held_elsewhere(directory: Path, seconds: float) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(directory), str(seconds)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_directory_has_one_owner(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path, 60) as process:
        with pytest.raises(BlockingIOError), owned(tmp_path):
            pass
        process.kill()
        process.wait()
        with owned(tmp_path):
            pass


def test_patience_waits_for_the_other(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path, 0.5):
        started = time.monotonic()
        with owned(tmp_path, patience=30):
            assert time.monotonic() - started > 0.1


def test_the_owner_may_ask_again_and_other_threads_may_not(tmp_path: Path) -> None:
    refused = []

    def try_it() -> None:
        try:
            with locked(tmp_path, wait=False):
                pass
        except BlockingIOError:
            refused.append(True)

    with owned(tmp_path), locked(tmp_path), owned(tmp_path):
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
    assert refused == [True]
    try_it()
    assert refused == [True]


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    with owned(directory):
        write_atomically(directory / "metrics.json", b"{}")
    for name in (".checkpoint.ckpt.123.tmp", ".metrics.json.77.tmp"):
        (directory / name).write_bytes(b"half")
    with owned(directory):
        assert [path.name for path in directory.iterdir()] == ["metrics.json"]


def test_two_trainings_never_share_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "_PATIENCE", 0.1)
    message = f"another process is training in {tmp_path}; wait for it or choose another directory"
    with (
        held_elsewhere(tmp_path, 60),
        pytest.raises(resume.TrainingError, match=message),
        resume.only_here(tmp_path),
    ):
        pass
    with resume.only_here(tmp_path), resume.only_here(None):
        pass

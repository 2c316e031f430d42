"""Do worker processes end with Ctrl-C and with a killed parent, and does only one process make a file?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lorentzoo.data.make import make_sample
from lorentzoo.data.sample import Sample
from lorentzoo.data.workers import run_in_workers
from lorentzoo.data.writing import EventWriteError, only_one_maker

PROGRAM = """
import sys, time
from pathlib import Path
from lorentzoo.data.workers import run_in_workers

if __name__ == "__main__":
    for _ in run_in_workers(time.sleep, [(0,), (0,), (0,), (600,), (600,), (600,)], 2):
        print("ready", flush=True)
"""


def children_of(pid: int) -> list[int]:
    """Processes that this one has started, and theirs."""
    tasks = Path(f"/proc/{pid}/task")
    own = [int(child) for task in tasks.glob("*/children") for child in task.read_text().split()]
    return own + [below for child in own for below in children_of(child)]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to see processes")
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(tmp_path: Path, sent: signal.Signals) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py")],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        workers = children_of(parent.pid)
        assert len(workers) >= 2
        begin = time.monotonic()
        parent.send_signal(sent)
        parent.wait(timeout=10)
        while any(map(alive, workers)) and time.monotonic() - begin < 10:
            time.sleep(0.02)
        assert not any(map(alive, workers))
        assert time.monotonic() - begin < 5  # seconds; the calls under way take ten minutes


def test_results_come_in_the_order_asked_for() -> None:
    for workers in (1, 2):
        assert list(run_in_workers(abs, [(-n,) for n in range(5)], workers, in_order=True)) == list(range(5))


def test_only_one_process_makes_a_file(tmp_path: Path) -> None:
    out = tmp_path / "a.hdf5"
    with (
        only_one_maker(out),
        pytest.raises(EventWriteError, match=r"another process is making this file.*a\.hdf5"),
    ):
        make_sample("showers", jets=2, seed=1, out=out, progress=False)
    make_sample("showers", jets=2, seed=1, out=out, progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.hdf5"]


def test_a_link_in_place_of_the_lock_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("contents")
    (tmp_path / ".a.npz.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(EventWriteError, match=r"a\.npz\.lock"), only_one_maker(tmp_path / "a.npz"):
        pass
    assert (tmp_path / "precious").read_text() == "contents"


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file grows beyond 4 kB, as on a disk that is nearly full."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("ending", ["npz", "hdf5"])
def test_a_full_disk_is_named_and_leaves_what_was_there(
    tmp_path: Path, ending: str, random_sample: Callable[..., Sample]
) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_text("before")
    writers = {
        "npz": random_sample(400).save,
        "hdf5": lambda path: make_sample("showers", jets=30, seed=1, out=path, progress=False),
    }
    with pytest.raises(EventWriteError, match=rf"nothing was written; make room .*a\.{ending}"):
        writers[ending](path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]

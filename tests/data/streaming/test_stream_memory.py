"""Does a stream of files that are larger than its memory stay within it?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PASS = """
import sys, threading, time
import torch
import lorentzoo as lz
from lorentzoo.data.batching import make_loader

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e9

torch.set_num_threads(1)
folder, small, memory = sys.argv[1], sys.argv[2], float(sys.argv[3])
# What imports and a first reading take is there before.
for batch in make_loader(lz.load_dataset("jetclass-root", path=small, stream=True, memory_gb=0.05), 500):
    break
del batch
before, most, over = resident(), 0.0, threading.Event()

def watch():
    global most
    while not over.wait(0.005):
        most = max(most, resident())

watcher = threading.Thread(target=watch, daemon=True)
watcher.start()
data = lz.load_dataset("jetclass-root", path=folder, stream=True, memory_gb=memory)
seen = torch.zeros(100, 100_000, dtype=torch.bool)
before += seen.nbytes / 1e9
for batch in make_loader(data, 512, shuffle=True):
    file, row = batch.event_id >> 32, batch.event_id & 0xFFFFFFFF
    assert not seen[file, row].any()
    seen[file, row] = True
over.set()
watcher.join()
print(int(seen.sum()), most - before)
"""


def measure(folder: Path, small: Path, memory: float) -> tuple[int, float]:
    """Events of a pass, and how much memory the process took for it, in GB."""
    found = subprocess.run(
        [sys.executable, "-c", PASS, str(folder), str(small), str(memory)],
        capture_output=True,
        text=True,
        check=False,
        env={"OMP_NUM_THREADS": "1", "PATH": ""},
    )
    assert found.returncode == 0, found.stderr
    events, grown = found.stdout.split()[-2:]
    return int(events), float(grown)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_memory_of_small_files(tmp_path: Path, jet_files: Callable[..., Path]) -> None:
    folder = jet_files(tmp_path / "jets", files=12, jets=4096, group=2048, largest=80)
    small = jet_files(tmp_path / "small", files=1, jets=500, group=500)
    events, grown = measure(folder, small, 0.12)
    assert events == 49_152
    # The events are 0.15 GB. Sixteen megabytes are what the allocator keeps of anything.
    assert grown < 0.12 + 0.016


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_memory_of_forty_files(tmp_path: Path, jet_files: Callable[..., Path]) -> None:
    folder = jet_files(tmp_path / "jets", files=40, jets=50_000, group=10_000, largest=80)
    small = jet_files(tmp_path / "small", files=1, jets=500, group=500)
    events, grown = measure(folder, small, 0.5)
    assert events == 2_000_000
    assert grown < 0.5

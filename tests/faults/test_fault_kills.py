"""Processes that are killed, at any time, lose nothing that was finished and change no result."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from faulting import STUDY, run_script, sizes

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

# The parent imports everything, so that a child trains from its first moment on. Only kills that meet a run between
# its first and its last file count.
KILLER = """
study, folder, wanted, longest = json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
from pathlib import Path
import lorentzoo.training.train
random.seed(0)
counted, finished, rounds = [], {}, 0

def runs(name):
    return sorted(Path(folder).glob(f"{rounds}/runs/*/{name}"))

def unfinished():
    return [path.parent for path in runs("run.json") if not (path.parent / "finished.json").exists()]

while len(counted) < wanted:
    child = os.fork()
    if child == 0:
        try:
            run_study(study, f"{folder}/{rounds}", workers=1, progress=False)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    gone, status = 0, 0
    while not gone and not unfinished():
        time.sleep(0.005)
        gone, status = os.waitpid(child, os.WNOHANG)
    if not gone:
        time.sleep(random.uniform(0.0, longest))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    assert not (os.WIFEXITED(status) and os.WEXITSTATUS(status)), "the study failed"
    for path, stamp in finished.items():
        assert path.stat().st_mtime_ns == stamp, f"{path} was finished, and is written again"
    finished = {path: path.stat().st_mtime_ns for path in runs("finished.json")}
    started = unfinished()
    checkpoints = [folder for folder in started if (folder / "checkpoint.ckpt").exists()]
    if os.WIFSIGNALED(status) and started:
        counted.append("after an epoch" if checkpoints else "before the first epoch's end")
    if not started and len(finished) == len(study["axes"]["backbone"]) * study["seeds"]:
        rounds, finished = rounds + 1, {}
for number in range(rounds + 1):
    run_study(study, f"{folder}/{number}", workers=1, progress=False)
print(json.dumps({kind: counted.count(kind) for kind in set(counted)}))
"""


@sizes(quick=2, slow=40)
def test_studies_killed_in_the_middle_of_trainings(tmp_path: Path, faults: int) -> None:
    """Every result is that of a study that was left alone, to the bit."""
    reference = "run_study(json.loads(sys.argv[1]), sys.argv[2], workers=1, progress=False); print(0)"
    study = json.dumps({**STUDY, "seeds": min(faults // 2, 2)})
    run_script(reference, study, tmp_path / "through")
    counts = run_script(KILLER, study, tmp_path / "killed", faults, 1.0)
    print("kills of studies:", counts)
    assert sum(counts.values()) == faults
    through = {path.name: path for path in (tmp_path / "through" / "runs").iterdir()}
    rounds = list((tmp_path / "killed").iterdir())
    assert rounds
    for folder in rounds:
        runs = {path.name: path for path in (folder / "runs").iterdir()}
        assert runs.keys() == through.keys()
        for key, run in runs.items():
            for name in ("weights.safetensors", "metrics.json", "spec.json"):
                assert (run / name).read_bytes() == (through[key] / name).read_bytes(), (run, name)
            with np.load(run / "predictions.npz") as one, np.load(through[key] / "predictions.npz") as other:
                assert all(np.array_equal(one[name], other[name]) for name in other.files)
            assert not [path for path in run.iterdir() if path.suffix in (".tmp", ".ckpt")]


SAVER = """
models = []
for seed in (0, 1):
    torch.manual_seed(seed)
    models.append(lz.compose(backbone="deep-sets:hidden=[500,500]").eval())
run = sys.argv[1]
lz.save(models[0], run)
random.seed(0)
found = []
for _ in range(int(sys.argv[2])):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        while True:
            for model in models:
                started = time.monotonic()
                lz.save(model, run)
                os.write(writer, f"{time.monotonic() - started:12.6f}".encode())
    # On a busy machine a child may take long to come so far, and each save.
    duration = float(os.read(reader, 12))
    time.sleep(random.uniform(0, 4 * duration))
    os.close(reader), os.close(writer)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    loaded = lz.load(run).state_dict()
    which = [all(torch.equal(loaded[n], t) for n, t in model.state_dict().items()) for model in models]
    assert sum(which) == 1, which
    found.append(which.index(True))
lz.save(models[0], run)
print(json.dumps([found.count(0), found.count(1), sorted(os.listdir(run))]))
"""


@sizes(quick=15, slow=300)
def test_killed_in_the_middle_of_saving(tmp_path: Path, faults: int) -> None:
    """Processes are killed while they save two models in turn: what loads is always one of the two, whole."""
    first, second, files = run_script(SAVER, tmp_path / "run", faults)
    print("kills of save:", first, "left the first model,", second, "the second")
    assert first + second == faults
    assert min(first, second) > 0
    assert files == ["README.md", "details.json", "spec.json", "weights.safetensors"]

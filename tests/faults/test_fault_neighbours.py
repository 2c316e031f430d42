"""Two writers of one thing, and readers beside a writer."""

from __future__ import annotations

import json
import os
from pathlib import Path

from faulting import PREAMBLE, STUDY, run_script, same_model, sizes, small_model, start_script

import lorentzoo as lz

WRITER = """
torch.manual_seed(int(sys.argv[2]))
model = lz.compose(backbone="deep-sets:hidden=[8]")
for _ in range(int(sys.argv[3])):
    lz.save(model, sys.argv[1])
"""


@sizes(quick=40, slow=400)
def test_two_writers_and_a_reader_of_a_model(tmp_path: Path, faults: int) -> None:
    """Every save succeeds, every load gives one of the models whole, and nothing is left behind."""
    models = [small_model(seed, width=8) for seed in (0, 1, 2)]
    lz.save(models[0], tmp_path)
    writers = [start_script(WRITER, tmp_path, seed, faults) for seed in (1, 2)]
    loads = [0, 0, 0]
    while any(writer.poll() is None for writer in writers):
        loaded = lz.load(tmp_path)
        which = [same_model(loaded, model) for model in models]
        assert sum(which) == 1
        loads[which.index(True)] += 1
    assert [(writer.wait(), writer.communicate()[1]) for writer in writers] == [(0, "")] * 2
    print("loads beside", 2 * faults, "saves of two processes:", sum(loads))
    assert sum(loads) > 0
    assert sorted(os.listdir(tmp_path)) == ["README.md", "details.json", "spec.json", "weights.safetensors"]


RUNNER = """
from lorentzoo.core.errors import StudyError
try:
    result = run_study(json.loads(sys.argv[1]), sys.argv[2], workers=1, progress=False)
    print(json.dumps("complete" if result.is_complete else "incomplete"))
except StudyError as error:
    print(json.dumps(str(error)))
"""
READER = """
from lorentzoo.core.errors import StudyError
import subprocess
shown, states = 0, set()
writer = subprocess.Popen([sys.executable, "-c", sys.argv[1], *sys.argv[2:]], stdout=subprocess.PIPE, text=True)
while writer.poll() is None:
    if os.path.exists(sys.argv[3] + "/study.json"):
        result = runner.show_study(sys.argv[3])
        shown += 1
        time.sleep(0.02)
        states |= {problem.split()[2].rstrip(":") for row in result.rows for problem in row.problems}
print(json.dumps([shown, sorted(states), len(runner.show_study(sys.argv[3]).finished)]))
"""


@sizes(quick=20, slow=200)
def test_two_runners_and_a_reader_of_a_study(tmp_path: Path, faults: int) -> None:
    """One runs it and the other is told so; a reader beside sees runs that are missing, unfinished or whole."""
    axes = {"backbone": STUDY["axes"]["backbone"][:1]}
    study = json.dumps({**STUDY, "axes": axes, "seeds": 1, "budget": {"steps": faults}})
    runners = [start_script(RUNNER, study, tmp_path / "both") for _ in range(2)]
    answers = sorted(json.loads(runner.communicate()[0]) for runner in runners)
    assert answers[1] == "complete"
    assert answers[0] == "complete" or answers[0].startswith("another process is running the study in")
    shown, states, finished = run_script(READER, PREAMBLE + RUNNER, study, tmp_path / "beside")
    print("looks at a study beside its runner:", shown)
    assert shown > 0
    assert set(states) <= {"missing", "unfinished"}
    assert finished == 1

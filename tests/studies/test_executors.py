"""Runs that are executed elsewhere: the same numbers as here, whatever is killed meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import lorentzoo as lz
from lorentzoo.core.errors import StudyError
from lorentzoo.output.files import digest_of
from lorentzoo.studies import cancel_study, collect_runs, runner
from lorentzoo.studies.executors.base import Ended, Executor
from lorentzoo.studies.jobs import Job, execute, read_job, work
from lorentzoo.studies.results import StudyResult
from lorentzoo.studies.runner import run_study, show_study
from lorentzoo.studies.runs import state_of
from lorentzoo.studies.status import read_status

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and scripts are those of POSIX")

STUDY: dict[str, Any] = {
    "name": "small",
    "dataset": "toptag:num_jets=400,max_constituents=20",
    "axes": {"backbone": ["deep-sets:hidden=[16]"]},
    "fixed": {"head": "classify:num_classes=1"},
    "seeds": 2,
    "training": {"batch_size": 50, "learning_rate": 3.0e-3},
    "budget": {"steps": 12},
}
LONG = {**STUDY, "budget": {"steps": 300}, "seeds": 1}
FAKES = Path(__file__).parent / "batch_systems"


@pytest.fixture(autouse=True)
def _without_report(monkeypatch) -> None:
    """Drawing figures takes seconds, and has tests of its own."""
    monkeypatch.setattr(runner, "write_report", lambda result: result.directory)


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> dict[str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "write_report", lambda result: result.directory)
        return results(run_study(STUDY, tmp_path_factory.mktemp("local"), workers=1, progress=False))


@pytest.fixture(scope="module")
def long_local(tmp_path_factory) -> dict[str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "write_report", lambda result: result.directory)
        return results(run_study(LONG, tmp_path_factory.mktemp("long"), workers=1, progress=False))


def results(study: StudyResult) -> dict[str, str]:
    """Everything that a run found, by its hash."""
    assert study.is_complete
    return {
        path.parent.name: path.read_text() + path.with_name("spec.json").read_text()
        for path in sorted(study.directory.glob("runs/*/metrics.json"))
    }


@pytest.fixture
def fakes(tmp_path, monkeypatch) -> Path:
    """Commands of batch systems on the path, which do here what the real ones do elsewhere."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for source in FAKES.iterdir():
        command = folder / source.name
        command.write_text(f"#!{sys.executable}\n{source.read_text()}")
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(folder))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return folder


def wait_for(condition: Any, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.05)


# ---- files ----------------------------------------------------------------------------------------


def test_files_for_htcondor_are_executed_literally(tmp_path, fakes, local, capsys) -> None:
    folder = tmp_path / "a study"
    planned = run_study(STUDY, folder, executor="files")
    said = capsys.readouterr().err
    assert not planned.is_complete
    assert f"condor_submit {folder}/batch/condor.sub" in said
    done = subprocess.run(
        ["condor_submit", str(folder / "batch" / "condor.sub")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[0, 0]", (folder / "batch" / "logs").iterdir()
    assert results(show_study(folder)) == local
    # Nothing is left to do, by whomever.
    assert run_study(STUDY, folder, executor="files", progress=False).is_complete


def test_files_for_slurm_are_executed_literally_and_told_to_end_start_again(
    tmp_path, fakes, long_local
) -> None:
    run_study(LONG, tmp_path / "study", executor="files:tries=9", progress=False)
    (key,) = long_local
    directory = tmp_path / "study" / "runs" / key
    script = tmp_path / "study" / "batch" / "slurm-1.sh"
    slurm = subprocess.Popen(["sbatch", str(script)], start_new_session=True)
    wait_for((directory / "checkpoint.ckpt").is_file)
    status = read_status(directory)
    assert status is not None
    assert status.is_alive
    problems = show_study(tmp_path / "study").rows[0].problems
    assert f"unfinished (running on {status.host}: " in problems[0]
    # Slurm tells the batch shell alone, whose children must hear of it.
    shell = parent_of(parent_of(status.pid))
    os.kill(shell, signal.SIGTERM)
    assert slurm.wait(300) == 0
    assert json.loads((directory / "training.json").read_text())["resumed_at"] >= 1
    assert results(show_study(tmp_path / "study")) == long_local


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_runs_that_were_sent_elsewhere_are_collected(tmp_path, local) -> None:
    study = tmp_path / "study"
    run_study(STUDY, study, executor="files:shared=false", progress=False)
    assert "transfer_input_files = jobs/$(key).json" in (study / "batch" / "condor.sub").read_text()
    first, second = sorted(local)
    elsewhere = tmp_path / "worker"
    (elsewhere / "jobs").mkdir(parents=True)
    for key in (first, second):
        name = f"{key}.json"
        (elsewhere / "jobs" / name).write_text((study / "jobs" / name).read_text())
    assert work(elsewhere, first) == ("finished", "")
    found = collect_runs(study, [elsewhere])
    assert found.taken == (first,)
    assert work(elsewhere, second) == ("finished", "")
    (elsewhere / "runs" / second / "metrics.json").write_text("{}")
    found = collect_runs(study, [elsewhere])
    assert (found.taken, found.known) == ((), (first,))
    (reason,) = found.refused.values()
    assert "metrics.json does not have the contents" in reason
    assert not show_study(study).is_complete
    # What is left, another executor does.
    assert results(run_study(STUDY, study, workers=1, progress=False)) == local
    with pytest.raises(StudyError, match="is not a directory"):
        collect_runs(study, [tmp_path / "nowhere"])


@pytest.mark.slow
def test_nothing_is_lost_where_jobs_are_killed(tmp_path, fakes, monkeypatch) -> None:
    many = {**STUDY, "seeds": 200, "budget": {"steps": 2}}
    run_study(many, tmp_path / "study", executor="files", progress=False)
    monkeypatch.setenv("LOSSES", "0.3")
    subprocess.run(["condor_submit", str(tmp_path / "study" / "batch" / "condor.sub")], check=True)
    study = show_study(tmp_path / "study")
    assert study.is_complete
    assert study.rows[0].seeds == tuple(range(200))
    assert len(list((tmp_path / "study" / "runs").iterdir())) == 200


# ---- clusters -------------------------------------------------------------------------------------


def test_submitit(tmp_path, local) -> None:
    pytest.importorskip("submitit")
    study = run_study(STUDY, tmp_path, executor="slurm:cluster=local", progress=False)
    assert results(study) == local


def test_ray_with_a_worker_that_is_killed(tmp_path, long_local, capfd) -> None:
    pytest.importorskip("ray")
    (key,) = long_local
    directory = tmp_path / "runs" / key
    killed = []

    def kill() -> None:
        wait_for((directory / "checkpoint.ckpt").is_file)
        status = read_status(directory)
        assert status is not None
        os.kill(status.pid, signal.SIGKILL)
        killed.append(status.pid)

    killer = threading.Thread(target=kill)
    killer.start()
    study = run_study(LONG, tmp_path, executor="ray:workers=2")
    killer.join()
    assert killed
    assert "is tried again: its worker was lost" in capfd.readouterr().err
    assert json.loads((directory / "training.json").read_text())["resumed_at"] >= 1
    assert results(study) == long_local


@pytest.mark.slow
def test_dask(tmp_path, local) -> None:
    pytest.importorskip("distributed")
    assert results(run_study(STUDY, tmp_path, executor="dask:workers=2", progress=False)) == local


# ---- an executor of somebody else's -------------------------------------------------------------------


class Losing(Executor):
    """Loses every run once, as a third party's might."""

    def __init__(self) -> None:
        self.lost: list[str] = []
        self.over: list[Ended] = []

    def submit(self, job: Job) -> None:
        if job.key in self.lost:
            execute(job)
        self.lost.append(job.key)
        self.over.append(Ended(job, "" if self.lost.count(job.key) > 1 else "no luck"))

    def ended(self, timeout: float) -> list[Ended]:
        over, self.over = self.over, []
        return over

    def cancel(self) -> None:
        self.over = []


def test_what_is_lost_is_tried_again_up_to_a_limit(tmp_path, local, capsys) -> None:
    assert results(run_study(STUDY, tmp_path / "again", executor=Losing())) == local
    assert "deep-sets, seed 0 is tried again: no luck" in capsys.readouterr().err
    study = run_study(STUDY, tmp_path / "never", executor=Losing(), retries=0, progress=False)
    assert all("failed: RunError: no luck" in problem for problem in study.rows[0].problems)
    assert len(study.rows[0].problems) == 2


# ---- what goes wrong -----------------------------------------------------------------------------------


def test_cancelled_studies_stop_and_go_on(tmp_path) -> None:
    longer = {**LONG, "budget": {"steps": 3000}}

    def stop() -> None:
        wait_for(lambda: any(tmp_path.glob("runs/*/checkpoint.ckpt")))
        cancel_study(tmp_path)

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(StudyError, match=r"was cancelled; run it again to go on with its 1 remaining runs"):
        run_study(longer, tmp_path, executor="local:workers=2", progress=False)
    stopper.join()
    (directory,) = (tmp_path / "runs").iterdir()
    assert work(tmp_path, directory.name) == ("cancelled", "the study was cancelled")
    assert state_of(directory) == "unfinished"
    study = run_study(longer, tmp_path, workers=1, progress=False)
    assert study.rows[0].runs[0].training["resumed_at"] >= 1
    with pytest.raises(StudyError, match="is not a study's directory"):
        cancel_study(tmp_path / "runs")


def test_workers_that_cannot_work_say_why(tmp_path, local) -> None:
    key = sorted(local)[0]
    with pytest.raises(StudyError, match=r"is not seen from .*, or is no directory of a study"):
        work(tmp_path / "elsewhere", key)
    run_study(STUDY, tmp_path, executor="files", progress=False)
    with pytest.raises(StudyError, match=r"has no run abc"):
        work(tmp_path, "abc")
    path = tmp_path / "jobs" / f"{key}.json"
    stated = json.loads(path.read_text())
    path.write_text(json.dumps({**stated, "label": "another"}))
    with pytest.raises(StudyError, match=r"is damaged: it does not have the contents"):
        read_job(tmp_path, key)
    del stated["seal"]
    stated["version"] = "lorentzoo 0.0.1"
    path.write_text(json.dumps({**stated, "seal": digest_of(stated)}))
    with pytest.raises(
        StudyError, match=r"was planned by lorentzoo 0\.0\.1, and .* has lorentzoo 0\.1\.0: install"
    ):
        work(tmp_path, key)


def test_clusters_that_are_not_there(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    pytest.importorskip("submitit")
    with pytest.raises(StudyError, match="there is no sbatch on this machine"):
        run_study(STUDY, tmp_path / "s", executor="slurm", progress=False)
    pytest.importorskip("ray")
    with pytest.raises(StudyError, match=r"there is no Ray cluster at 127\.0\.0\.1:9: .*refused"):
        run_study(STUDY, tmp_path / "r", executor="ray:address='127.0.0.1:9'", progress=False)
    with pytest.raises(StudyError, match="workers are of the executor 'local'"):
        run_study(STUDY, tmp_path / "l", executor="files", workers=2, progress=False)


def test_parts_of_this_session_are_known_here_alone(tmp_path) -> None:
    from lorentzoo.plugins.sets.deep_sets import DeepSets

    lz.register("backbone", "sessional")(type("Sessional", (DeepSets,), {}))
    study = {**STUDY, "axes": {"backbone": ["sessional:hidden=[8]"]}, "seeds": 1}
    with pytest.raises(StudyError, match=r"registered in this session, .* take the executor 'local'"):
        run_study(study, tmp_path, executor="files", progress=False)
    assert run_study(study, tmp_path, progress=False).is_complete


def test_resources_of_rows(tmp_path) -> None:
    rows = {"axes": {"backbone": ["deep-sets:hidden=[16]", {"label": "wide", "name": "deep-sets"}]}}
    needs = {"memory_gb": 2, "rows": [{"backbone": "wide", "gpus": 1, "hours": 0.5}]}
    run_study({**STUDY, **rows, "resources": needs}, tmp_path, executor="files", progress=False)
    lines = (tmp_path / "batch" / "runs.txt").read_text().splitlines()
    assert [text.split(", ")[1:] for text in lines] == [["1", "0", "2048", "14400"]] * 2 + [
        ["1", "1", "2048", "1800"]
    ] * 2
    assert "#SBATCH --gres=gpu:1" in (tmp_path / "batch" / "slurm-2.sh").read_text()
    assert "request_gpus = $(gpus)" in (tmp_path / "batch" / "condor.sub").read_text()
    with pytest.raises(StudyError, match=r"resources: backbone has no choice 'narrow'"):
        run_study({**STUDY, "resources": {"rows": [{"backbone": "narrow", "gpus": 1}]}}, progress=False)
    with pytest.raises(StudyError, match="gpus"):
        run_study({**STUDY, "resources": {"gpus": -1}}, progress=False)


def test_sigterm_ends_a_run_with_a_code_that_asks_for_a_restart(tmp_path, long_local) -> None:
    run_study(LONG, tmp_path, executor="files", progress=False)
    (key,) = long_local
    command = [sys.executable, "-m", "lorentzoo", "study", "work", str(tmp_path), "--only", key]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    directory = tmp_path / "runs" / key
    wait_for((directory / "checkpoint.ckpt").is_file)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 75
    assert said.strip().endswith(f"run {key}: again, it was told to end")
    assert "Traceback" not in said
    assert "unfinished (interrupted on " in show_study(tmp_path).rows[0].problems[0]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"run {key}: finished\n"
    assert results(show_study(tmp_path)) == long_local

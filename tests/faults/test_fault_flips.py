"""One flipped bit, in any file that is kept: never silent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from faulting import STUDY, contents_of, same_model, sizes, small_model

import lorentzoo as lz
from lorentzoo.core.errors import CheckpointError, RunError, SpecError
from lorentzoo.registry import saved
from lorentzoo.registry.cards import is_as_written
from lorentzoo.registry.saved import CARD, DETAILS
from lorentzoo.studies import runner
from lorentzoo.studies.runner import run_study, show_study
from lorentzoo.studies.runs import read_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one finished run."""
    small = {**STUDY, "axes": {"backbone": ["deep-sets:hidden=[16]"]}, "seeds": 1, "budget": {"steps": 5}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "write_report", lambda result: result.directory)
        return run_study(small, tmp_path_factory.mktemp("study"), workers=1, progress=False).directory


def flip(content: bytes, rng: np.random.Generator) -> bytes:
    data = bytearray(content)
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    return bytes(data)


@sizes(quick=4, slow=200)
def test_every_file_of_a_finished_run(finished: Path, faults: int) -> None:
    """So many flips in each file."""
    run = next((finished / "runs").iterdir())
    contents = contents_of(run)
    # What is told of the model has checksums of its own, and may be said anew; see below.
    assert {CARD, DETAILS} < set(contents)
    contents = {name: content for name, content in contents.items() if name not in (CARD, DETAILS)}
    assert len(contents) == 11
    rng = np.random.default_rng(0)
    for name, content in contents.items():
        for _ in range(faults):
            (run / name).write_bytes(flip(content, rng))
            (row,) = show_study(finished).rows
            assert not row.runs, name
            assert "damaged" in row.problems[0]
            with pytest.raises(RunError, match="cannot be used"):
                read_run(run)
        (run / name).write_bytes(content)
    print("flips in a run:", faults * len(contents), "of which silent: 0")
    assert read_run(run).metrics


@sizes(quick=20, slow=500)
def test_all_files_of_a_saved_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: int) -> None:
    monkeypatch.setattr(saved, "_PAUSE", 0.0)
    directory = lz.save(small_model(), tmp_path)
    rng = np.random.default_rng(1)
    for name, content in contents_of(directory).items():
        for _ in range(faults):
            damaged = flip(content, rng)
            (directory / name).write_bytes(damaged)
            if name == CARD:
                assert not is_as_written(damaged.decode(errors="replace"))
                continue
            with pytest.raises((CheckpointError, SpecError)):
                lz.read_details(directory) if name == DETAILS else lz.load(directory)
        (directory / name).write_bytes(content)
    print("flips in a saved model:", 4 * faults, "of which silent: 0")
    assert same_model(lz.load(directory), small_model())

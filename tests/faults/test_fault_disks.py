"""A disk that takes no more: the file is named, what was there before stays, and nothing half-written is left."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faulting import STUDY, same_model, small_model

import lorentzoo as lz
from lorentzoo.core.errors import CheckpointError
from lorentzoo.data.sample import Sample
from lorentzoo.data.shipped import sample_path
from lorentzoo.output.files import write_bytes, write_json, write_text
from lorentzoo.output.progress import ProgressLine
from lorentzoo.studies import runner
from lorentzoo.studies.runner import run_study
from lorentzoo.studies.runs import state_of
from lorentzoo.training.resume import read_checkpoint, write_checkpoint


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The system refuses to let any file grow beyond, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def save_sample(path: Path, seed: int) -> None:
    Sample.load(sample_path("toptag")).take(np.arange(seed, seed + 50)).save(path)


WRITERS: dict[str, Callable[[Path, int], Any]] = {
    "bytes": lambda path, seed: write_bytes(path, bytes([seed]) * 5000),
    "text": lambda path, seed: write_text(path, str(seed) * 5000),
    "json": lambda path, seed: write_json(path, [seed] * 5000),
    "sample": save_sample,
}


@pytest.mark.parametrize("size", [0, 1, 1000])
@pytest.mark.parametrize("name", WRITERS)
def test_writers_of_files(tmp_path: Path, name: str, size: int) -> None:
    path = tmp_path / "a.npz"
    write = WRITERS[name]
    write(path, 1)
    before = path.read_bytes()
    with (
        files_of_at_most(size),
        pytest.raises(OSError, match=r"(File too large|nothing was written).*a\.npz"),
    ):
        write(path, 2)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.npz"]
    write(path, 2)
    assert path.read_bytes() != before


@pytest.mark.parametrize("size", [0, 100, 600])
def test_saved_models(tmp_path: Path, size: int) -> None:
    lz.save(small_model(0), tmp_path)
    with files_of_at_most(size), pytest.raises(CheckpointError, match=r"could not save to .*File too large"):
        lz.save(small_model(1), tmp_path)
    assert same_model(lz.load(tmp_path), small_model(0))
    lz.save(small_model(1), tmp_path)
    assert same_model(lz.load(tmp_path), small_model(1))
    assert sorted(os.listdir(tmp_path)) == ["README.md", "details.json", "spec.json", "weights.safetensors"]


def test_checkpoints_of_training(tmp_path: Path) -> None:
    states = [{"fingerprint": "f", "weights": torch.full((5000,), epoch)} for epoch in range(3)]
    write_checkpoint(tmp_path, states[0])
    write_checkpoint(tmp_path, states[1])
    with files_of_at_most(3000), pytest.raises(OSError, match=r"File too large.*checkpoint\.ckpt"):
        write_checkpoint(tmp_path, states[2])
    found = read_checkpoint(tmp_path, "f", ProgressLine("full", show=False))
    assert found is not None
    assert torch.equal(found["weights"], states[1]["weights"])


@pytest.mark.parametrize(
    "name", ["weights.safetensors.new", "predictions.npz", "metrics.json", "finished.json"]
)
def test_a_run_that_meets_a_full_disk_fails_by_name_and_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The disk is full when one of its files is written; the others of the study go on."""
    monkeypatch.setattr(runner, "write_report", lambda result: result.directory)
    small = {**STUDY, "seeds": 1, "budget": {"steps": 5}}
    replace, met = os.replace, []

    def replace_or_refuse(source: Any, target: Any) -> None:
        if Path(target).name == name and not met:
            met.append(Path(target))
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as full:
        full.setattr(os, "replace", replace_or_refuse)
        result = run_study(small, tmp_path, workers=1, progress=False)
    assert len(met) == 1
    (problem,) = [problem for row in result.rows for problem in row.problems]
    assert "No space left on device" in problem
    assert state_of(met[0].parent).startswith("failed: ")
    assert not [path for path in met[0].parent.iterdir() if path.suffix == ".tmp"]
    again = run_study(small, tmp_path, workers=1, progress=False)
    assert again.is_complete


def test_a_study_on_a_disk_that_is_full_from_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "write_report", lambda result: result.directory)
    with files_of_at_most(0), pytest.raises(OSError, match=r"File too large.*study\.json"):
        run_study({**STUDY, "seeds": 1}, tmp_path, workers=1, progress=False)
    assert os.listdir(tmp_path) == []

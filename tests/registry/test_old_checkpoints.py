"""What earlier versions saved loads, gives the same numbers, and is written anew without a change of meaning."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from test_registry_specs import specs
from typer.testing import CliRunner

import lorentzoo as lz
from lorentzoo.cli.main import app
from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.errors import CheckpointError
from lorentzoo.registry.migrations import FORMAT, migrate
from lorentzoo.registry.saved import SPEC, seal
from lorentzoo.registry.specs import Spec
from lorentzoo.studies.renewal import find_saved, renew
from lorentzoo.studies.runs import read_run

RECORDED = Path(__file__).parents[1] / "recorded"
EXACT = "outputs-float64.npz"
CHECKPOINTS = sorted(path.parent for path in (RECORDED / "checkpoints").rglob(SPEC))
RUN = next((RECORDED / "study-0.1" / "runs").iterdir())


def events() -> ParticleCloud:
    """As ``record.py`` draws them."""
    rng = np.random.default_rng(7)
    p, mass = rng.normal(size=(18, 3)) * [40, 40, 90], rng.uniform(0.1, 3, size=18)
    momenta = np.concatenate([np.sqrt((p**2).sum(1) + mass**2)[:, None], p], 1)
    return ParticleCloud.from_packed(torch.tensor(momenta), torch.tensor([0, 5, 8, 14, 18]))


def outputs_of(directory: Path, dtype: torch.dtype = torch.float64) -> Any:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("error")
        return lz.load(directory).to(dtype)(events()).double().numpy()


@pytest.mark.parametrize("directory", CHECKPOINTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_recorded_checkpoint_gives_the_recorded_numbers_also_when_written_anew(
    directory: Path, tmp_path: Path
) -> None:
    with np.load(directory.parent / "outputs.npz") as rounded, np.load(directory.parent / EXACT) as exact:
        recorded, wanted = rounded[directory.name], exact[directory.name]
    scale = np.abs(wanted).max()
    assert np.abs(outputs_of(directory) - wanted).max() <= 1e-10 * scale
    # In float32 they round otherwise, by no more than those that were recorded did.
    error = np.abs(outputs_of(directory, torch.float32) - wanted).max()
    assert error <= max(1e-6 * scale, 2 * np.abs(recorded - wanted).max())
    copy = Path(shutil.copytree(directory, tmp_path / "copy"))
    assert '-  "format": 1' in renew(copy, dry_run=True)
    assert json.loads((copy / SPEC).read_text())["format"] == 1
    assert renew(copy)
    assert json.loads((copy / SPEC).read_text())["format"] == FORMAT
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    assert renew(copy) == ""
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before
    assert np.abs(outputs_of(copy) - wanted).max() <= 1e-10 * scale


def test_there_are_checkpoints_of_several_revisions() -> None:
    assert len({path.parent.name for path in CHECKPOINTS}) >= 4
    assert (
        sum(path.stat().st_size for path in (RECORDED / "checkpoints").rglob("*") if path.is_file()) < 300_000
    )


def test_a_card_of_what_was_written_anew_claims_no_versions_of_today(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(CHECKPOINTS[0], tmp_path / "copy"))
    renew(copy)
    assert lz.read_details(copy).versions == {"lorentzoo": "0.1.0"}


def test_a_run_is_still_the_same_run(tmp_path: Path) -> None:
    shutil.copytree(RECORDED / "study-0.1", tmp_path / "study")
    runs = {path.parent: read_run(path.parent) for path in (tmp_path / "study").rglob("run.json")}
    result = CliRunner().invoke(app, ["migrate", str(tmp_path / "study"), "--dry-run"])
    assert result.output.count("would be written anew") == len(runs)
    result = CliRunner().invoke(app, ["migrate", str(tmp_path / "study")])
    assert result.exit_code == 0, result.output
    assert result.output.count(": written anew") == len(runs)
    for directory, record in runs.items():
        again = read_run(directory)
        assert again.run.key == record.run.key == directory.name
        assert again.metrics == record.metrics
        assert renew(directory) == ""


def test_what_cannot_be_loaded_is_named_and_the_others_are_written(tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(CHECKPOINTS[0], tmp_path / name)
    (tmp_path / "a" / "weights.safetensors").write_bytes(b"x")
    result = CliRunner().invoke(app, ["migrate", str(tmp_path)])
    assert result.exit_code == 1
    assert "truncated" in result.output
    assert f"{tmp_path / 'b'}: written anew" in result.output
    with pytest.raises(CheckpointError, match="holds no saved model"):
        next(find_saved(tmp_path / "nowhere"))


def test_the_second_format_must_state_its_checksum(tmp_path: Path) -> None:
    lz.save(lz.compose(backbone="deep-sets:hidden=[4]"), tmp_path)
    data = json.loads((tmp_path / SPEC).read_text())
    del data["checksum"]
    (tmp_path / SPEC).write_text(json.dumps(data))
    with pytest.raises(CheckpointError, match="its checksum is not the one it states"):
        lz.load(tmp_path)
    (tmp_path / SPEC).write_text(json.dumps({**data, "format": 1}))
    lz.load(tmp_path)
    assert seal(data) != seal({**data, "format": 1})


@given(spec=specs, number=st.integers(1, FORMAT))
def test_any_composition_of_any_format_is_read(spec: Spec, number: int) -> None:
    data = {**spec.to_data(), "format": number}
    kept = json.dumps(data)
    once = migrate(data)
    assert json.dumps(data) == kept
    assert once["format"] == FORMAT
    assert migrate(once) == once
    assert Spec.from_data(data) == spec == Spec.from_data(once)


@given(
    number=st.integers(1, 4), content=st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), max_size=3)
)
def test_steps_are_taken_in_order_and_once(number: int, content: dict[str, int]) -> None:
    def step(name: int) -> Any:
        return lambda data: {**data, "steps": [*data.get("steps", []), name]}

    steps = (step(1), step(2), step(3))
    migrated = migrate({**content, "format": number}, steps)
    assert migrated.pop("steps", []) == list(range(number, 4))
    assert migrated == {**content, "format": 4}

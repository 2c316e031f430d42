"""Checkpoints survive what happens to files and processes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save

import lorentzoo as lz
from lorentzoo.core.errors import CheckpointError, SpecError
from lorentzoo.core.model import Model
from lorentzoo.registry import checkpoints
from lorentzoo.registry.saved import seal
from lorentzoo.testing import random_cloud


def made(seed: int = 0, width: int = 4) -> Model:
    torch.manual_seed(seed)
    return lz.compose(backbone=f"deep-sets:hidden=[{width}]").eval()


def same(a: Model, b: Model) -> bool:
    mine, theirs = a.state_dict(), b.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return lz.save(made(), tmp_path / "run")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_there_and_back(tmp_path: Path, dtype: torch.dtype) -> None:
    model = made().to(dtype)
    again = lz.load(lz.save(model, tmp_path / "deep" / "run"))
    assert same(model, again)
    assert again.dtype == dtype
    assert again.spec == model.spec
    assert not again.training
    cloud = random_cloud()
    assert torch.equal(again(cloud), model(cloud))
    assert sorted(path.name for path in (tmp_path / "deep" / "run").iterdir()) == [
        "README.md",
        "details.json",
        "spec.json",
        "weights.safetensors",
    ]


def test_fitted_statistics_live_with_the_weights(tmp_path: Path) -> None:
    model = lz.compose(backbone="deep-sets:hidden=[4]", head="regress")
    b = 3
    batch = lz.Batch(random_cloud([2, 1, 3]), torch.arange(b).double(), torch.ones(b), torch.arange(b))
    model.fit_statistics([batch])
    again = lz.load(lz.save(model, tmp_path))
    assert float(again.head.mean) == 1.0
    assert again.predict(batch.cloud).shape == (3, 1)
    assert "mean" not in json.dumps(model.spec.to_data()["head"])


def test_a_model_without_specification_cannot_be_saved(tmp_path: Path) -> None:
    model = made()
    model.spec = None
    with pytest.raises(CheckpointError, match=r"no specification; make it by lorentzoo\.compose"):
        lz.save(model, tmp_path)


# ---- damage -----------------------------------------------------------------------------------


def weights(run: Path) -> Path:
    return run / "weights.safetensors"


def rewrite(directory: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a specification and seal it anew, as somebody who knows what they do."""
    data = json.loads((directory / "spec.json").read_text())
    data.pop("checksum")
    change(data)
    data["checksum"] = seal(data)
    (directory / "spec.json").write_text(json.dumps(data))


@pytest.mark.parametrize("size", [0, 1, 7, 100, -1])
def test_truncated_weights(saved: Path, size: int) -> None:
    payload = weights(saved).read_bytes()
    weights(saved).write_bytes(payload[:size])
    with pytest.raises(CheckpointError, match=rf"truncated: \d+ of {len(payload)} bytes"):
        lz.load(saved)


@pytest.mark.parametrize("where", [0, 3, 9, 40, -1, -20])
def test_one_flipped_bit(saved: Path, where: int) -> None:
    payload = bytearray(weights(saved).read_bytes())
    payload[where] ^= 1
    weights(saved).write_bytes(bytes(payload))
    with pytest.raises(CheckpointError, match=r"is damaged: its checksum is not the one in spec.json"):
        lz.load(saved)


def test_missing_files(saved: Path, tmp_path: Path) -> None:
    weights(saved).unlink()
    with pytest.raises(CheckpointError, match=r"is not a saved model: it has no weights.safetensors"):
        lz.load(saved)
    (saved / "spec.json").unlink()
    with pytest.raises(CheckpointError, match=r"is not a saved model: it has no spec.json"):
        lz.load(saved)
    with pytest.raises(CheckpointError, match="is not a saved model"):
        lz.load(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["", "{", "\x00\x01", '{"backbone": "deep-s'])
def test_a_damaged_specification(saved: Path, text: str) -> None:
    (saved / "spec.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"spec\.json is damaged"):
        lz.load(saved)


def test_a_specification_of_something_else(saved: Path) -> None:
    (saved / "spec.json").write_text("[1, 2]")
    with pytest.raises(SpecError, match="does not hold a specification"):
        lz.load(saved)
    (saved / "spec.json").write_text("{}")
    with pytest.raises(SpecError, match="names no backbone"):
        lz.load(saved)


def test_a_newer_format(saved: Path) -> None:
    rewrite(saved, lambda data: data.update(format=99, lorentzoo="7.0"))
    with pytest.raises(SpecError, match=r"format 99 \(made by lorentzoo 7.0\).*upgrade lorentzoo"):
        lz.load(saved)


def test_a_specification_without_checksum(saved: Path) -> None:
    rewrite(saved, lambda data: data.pop("weights"))
    with pytest.raises(CheckpointError, match="does not state the checksum"):
        lz.load(saved)


def test_weights_of_another_network(saved: Path) -> None:
    rewrite(saved, lambda data: data["backbone"].update(hidden=[5]))
    with pytest.raises(
        CheckpointError, match=r"wrong shape .*backbone\.layers\.0\.bias: \(4,\) instead of \(5,\)"
    ):
        lz.load(saved)


def replace_weights(run: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    state = load_file(weights(run))
    change(state)
    payload = save(state)
    weights(run).write_bytes(payload)
    digest = hashlib.sha256(payload).hexdigest()
    rewrite(run, lambda data: data["weights"].update(sha256=digest, bytes=len(payload)))


def test_missing_and_further_entries_are_named(saved: Path) -> None:
    def change(state: dict[str, torch.Tensor]) -> None:
        state["backbone.layers.9.weight"] = state.pop("backbone.layers.0.weight")

    replace_weights(saved, change)
    with pytest.raises(
        CheckpointError, match=r"missing \['backbone\.layers\.0\.weight'\], unexpected \['backbone\.layers\.9"
    ):
        lz.load(saved)


def test_a_file_that_is_no_safetensors_file(saved: Path) -> None:
    payload = b"\x80\x04pickle"
    weights(saved).write_bytes(payload)
    digest = hashlib.sha256(payload).hexdigest()
    rewrite(saved, lambda data: data["weights"].update(sha256=digest, bytes=len(payload)))
    with pytest.raises(CheckpointError, match="is not a safetensors file"):
        lz.load(saved)


# ---- a disk that is full ----------------------------------------------------------------------


@pytest.mark.parametrize("at", ["weights.safetensors.new", "details.json.new", "README.md.new", "spec.json"])
@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_model(
    saved: Path, monkeypatch: pytest.MonkeyPatch, at: str, step: str
) -> None:
    old = lz.load(saved)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    original = checkpoints.write_atomically

    def write(path: Path, payload: bytes) -> None:
        if path.name != at:
            original(path, payload)
            return
        with monkeypatch.context() as broken:
            if step == "write":
                broken.setattr(Path, "open", full)
            else:
                broken.setattr(os, step, full)
            original(path, payload)

    monkeypatch.setattr(checkpoints, "write_atomically", write)
    with pytest.raises(
        CheckpointError, match=r"could not save to .*No space left on device.*before is untouched"
    ):
        lz.save(made(1), saved)
    assert same(lz.load(saved), old)
    assert not [path for path in saved.iterdir() if path.name.endswith(".tmp")]
    monkeypatch.undo()
    lz.save(made(1), saved)
    assert same(lz.load(saved), made(1))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_device_that_is_really_full(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = lz.load(saved)
    real = Path.open

    def to_full(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        return real(Path("/dev/full") if "w" in mode else self, mode, *args, **kwargs)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "open", to_full)
        with pytest.raises(CheckpointError, match="No space left on device"):
            lz.save(made(1), saved)
    assert same(lz.load(saved), old)


def test_a_full_disk_after_an_interrupted_save(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that were committed but not yet renamed must survive the next attempt."""
    real = os.replace

    def killed(source: Any, target: Any) -> None:
        if Path(target) == weights(saved):
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            lz.save(made(1), saved)
    assert same(lz.load(saved), made(1))

    def full(path: Path, payload: bytes) -> None:
        if path.name == "spec.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        original(path, payload)

    original = checkpoints.write_atomically
    with monkeypatch.context() as broken:
        broken.setattr(checkpoints, "write_atomically", full)
        with pytest.raises(CheckpointError, match="No space left"):
            lz.save(made(2), saved)
    assert same(lz.load(saved), made(1))


# ---- what is left over --------------------------------------------------------------------------


def test_what_killed_writers_left_is_removed(saved: Path) -> None:
    stale = saved / ".spec.json.123456.tmp"
    stale.write_text("half")
    lz.save(lz.load(saved), saved)
    assert not stale.exists()


@pytest.mark.parametrize("name", ["spec.json", "weights.safetensors"])
def test_pipes_and_devices_are_not_read(saved: Path, name: str) -> None:
    """They might never end, or have no other end."""
    for make in (os.mkfifo, lambda path: os.symlink("/dev/zero", path), os.mkdir):
        path = saved / name
        path.rmdir() if path.is_dir() else path.unlink()
        make(path)
        with pytest.raises(CheckpointError, match=r"a folder, a pipe or a device|has no weights.safetensors"):
            lz.load(saved)


def test_nested_json_is_damaged(saved: Path) -> None:
    (saved / "spec.json").write_text('{"a":' * 20_000)
    with pytest.raises(CheckpointError, match="nested too deeply"):
        lz.load(saved)


def test_what_is_not_a_model_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has no specification"):
        lz.save(torch.nn.Linear(2, 2), tmp_path)  # type: ignore[arg-type]


def test_a_file_is_not_a_saved_model(saved: Path) -> None:
    with pytest.raises(CheckpointError, match="is a file; a saved model is a directory"):
        lz.load(saved / "weights.safetensors")


def test_a_head_put_in_by_hand_is_refused_and_replaced_by_a_verb(tmp_path: Path) -> None:
    model = made()
    batch = random_cloud([5, 3])
    other = lz.replace_head(model, "classify:num_classes=5")
    assert other(batch).shape == (2, 5)
    mine, theirs = model.backbone.state_dict(), other.backbone.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert torch.equal(lz.load(lz.save(other.eval(), tmp_path / "other"))(batch), other(batch))
    model.head = other.head
    with pytest.raises(CheckpointError, match=r"head differs.*lorentzoo\.replace_head"):
        lz.save(model, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    with pytest.raises(lz.core.errors.CompositionError, match="other parts change"):
        lz.replace_head(
            lz.compose(backbone="transformer:num_blocks=1,num_heads=1"), "classify:pooling=global-token"
        )


@pytest.mark.parametrize("backbone", ["lgatr-slim:num_blocks=1", "lorentznet:num_blocks=1"])
@pytest.mark.parametrize("before", ["classify:num_classes=2", "classify:num_classes=2,hidden=[6]"])
def test_the_last_map_of_a_backbone_that_projects_follows_the_head(backbone: str, before: str) -> None:
    model = lz.compose(backbone=backbone, embedding=["momenta", "invariants"], head=before)
    other = lz.replace_head(model, num_classes=5)
    assert other.spec.head.parameters["num_classes"] == 5
    assert other.head.num_classes == 5
    last = {id(parameter) for parameter in other.backbone.last_map.parameters()}
    mine = dict(model.named_parameters())
    for name, parameter in other.backbone.named_parameters(prefix="backbone"):
        # With a layer of the head behind it, the last map emits what it did.
        kept = id(parameter) not in last or "hidden" in before
        if not parameter.numel():
            continue
        assert (parameter.shape == mine[name].shape and torch.equal(parameter, mine[name])) == kept, name
    with pytest.raises(lz.core.errors.ParameterError, match="num_clases"):
        lz.replace_head(model, num_clases=5)


def test_names_of_inputs_are_saved_with_the_model(tmp_path: Path) -> None:

    rng = np.random.default_rng(0)
    p = rng.normal(size=(12, 3))
    vectors = np.concatenate([np.linalg.norm(p, axis=1, keepdims=True), p], 1)
    data = lz.JetDataset(
        vectors, np.arange(0, 13, 3), [0, 1, 0, 1], scalars=rng.normal(size=(12, 2)), scalar_names=("a", "b")
    )
    model = lz.compose(backbone="deep-sets:hidden=[4]", in_scalars=2).eval()
    model.fit_statistics([data.batch(range(4))])
    again = lz.load(lz.save(model, tmp_path / "model"))
    turned = lz.JetDataset(
        vectors, np.arange(0, 13, 3), [0, 1, 0, 1], scalars=data.scalars[:, [1, 0]], scalar_names=("b", "a")
    )
    assert torch.equal(again(turned.batch(range(4)).cloud), model(data.batch(range(4)).cloud))


def test_fitted_statistics_are_not_fitted_again_in_silence() -> None:
    from lorentzoo.core.errors import FittedError

    batches = [
        lz.Batch(
            random_cloud([5, 3], seed=seed),
            torch.tensor([0.5, 2.0]) * (1 + seed),
            torch.ones(2),
            torch.arange(2),
        )
        for seed in range(2)
    ]
    model = lz.compose(backbone="deep-sets:hidden=[4]", head="regress").eval()
    model.fit_statistics(batches[:1])
    before = model.predict(batches[0].cloud)
    with pytest.raises(FittedError, match="refit=True"):
        model.fit_statistics(batches)
    assert (model.predict(batches[0].cloud) == before).all()
    model.fit_statistics(batches, refit=True)
    assert (model.predict(batches[0].cloud) != before).any()
    with pytest.raises(TypeError, match="not ParticleCloud"):
        lz.compose(backbone="deep-sets", head="regress").fit_statistics([batches[0].cloud])  # type: ignore[list-item]

"""Exported files and compiled models that predict as the model did."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch._dynamo.utils import counters

import lorentzoo as lz
from lorentzoo.core.errors import ExportError, InputError, ParameterError
from lorentzoo.verification.events import random_cloud
from lorentzoo.verification.inputs import fit_if_needed

SMALL = {"backbone": {"name": "deep-sets", "hidden": [8]}, "head": "classify:num_classes=3"}


def make(**slots: Any) -> lz.Model:
    torch.manual_seed(0)
    return lz.compose(**{**SMALL, "embedding": ["kinematics", "momenta"], **slots}).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    lz.export(make(in_scalars=2, in_context=1), folder / "free.onnx")
    lz.export(make(), folder / "fixed.onnx", max_particles=6)
    lz.export(make(), folder / "program.pt2", "torch-export")
    return folder


def draw(lengths: tuple[int, ...], **columns: int) -> lz.ParticleCloud:
    return random_cloud(lengths, seed=3, **columns)


def test_predictions_are_those_of_the_model(folder: Path) -> None:
    served = lz.load_exported(folder / "free.onnx", threads=1)
    model = make(in_scalars=2, in_context=1)
    for lengths in ((4, 0, 7), (1,), (0,), (30, 2)):
        cloud = draw(lengths, in_scalars=2, in_context=1)
        found = served.predict(cloud)
        assert found.dtype == np.float64
        assert np.abs(found - model.predict(cloud)).max() < 1e-5
        assert np.abs(served.predict(cloud.to_padded(40)) - found).max() < 1e-6
    assert "free.onnx" in repr(served)


def test_units_data_sets_and_arrays(folder: Path) -> None:
    served, model = lz.load_exported(folder / "program.pt2"), make()
    cloud = draw((4, 2, 3))
    assert np.abs(served.predict(cloud.to_units("MeV")) - served.predict(cloud)).max() < 1e-6
    data = lz.load_dataset("toptag", split="test", num_jets=5)
    assert np.abs(served.predict(data, batch_size=2) - model.predict(data, batch_size=2)).max() < 1e-5
    padded = cloud.to_padded(4)
    arrays = {"momenta": padded.momenta.numpy(), "mask": padded.layout.mask.numpy()}
    assert np.array_equal(served.predict(arrays), served.predict(cloud))


def test_a_fixed_number_of_particles(folder: Path) -> None:
    served = lz.load_exported(folder / "fixed.onnx")
    cloud = draw((4, 6))
    assert np.abs(served.predict(cloud) - make().predict(cloud)).max() < 1e-5
    with pytest.raises(InputError, match="has places for 6 particles, but an event has 7"):
        served.predict(draw((7, 2)))
    arrays = {"momenta": np.ones((1, 5, 4)), "mask": np.ones((1, 5), bool)}
    with pytest.raises(InputError, match="has 6 places, but the arrays have 5"):
        served.predict(arrays)


def test_bad_input(folder: Path) -> None:
    served = lz.load_exported(folder / "free.onnx")
    cloud = draw((3, 4), in_scalars=2, in_context=1)
    cloud.momenta[4, 1] = torch.nan
    with pytest.raises(InputError, match="momenta of event 1 are not finite"):
        served.predict(cloud)
    with pytest.raises(InputError, match=r"takes 2 scalars .*but the cloud has 0"):
        served.predict(draw((3,)))
    with pytest.raises(InputError, match=r"\['context', 'mask', 'scalars'\] are missing"):
        served.predict({"momenta": np.ones((1, 2, 4))})


def test_columns_are_found_by_name(folder: Path) -> None:
    served = lz.load_exported(folder / "free.onnx")
    cloud = draw((3, 4), in_scalars=2, in_context=1)
    momenta, ptr = cloud.momenta, cloud.layout.ptr

    def named(order: list[int]) -> lz.ParticleCloud:
        names = [f"scalar_{k}" for k in order]
        return lz.ParticleCloud.from_packed(
            momenta, ptr, cloud.scalars[:, order], cloud.context, scalar_names=names
        )

    assert np.array_equal(served.predict(named([1, 0])), served.predict(named([0, 1])))


def test_a_pair_that_does_not_match(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "free.onnx", tmp_path / "net.onnx")
    with pytest.raises(ExportError, match=r"and net\.json are not both there"):
        lz.load_exported(tmp_path / "net.onnx")
    shutil.copy(folder / "fixed.json", tmp_path / "net.json")
    with pytest.raises(ExportError, match=r"is not the file that net\.json describes"):
        lz.load_exported(tmp_path / "net.onnx")
    (tmp_path / "net.json").write_text("{}")
    with pytest.raises(ExportError, match=r"as lorentzoo\.export wrote them"):
        lz.load_exported(tmp_path / "net.onnx")


def test_a_runtime_that_is_too_old(folder: Path, tmp_path: Path) -> None:
    # As a runtime of 2024 sees a file of today, so does that of today a file of the future.
    path = tmp_path / "net.onnx"
    model = onnx.load(folder / "free.onnx")
    model.ir_version = 99
    path.write_bytes(model.SerializeToString())
    about = json.loads((folder / "free.json").read_text())
    about["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(about))
    with pytest.raises(
        ExportError, match=r"onnxruntime [\d.]+ is too old for this file; install a newer one"
    ):
        lz.load_exported(path)


def test_files_for_others_are_refused(tmp_path: Path) -> None:
    path = lz.export(make(), tmp_path / "net.onnx", profile="cms", max_particles=4)
    with pytest.raises(ExportError, match="has the inputs of CMS, whose programs run it"):
        lz.load_exported(path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:events unlike those that the model knows")
@pytest.mark.parametrize(
    "slots",
    [
        {},
        {"backbone": "transformer:num_blocks=1"},
        {"backbone": "transformer:num_blocks=1", "frames": "lloca-polar"},
        {"backbone": "lgatr-slim:num_blocks=1", "embedding": ["momenta", "invariants"], "spurions": "beam"},
        {"backbone": "lorentznet:num_blocks=1", "embedding": ["momenta", "invariants"]},
    ],
    ids=["deep-sets", "transformer", "lloca", "lgatr-slim", "lorentznet"],
)
def test_compiled_as_one_graph_for_all_lengths(slots: dict[str, Any], tmp_path: Path) -> None:
    torch._dynamo.reset()
    model = make(in_scalars=1, **slots)
    fit_if_needed(model, draw((4, 7), in_scalars=1))
    lz.save(model, tmp_path / "a")
    compiled = lz.load(tmp_path / "a", compile=True)
    counters.clear()
    for lengths in ((5, 3, 7), (4, 2), (9,), (1,), (3, 0, 30), (0,), (6, 6, 6, 6, 6)):
        cloud = draw(lengths, in_scalars=1)
        assert np.abs(compiled.predict(cloud) - model.predict(cloud)).max() < 1e-5
        assert np.abs(compiled.predict(cloud.to_padded(35)) - model.predict(cloud)).max() < 1e-5
    assert counters["stats"]["unique_graphs"] == 1


def test_parts_that_are_no_graph_are_not_compiled(tmp_path: Path) -> None:
    model = lz.create_model("substructure-mlp")
    lz.save(model, tmp_path / "a")
    with pytest.raises(ExportError, match="cannot be compiled: the backbone Substructure cannot be exported"):
        lz.load(tmp_path / "a", compile=True)


def test_generators_are_not_compiled(tmp_path: Path) -> None:
    generator = lz.create_model("transformer-eventgen")
    lz.save(generator, tmp_path / "a")
    with pytest.raises(ParameterError, match="compile=True is for models that predict"):
        lz.load(tmp_path / "a", compile=True)

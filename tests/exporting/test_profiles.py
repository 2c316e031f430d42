"""Files as experiments take them: names, axes, metadata, and the numbers of the model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from typer.testing import CliRunner

import lorentzoo as lz
from lorentzoo.cli.main import app
from lorentzoo.core.errors import ParameterError
from lorentzoo.verification.events import random_cloud

SMALL = {
    "backbone": {"name": "deep-sets", "hidden": [8]},
    "embedding": ["kinematics", "momenta"],
    "head": "classify:num_classes=3",
}


def make(**slots: object) -> lz.Model:
    torch.manual_seed(0)
    return lz.compose(**{**SMALL, **slots}).eval()


@pytest.fixture(scope="module")
def cms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lz.export(
        make(in_scalars=2, in_context=1), tmp_path_factory.mktemp("cms") / "net.onnx", profile="cms"
    )


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lz.export(
        make(in_scalars=2, in_context=1), tmp_path_factory.mktemp("atlas") / "GN9.onnx", profile="atlas"
    )


def test_cms_has_channels_before_particles(cms: Path) -> None:
    session = onnxruntime.InferenceSession(cms)
    shapes = {value.name: value.shape for value in session.get_inputs()}
    assert {name: len(shape) for name, shape in shapes.items()} == {
        "vectors": 3,
        "mask": 3,
        "features": 3,
        "jet_features": 2,
    }
    assert shapes["vectors"][1] == 4
    assert shapes["mask"][1] == 1
    assert {value.type for value in session.get_inputs()} == {"tensor(float)"}
    cloud = random_cloud((5, 2, 0, 9), in_scalars=2, in_context=1, seed=4)
    padded = cloud.to_padded(9)
    momenta = padded.momenta.numpy().astype(np.float32)
    given = {
        "vectors": momenta[..., [1, 2, 3, 0]].transpose(0, 2, 1),
        "mask": padded.layout.mask.numpy()[:, None].astype(np.float32),
        "features": padded.scalars.numpy().astype(np.float32).transpose(0, 2, 1),
        "jet_features": padded.context.numpy().astype(np.float32),
    }
    found = session.run(["prediction"], given)[0]
    assert np.abs(found - make(in_scalars=2, in_context=1).predict(cloud)).max() < 1e-5


def test_cms_is_told_how_to_preprocess(cms: Path) -> None:
    data = json.loads(cms.with_name("preprocess.json").read_text())
    assert data["input_names"] == ["vectors", "mask", "features", "jet_features"]
    assert data["vectors"]["var_names"] == ["px", "py", "pz", "energy"]
    one = data["vectors"]["var_infos"]["px"]
    assert set(one) == {"median", "norm_factor", "replace_inf_value", "lower_bound", "upper_bound", "pad"}
    assert (one["median"], one["norm_factor"]) == (0, 1)
    assert data["vectors"]["min_length"] < data["vectors"]["max_length"]
    assert data["jet_features"]["var_length"] == 1


def test_atlas_takes_one_jet_of_any_number_of_tracks(atlas: Path) -> None:
    session = onnxruntime.InferenceSession(atlas)
    assert [value.name for value in session.get_inputs()] == ["track_features", "jet_features"]
    assert [value.name for value in session.get_outputs()] == ["GN9_p0", "GN9_p1", "GN9_p2"]
    model = make(in_scalars=2, in_context=1)
    for tracks in range(40):
        cloud = random_cloud((tracks,), in_scalars=2, in_context=1, seed=tracks)
        rows = torch.cat([cloud.momenta, cloud.scalars.double()], dim=-1).numpy().astype(np.float32)
        found = session.run(
            None, {"track_features": rows, "jet_features": cloud.context.numpy().astype(np.float32)}
        )
        assert np.abs(np.concatenate(found) - model.predict(cloud)[0]).max() < 1e-5, tracks
    assert len(json.loads(atlas.with_suffix(".json").read_text())["differences"]) == 40


def test_atlas_finds_names_in_the_metadata(atlas: Path) -> None:
    metadata = {entry.key: entry.value for entry in onnx.load(atlas).metadata_props}
    config = json.loads(metadata["gnn_config"])
    assert config["outputs"] == {"GN9": {"labels": ["p0", "p1", "p2"], "node_index": 0}}
    variables = config["input_sequences"][0]["variables"]
    assert [each["name"] for each in variables] == ["E", "px", "py", "pz", "scalar_0", "scalar_1"]
    assert all((each["offset"], each["scale"]) == (0, 1) for each in variables)


@pytest.mark.parametrize("name", ["my_net.onnx", "my-net.onnx"])
def test_atlas_refuses_names(name: str, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="takes no '_' and no '-' in a network's name"):
        lz.export(make(), tmp_path / name, profile="atlas")


def test_what_profiles_refuse(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="any number of tracks; leave max_particles out"):
        lz.export(make(), tmp_path / "net.onnx", profile="atlas", max_particles=8)
    with pytest.raises(ParameterError, match=r"profile is one of \['cms', 'atlas'\]"):
        lz.export(make(), tmp_path / "net.onnx", profile="lhcb")  # type: ignore[arg-type]


def test_the_command_line_takes_all_choices(tmp_path: Path) -> None:
    options = "--profile cms --opset 18 --ir-version 9 --dtype float64 --max-particles 6"
    command = f"export deep-sets:num_classes=2 --out {tmp_path}/a.onnx {options}"
    ran = CliRunner().invoke(app, command.split())
    assert ran.exit_code == 0, ran.output
    model = onnx.load(tmp_path / "a.onnx")
    assert (model.opset_import[0].version, model.ir_version) == (18, 9)
    vectors = model.graph.input[0].type.tensor_type
    assert vectors.elem_type == onnx.TensorProto.DOUBLE
    assert vectors.shape.dim[2].dim_value == 6
    assert json.loads((tmp_path / "preprocess.json").read_text())["vectors"]["var_length"] == 6

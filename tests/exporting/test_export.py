"""Models as files: the numbers of the model, what lies beside them, and what is refused."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import lorentzoo as lz
import lorentzoo.exporting.files as writing
from lorentzoo.core.errors import ExportError, NotFittedError, ParameterError
from lorentzoo.exporting.compare import check_numbers
from lorentzoo.exporting.graph import control_flow, make_onnx, trace
from lorentzoo.exporting.opset import lower_opset
from lorentzoo.exporting.plain import PlainModel, Sizes

SMALL = {"backbone": {"name": "deep-sets", "hidden": [8]}, "embedding": "kinematics"}
ALONE = """
import runpy, sys
for module in ("torch", "lorentzoo", "onnx"):
    sys.modules[module] = None
runpy.run_path({loader!r}, run_name="__main__")
"""


def make(**slots: Any) -> lz.Model:
    torch.manual_seed(0)
    return lz.compose(**{**SMALL, "head": "classify:num_classes=3", **slots})


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    return lz.export(make(in_scalars=2, in_context=1), folder / "deep" / "tagger.onnx")


def run_loader(path: Path) -> subprocess.CompletedProcess[str]:
    loader = path.with_name(f"{path.stem}_loader.py")
    code = ALONE.format(loader=str(loader))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_the_file_gives_what_the_model_predicts(exported: Path) -> None:
    model = make(in_scalars=2, in_context=1).eval()
    inputs = PlainModel(model).draw(Sizes((3, 0, 7), 8), seed=5)
    session = onnxruntime.InferenceSession(exported)
    given = dict(zip(("momenta", "mask", "scalars", "context"), map(torch.Tensor.numpy, inputs), strict=True))
    output, prediction = session.run(None, given)
    cloud = lz.ParticleCloud.from_padded(*inputs, validate=False)
    wanted = model.predict(cloud)
    assert np.abs(prediction - wanted).max() < 1e-6
    assert np.abs(output - model(cloud).detach().numpy()).max() < 1e-5


def test_what_lies_beside_it(exported: Path) -> None:
    about = json.loads(exported.with_suffix(".json").read_text())
    assert {name["name"]: name["shape"] for name in about["inputs"]} == {
        "momenta": ["events", "particles", 4],
        "mask": ["events", "particles"],
        "scalars": ["events", "particles", 2],
        "context": ["events", 1],
    }
    assert about["inputs"][0]["units"] == "GeV"
    assert about["spec"] == make(in_scalars=2, in_context=1).spec.to_data()
    assert max(about["differences"].values()) <= about["tolerance"] == 1e-5
    assert len(about["differences"]) == len(PlainModel(make(in_scalars=2, in_context=1)).sizes)
    golden = np.load(exported.with_suffix(".npz"))
    assert golden["input_momenta"].dtype == np.float32
    assert golden["output_prediction"].shape == (6, 3)
    model = onnx.load(exported)
    onnx.checker.check_model(model)
    assert (model.opset_import[0].version, model.ir_version) == (17, 8)
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        "lorentzoo_spec_sha256": about["spec_sha256"]
    }


def test_the_loader_needs_numpy_and_onnxruntime_alone(exported: Path) -> None:
    loader = exported.with_name("tagger_loader.py")
    assert len(loader.read_text().splitlines()) <= 25
    ran = run_loader(exported)
    assert ran.returncode == 0, ran.stderr
    assert "largest difference" in ran.stdout


def test_the_loader_refuses_another_file(exported: Path, tmp_path: Path) -> None:
    for file in exported.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    path = tmp_path / exported.name
    path.write_bytes(path.read_bytes()[:-7])
    ran = run_loader(path)
    assert ran.returncode == 1
    assert "is not the file that tagger.json describes" in ran.stderr


def test_torch_export_in_float64_with_a_fixed_number_of_particles(tmp_path: Path) -> None:
    model = make(embedding="momenta")
    path = lz.export(model, tmp_path / "a.pt2", "torch-export", dtype="float64", max_particles=20)
    assert model.dtype == torch.float32
    about = json.loads(path.with_suffix(".json").read_text())
    assert about["inputs"][0]["shape"] == ["events", 20, 4]
    assert about["tolerance"] == 1e-9
    loader = path.with_name("a_loader.py")
    assert subprocess.run([sys.executable, str(loader)], capture_output=True, check=False).returncode == 0
    program = torch.export.load(path).module()
    with pytest.raises((RuntimeError, AssertionError)):
        program(torch.ones(2, 19, 4, dtype=torch.float64), torch.ones(2, 19, dtype=torch.bool))


def test_other_numbers_leave_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make(embedding="momenta")
    head = type(model.head)
    forward = head.forward

    def lie(self: Any, *given: Any) -> torch.Tensor:
        return forward(self, *given) + (1.0 if torch.compiler.is_exporting() else 0.0)

    monkeypatch.setattr(head, "forward", lie)
    with pytest.raises(ExportError, match=r"on events of \[9, 4, 1, 12, 0, 6\] .*'output' differs by"):
        lz.export(model, tmp_path / "a.pt2", "torch-export")
    assert not list(tmp_path.iterdir())


def test_what_depends_on_values_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make(embedding="momenta")
    head = type(model.head)
    forward = head.forward

    def branch(self: Any, features: Any, cloud: Any) -> torch.Tensor:
        out = forward(self, features, cloud)
        return -out if float(out.sum()) > 0 else out

    monkeypatch.setattr(head, "forward", branch)
    with pytest.raises(ExportError, match="cannot write this model as a graph"):
        lz.export(model, tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_reasons_are_given(tmp_path: Path) -> None:
    model = lz.create_model("substructure-mlp")
    with pytest.raises(ExportError, match="clustering takes as many steps as the jet has particles"):
        lz.export(model, tmp_path / "a.onnx")
    generator = lz.create_model("transformer-eventgen")
    with pytest.raises(ExportError, match="draws of a generator are no graph"):
        lz.export(generator, tmp_path / "a.onnx")


def test_numbers_in_float64_keep_their_digits(tmp_path: Path) -> None:
    # With π in float32, as torch's exporter writes it, azimuths are wrong by 1e-7.
    path = lz.export(make(), tmp_path / "a.onnx", dtype="float64", max_particles=12)
    about = json.loads(path.with_suffix(".json").read_text())
    assert max(about["differences"].values()) < 1e-12
    tensors = onnx.load(path).graph.initializer
    assert any(np.any(onnx.numpy_helper.to_array(tensor) == np.pi) for tensor in tensors)


def test_numbers_near_zero_and_one_are_not_taken_for_them() -> None:
    """As the optimizer of the exporter does, which compares with a tolerance."""

    class Nearly(PlainModel):
        def run(self, momenta: Any, *others: Any) -> tuple[torch.Tensor, torch.Tensor]:
            energy = momenta[..., 0]
            return energy * (1 - 1e-6), torch.log(0.0 * energy + 1e-9)

        def expect(self, wanted: Any, found: Any) -> Any:
            """The second number is no prediction of a head."""
            return wanted

    for dtype in (torch.float32, torch.float64):
        plain = Nearly(make(embedding="momenta"), dtype)
        made = make_onnx(trace(plain), plain, opset=17, ir_version=8)
        session = onnxruntime.InferenceSession(made.SerializeToString())
        errors, _ = check_numbers(plain, lambda given, session=session: session.run(None, dict(given)))
        assert max(errors.values()) < (1e-7 if dtype == torch.float32 else 1e-15)


def test_statistics_must_be_fitted(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError, match="fit_statistics"):
        lz.export(make(head="regress"), tmp_path / "a.onnx")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "onxx"}, "format is one of"),
        ({"path": "a.pt2"}, "ends in .onnx"),
        ({"opset": 16}, "opset must be a whole number of at least 17"),
        ({"max_particles": 1}, "max_particles must be a whole number of at least 2"),
        ({"dtype": "float16"}, "dtype is 'float32' or 'float64'"),
    ],
)
def test_choices(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / options.pop("path", "a.onnx")
    with pytest.raises(ParameterError, match=message):
        lz.export(make(), path, **options)


def test_an_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="could not write"):
        lz.export(make(), tmp_path / "file" / "a.pt2", "torch-export")


def test_a_full_disk_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = writing.write_atomically

    def fail(path: Path, payload: bytes) -> None:
        if path.suffix == ".pt2":
            raise OSError(28, "No space left on device", str(path))
        real(path, payload)

    monkeypatch.setattr(writing, "write_atomically", fail)
    with pytest.raises(ExportError, match=r"could not write .*a\.pt2: No space left"):
        lz.export(make(embedding="momenta"), tmp_path / "a.pt2", "torch-export")
    assert not list(tmp_path.iterdir())


def test_control_flow_is_found() -> None:
    names = ["x", "y"]
    node = onnx.helper.make_node("Loop", names, ["z"])
    assert control_flow(onnx.helper.make_graph([node], "g", [], [])) == ["Loop"]


def test_older_operators() -> None:
    make_node = onnx.helper.make_node
    axes = onnx.numpy_helper.from_array(np.array([1]), "axes")
    x, y = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("x", [2, 4]), ("y", [2]))
    )
    nodes = [
        make_node("Split", ["x"], ["a", "b"], axis=1, num_outputs=2),
        make_node("Sub", ["a", "b"], ["c"]),
        make_node("ReduceMax", ["c", "axes"], ["y"], keepdims=0),
    ]
    graph = onnx.helper.make_graph(nodes, "g", [x], [y], [axes])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
    given = {"x": np.arange(8, dtype=np.float32).reshape(2, 4) ** 2}
    wanted = onnxruntime.InferenceSession(model.SerializeToString()).run(None, given)
    lower_opset(model)
    onnx.checker.check_model(model)
    found = onnxruntime.InferenceSession(model.SerializeToString()).run(None, given)
    assert np.array_equal(wanted[0], found[0])
    mish = onnx.helper.make_graph([make_node("Mish", ["x"], ["y"])], "g", [x], [y])
    with pytest.raises(ExportError, match="Mish has no such form in opset 17"):
        lower_opset(onnx.helper.make_model(mish, opset_imports=[onnx.helper.make_opsetid("", 18)]))


@pytest.mark.parametrize(
    "spec",
    [
        "log-polynomial:degree=2",
        "log-polynomial:degree=2,identical=averaged",
        "log-polynomial:reference=[factorised, log-polynomial],degree=1",
        pytest.param("amplitude-recipe", marks=pytest.mark.slow),
        pytest.param("amplitude-recipe-density", marks=pytest.mark.slow),
    ],
)
def test_surrogates_of_several_processes_are_checked_on_given_events(spec: str, tmp_path: Path) -> None:
    """Each event finds its own process in the graph, whatever the others are; of unknown ones nothing is known."""
    data = lz.load_dataset("amplitudes", multiplicity=[1, 2, 3], num_events=2000)
    model = lz.create_model(spec)
    model.fit_statistics([data.batch(slice(0, 2000))])
    with pytest.raises(
        ParameterError, match="events of the processes that it was fitted to: give some by like="
    ):
        lz.export(model, tmp_path / "net.onnx")
    with pytest.raises(ParameterError, match="have up to 6 particles, and max_particles is 4"):
        lz.export(model, tmp_path / "net.onnx", like=data, max_particles=4)
    path = lz.export(model, tmp_path / "net.onnx", like=data, dtype="float64")
    about = json.loads(path.with_suffix(".json").read_text())
    assert next(iter(about["differences"])) == "the first 64 given events"
    network = lz.load_exported(path)
    cloud = data.batch(torch.arange(500, 700)).cloud
    wanted = copy.deepcopy(model).double().predict(cloud)
    assert np.abs(network.predict(cloud) / wanted - 1).max() < 1e-9
    alone = np.concatenate([network.predict(data.batch(torch.tensor([e])).cloud) for e in range(500, 510)])
    assert np.abs(alone / wanted[:10] - 1).max() < 1e-9
    other = lz.load_dataset("amplitudes", multiplicity=4, num_events=20).batch(slice(0, 20)).cloud
    assert np.isnan(network.predict(other)).all()


def test_given_events_are_checked_and_become_the_golden_ones(tmp_path: Path) -> None:
    data = lz.load_dataset("toptag", num_jets=200)
    torch.manual_seed(0)
    model = lz.compose(backbone="deep-sets:hidden=[8]", embedding="momenta", head="classify:num_classes=2")
    path = lz.export(model, tmp_path / "net.onnx", like=data)
    about = json.loads(path.with_suffix(".json").read_text())
    assert len(about["differences"]) == len(PlainModel(model).sizes) + 3
    golden = np.load(path.with_suffix(".npz"))
    cloud = data.batch(torch.arange(64)).cloud
    assert np.array_equal(golden["input_momenta"], cloud.to_padded().momenta.float().numpy())
    assert np.abs(golden["output_prediction"] - model.predict(cloud)).max() < 1e-6
    for like, message in ((3, "a ParticleCloud or a data set"), (cloud.select(torch.arange(0)), "no events")):
        with pytest.raises(ParameterError, match=message):
            lz.export(model, tmp_path / "net.onnx", like=like)


def test_jets_of_atlas_are_given_one_by_one(tmp_path: Path) -> None:
    data = lz.load_dataset("toptag", num_jets=5)
    model = lz.compose(backbone="deep-sets:hidden=[8]", embedding="momenta", head="classify:num_classes=2")
    path = lz.export(model, tmp_path / "net.onnx", like=data, profile="atlas")
    differences = json.loads(path.with_suffix(".json").read_text())["differences"]
    assert list(differences)[:5] == [f"given event {number}" for number in range(5)]

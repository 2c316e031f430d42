"""Networks as C: the numbers of the model, from threads, in programs, and what is refused."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from surrogates import COMPONENTS, SURROGATES, make_amplitude, make_components, make_surrogate
from typer.testing import CliRunner

import lorentzoo as lz
from lorentzoo.cli.main import app
from lorentzoo.core.errors import ExportError, ExportWarning, NotFittedError, ParameterError
from lorentzoo.core.minkowski import boost
from lorentzoo.exporting.source import compiled, export
from lorentzoo.exporting.source.beside import answer_scales
from lorentzoo.exporting.source.compiled import CompiledNetwork
from lorentzoo.nn import Columns, EventSteps

pytestmark = pytest.mark.skipif(compiled.find_compiler("c") is None, reason="there is no C compiler")
QUICK = ("-O1", "-ffp-contract=off")
STRICT = "-O2 -Wall -Wextra -pedantic -Werror"


def numbers_of(model: lz.Model, cloud: lz.ParticleCloud) -> NDArray[np.float64]:
    """What the model in float64 predicts."""
    return copy.deepcopy(model).double().predict(cloud)


def worst(found: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    return float((np.abs(found - wanted).max(1) / answer_scales(wanted)).max())


def momenta_of(cloud: lz.ParticleCloud) -> NDArray[np.float64]:
    return cloud.layout.pad(cloud.momenta).numpy()


@pytest.mark.parametrize("spec", SURROGATES)
def test_c_gives_the_numbers_of_the_model_from_eight_threads(spec: str, tmp_path: Path) -> None:
    model, data = make_surrogate(spec, **SURROGATES[spec])
    network = CompiledNetwork(lz.export(model, tmp_path / "net.c", "c", like=data), flags=QUICK)
    cloud = data.batch(torch.arange(100, 400)).cloud
    momenta, wanted = momenta_of(cloud), numbers_of(model, cloud)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(network, [momenta] * 16):
            assert worst(found, wanted) < 1e-12
    alone = np.concatenate([network(momenta[e : e + 1]) for e in range(10)])
    assert worst(alone, wanted[:10]) < 1e-12
    assert network(momenta[:0]).shape == (0, 1)


@pytest.mark.parametrize("spec", ["amplitude-recipe", "sk-dnn", "dsi"])
def test_single_precision(spec: str, tmp_path: Path) -> None:
    data = lz.load_dataset("amplitudes", multiplicity=2, num_events=600)
    torch.manual_seed(1)
    model = lz.create_model(spec)
    model.fit_statistics([data.batch(slice(0, 600))])
    path = lz.export(model, tmp_path / "net.c", "c", like=data, dtype="float32")
    cloud = data.batch(torch.arange(100, 400)).cloud
    assert worst(CompiledNetwork(path)(momenta_of(cloud)), numbers_of(model, cloud)) < 1e-6
    assert "typedef float real;" in path.read_text()
    assert json.loads(path.with_suffix(".json").read_text())["precision"] == "single"


def test_complex_amplitudes_of_coordinates(tmp_path: Path) -> None:
    model, data = make_amplitude()
    path = lz.export(model, tmp_path / "amplitude.c", "c", like=data)
    cloud = data.batch(torch.arange(100, 400)).cloud
    network = CompiledNetwork(path, flags=QUICK)
    found = network(momenta_of(cloud), cloud.context.numpy())
    assert worst(found, numbers_of(model, cloud)) < 1e-12
    header = path.with_suffix(".h").read_text()
    assert "const double *context, double *ans" in header
    assert "0: log_sqrt_s" in header
    assert "double _Complex" in header
    with pytest.raises(ValueError, match=r"the context has shape \(300, 8\), not \(300, 0\)"):
        network(momenta_of(cloud))


@pytest.mark.parametrize("combinations", ["none", [[1, 1, 0], [1, -1, 0], [0.5, 0, 2]]])
@pytest.mark.parametrize("form", COMPONENTS)
def test_several_amplitudes_by_their_combinations(form: str, combinations: Any, tmp_path: Path) -> None:
    model, data = make_components(form, combinations)
    cloud = data.batch(torch.arange(100, 400)).cloud
    wanted = numbers_of(model, cloud)
    # The phase of a point near zero is that of its rounding.
    for dtype, bound in (("float64", 1e-12), ("float32", 1e-5 if form == "polar" else 1e-6)):
        path = lz.export(model, tmp_path / f"{dtype}.c", "c", like=data, dtype=dtype)
        found = CompiledNetwork(path, flags=QUICK)(momenta_of(cloud), cloud.context.numpy())
        assert worst(found, wanted) < bound


def test_order_and_frame_do_not_matter_where_the_model_says_so(tmp_path: Path) -> None:
    model, data = make_surrogate("log-polynomial:degree=2", multiplicity=3)
    network = CompiledNetwork(lz.export(model, tmp_path / "net.c", "c", like=data), flags=QUICK)
    momenta = momenta_of(data.batch(slice(0, 50)).cloud)
    matrix = boost([0.3, -0.5, 0.8], 1.0).numpy()
    moved = np.einsum("ij,bnj->bni", matrix, momenta)[:, [1, 0, 2, 5, 3, 4]]
    assert worst(network(moved), network(momenta)) < 1e-9


def test_an_event_in_motion_is_taken_to_rest_as_in_the_model(tmp_path: Path) -> None:
    model, data = make_surrogate("sk-dnn", multiplicity=2)
    assert model.anchor == "rest"
    network = CompiledNetwork(lz.export(model, tmp_path / "net.c", "c", like=data), flags=QUICK)
    cloud = data.batch(slice(0, 50)).cloud
    moved = cloud.transform(boost([0.0, 0.0, 1.0], 2.0).expand(50, 4, 4))
    assert worst(network(momenta_of(moved)), numbers_of(model, moved)) < 1e-10


def test_the_programs_compile_without_a_warning_and_agree(tmp_path: Path) -> None:
    model, data = make_surrogate("amplitude-recipe", multiplicity=2)
    lz.export(model, tmp_path / "zgg.c", "c", like=data)
    amplitude, pairs = make_amplitude()
    lz.export(amplitude, tmp_path / "amplitude.c", "c", like=pairs)
    for name in ("zgg", "amplitude"):
        command = ["make", "-s", "-f", f"{name}.mk", "all", "check", f"OPTIMISE={STRICT}"]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr + ran.stdout
        for language in ("c", "cpp", *(["f90"] if compiled.find_compiler("fortran") else [])):
            assert f"{name}_example_{language}\nfirst answer:" in ran.stdout
        again = subprocess.run(
            [tmp_path / f"{name}_example_c", tmp_path / "no.par"], capture_output=True, text=True, check=False
        )
        assert again.returncode == 1
        assert "the parameter file cannot be opened" in again.stderr


def test_two_networks_in_one_program(tmp_path: Path) -> None:
    one, data = make_surrogate("log-polynomial:degree=2", multiplicity=2)
    two, more = make_surrogate("log-polynomial:degree=2", multiplicity=3)
    for name, model, like in (("one", one, data), ("two", two, more)):
        path = lz.export(model, tmp_path / f"{name}.c", "c", like=like)
        command = ["cc", "-std=c99", f"-DLZ_PREFIX={name}", "-c", path, "-o", tmp_path / f"{name}.o"]
        subprocess.run(command, check=True)
    (tmp_path / "main.c").write_text(
        "int one_setup(const char *), two_setup(const char *);\n"
        'int main(void) { return one_setup("one.par") + two_setup("two.par") + 10 * one_setup("two.par"); }\n'
    )
    subprocess.run(["cc", "main.c", "one.o", "two.o", "-lm", "-o", "main"], cwd=tmp_path, check=True)
    assert subprocess.run(["./main"], cwd=tmp_path, check=False).returncode == 30


def test_parameter_files_that_are_not_the_network_s_own(tmp_path: Path) -> None:
    model, data = make_surrogate("log-polynomial:degree=2", multiplicity=2)
    path = lz.export(model, tmp_path / "net.c", "c", like=data)
    good = path.with_suffix(".par").read_bytes()
    other, more = make_surrogate("log-polynomial:degree=1", multiplicity=2)
    foreign = lz.export(other, tmp_path / "other.c", "c", like=more).with_suffix(".par").read_bytes()
    bad = tmp_path / "bad.par"
    flipped = bytearray(good)
    flipped[300] ^= 1
    for payload, reason in (
        (b"", "not a parameter file"),
        (b"something else altogether", "not a parameter file"),
        (good[:20], "has not the length"),
        (good[:-1], "has not the length"),
        (good + b"\0", "has not the length"),
        (bytes(flipped), "its checksum is wrong"),
        (foreign, "of another network"),
        (good[:8] + b"\2" + good[9:], "not a parameter file of this version"),
    ):
        bad.write_bytes(payload)
        with pytest.raises(ExportError, match=reason):
            CompiledNetwork(path, bad, QUICK)
    with pytest.raises(ExportError, match="cannot be opened"):
        CompiledNetwork(path, tmp_path / "nowhere.par", QUICK)
    CompiledNetwork(path, path.with_suffix(".par"), QUICK)


def test_momenta_that_are_not_finite(tmp_path: Path) -> None:
    model, data = make_surrogate("amplitude-recipe", multiplicity=2)
    network = CompiledNetwork(lz.export(model, tmp_path / "net.c", "c", like=data), flags=QUICK)
    momenta = momenta_of(data.batch(slice(0, 30)).cloud).copy()
    wanted = network(momenta)
    momenta[3, 2, 1], momenta[17, 0, 0] = np.nan, np.inf
    found = network(momenta)
    assert np.isnan(found[[3, 17]]).all()
    others = np.delete(np.arange(30), [3, 17])
    assert np.array_equal(found[others], wanted[others])
    with pytest.raises(ValueError, match=r"momenta have shape \(B, 5, 4\), not \(30, 4, 4\)"):
        network(momenta[:, :4])


def test_what_has_no_source_code_says_why(tmp_path: Path) -> None:
    model, data = make_surrogate("log-polynomial:degree=2", multiplicity=2)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"backbone": "transformer:num_blocks=1"}, "the backbone Transformer gives numbers of particles"),
        ({"frames": "lloca-polar"}, "for networks without frames, and this one has"),
        ({"spurions": ["time"], "spurion_mode": "channels"}, "without reference vectors"),
        ({"embedding": "kinematics"}, "the embedding Kinematics does not say of which steps"),
        ({"head": "classify:num_classes=2"}, "the head Classify does not say of which steps"),
    ]
    for slots, reason in cases:
        given = {"backbone": "mlp:num_particles=5", "embedding": "momenta", "head": "regress", **slots}
        refused = lz.compose(**given, in_scalars=3)
        with pytest.raises(ExportError, match=reason):
            lz.export(refused, tmp_path / "net.c", "c", like=data)
    joint = lz.load_dataset("amplitudes", multiplicity=[1, 2], num_events=20)
    with pytest.raises(ExportError, match="of the same number of particles, and these have 4, 5"):
        lz.export(model, tmp_path / "net.c", "c", like=joint)
    mixed = data.batch(slice(0, 2)).cloud
    scalars = mixed.layout.pad(mixed.scalars).clone()
    scalars[1] = scalars[1].flip(0)
    mixed = lz.ParticleCloud.from_padded(
        mixed.layout.pad(mixed.momenta), torch.ones(2, 5, dtype=torch.bool), scalars
    )
    with pytest.raises(ExportError, match="event 1 has other scalars than the first"):
        lz.export(model, tmp_path / "net.c", "c", like=mixed)
    with pytest.raises(ParameterError, match="give such events by like="):
        lz.export(model, tmp_path / "net.c", "c")
    with pytest.raises(ParameterError, match=r"a file of 'c' ends in \.c, not 'net\.cpp'"):
        lz.export(model, tmp_path / "net.cpp", "c", like=data)
    for name in ("my net.c", "2.c", "a$(b).c"):
        with pytest.raises(ParameterError, match="names of source files begin with a letter"):
            lz.export(model, tmp_path / name, "c", like=data)
    generator = lz.create_model("lloca-mlp-eventgen")
    with pytest.raises(ExportError, match="for models that predict, not FlowMatching"):
        lz.export(generator, tmp_path / "net.c", "c", like=data)
    with pytest.raises(NotFittedError):
        lz.export(lz.create_model("mlp-i"), tmp_path / "net.c", "c", like=data)
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="could not write"):
        lz.export(model, tmp_path / "file" / "net.c", "c", like=data)
    assert not list(tmp_path.glob("net*"))


def test_without_a_compiler_it_says_that_nothing_was_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = make_surrogate("log-polynomial:degree=2", multiplicity=2)
    monkeypatch.setattr(export, "find_compiler", lambda language: None)
    with pytest.warns(ExportWarning, match="net: not compiled, and not compared with the model"):
        path = lz.export(model, tmp_path / "net.c", "c", like=data)
    assert json.loads(path.with_suffix(".json").read_text())["checked"]["compiled_by"] is None
    with pytest.raises(ExportError, match="a matrix element is a library, and there is no C compiler"):
        lz.export(model, tmp_path / "net.so", "umami", like=data)


def test_other_numbers_leave_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = make_surrogate("log-polynomial:degree=2", multiplicity=2)
    monkeypatch.setattr(CompiledNetwork, "__call__", lambda self, p, c: np.ones((len(p), 1)))
    with pytest.raises(ExportError, match="other numbers than the model: the largest difference is"):
        lz.export(model, tmp_path / "net.c", "c", like=data)
    assert not list(tmp_path.iterdir())


def test_a_backbone_of_somebody_else_s(tmp_path: Path) -> None:
    class Energies(lz.Backbone):
        equivariant, pools, permutation_symmetric = False, True, False

        def __init__(self, *, in_scalars: int = 0, in_vectors: int = 1) -> None:
            super().__init__()
            self.width = 6
            self.layers = torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.SiLU())

        def forward(self, features: lz.Features, frames: Any, layout: lz.Layout, context: Any) -> lz.Features:
            return lz.Features.of_scalars(
                self.layers(layout.take(features.vectors[..., 0, :1], 5).flatten(1))
            )

        def write_steps(self, event: EventSteps) -> Columns:
            return event.run_layers(event.momenta.take(range(0, 20, 4)), self.layers)

    data = lz.load_dataset("amplitudes", multiplicity=2, num_events=50)
    lz.register("backbone", "energies-for-source")(Energies)
    model = lz.compose(
        backbone="energies-for-source", embedding="momenta", head="regress", in_scalars=data.num_scalars
    )
    model.fit_statistics([data.batch(slice(0, 50))])
    path = lz.export(model, tmp_path / "net.c", "c", like=data.batch(slice(0, 20)).cloud)
    cloud = data.batch(slice(0, 50)).cloud
    assert worst(CompiledNetwork(path)(momenta_of(cloud)), numbers_of(model, cloud)) < 1e-12
    assert "particle 4" in path.with_suffix(".h").read_text()


def test_the_command_line_takes_the_events_of_the_run(tmp_path: Path) -> None:
    runner = CliRunner()
    run = str(tmp_path / "run")
    events = "amplitudes:multiplicity=2,num_events=1500"
    trained = ["train", "log-polynomial:degree=2", "--dataset", events, "--out", run, "--test", "times=false"]
    assert runner.invoke(app, trained).exit_code == 0
    out = tmp_path / "zgg.c"
    told = runner.invoke(app, ["export", run, "--format", "c", "--out", str(out)])
    assert told.exit_code == 0, told.output
    assert told.stdout.strip() == str(out)
    about = json.loads(out.with_suffix(".json").read_text())
    assert about["particles"] == ["u", "u~", "Z", "g1", "g2"]
    assert about["checked"]["difference"] < 1e-12
    assert f"Written by {about['lorentzoo']}" in (tmp_path / "zgg.h").read_text()
    assert set(about["sha256"]) >= {"zgg.c", "zgg.h", "zgg.par", "zgg.mk", "zgg_example.f90"}
    refused = runner.invoke(
        app, ["export", run, "--format", "c", "--out", str(out), "--dataset", "amplitudes:multiplicity=3"]
    )
    assert refused.exit_code == 1


def test_names_are_comments_whatever_they_hold(tmp_path: Path) -> None:
    model, data = make_surrogate("log-polynomial:degree=1", multiplicity=2)
    data.target_names, data.particle_names = ("one */ two\nthree",), ("u", "*/", "\n#error", "g", "g")
    for name, form in (("net.c", "c"), ("net.f90", "fortran")):
        if form == "c" or compiled.find_compiler("fortran"):
            path = lz.export(model, tmp_path / name, form, like=data)
    assert "one * / two three" in path.with_suffix(".h").read_text()


def test_it_runs_with_few_flags_too(tmp_path: Path) -> None:
    model, data = make_surrogate("dsi", multiplicity=2)
    path = lz.export(model, tmp_path / "net.c", "c", like=data)
    clang = shutil.which("clang")
    cloud = data.batch(slice(0, 40)).cloud
    assert worst(CompiledNetwork(path, flags=())(momenta_of(cloud)), numbers_of(model, cloud)) < 1e-12
    assert (
        clang is None
        or subprocess.run([clang, "-std=c99", "-c", path, "-o", "/dev/null"], check=False).returncode == 0
    )

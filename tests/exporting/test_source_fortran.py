"""Networks as Fortran: the numbers of the model, from threads, and parameter files that are refused."""

from __future__ import annotations

import copy
import ctypes
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from surrogates import SURROGATES, make_amplitude, make_components, make_surrogate

import lorentzoo as lz
from lorentzoo.core.errors import ExportError
from lorentzoo.exporting.source.beside import answer_scales
from lorentzoo.exporting.source.compiled import find_compiler

pytestmark = pytest.mark.skipif(
    find_compiler("fortran") is None, reason="there is no gfortran; on Debian: apt-get install gfortran"
)

WRAPPER = """
subroutine load(name, status) bind(c)
  use, intrinsic :: iso_c_binding
  use lz_module_net, only: lz_setup
  character(kind=c_char), intent(in) :: name(512)
  integer(c_int), intent(out) :: status
  character(512) :: path
  path = transfer(name, path)
  call lz_setup(trim(path), status)
end subroutine load

subroutine evaluate(count, p, ans) bind(c)
  use, intrinsic :: iso_c_binding
  use lz_module_net, only: lz_smatrix, lz_particles, lz_outputs
  integer(c_int), intent(in), value :: count
  real(c_double), intent(in) :: p(0:3, lz_particles, count)
  real(c_double), intent(out) :: ans(lz_outputs, count)
  call lz_smatrix(p, ans)
end subroutine evaluate
"""


def build(path: Path) -> Any:
    """The module as a library with two functions that C can call."""
    wrapper = path.with_name("wrapper.f90")
    wrapper.write_text(WRAPPER)
    library = path.with_suffix(".so")
    command = ["gfortran", "-O1", "-ffp-contract=off", "-fPIC", "-shared", path, wrapper, "-o", library]
    subprocess.run(command, cwd=path.parent, check=True)
    return ctypes.CDLL(str(library))


def load(library: Any, path: Path) -> int:
    status = ctypes.c_int()
    library.load(str(path).encode().ljust(512), ctypes.byref(status))
    return status.value


def evaluate(library: Any, momenta: NDArray[np.float64]) -> NDArray[np.float64]:
    answers = np.empty((len(momenta), 1))
    pointers = [ctypes.c_void_p(x.ctypes.data) for x in (momenta, answers)]
    library.evaluate(len(momenta), *pointers)
    return answers


@pytest.mark.parametrize(
    "spec", ["amplitude-recipe", "log-polynomial:degree=2,identical=averaged", "sk-dnn", "dsi"]
)
def test_fortran_gives_the_numbers_of_the_model_from_eight_threads(spec: str, tmp_path: Path) -> None:
    model, data = make_surrogate(spec, **SURROGATES[spec])
    path = lz.export(model, tmp_path / "net.f90", "fortran", like=data)
    cloud = data.batch(torch.arange(100, 400)).cloud
    momenta = cloud.layout.pad(cloud.momenta).numpy()
    library = build(path)
    assert np.isnan(evaluate(library, momenta)).all()
    assert load(library, path.with_suffix(".par")) == 0
    wanted = copy.deepcopy(model).double().predict(cloud)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: evaluate(library, momenta), range(16)):
            assert (np.abs(found - wanted)[:, 0] / answer_scales(wanted)).max() < 1e-12
    momenta[5, 2, 3] = np.nan
    found = evaluate(library, momenta)
    assert np.isnan(found[5, 0])
    assert np.isfinite(np.delete(found, 5)).all()


def test_parameter_files_that_are_not_the_network_s_own(tmp_path: Path) -> None:
    model, data = make_surrogate("log-polynomial:degree=2", multiplicity=2)
    path = lz.export(model, tmp_path / "net.f90", "fortran", like=data)
    other, more = make_surrogate("log-polynomial:degree=1", multiplicity=2)
    foreign = lz.export(other, tmp_path / "other.f90", "fortran", like=more).with_suffix(".par").read_bytes()
    library, bad = build(path), tmp_path / "bad.par"
    good = path.with_suffix(".par").read_bytes()
    flipped = bytearray(good)
    flipped[300] ^= 1
    for payload, status in (
        (b"", 2),
        (b"something else", 2),
        (foreign, 3),
        (good[:20], 4),
        (good[:-1], 4),
        (good + b"\0", 4),
        (bytes(flipped), 5),
        (good, 0),
    ):
        bad.write_bytes(payload)
        assert load(library, bad) == status
    assert load(library, tmp_path / "nowhere.par") == 1


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_program_compiles_without_a_warning_and_agrees(dtype: str, tmp_path: Path) -> None:
    for name, (model, data) in {
        "zgg": make_surrogate("amplitude-recipe", multiplicity=2),
        "amplitude": make_amplitude(),
        "several": make_components("polar", [[1, 1, 0], [1, -1, 0], [0.5, 0, 2]]),
    }.items():
        lz.export(model, tmp_path / f"{name}.f90", "fortran", like=data, dtype=dtype)
        flags = "OPTIMISE=-O1 -Wall -Wextra -pedantic -Werror -Wno-unused-dummy-argument"
        ran = subprocess.run(
            ["make", "-s", "-f", f"{name}.mk", "check", flags],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr + ran.stdout
        assert "largest difference" in ran.stdout


def test_functions_that_only_c_has_are_refused(tmp_path: Path) -> None:
    data = lz.load_dataset("amplitudes", multiplicity=1, num_events=50)
    model = lz.compose(
        backbone="nothing",
        embedding="momenta",
        head={"name": "amplitude-ratio", "reference": "tree", "process": "qq-Zng"},
        in_scalars=3,
    )
    model.fit_statistics([data.batch(slice(0, 50))])
    with pytest.raises(ExportError, match="there is C source alone for 'tree_qq_Zng_1'; take format='c'"):
        lz.export(model, tmp_path / "net.f90", "fortran", like=data)

"""Exact matrix elements in C: the numbers of those in Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.exporting.source.compiled import CompiledNetwork, find_compiler
from lorentzoo.nn import mass_squared
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.processes import Couplings, find_process


@pytest.mark.skipif(find_compiler("c") is None, reason="there is no C compiler")
@pytest.mark.parametrize("gluons", [1, 2, 3, 4])
def test_the_recursion_in_c_gives_the_squares_of_that_in_python(gluons: int, tmp_path: Path) -> None:
    data = lz.load_dataset("amplitudes", multiplicity=gluons, num_events=200)
    model = lz.compose(
        backbone="nothing",
        embedding="momenta",
        head={"name": "amplitude-ratio", "reference": "tree", "process": "qq-Zng"},
        in_scalars=data.num_scalars,
    )
    model.fit_statistics([data.batch(slice(0, 100))])
    truth = CompiledNetwork(lz.export(model, tmp_path / "truth.c", "c", like=data))
    momenta = data.batch(torch.arange(100, 200)).cloud.momenta.reshape(100, -1, 4)
    found = truth(momenta.numpy())[:, 0]
    assert np.abs(found / data.target[100:].numpy() - 1).max() < 1e-10
    # In another frame, where no direction is special, and with a Z off its mass shell.
    matrix = torch.linalg.matrix_exp(0.3 * _generator())
    moved = torch.einsum("ij,bnj->bni", matrix, momenta)
    assert np.abs(truth(moved.numpy())[:, 0] / found - 1).max() < 1e-9
    heavier = momenta * 1.1
    assert float(mass_squared(heavier[:, 2]).sqrt().min()) > 100
    wanted = find_process("qq-Zng").squared(heavier, shell_tolerance=None).numpy()
    assert np.abs(truth(heavier.numpy())[:, 0] / wanted - 1).max() < 1e-10


def _generator() -> torch.Tensor:
    """A boost and a rotation in general directions."""
    g = torch.zeros(4, 4, dtype=torch.float64)
    g[0, 1:] = g[1:, 0] = torch.tensor([0.5, -0.3, 0.8])
    g[1, 2], g[1, 3], g[2, 3] = 0.7, -0.4, 0.9
    g[1:, 1:] -= g[1:, 1:].T.clone()
    return g


def test_what_has_no_source_is_named() -> None:
    process = find_process("qq-Zng")
    with pytest.raises(AmplitudeError, match="for n = 1 to 4, not for n = 5"):
        process.write_source("tree", 5)
    with pytest.raises(AmplitudeError, match="takes 1, 2, 3, 4, 5 of 'g'; 6 was given"):
        process.write_source("tree", 6)
    with pytest.raises(AmplitudeError, match="there is no C source of the process 'gg-ng'"):
        find_process("gg-ng").write_source("tree", 2)
    strong = process.write_source("tree", 2, Couplings(alpha_s=0.2))
    assert strong != process.write_source("tree", 2)
    assert "static double tree(const double *momenta)" in strong

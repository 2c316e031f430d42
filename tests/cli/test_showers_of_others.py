"""What does the command line say of files of showers that others wrote?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from calling import Answer

from lorentzoo.data.showers.detectors import find_detector

NAME = "calochallenge-1-photons"


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, Path]:
    """Photons of 1 to 300 GeV in MeV, and the same in GeV; neither says so."""
    rng = np.random.default_rng(0)
    energy = rng.uniform(1e3, 3e5, (40, 1))
    deposits = rng.dirichlet(np.ones(find_detector(NAME).grid.num_voxels), 40) * 0.8 * energy
    paths = tmp_path / "mev.hdf5", tmp_path / "gev.hdf5"
    for path, factor in zip(paths, (1.0, 1e-3), strict=True):
        with h5py.File(path, "w") as file:
            file["incident_energies"], file["showers"] = factor * energy, factor * deposits
    return paths


def test_info_names_the_detector_that_fits(call: Callable[..., Answer], written: tuple[Path, Path]) -> None:
    described = call("data", "info", str(written[0]), "--json").data
    assert (described["detector"], described["fits"], described["units"]) == (None, NAME, "MeV (not stated)")
    assert described["mean_energy_ratio"] == pytest.approx(0.8, rel=1e-5)


def test_units_are_refused_in_one_line_and_stated_in_the_data_set(
    call: Callable[..., Answer], written: tuple[Path, Path], tmp_path: Path
) -> None:
    answer = call("data", "info", str(written[1]))
    assert answer.code == 1
    assert "units=GeV would fit" in answer.err
    assert answer.err.count("\n") == 1
    binning = tmp_path / "binning.xml"
    binning.write_text(find_detector(NAME).grid.to_xml("photon"))
    data = f"showers:path={written[1]},geometry={binning},particle=photon,units=GeV"
    trained = call(
        "train",
        "deep-sets",
        "--dataset",
        f"{data},target=incident_energy",
        "--head",
        "regress",
        "-s",
        "max_steps=1",
        "--out",
        str(tmp_path / "run"),
    )
    assert trained.code == 0, trained.err

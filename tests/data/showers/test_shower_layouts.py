"""Are names, order and units of files of showers read as stated, and refused where they cannot be right?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lorentzoo as lz
from lorentzoo.data.make import describe_sample
from lorentzoo.data.readers.source import EventFileError
from lorentzoo.data.showers.detectors import find_detector
from lorentzoo.data.showers.files import ShowerFile, write_showers
from lorentzoo.data.showers.layouts import Units, check_units, flatten_voxels

DETECTOR = find_detector("tungsten-silicon")
BOX = (5, 8, 10)
"""Bins of its radius, angle and depth."""
FACTOR = {"MeV": 1000.0, "GeV": 1.0}


def write_lemurs(
    path: Path, units: tuple[str, str] = ("MeV", "MeV"), count: int = 6, **attributes: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A file in the layout of LEMURS; returns deposits, incident energies (GeV) and angles."""
    rng = np.random.default_rng(1)
    energy, theta = rng.uniform(5.0, 500.0, count), rng.uniform(0.9, 2.2, count)
    deposits = rng.exponential(1.0, (count, *BOX))
    deposits *= 0.03 * (energy / deposits.sum((1, 2, 3)))[:, None, None, None]
    with h5py.File(path, "w") as file:
        file["showers"] = FACTOR[units[0]] * deposits
        file["incident_energy"] = FACTOR[units[1]] * energy
        file["incident_theta"], file["incident_phi"] = theta, rng.uniform(-np.pi, np.pi, count)
        file.attrs.update(attributes)
    return deposits, energy, theta


class TestLemurs:
    def test_axes_come_into_the_order_of_the_grid(self, tmp_path: Path) -> None:
        path = tmp_path / "lemurs.h5"
        deposits, energy, theta = write_lemurs(path)
        data = lz.load_dataset("showers", path=str(path), detector=DETECTOR.name)
        voxels, read_energy, read_theta = data.showers()
        assert read_energy == pytest.approx(energy)
        assert read_theta == pytest.approx(theta)
        grid = DETECTOR.grid
        for radius, angle, depth in ((0, 0, 0), (4, 0, 0), (0, 7, 3), (2, 5, 9)):
            layer = grid.layers[depth]
            voxel = np.flatnonzero(
                (grid.layer == depth)
                & np.isclose(grid.radius, 0.5 * sum(layer.r_edges[radius : radius + 2]))
                & np.isclose(grid.alpha, 2 * np.pi * (angle + 0.5) / 8 - np.pi)
            )
            assert voxels[:, voxel.item()] == pytest.approx(deposits[:, radius, angle, depth], rel=1e-6)
        assert grid.layer_energies(voxels) == pytest.approx(deposits.sum((1, 2)), rel=1e-5)

    @settings(max_examples=20, deadline=None)
    @given(shape=st.tuples(*[st.integers(1, 4)] * 4))
    def test_flattening_goes_through_radii_first(self, shape: tuple[int, int, int, int]) -> None:
        values = np.arange(np.prod(shape)).reshape(shape)
        flat = flatten_voxels(values)
        _, radii, angles, _ = shape
        for (n, r, a, z), value in np.ndenumerate(values):
            assert flat[n, (z * angles + a) * radii + r] == value

    def test_other_axes_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "turned.h5"
        write_lemurs(path)
        with h5py.File(path, "a") as file:
            turned = file["showers"][:].transpose(0, 3, 2, 1)
            del file["showers"]
            file["showers"] = turned
        with pytest.raises(
            EventFileError, match=r"\(6, 10, 8, 5\), but 'tungsten-silicon' .*\(showers, 5, 8, 10\)"
        ):
            ShowerFile(path, DETECTOR)
        with pytest.raises(
            EventFileError, match="'calochallenge-1-pions' has 533 voxels, other bins in each"
        ):
            ShowerFile(path, find_detector("calochallenge-1-pions"))

    def test_angles_in_degrees_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "degrees.h5"
        write_lemurs(path)
        with h5py.File(path, "a") as file:
            file["incident_theta"][...] = 90.0
        with pytest.raises(EventFileError, match="an angle that is not in radians in shower 0"):
            ShowerFile(path, DETECTOR).incident()

    def test_names_can_be_others(self, tmp_path: Path) -> None:
        path = tmp_path / "renamed.h5"
        _, energy, theta = write_lemurs(path)
        with h5py.File(path, "a") as file:
            file.move("incident_energy", "E0")
            file.move("incident_theta", "truth/theta")
        with pytest.raises(
            EventFileError, match=r"'incident_energies' missing.*LEMURS \(other names: columns="
        ):
            ShowerFile(path, DETECTOR)
        columns = {"energy": "E0", "angle": "truth/theta"}
        read = lz.load_dataset("showers", path=str(path), detector=DETECTOR.name, columns=columns).showers()
        assert read[1] == pytest.approx(energy)
        assert read[2] == pytest.approx(theta)
        with pytest.raises(EventFileError, match="'nothing' missing"):
            ShowerFile(path, DETECTOR, columns={**columns, "angle": "nothing"})
        with pytest.raises(ValueError, match="by showers, energy, angle, not by phi"):
            ShowerFile(path, DETECTOR, columns={"phi": "incident_phi"})

    def test_lengths_that_differ_are_named(self, tmp_path: Path) -> None:
        for name, what in (("incident_energy", "energies"), ("incident_theta", "angles")):
            path = tmp_path / f"{what}.h5"
            write_lemurs(path)
            with h5py.File(path, "a") as file:
                shorter = file[name][:4]
                del file[name]
                file[name] = shorter
            with pytest.raises(EventFileError, match=f"6 showers but 4 incident {what}: {name} has shape"):
                ShowerFile(path, DETECTOR)

    @pytest.mark.parametrize("name", ["showers", "incident_energy", "incident_theta"])
    def test_what_are_no_numbers_is_refused(self, name: str, tmp_path: Path) -> None:
        path = tmp_path / "text.h5"
        write_lemurs(path)
        with h5py.File(path, "a") as file:
            text = file[name][:].astype("S8")
            del file[name]
            file[name] = text
        with pytest.raises(EventFileError, match=rf"{name} must hold numbers, not \|S8"):
            ShowerFile(path, DETECTOR)

    def test_a_truncated_file_says_so(self, tmp_path: Path) -> None:
        path = tmp_path / "short.h5"
        write_lemurs(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(EventFileError, match="not an HDF5 file, or truncated"):
            ShowerFile(path, DETECTOR)

    def test_info_says_what_fits(self, tmp_path: Path) -> None:
        path = tmp_path / "lemurs.h5"
        write_lemurs(path)
        described = describe_sample(path)
        assert described["detector"] is None
        assert described["fits"] == "tungsten-silicon"
        assert described["units"] == "MeV (not stated)"
        assert described["mean_energy_ratio"] == pytest.approx(0.03, rel=1e-5)


class TestUnits:
    @pytest.mark.parametrize("units", [("GeV", "GeV"), ("GeV", "MeV"), ("MeV", "GeV")])
    def test_units_that_cannot_be_right_are_refused_and_can_be_stated(
        self, units: tuple[str, str], tmp_path: Path
    ) -> None:
        path = tmp_path / "other.h5"
        deposits, energy, _ = write_lemurs(path, units)
        name = units[0] if units[0] == units[1] else rf"\[{units[0]}, {units[1]}\]"
        with pytest.raises(
            EventFileError, match=f"does not say its units, and MeV cannot be right: .*units={name} would fit"
        ):
            ShowerFile(path, DETECTOR)
        data = lz.load_dataset("showers", path=str(path), detector=DETECTOR.name, units=list(units))
        assert data.showers()[0].sum(1) == pytest.approx(deposits.sum((1, 2, 3)), rel=1e-5)
        assert data.showers()[1] == pytest.approx(energy)

    @settings(max_examples=50, deadline=None)
    @given(
        one=st.sampled_from(["MeV", "GeV"]),
        other=st.sampled_from(["MeV", "GeV"]),
        energy=st.floats(1.0, 1000.0),
        ratio=st.floats(0.0041, 4.0),
    )
    def test_whatever_is_not_mev_is_seen_and_named(
        self, one: str, other: str, energy: float, ratio: float
    ) -> None:
        raw = np.array([ratio * energy * FACTOR[one]]), np.array([energy * FACTOR[other]])
        if (one, other) == ("MeV", "MeV"):
            check_units(Path("x"), Units(stated=False), *raw, (1.0, 1000.0))
            return
        # The unit of the incident energies is seen by their range, but for the one energy where both units are in it.
        if (one, other) == ("GeV", "GeV") and energy == 1000.0:
            return
        with pytest.raises(EventFileError) as refused:
            check_units(Path("x"), Units(stated=False), *raw, (1.0, 1000.0))
        assert f"units={Units(one, other)} would fit" in str(refused.value)

    def test_what_is_stated_is_believed(self, tmp_path: Path) -> None:
        path = tmp_path / "low.h5"
        _, energy, _ = write_lemurs(path, ("GeV", "GeV"))
        # MeV showers of 5 to 500 MeV, in a detector of 1 GeV and more.
        assert ShowerFile(path, DETECTOR, units="MeV").incident()[0] == pytest.approx(energy / 1000)

    @pytest.mark.parametrize("where", ["file", "both", "one"])
    @pytest.mark.parametrize("text", ["GeV", np.bytes_("GeV")])
    def test_attributes_are_read(self, where: str, text: Any, tmp_path: Path) -> None:
        path = tmp_path / "stated.h5"
        _, energy, _ = write_lemurs(path, ("GeV", "GeV"))
        with h5py.File(path, "a") as file:
            if where == "file":
                file.attrs["units"] = text
            if where in ("both", "one"):
                file["showers"].attrs["unit"] = text
            if where == "both":
                file["incident_energy"].attrs["unit"] = text
        read = ShowerFile(path, DETECTOR)
        assert read.units == Units("GeV", "GeV")
        assert read.incident()[0] == pytest.approx(energy)

    def test_unknown_units_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "stated.h5"
        write_lemurs(path, units=("MeV", "MeV"), unit="keV")
        with pytest.raises(
            EventFileError, match="attributes say so: units must be of MeV, GeV, not 'keV'; pass units="
        ):
            ShowerFile(path, DETECTOR)
        assert ShowerFile(path, DETECTOR, units="MeV").units == Units()
        with pytest.raises(ValueError, match="units must be of MeV, GeV, not 'mev'"):
            ShowerFile(path, DETECTOR, units="mev")
        with pytest.raises(ValueError, match="units must be one, or those of deposits and of energies"):
            ShowerFile(path, DETECTOR, units=["MeV"] * 3)

    def test_our_own_files_state_theirs(self, tmp_path: Path) -> None:
        path, energy = tmp_path / "own.hdf5", np.full(3, 0.01)
        # 10 MeV are far below the detector's range: only because the file states its unit it is not refused.
        write_showers(path, DETECTOR, [(np.zeros((3, 400), np.float32) + 1e-6, energy, 0 * energy)], 3)
        assert ShowerFile(path).units.stated
        assert ShowerFile(path).incident()[0] == pytest.approx(energy)

    def test_a_detector_that_is_none_is_named(self, tmp_path: Path) -> None:
        for number, text in enumerate(("{", '{"name": "x"}', "3")):
            path = tmp_path / f"{number}.h5"
            write_lemurs(path, detector=text)
            with pytest.raises(EventFileError, match="attribute 'detector' does not describe one"):
                ShowerFile(path)
            assert ShowerFile(path, DETECTOR).num_showers == 6

    def test_empty_files_and_empty_showers_say_nothing_of_units(self, tmp_path: Path) -> None:
        path = tmp_path / "empty.h5"
        write_lemurs(path, count=0)
        assert ShowerFile(path, DETECTOR).num_showers == 0
        write_lemurs(path)
        with h5py.File(path, "a") as file:
            file["showers"][...] = 0.0
        assert ShowerFile(path, DETECTOR).rows(np.arange(6))[0].sum() == 0

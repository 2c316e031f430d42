"""Are the cells of the CaloChallenge known by name, and read from its binning files?"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

import lorentzoo as lz
from lorentzoo.data.readers.source import EventFileError
from lorentzoo.data.showers import observables
from lorentzoo.data.showers.dataset import ShowerArrays, ShowerData
from lorentzoo.data.showers.detectors import (
    DETECTORS,
    Detector,
    detector_of_binning,
    find_detector,
    name_fitting,
)
from lorentzoo.data.showers.grid import Grid, Layer
from lorentzoo.data.showers.make import make_showers
from lorentzoo.data.showers.patches import voxels_of

BINS = {
    "calochallenge-1-photons": [(8, 1), (16, 10), (19, 10), (5, 1), (5, 1)],
    "calochallenge-1-pions": [(8, 1), (10, 10), (10, 10), (5, 1), (15, 10), (16, 10), (10, 1)],
}
"""Radial and angular bins of each layer, as published (arXiv:2410.21611)."""


def write_binning(path: Path, detector: Detector, particle: str = "photon") -> Path:
    path.write_text(detector.grid.to_xml(particle))
    return path


def write_like_the_challenge(path: Path, detector: Detector, count: int = 12) -> np.ndarray:
    """A file that says nothing of itself, in MeV; half of the energy is deposited. Returns deposits in GeV."""
    rng = np.random.default_rng(0)
    energy = 2.0 ** rng.integers(8, 17, (count, 1))
    shares = rng.exponential(1.0, (count, detector.grid.num_voxels)) * (
        rng.random((count, detector.grid.num_voxels)) < 0.5
    )
    deposits = (0.5 * energy * shares / shares.sum(1, keepdims=True)).astype(np.float32)
    with h5py.File(path, "w") as file:
        file["incident_energies"], file["showers"] = energy, deposits
    return deposits / 1000


class TestByName:
    @pytest.mark.parametrize(("name", "voxels"), [("photons", 368), ("pions", 533)])
    def test_data_set_1_has_the_published_cells(self, name: str, voxels: int) -> None:
        grid = find_detector(f"calochallenge-1-{name}").grid
        assert grid.num_voxels == voxels
        assert [(layer.num_radii, layer.num_alpha) for layer in grid.layers] == BINS[
            f"calochallenge-1-{name}"
        ]
        assert [layer.number for layer in grid.layers][:5] == [0, 1, 2, 3, 12]
        assert grid.box is None
        assert name_fitting((voxels,)) == [f"calochallenge-1-{name}"]

    def test_of_grids_of_equal_layers_the_box_fits_too(self) -> None:
        assert name_fitting((9, 16, 45)) == name_fitting((6480,)) == ["calochallenge-2"]
        assert name_fitting((45, 16, 9)) == name_fitting((7,)) == []

    @pytest.mark.parametrize("name", BINS)
    def test_no_shower_is_made_where_depths_are_unknown(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=f"no shower can be made in '{name}': how deep"):
            lz.load_dataset("showers", detector=name, num_showers=3)
        with pytest.raises(ValueError, match=r"it is for files \(path=\)"):
            make_showers(showers=3, seed=1, out=tmp_path / "x.hdf5", detector=name, progress=False)
        assert not (tmp_path / "x.hdf5").exists()


class TestBinningFiles:
    @pytest.mark.parametrize("name", [name for name in DETECTORS if name.startswith("calochallenge")])
    def test_those_of_the_challenge_are_known(self, name: str, tmp_path: Path) -> None:
        path = write_binning(tmp_path / "binning.xml", find_detector(name))
        assert detector_of_binning(path) == find_detector(name)

    def test_others_need_a_detector_of_such_layers(self, tmp_path: Path) -> None:
        grid = Grid(tuple(Layer(n, n + 1, (0.0, 3.0, 7.5), 1 + n, n) for n in range(3)))
        path = tmp_path / "mine.xml"
        path.write_text(grid.to_xml("electron"))
        with pytest.raises(
            EventFileError, match=r"12 cells are those of no detector by name.*pass detector="
        ):
            detector_of_binning(path)
        like = find_detector("lead-argon")
        made = detector_of_binning(path, "electron", like)
        assert (made.name, made.grid, made.medium) == ("mine", grid, like.medium)
        assert not made.depths_known
        assert Detector.from_data(made.to_data()) == made

    def test_its_own_cells_keep_the_depths(self, tmp_path: Path) -> None:
        argon = find_detector("lead-argon")
        assert detector_of_binning(write_binning(tmp_path / "x.xml", argon), like=argon) == argon

    def test_particles_are_found_by_name_and_by_number(self, tmp_path: Path) -> None:
        path = tmp_path / "binning.xml"
        bins = (
            f'<Bin pid="{pid}" name="{name}"><Layer id="0" r_edges="0,{edge}" n_bin_alpha="{pid}"/></Bin>'
            for pid, name, edge in ((22, "photon", 5), (211, "pion", 7))
        )
        path.write_text(f"<Bins>{''.join(bins)}</Bins>")
        assert Grid.from_xml(path, "211") == Grid.from_xml(path, "pion")
        assert Grid.from_xml(path, "photon").num_voxels == 22
        with pytest.raises(
            EventFileError, match=r"particle must be one of \['photon', 'pion'\], not 'electron'"
        ):
            Grid.from_xml(path, "electron")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("<gdml><solids/></gdml>", "no binning file: it holds <gdml>, not <Bins>"),
            ("<Bins></Bins>", "no binning file: it holds <Bins>, not <Bins> with a <Bin>"),
            (
                '<Bins><Bin name="a"><Layer id="1" r_edges="0,1" n_bin_alpha="1"/>'
                '<Layer id="0" r_edges="0,1" n_bin_alpha="1"/></Bin></Bins>',
                r"layers must rise from the front to the back, not stand as \[1, 0\]",
            ),
            ("incident_energies", "no binning file in XML"),
            *(
                (
                    f'<Bins><Bin name="a"><Layer id="0" r_edges="{edges}" n_bin_alpha="{bins}"/></Bin></Bins>',
                    message,
                )
                for edges, bins, message in (
                    ("0,nan,3", 1, "r_edges must rise from 0 or more"),
                    ("0,5,inf", 1, "r_edges must rise from 0 or more"),
                    ("0,5", 0, "num_alpha must be at least 1, not 0"),
                    ("0;5,6", 1, "could not convert string to float"),
                )
            ),
        ],
    )
    def test_other_xml_is_refused(self, text: str, message: str, tmp_path: Path) -> None:
        path = tmp_path / "bad.xml"
        path.write_text(text)
        with pytest.raises(EventFileError, match=message):
            detector_of_binning(path)

    def test_a_path_that_is_no_text_is_refused(self, tmp_path: Path) -> None:
        for path in (tmp_path, tmp_path / "none.xml"):
            with pytest.raises(EventFileError, match="no binning file in XML"):
                detector_of_binning(path)
        (tmp_path / "bytes.xml").write_bytes(b"\x89HDF\r\n\x1a\n\x00")
        with pytest.raises(EventFileError, match="no binning file in XML"):
            detector_of_binning(tmp_path / "bytes.xml")


class TestDatasets:
    @pytest.mark.parametrize("name", BINS)
    def test_files_of_data_set_1_by_name_and_by_binning_file(self, name: str, tmp_path: Path) -> None:
        path, detector = str(tmp_path / "dataset_1.hdf5"), find_detector(name)
        deposits = write_like_the_challenge(Path(path), detector)
        binning = str(write_binning(tmp_path / "binning.xml", detector))
        by_name = lz.load_dataset("showers", path=path, detector=name)
        by_file = lz.load_dataset("showers", path=path, geometry=binning)
        for data in (by_name, by_file):
            # Nobody knows how files of others were made.
            assert data.metadata["notes"] == ""
            assert data.showers()[0] == pytest.approx(deposits, rel=1e-5)
            cloud = data.batch(range(len(data))).cloud
            assert voxels_of(cloud, detector) == pytest.approx(deposits, rel=1e-5)

    def test_a_wrong_number_of_voxels_names_what_fits(self, tmp_path: Path) -> None:
        path = str(tmp_path / "dataset_1.hdf5")
        write_like_the_challenge(Path(path), find_detector("calochallenge-1-photons"))
        with pytest.raises(
            EventFileError,
            match=r"shape \(12, 368\), but 'calochallenge-1-pions' has 533 voxels; they fit 'calochallenge-1-photons'",
        ):
            lz.load_dataset("showers", path=path, detector="calochallenge-1-pions")
        with pytest.raises(EventFileError, match="pass detector=, 'calochallenge-1-photons', which fits"):
            lz.load_dataset("showers", path=path)
        mine = Grid((Layer(0, 1, (0.0, 1.0), 5),))
        (tmp_path / "mine.xml").write_text(mine.to_xml())
        with pytest.raises(
            EventFileError, match="but 'mine' has 5 voxels; they fit 'calochallenge-1-photons'"
        ):
            lz.load_dataset("showers", path=path, detector="lead-argon", geometry=str(tmp_path / "mine.xml"))

    def test_what_is_of_files_is_refused_without_one(self) -> None:
        for given in ({"units": "GeV"}, {"columns": {"energy": "E"}}):
            with pytest.raises(ValueError, match="units and columns are of files"):
                lz.load_dataset("showers", **given)
        with pytest.raises(ValueError, match="particle is of a binning file: give geometry"):
            lz.load_dataset("showers", path="x.hdf5", particle="photon")

    def test_detectors_of_one_name_have_the_same_cells(self) -> None:
        parts = []
        for count in (3, 4):
            grid = Grid((Layer(0, 1, (0.0, 1.0), count),))
            parts.append(
                ShowerArrays(
                    detector_like("lead-argon", grid), np.ones((2, count), np.float32), np.full(2, 9.0)
                )
            )
        with pytest.raises(ValueError, match="two detectors with other cells are called 'lead-argon'"):
            ShowerData(parts)


def detector_like(name: str, grid: Grid) -> Detector:
    data = find_detector(name).to_data()
    return Detector.from_data({**data, "grid": grid.to_data()})


def test_a_cell_that_is_a_ring_has_its_middle_on_the_axis() -> None:
    ring, sectors = (Grid((Layer(0, 1, (0.0, 4.0, 12.0), count),)) for count in (1, 8))
    energies = np.array([[1.0, 3.0]])
    x, y = observables.centres(energies, ring)
    assert (x, y) == (pytest.approx(0.0), pytest.approx(0.0))
    # As of sectors that share its energy evenly.
    even = np.tile(energies / 8, 8)
    for ours, theirs in zip(
        observables.widths(energies, ring), observables.widths(even, sectors), strict=True
    ):
        assert ours == pytest.approx(theirs)
    of_ring, of_sectors = (
        observables.shower_observables(values, np.ones(1), detector_like("lead-argon", grid))
        for values, grid in ((energies, ring), (even, sectors))
    )
    assert of_ring["width"] == pytest.approx(of_sectors["width"])
    assert of_ring["centre_x"] == pytest.approx(0.0)

"""Do showers in cells of any shape go to files, to patches and back, and is nothing lost on the way?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lorentzoo as lz
from lorentzoo.data.readers.source import EventFileError
from lorentzoo.data.showers import observables
from lorentzoo.data.showers.cell_files import arrays_of_cells, read_cells, write_cells
from lorentzoo.data.showers.cells import CellGrid, CellLayer
from lorentzoo.data.showers.dataset import ShowerArrays, ShowerData
from lorentzoo.data.showers.detectors import Detector, detector_of_geometry, find_detector
from lorentzoo.data.showers.irregular import IRREGULAR
from lorentzoo.data.showers.outlines import nearest_outlines, pad_outlines
from lorentzoo.data.showers.patches import Patches, detectors_of, empty_showers, voxels_of
from lorentzoo.data.showers.simulate import simulate_showers
from lorentzoo.nn.patches import PLACE, take_columns

NAMES = list(IRREGULAR)
BOX = np.array([[-90.0, -90.0], [90.0, -90.0], [90.0, 90.0], [-90.0, 90.0]])


def random_detector(seed: int, counts: list[int], patch: int = 24) -> Detector:
    """The plates of ``lead-argon`` in layers of other cells each."""
    rng = np.random.default_rng(seed)
    layers = []
    for number, count in enumerate(counts):
        middle = rng.uniform(-90, 90, (count, 2))
        corners = pad_outlines(nearest_outlines(middle, BOX))
        layers.append(CellLayer(40.0 * number, 40.0 * number + 40, *middle.T, corners, number))
    like = find_detector("lead-argon")
    return replace(like, name="mine", grid=CellGrid(tuple(layers)), patch=(patch,), threshold=1e-12)


detectors = st.builds(
    random_detector,
    st.integers(0, 10**6),
    st.lists(st.integers(1, 40), min_size=1, max_size=4),
    st.integers(1, 24),
)


class TestSimulated:
    @settings(max_examples=15, deadline=None)
    @given(detector=detectors, seed=st.integers(0, 99), particle=st.sampled_from(["electron", "pion"]))
    def test_energy_is_conserved_up_to_what_leaves(
        self, detector: Detector, seed: int, particle: str
    ) -> None:
        """Whatever the cells are, layers hold what one large cell in their place would."""
        whole = [
            CellLayer(layer.z_low, layer.z_high, np.zeros(1), np.zeros(1), BOX[None], layer.number)
            for layer in detector.grid.layers
        ]
        energy, angle = np.full(10, 8.0), np.full(10, 0.1)
        of_cells, of_one = (
            simulate_showers(made, energy, angle, np.random.default_rng(seed), particle)
            for made in (detector, replace(detector, grid=CellGrid(tuple(whole))))
        )
        assert detector.grid.layer_energies(of_cells) == pytest.approx(of_one, rel=1e-5, abs=1e-9)

    @pytest.mark.parametrize("name", NAMES[:3])
    def test_most_of_a_shower_is_inside(self, name: str) -> None:
        detector = find_detector(name)
        voxels = simulate_showers(detector, np.full(60, 20.0), np.zeros(60), np.random.default_rng(0))
        ratio = voxels.sum(1, dtype=np.float64) / 20.0 / detector.medium.sampling_fraction
        assert 0.9 < ratio.mean() < 1.02
        # Left and right, above and below are alike where the cells are.
        mean = voxels.mean(0)
        if name != "hgcal-like":
            assert abs(mean @ detector.grid.x) / mean.sum() < 0.1 * detector.medium.moliere_radius
        assert abs(mean @ detector.grid.y) / mean.sum() < 0.1 * detector.medium.moliere_radius

    def test_hexagons_see_what_sectors_of_the_same_layers_see(self) -> None:
        rings, hexagons = find_detector("tungsten-silicon"), find_detector("tungsten-hexagons")
        profiles = [
            made.grid.layer_energies(
                simulate_showers(made, np.full(400, 20.0), np.zeros(400), np.random.default_rng(1))
            ).mean(0)
            for made in (rings, hexagons)
        ]
        assert profiles[1] == pytest.approx(profiles[0], rel=0.06, abs=0.01 * profiles[0].max())

    def test_cells_of_a_barrel_grow_with_depth(self) -> None:
        for name in ("lar-like", "tile-like"):
            grid = find_detector(name).grid
            assert isinstance(grid, CellGrid)
            # Each layer is a window of the same solid angle.
            sizes = [layer.area.sum() for layer in grid.layers]
            assert sizes == sorted(sizes)
            assert len({layer.num_voxels for layer in grid.layers}) > 1
            middle = [
                find_detector(name).distance + 0.5 * (layer.z_low + layer.z_high) for layer in grid.layers
            ]
            assert np.array(sizes) / np.square(middle) == pytest.approx(sizes[0] / middle[0] ** 2, rel=0.25)


class TestClouds:
    @settings(max_examples=20, deadline=None)
    @given(detector=detectors, seed=st.integers(0, 99))
    def test_patches_give_voxels_back(self, detector: Detector, seed: int) -> None:
        voxels = (
            np.random.default_rng(seed).exponential(0.01, (6, detector.grid.num_voxels)).astype(np.float32)
        )
        data = ShowerData([ShowerArrays(detector, voxels, np.full(6, 9.0))])
        cloud = data.batch(range(6)).cloud
        assert voxels_of(cloud, detector) == pytest.approx(voxels, rel=1e-6)
        assert cloud.total()[:, 0].numpy() == pytest.approx(voxels.sum(1), rel=1e-5)
        patches = Patches.of(detector)
        assert sorted(patches.voxel[patches.voxel >= 0]) == list(range(detector.grid.num_voxels))
        assert (Patches.of(detector).place == patches.place).all()
        # A layer is a whole number of patches.
        held = [set(detector.grid.layer[row[row >= 0]]) for row in patches.voxel]
        assert [{int(layer)} for layer in patches.place[:, PLACE.index("layer")]] == held

    def test_regular_and_irregular_ones_in_one_data_set(self) -> None:
        names = ["lead-argon", "tungsten-hexagons", "lar-like"]
        data = lz.load_dataset("showers", detector=names, num_showers=4, energy_max=5.0)
        cloud = data.batch(range(12)).cloud
        assert detectors_of(cloud, data.all_detectors()).tolist() == [0] * 4 + [1] * 4 + [2] * 4
        assert detectors_of(cloud, [find_detector("tile-like")]).tolist() == [-1] * 12
        for number, name in enumerate(names):
            part = cloud.select(torch.arange(12) // 4 == number)
            assert voxels_of(part, find_detector(name)) == pytest.approx(data.showers(name)[0], rel=1e-6)

    def test_a_patch_that_does_not_fit_is_refused(self) -> None:
        with pytest.raises(
            ValueError,
            match="patches of 'hgcal-like' hold up to 24 cells, more than slots=12: give more slots",
        ):
            lz.load_dataset("showers", detector="hgcal-like", num_showers=1, slots=12)

    def test_as_many_patches_elsewhere_are_not_those_of_the_detector(self) -> None:
        detector = find_detector("tungsten-hexagons")
        wide = CellGrid(
            tuple(
                CellLayer(
                    layer.z_low, layer.z_high, 2 * layer.x, 2 * layer.y, 2 * layer.corners, layer.number
                )
                for layer in detector.grid.layers
            )
        )
        cloud = empty_showers(replace(detector, grid=wide), 5.0)
        with pytest.raises(
            ValueError, match=r"lie in other cells than those of 'tungsten-hexagons': r_\w+ of patch 0 is"
        ):
            voxels_of(cloud, detector)

    @pytest.mark.parametrize("name", NAMES)
    def test_observables_are_finite_and_of_order_one(self, name: str) -> None:
        detector = find_detector(name)
        voxels = simulate_showers(detector, np.full(30, 20.0), np.zeros(30), np.random.default_rng(0))
        found = observables.shower_observables(voxels, np.full(30, 20.0), detector)
        assert all(np.isfinite(values).all() for values in found.values())
        assert abs(found["centre_x"]).max() < 1.0
        place = take_columns(
            empty_showers(detector, 1.0).scalars, empty_showers(detector, 1.0).scalar_names, PLACE, "x"
        )
        assert torch.isfinite(place).all()


NONE = dict.fromkeys(("corner_x", "corner_y", "area"))


class TestFiles:
    @settings(max_examples=8, deadline=None)
    @given(detector=detectors, seed=st.integers(0, 99))
    def test_showers_keep_their_cells(self, detector: Detector, seed: int, tmp_path_factory) -> None:
        from lorentzoo.data.showers.files import ShowerFile, write_showers

        path = tmp_path_factory.mktemp("file") / "mine.hdf5"
        voxels = (
            np.random.default_rng(seed).exponential(0.01, (5, detector.grid.num_voxels)).astype(np.float32)
        )
        write_showers(path, detector, [(voxels, np.full(5, 3.0), np.zeros(5))], 5)
        file = ShowerFile(path)
        assert file.detector == detector
        assert file.rows(np.arange(5))[0] == pytest.approx(voxels, rel=1e-6)
        # Its cells are also those of a geometry, in which other showers are made.
        again = detector_of_geometry(path, like=find_detector("lead-argon"))
        assert again.grid == detector.grid
        write_cells(path.with_suffix(".npz"), detector.grid)
        assert read_cells(path.with_suffix(".npz")) == detector.grid

    def test_cells_of_a_detector_by_name_are_that_detector(self, tmp_path: Path) -> None:
        hexagons = find_detector("tungsten-hexagons")
        path = write_cells(tmp_path / "mine.npz", hexagons.grid)
        assert detector_of_geometry(path) == hexagons
        with pytest.raises(ValueError, match="particle is of a binning file in XML"):
            detector_of_geometry(path, "photon")
        with pytest.raises(ValueError, match=r"cells are written to .npz; write to .*mine.npz instead of"):
            write_cells(tmp_path / "mine.csv", hexagons.grid)

    def test_showers_are_made_in_cells_of_a_file(self, tmp_path: Path) -> None:
        path = str(write_cells(tmp_path / "mine.npz", random_detector(0, [7, 30]).grid))
        data = lz.load_dataset("showers", detector="lead-argon", geometry=path, num_showers=5, energy_max=5.0)
        assert data.detector().name == "mine"
        assert data.showers()[0].shape == (5, 37)
        assert (data.showers()[0].sum(1) > 0).all()
        with pytest.raises(EventFileError, match="its 37 cells are those of no detector by name"):
            detector_of_geometry(path)

    def test_without_corners_cells_are_what_is_nearest(self, tmp_path: Path) -> None:
        middle = np.stack(np.meshgrid(np.arange(4.0), np.arange(3.0)), axis=-1).reshape(-1, 2)
        arrays = {
            "layer": np.zeros(12, int),
            "x": middle[:, 0],
            "y": middle[:, 1],
            "z_low": [0.0],
            "z_high": [5.0],
        }
        np.savez(tmp_path / "squares.npz", **arrays)
        grid = read_cells(tmp_path / "squares.npz")
        assert grid.area == pytest.approx(1.0)
        assert grid.find_voxels(0, np.array([3.4, 3.6]), np.array([2.4, 0.0])).tolist() == [11, -1]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"x": None}, r"x.*cells of a detector|cells of a detector.*x"),
            ({"layer": np.array([1, 1])}, "layer 0 has no cells; leave it out"),
            ({"layer": np.array([1, 0])}, "layer must rise from 0 to at most 1, since z_low has 2 layers"),
            ({"layer": np.array([0, 2])}, "layer must rise from 0 to at most 1"),
            ({"layer": np.empty(0, int), "x": np.empty(0), "y": np.empty(0), **NONE}, "it has no cells"),
            ({"y": np.zeros(3)}, "2 cells, but y has 3"),
            ({"z_high": np.ones(3)}, "2 layers in z_low, but z_high has 3"),
            ({"x": np.array(["a", "b"])}, "x must hold numbers"),
            ({"corner_y": None}, "corner_x and corner_y go together"),
            ({"area": np.array([4.0, 5.0])}, r"layer 1: cell 0 is said to have 5 mm², but its outline has 4"),
            (
                {"z_low": np.array([0.0, 0.5])},
                r"layer 1 begins at z = 0.5 mm, before the one in front of it ends",
            ),
            ({"layer": np.array([0, 0]), "z_low": [0.0], "z_high": [1.0]}, "layer 0: cells 0 and 1 overlap"),
            ({"corner_x": None, "corner_y": None}, "layer 0: without corners cells are what is nearest"),
        ],
    )
    def test_files_that_are_wrong_say_what(self, change: dict, message: str, tmp_path: Path) -> None:
        corners = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
        layers = tuple(CellLayer(i, i + 1.0, np.zeros(1), np.zeros(1), corners[None], i) for i in range(2))
        arrays = arrays_of_cells(CellGrid(layers)) | change
        arrays = {name: value for name, value in arrays.items() if value is not None}
        np.savez(tmp_path / "cells.npz", **arrays)
        with h5py.File(tmp_path / "cells.hdf5", "w") as file:
            for name, value in arrays.items():
                file[f"cells/{name}"] = (
                    np.asarray(value).astype("S1") if np.asarray(value).dtype.kind == "U" else value
                )
        for path in (tmp_path / "cells.npz", tmp_path / "cells.hdf5"):
            with pytest.raises(EventFileError, match=message) as raised:
                read_cells(path)
            assert str(path) in str(raised.value)
            assert "\n" not in str(raised.value)

    def test_files_that_are_none(self, tmp_path: Path) -> None:
        (tmp_path / "text.npz").write_text("no archive")
        for name, message in (
            ("none.npz", "there is no such file of cells"),
            ("text.npz", "no file of cells"),
        ):
            with pytest.raises(EventFileError, match=message):
                read_cells(tmp_path / name)

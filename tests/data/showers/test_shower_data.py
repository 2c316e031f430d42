"""Do showers go to files, to patches and to batches, and come back as they were?"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lorentzoo as lz
from lorentzoo.data.batching import make_loader
from lorentzoo.data.make import describe_sample, make_sample
from lorentzoo.data.readers.source import EventFileError
from lorentzoo.data.showers import observables
from lorentzoo.data.showers.dataset import ShowerArrays, ShowerData, showers
from lorentzoo.data.showers.detectors import DETECTORS, Detector, find_detector
from lorentzoo.data.showers.files import ShowerFile, write_showers
from lorentzoo.data.showers.grid import Grid, Layer
from lorentzoo.data.showers.patches import Patches, empty_showers, voxels_of
from lorentzoo.nn.patches import EMPTY, INCIDENT, PLACE, take_columns, voxel_names

ARGON, SILICON = find_detector("lead-argon"), find_detector("tungsten-silicon")


def random_showers(
    detector: Detector, count: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sparse numbers of the right shape: files and patches do not know physics."""
    rng = np.random.default_rng(seed)
    shape = count, detector.grid.num_voxels
    voxels = rng.exponential(0.01, shape) * (rng.random(shape) < 0.3)
    return voxels.astype(np.float32), rng.uniform(1, 50, count), rng.uniform(0, 0.3, count)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    layers = []
    for number in range(draw(st.integers(1, 4))):
        steps = draw(st.lists(st.floats(0.5, 20.0), min_size=1, max_size=5))
        edges = tuple(float(f"{edge:.4g}") for edge in np.cumsum([0.0, *steps]))
        layers.append(Layer(float(number), number + 1.0, edges, draw(st.integers(1, 7)), number))
    return Grid(tuple(layers))


class TestGrid:
    @settings(max_examples=30, deadline=None)
    @given(grid=grids())
    def test_binning_files_and_plain_data_give_it_back(self, grid: Grid, tmp_path_factory) -> None:
        path = tmp_path_factory.mktemp("grid") / "binning.xml"
        path.write_text(grid.to_xml("photon"))
        assert Grid.from_xml(path) == grid
        assert Grid.from_xml(path, "photon") == grid
        assert Grid.from_data(json.loads(json.dumps(grid.to_data()))) == grid

    def test_the_order_is_that_of_the_challenge(self) -> None:
        grid = Grid((Layer(0, 1, (0.0, 1.0, 3.0), 4), Layer(1, 2, (0.0, 2.0), 1)))
        assert grid.num_voxels == 9
        assert grid.layer.tolist() == [0] * 8 + [1]
        # Radial bins of the first angular slice come first.
        assert grid.radius[:4].tolist() == [0.5, 2.0, 0.5, 2.0]
        assert grid.alpha[:4] == pytest.approx([-0.75 * np.pi] * 2 + [-0.25 * np.pi] * 2)
        assert grid.alpha[-1] == pytest.approx(0.0)

    def test_layers_without_cells_are_left_out_of_a_binning_file(self, tmp_path: Path) -> None:
        path = tmp_path / "photons.xml"
        path.write_text(
            '<Bins><Bin pid="22" name="photon"><Layer id="0" r_edges="0,5,10" n_bin_alpha="1" />'
            '<Layer id="1" r_edges="0" n_bin_alpha="1" /><Layer id="12" r_edges="0,100" n_bin_alpha="10"/></Bin></Bins>'
        )
        grid = Grid.from_xml(path)
        assert [layer.number for layer in grid.layers] == [0, 12]
        assert grid.num_voxels == 2 + 10

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("<Bins", "no binning file in XML"),
            (
                '<Bins><Bin name="a"/><Bin name="b"/></Bins>',
                r"particle must be one of \['a', 'b'\], not None",
            ),
            (
                '<Bins><Bin name="a"><Layer id="0" r_edges="0" n_bin_alpha="1"/></Bin></Bins>',
                "no layer has any cells",
            ),
            (
                '<Bins><Bin name="a"><Layer id="0" r_edges="3,1" n_bin_alpha="1"/></Bin></Bins>',
                "r_edges must rise",
            ),
            (
                '<Bins><Bin name="a"><Layer id="0" r_edges="0,1"/></Bin></Bins>',
                "it needs id, r_edges, n_bin_alpha",
            ),
        ],
    )
    def test_bad_binning_files_say_what_is_wrong(self, text: str, message: str, tmp_path: Path) -> None:
        path = tmp_path / "bad.xml"
        path.write_text(text)
        with pytest.raises(EventFileError, match=message):
            Grid.from_xml(path)


class TestFiles:
    def write(self, path: Path, detector: Detector = SILICON, count: int = 30) -> tuple[np.ndarray, ...]:
        made = random_showers(detector, count)
        pieces = [tuple(column[part] for column in made) for part in (slice(0, 7), slice(7, count))]
        write_showers(path, detector, pieces, count)  # type: ignore[arg-type]
        return made

    def test_what_is_written_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "showers.hdf5"
        made = self.write(path)
        file = ShowerFile(path)
        assert file.detector == SILICON
        order = np.array([3, 29, 3, 0])
        for column, wanted in zip(file.rows(order), made, strict=True):
            assert column == pytest.approx(wanted[order], rel=1e-6)
        with h5py.File(path) as stored:  # the layout of the CaloChallenge, in MeV
            assert stored["incident_energies"].shape == (30, 1)
            assert stored["showers"].shape == (30, 400)
            assert stored["incident_energies"][0, 0] == pytest.approx(1000 * made[1][0])

    def test_files_of_others_need_a_detector(self, tmp_path: Path) -> None:
        path = tmp_path / "challenge.hdf5"
        voxels, energy, _ = random_showers(SILICON, 5)
        with h5py.File(path, "w") as file:
            file["showers"], file["incident_energies"] = 1000.0 * voxels, 1000.0 * energy[:, None]
        with pytest.raises(
            EventFileError, match=r"does not say which detector .* 'tungsten-silicon', which fits"
        ):
            ShowerFile(path)
        with pytest.raises(EventFileError, match=r"shape \(5, 400\), but 'lead-argon' has 576 voxels"):
            ShowerFile(path, ARGON)
        read = ShowerFile(path, SILICON).rows(np.arange(5))
        assert read[0] == pytest.approx(voxels, rel=1e-6)
        assert (read[2] == 0).all()

    @pytest.mark.parametrize("missing", ["showers", "incident_energies"])
    def test_a_missing_data_set_is_named(self, missing: str, tmp_path: Path) -> None:
        path = tmp_path / "bad.hdf5"
        self.write(path)
        with h5py.File(path, "a") as file:
            del file[missing]
        with pytest.raises(EventFileError, match=f"'{missing}' missing, needed for showers"):
            ShowerFile(path)

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("showers", -1.0, r"negative energies in shower 12 \(1 of 30 read\)"),
            ("showers", np.nan, "values that are not finite in shower 12"),
            ("incident_energies", 0.0, "no positive incident energy in shower 12"),
        ],
    )
    def test_bad_values_are_named_by_their_row(
        self, name: str, value: float, message: str, tmp_path: Path
    ) -> None:
        path = tmp_path / "bad.hdf5"
        self.write(path)
        with h5py.File(path, "a") as file:
            file[name][12, 0] = value
        with pytest.raises(EventFileError, match=message):
            ShowerFile(path).rows(np.array([0]))

    def test_a_truncated_file_says_so(self, tmp_path: Path) -> None:
        path = tmp_path / "short.hdf5"
        self.write(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(EventFileError, match="not an HDF5 file, or truncated"):
            ShowerFile(path)
        with pytest.raises(EventFileError, match="there is no such file"):
            ShowerFile(tmp_path / "none.hdf5")

    def test_nothing_is_left_of_a_file_that_failed(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="40 showers were announced, but 30 came"):
            write_showers(tmp_path / "x.hdf5", SILICON, [random_showers(SILICON, 30)], 40)
        with pytest.raises(ValueError, match="do not fit: 10 of 400 voxels were announced"):
            write_showers(tmp_path / "x.hdf5", SILICON, [random_showers(SILICON, 30)], 10)
        assert list(tmp_path.iterdir()) == []

    def test_blocks_are_dropped_when_there_are_too_many(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("lorentzoo.data.showers.files.BLOCK_SIZE", 4)
        monkeypatch.setattr("lorentzoo.data.showers.files._BLOCKS_KEPT", 2)
        made = self.write(tmp_path / "x.hdf5")
        file = ShowerFile(tmp_path / "x.hdf5")
        assert file.rows(np.arange(29, -1, -1))[1] == pytest.approx(made[1][::-1])
        assert len(file._kept) == 2
        assert file.block_size == 4

    def test_blocks_are_smaller_where_there_are_many_voxels(self, tmp_path: Path) -> None:
        detector = find_detector("calochallenge-3")
        made = random_showers(detector, 2)
        write_showers(tmp_path / "x.hdf5", detector, [made], 2)
        file = ShowerFile(tmp_path / "x.hdf5")
        assert file.block_size * detector.grid.num_voxels <= 1 << 22
        assert file.rows(np.array([1]))[0] == pytest.approx(made[0][1:], rel=1e-6)

    def test_making_a_sample_is_reproducible_by_any_number_of_workers(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("lorentzoo.data.showers.make._CHUNK", 10)
        wanted = {"detector": "tungsten-silicon", "energy_max": 5.0}
        one = make_sample(
            "showers", jets=25, seed=3, out=tmp_path / "a.hdf5", settings=wanted, progress=False
        )
        with h5py.File(one) as file:
            first = file["showers"][:]
        both = make_sample(
            "showers", jets=25, seed=3, out=tmp_path / "w.hdf5", settings=wanted, workers=2, progress=False
        )
        with h5py.File(both) as file:
            assert np.array_equal(file["showers"][:], first)
        # Chunks have seeds of their own: those of a shorter sample are the first ones.
        two = make_sample(
            "showers", jets=10, seed=3, out=tmp_path / "b.hdf5", settings=wanted, progress=False
        )
        assert ShowerFile(two).rows(np.arange(10))[0] == pytest.approx(first[:10] / 1000, rel=1e-6)
        assert "Grindhammer" in showers(path=str(one)).metadata["notes"]
        described = describe_sample(one)
        assert described["showers"] == 25
        assert described["incident_energy_gev"][1] <= 5.0
        with pytest.raises(ValueError, match=r"write to .*c.hdf5 instead of .*c.npz"):
            make_sample("showers", jets=5, seed=3, out=tmp_path / "c.npz", progress=False)
        with pytest.raises(TypeError, match="'detectors'"):
            make_sample("showers", jets=5, seed=3, out=tmp_path / "c.hdf5", settings={"detectors": "x"})


class TestPatches:
    @settings(max_examples=30, deadline=None)
    @given(grid=grids(), angles=st.integers(1, 5), radii=st.integers(1, 4), seed=st.integers(0, 9))
    def test_any_patches_hold_every_voxel_once(self, grid: Grid, angles: int, radii: int, seed: int) -> None:
        detector = replace(SILICON, grid=grid, patch=(angles, radii))
        patches = Patches.of(detector, slots=20)
        real = patches.voxel[patches.voxel >= 0]
        assert sorted(real.tolist()) == list(range(grid.num_voxels))
        assert np.array_equal(patches.place[:, 1], (patches.voxel >= 0).sum(1))
        assert (np.diff(patches.place[:, 0]) >= 0).all()
        voxels, _, _ = random_showers(detector, 3, seed)
        momenta, scalars = patches.rows(voxels)
        assert np.array_equal(patches.voxels(scalars[..., :20].numpy()), voxels.astype(np.float64))
        total = np.maximum(scalars[..., :20].numpy().sum(-1), EMPTY)
        assert momenta[..., 0].numpy() == pytest.approx(total, rel=1e-12)
        assert momenta[..., 1:].norm(dim=-1).numpy() == pytest.approx(total, rel=1e-12)

    @pytest.mark.parametrize("name", DETECTORS)
    def test_named_detectors_fit(self, name: str) -> None:
        patches = Patches.of(find_detector(name))
        assert patches.place.shape == (len(patches), len(PLACE))
        assert Detector.from_data(json.loads(json.dumps(find_detector(name).to_data()))) == find_detector(
            name
        )

    def test_too_large_patches_are_refused(self) -> None:
        with pytest.raises(ValueError, match="hold up to 8 x 3 = 24 cells, more than slots=16"):
            Patches.of(ARGON, slots=16)


class TestDataset:
    def data(self, counts: tuple[int, int] = (9, 14)) -> ShowerData:
        return ShowerData(
            [
                ShowerArrays(detector, *random_showers(detector, count))
                for detector, count in zip((ARGON, SILICON), counts, strict=True)
            ]
        )

    def test_batches_mix_detectors_in_the_order_asked_for(self) -> None:
        data = self.data()
        chosen = torch.randperm(23, generator=torch.Generator().manual_seed(0))
        batch = data.batch(chosen)
        assert batch.cloud.multiplicity().tolist() == [24 if i < 9 else 20 for i in chosen.tolist()]
        batch.cloud.validate()
        assert torch.equal(batch.target, (chosen >= 9).long())
        for detector, here in ((ARGON, chosen < 9), (SILICON, chosen >= 9)):
            voxels, energy, angle = random_showers(detector, 14 if detector is SILICON else 9)
            rows = (chosen[here] - (9 if detector is SILICON else 0)).numpy()
            cloud = batch.cloud.select(here)
            assert np.array_equal(voxels_of(cloud, detector), voxels[rows].astype(np.float64))
            read = take_columns(cloud.context, cloud.context_names, ("log_energy", "angle"), "context")
            assert read[:, 0].exp().numpy() == pytest.approx(energy[rows])
            assert read[:, 1].numpy() == pytest.approx(angle[rows])
        with pytest.raises(
            ValueError, match="'lead-argon' has 24 patches, but the showers of the cloud have"
        ):
            voxels_of(batch.cloud, ARGON)

    def test_splits_subsets_and_arrays_agree(self) -> None:
        data = self.data((40, 60))
        parts = [data.split(name) for name in ("train", "validation", "test")]
        assert [len(part) for part in parts] == [60, 15, 25]
        voxels, energy, _ = parts[0].showers("tungsten-silicon")
        assert len(voxels) == 36
        cloud = parts[0].batch((parts[0].target == 1).nonzero().squeeze(1)).cloud
        assert np.array_equal(voxels_of(cloud, SILICON), voxels.astype(np.float64))
        assert cloud.context[:, 0].exp().numpy() == pytest.approx(energy)
        assert data.fingerprint() != parts[0].fingerprint() != self.data((40, 61)).fingerprint()
        with pytest.raises(
            ValueError, match="detector must be one of lead-argon, tungsten-silicon, not None"
        ):
            data.showers()

    def test_files_give_what_memory_gives(self, tmp_path: Path) -> None:
        paths = []
        for detector in (ARGON, SILICON):
            paths.append(str(tmp_path / f"{detector.name}.hdf5"))
            write_showers(paths[-1], detector, [random_showers(detector, 12)], 12)
        data = showers(path=paths)
        memory = self.data((12, 12))
        wanted = memory.batch(torch.arange(24)).cloud
        assert data.batch(torch.arange(24)).cloud.scalars.numpy() == pytest.approx(
            wanted.scalars.numpy(), rel=1e-6
        )
        assert data.block is not None
        assert sum(len(batch) for batch in make_loader(data, batch_size=5, shuffle=True)) == 24
        assert len(showers(path=paths, num_showers=5)) == 10
        with pytest.raises(EventFileError, match="it holds 12 showers, not 13"):
            showers(path=paths, num_showers=13)
        with pytest.raises(ValueError, match="of showers made on the spot, not of files"):
            showers(path=paths, energy_max=3.0)

    def test_by_name_they_are_made_on_the_spot(self) -> None:
        given = {"num_showers": 20, "energy_min": 1.0, "energy_max": 3.0}
        data = lz.load_dataset("showers", detector=["tungsten-silicon", "lead-tungstate"], **given)
        assert data.class_names == ("tungsten-silicon", "lead-tungstate")
        assert data.metadata["notes"].count("Grindhammer") == 1
        assert len(data) == 40
        again = lz.load_dataset("showers", detector="tungsten-silicon", **given)
        assert np.array_equal(data.showers("tungsten-silicon")[0], again.showers()[0])
        other = lz.load_dataset("showers", detector="tungsten-silicon", seed=2, **given)
        assert not np.array_equal(other.showers()[0], again.showers()[0])

    def test_conditions_are_showers_without_deposits(self) -> None:
        cloud = empty_showers(SILICON, [1.0, 50.0], 0.1)
        cloud.validate()
        assert cloud.context_names == INCIDENT
        assert cloud.scalar_names == (*voxel_names(24), *PLACE)
        assert voxels_of(cloud, SILICON).sum() == 0
        with pytest.raises(ValueError, match="incident energies must be positive"):
            empty_showers(SILICON, -1.0)

    def test_columns_are_found_by_name(self) -> None:
        with pytest.raises(
            ValueError, match=r"context lack \['angle'\]; they are \['log_energy'\]. Showers as clouds"
        ):
            take_columns(torch.zeros(2, 1), ("log_energy",), ("angle",), "context")


class TestObservables:
    def test_of_showers_that_are_known(self) -> None:
        grid = ARGON.grid
        voxels = np.zeros((2, grid.num_voxels))
        # Two equal cells of the third layer opposite each other, and one cell of the first.
        one = (grid.layer == 2) & (grid.radius == 15.0)
        ring = np.flatnonzero(one)
        voxels[0, [ring[0], ring[4]]] = 1.0
        voxels[1, 0] = 4.0
        x, y = observables.centres(voxels, grid)
        assert x[0] == pytest.approx(0.0, abs=1e-12)
        assert (x[1, 0], y[1, 0]) == pytest.approx((5 * np.cos(grid.alpha[0]), 5 * np.sin(grid.alpha[0])))
        width_x, width_y = observables.widths(voxels, grid)
        assert np.hypot(width_x[0, 2], width_y[0, 2]) == pytest.approx(15.0)
        assert width_x[1] == pytest.approx(0.0, abs=1e-6)
        empty = observables.sparsity(voxels, grid)
        assert empty[0, 2] == pytest.approx(46 / 48)
        assert empty[1, 2] == 1.0
        assert observables.energy_ratio(voxels, np.array([4.0, 8.0])).tolist() == [0.5, 0.5]
        assert observables.depth_of_centre(voxels, grid).tolist() == [75.0, 15.0]

    def test_columns_are_finite_even_of_empty_showers(self) -> None:
        voxels, energy, _ = random_showers(ARGON, 4)
        voxels[1] = 0.0
        found = observables.shower_observables(voxels, energy, ARGON)
        assert list(found) == list(observables.OBSERVABLES)
        assert all(np.isfinite(column).all() and column.shape == (4,) for column in found.values())
        assert found["sparsity"][1] == 1.0

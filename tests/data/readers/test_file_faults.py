"""What do files say that are unusual, damaged, or not what they seem, and do processes read them alike?"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import uproot
from file_layouts import jetclass_columns, padded, random_jets, write_parquet, write_root, write_toptag
from torch.utils.data import DataLoader

import lorentzoo as lz
from lorentzoo.data.batching import make_loader
from lorentzoo.data.make import describe_sample
from lorentzoo.data.readers.files import FileDataset
from lorentzoo.data.readers.source import EventFileError

READERS = ("toptag-hdf5", "jetclass-root", "jetclass-parquet", "jetnet-hdf5", "padded-npz")


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of many blocks."""
    monkeypatch.setitem(FileDataset.__init__.__kwdefaults__, "block_size", 4)


@pytest.fixture
def npz(tmp_path: Path) -> Callable[..., Path]:
    """Writes padded events, with arrays changed or added."""

    def write(name: str = "a.npz", **changes: Any) -> Path:
        momenta, lengths = random_jets(30)
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        np.savez(path, **{"momenta": padded(momenta, lengths, 64), "labels": np.arange(30) % 2, **changes})
        return path

    return write


# ---- processes ----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # more workers than cores
@pytest.mark.parametrize("name", READERS)
def test_batches_are_the_same_in_every_number_and_kind_of_process(
    name: str, written: Callable[[str], Path]
) -> None:
    data = lz.load_dataset(name, path=str(written(name)))
    data.batch([79, 0])  # streams are open now, and stand somewhere
    given = {"batch_size": 16, "shuffle": True, "seed": 3}
    plain = list(make_loader(data, **given))
    loaders = {workers: make_loader(data, **given, num_workers=workers) for workers in (1, 4)}
    loaders["spawn"] = DataLoader(
        data,
        sampler=make_loader(data, **given).sampler,
        batch_size=None,
        num_workers=1,
        multiprocessing_context=multiprocessing.get_context("spawn"),
    )
    for how, loader in loaders.items():
        for one, other in zip(plain, loader, strict=True):
            assert torch.equal(one.event_id, other.event_id), how
            assert torch.equal(one.cloud.momenta, other.cloud.momenta), how
            assert torch.equal(one.cloud.scalars, other.cloud.scalars), how


# ---- which files are meant ----------------------------------------------------------------


def test_a_file_counts_once(npz: Callable[..., Path], tmp_path: Path) -> None:
    path = npz()
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "b.npz").symlink_to(path)
    os.link(path, tmp_path / "links" / "c.npz")
    for given in (
        {"path": [str(path), str(tmp_path / "a*.npz")]},
        {"path": str(path), "test": str(path)},
        {"path": str(tmp_path)},
        {"path": str(path), "validation": str(tmp_path / "links")},
        {"path": str(tmp_path / "links")},
    ):
        with pytest.raises(EventFileError, match=r"it is named twice.*counted twice or be in two splits"):
            lz.load_dataset("padded-npz", **given)


def test_patterns_that_match_folders_mean_their_files(npz: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("part_0/a.npz", "part_1/a.npz", "part_2.npz"):
        npz(name)
    (tmp_path / "part_1" / "notes.txt").write_text("not events")
    assert len(lz.load_dataset("padded-npz", path=str(tmp_path / "part_*"))) == 90


def test_pipes_and_devices_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.npz")
    for path in (tmp_path / "a.npz", tmp_path / "a*", Path("/dev/zero")):
        with pytest.raises(EventFileError, match="it is a pipe or a device, not a file"):
            lz.load_dataset("padded-npz", path=str(path))
    with pytest.raises(FileNotFoundError, match=r"not a folder with \.npz files"):
        lz.load_dataset("padded-npz", path=str(tmp_path))


def test_scalars_of_files_are_put_in_one_order(tmp_path: Path) -> None:
    class Renamed(FileDataset):
        """Files whose second one has its scalars in another order."""

    momenta, lengths = random_jets(20)
    for name in "ab":
        write_root(tmp_path / f"{name}.root", jetclass_columns(momenta, lengths, np.arange(20) % 10))
    data = lz.load_dataset("jetclass-root", path=str(tmp_path))
    other = data._blocks._blocks[-1].source
    names = list(other._features)
    other._features = {name: other._features[name] for name in reversed(names)}
    other.scalar_names = tuple(other._features)
    first, second = (data.batch(slice(start, start + 20)).cloud.scalars for start in (0, 20))
    assert torch.equal(first, second)


def test_classes_that_are_counted_may_lack_the_last_ones(npz: Callable[..., Path], tmp_path: Path) -> None:
    npz("x/a.npz", labels=np.zeros(30, int))
    npz("x/b.npz", labels=np.arange(30) % 3)
    assert lz.load_dataset("padded-npz", path=str(tmp_path / "x")).class_names == (
        "class_0",
        "class_1",
        "class_2",
    )


# ---- what stands in them ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.where(np.arange(30) % 2, 0.7, 0.0), r"row 1 of labels is 0\.7, not the number of a class"),
        (np.where(np.arange(30) % 2, 1, -1), "row 0 of labels is -1, not the number of a class"),
        (np.where(np.arange(30) == 8, np.nan, 0), "row 8 of labels is nan"),
        (np.arange(30) * 1000, "row 10 of labels is 10000"),
    ],
)
def test_labels_that_are_no_classes(npz: Callable[..., Path], labels: np.ndarray, message: str) -> None:
    path = str(npz(labels=labels))
    with pytest.raises(EventFileError, match=message + ".*read it as a value with target=labels"):
        lz.load_dataset("padded-npz", path=path)
    if np.isfinite(labels).all():
        assert not lz.load_dataset("padded-npz", path=path, target="labels").has_classes


def test_arrays_of_either_byte_order(npz: Callable[..., Path]) -> None:
    momenta, lengths = random_jets(30)
    dense = padded(momenta, lengths, 64)
    odd = npz("odd.npz", momenta=dense.astype(">f4"), labels=(np.arange(30) % 2).astype(">i2"))
    one, other = (lz.load_dataset("padded-npz", path=str(path)) for path in (npz(), odd))
    assert torch.equal(one.target, other.target)
    assert torch.equal(one.batch(slice(None)).cloud.momenta, other.batch(slice(None)).cloud.momenta)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda column: [[None if i == 1 else value for i, value in enumerate(jet)] for jet in column],
        lambda column: [None if row == 0 else jet for row, jet in enumerate(column)],
    ],
)
@pytest.mark.parametrize("where", ["part_charge", "part_px"])
def test_missing_values_are_named(tmp_path: Path, where: str, spoil: Callable[[list], list]) -> None:
    momenta, lengths = random_jets(12)
    columns = jetclass_columns(momenta, lengths, np.arange(12) % 10)
    columns.pop("jet_nparticles")
    table = ak.to_arrow_table(ak.Array(columns), extensionarray=False)
    column = pa.array(spoil(table[where].to_pylist()), pa.list_(pa.float32()))
    table = table.set_column(table.schema.get_field_index(where), where, column)
    pq.write_table(table, tmp_path / "a.parquet")
    for on_bad in ("error", "skip"):
        with pytest.raises(
            EventFileError, match=rf"row 0 has missing values in '{where}' .*fill them, or leave"
        ):
            lz.load_dataset("jetclass-parquet", path=str(tmp_path), on_bad=on_bad).batch([0])


def test_a_column_with_missing_values_is_no_target(tmp_path: Path) -> None:
    momenta, lengths = random_jets(12)
    columns = jetclass_columns(momenta, lengths, np.arange(12) % 10)
    columns["mass"] = ak.Array([1.0, None, *[2.0] * 10])
    write_parquet(tmp_path / "a.parquet", columns)
    with pytest.raises(EventFileError, match="row 1 has missing values in 'mass'"):
        lz.load_dataset("jetclass-parquet", path=str(tmp_path), target="mass")


def test_a_counter_that_does_not_fit_its_lists(tmp_path: Path) -> None:
    momenta, lengths = random_jets(12)
    columns = jetclass_columns(momenta, lengths, np.arange(12) % 10)
    columns["jet_nparticles"] = ak.Array((lengths + (np.arange(12) == 6)).astype(np.float32))
    write_root(tmp_path / "a.root", columns)
    data = lz.load_dataset("jetclass-root", path=str(tmp_path))
    data.batch([0])
    with pytest.raises(EventFileError, match=r"row 6 has \d+ particles, but jet_nparticles says \d+; leave"):
        data.batch([6])


# ---- what they declare --------------------------------------------------------------------


def test_more_rows_than_a_file_can_hold(tmp_path: Path) -> None:
    dtype = np.dtype([("index", "i8"), ("values_block_0", "f4", (804,)), ("values_block_1", "i8", (2,))])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("table/table", (10**10,), dtype, chunks=(64,))
    with pytest.raises(EventFileError, match=r"it declares 10000000000 rows of \d+ bytes but has \d+ bytes"):
        lz.load_dataset("toptag-hdf5", path=str(tmp_path / "a.h5"))


def test_an_array_that_declares_more_than_is_stored(tmp_path: Path, npz: Callable[..., Path]) -> None:
    contents = npz().read_bytes()
    assert contents.count(b"(30, 64, 4)") == 1
    (tmp_path / "b.npz").write_bytes(contents.replace(b"(30, 64, 4)", b"(99, 64, 4)"))
    with pytest.raises(
        EventFileError, match=r"'momenta' declares shape \(99, 64, 4\), .* but \d+ are stored"
    ):
        lz.load_dataset("padded-npz", path=str(tmp_path / "b.npz"))


@pytest.mark.parametrize("how", ["external storage", "external link", "virtual"])
def test_contents_in_another_file_are_refused(tmp_path: Path, how: str) -> None:
    momenta, lengths = random_jets(64)
    write_toptag(tmp_path / "real.h5", momenta, lengths, np.arange(64) % 2)
    with h5py.File(tmp_path / "real.h5") as real, h5py.File(tmp_path / "a.h5", "w") as file:
        table = real["table/table"]
        if how == "external storage":
            size = len(table) * table.dtype.itemsize
            file.create_dataset("table/table", table.shape, table.dtype, external=[("/etc/passwd", 0, size)])
        elif how == "external link":
            file.create_group("table")["table"] = h5py.ExternalLink("real.h5", "table/table")
        else:
            layout = h5py.VirtualLayout(table.shape, table.dtype)
            layout[:] = h5py.VirtualSource("real.h5", "table/table", table.shape)
            file.create_virtual_dataset("table/table", layout)
    with pytest.raises(
        EventFileError, match=r"lie in another file; copy them into this one|'table/table' missing"
    ):
        lz.load_dataset("toptag-hdf5", path=str(tmp_path / "a.h5"))


@pytest.mark.parametrize(
    ("number", "name"), [(307, "bzip2"), (32001, "blosc"), (32015, "zstd"), (31999, "unknown")]
)
def test_a_filter_that_is_lacking_is_named(tmp_path: Path, number: int, name: str) -> None:
    momenta, lengths = random_jets(64)
    write_toptag(tmp_path / "a.h5", momenta, lengths, np.arange(64) % 2)
    if h5py.h5z.filter_avail(number):
        pytest.skip(f"this HDF5 has {name}")
    with h5py.File(tmp_path / "a.h5") as file:
        rows = file["table/table"][:]
    with h5py.File(tmp_path / "b.h5", "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((64,))
        properties.set_filter(number, h5py.h5z.FLAG_OPTIONAL, ())
        kind = h5py.h5t.py_create(rows.dtype, logical=True)
        dataset = h5py.h5d.create(
            file.create_group("table").id, b"table", kind, h5py.h5s.create_simple((64,)), properties
        )
        dataset.write_direct_chunk((0,), rows.tobytes())
    with pytest.raises(
        EventFileError, match=rf"is compressed with the filter .*{name}.*number {number}"
    ) as found:
        lz.load_dataset("toptag-hdf5", path=str(tmp_path / "b.h5"))
    assert "damaged" not in str(found.value)


def test_pages_of_parquet_are_checked(tmp_path: Path) -> None:
    momenta, lengths = random_jets(60)
    columns = jetclass_columns(momenta, lengths, np.arange(60) % 10)
    table = ak.to_arrow_table(ak.Array(columns), extensionarray=False)
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, compression="none", write_page_checksum=True, use_dictionary=False)
    contents = bytearray(path.read_bytes())
    value = np.asarray(columns["part_px"][0])[:4].tobytes()
    place = contents.index(value)
    contents[place + 2] ^= 1
    path.write_bytes(contents)
    with pytest.raises(EventFileError, match=r"rows 0 to \d+ cannot be read, the file is damaged: .*CRC"):
        lz.load_dataset("jetclass-parquet", path=str(path)).batch([0])


# ---- what `data info` says ----------------------------------------------------------------


@pytest.mark.parametrize("name", READERS)
def test_info_of_files_that_are_read(name: str, written: Callable[[str], Path]) -> None:
    described = describe_sample(written(name))
    data = lz.load_dataset(name, path=described["path"])
    assert (described["dataset"], described["events"]) == (name, 80)
    assert sum(described["classes"].values()) == 80
    assert list(described["classes"]) == list(data.class_names)
    total = data.batch(slice(0, 4096)).cloud.total()
    assert described["median_pt"] == pytest.approx(float(np.median(total[:, 1:3].norm(dim=1))), rel=1e-5)


def test_info_of_other_files_lists_what_they_hold(tmp_path: Path) -> None:
    with uproot.recreate(tmp_path / "a.root") as file:
        file.mktree("Events", {"nJet": np.int32}).extend({"nJet": np.arange(3, dtype=np.int32)})
        file.mkrntuple("Other", {"x": np.arange(5.0)})
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 2)))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x/y"] = np.zeros(3)
    pq.write_table(pa.table({"x": [1, 2]}), tmp_path / "a.parquet")
    contents = {
        ending: describe_sample(tmp_path / f"a.{ending}") for ending in ("root", "npz", "h5", "parquet")
    }
    assert contents["root"]["contents"]["Events"]["entries"] == 3
    assert contents["root"]["contents"]["Other"]["columns"] == ["x"]
    assert "there is no tree 'tree'" in contents["root"]["not read by"]["jetclass-root"]
    assert contents["npz"]["contents"] == {"x": "float64 (3, 2)"}
    assert contents["h5"]["contents"] == {"x/y": "float64 (3,)"}
    assert contents["parquet"]["contents"] == {"rows": 2, "columns": ["x"]}
    for described in contents.values():
        assert not any("truncated" in reason for reason in described["not read by"].values())


def test_info_of_what_is_no_file_of_events(tmp_path: Path, written: Callable[[str], Path]) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(EventFileError, match=r"it is not a file of events; those end with \.root, \.parquet"):
        describe_sample(tmp_path / "a.txt")
    with pytest.raises(EventFileError, match="it is not a file; name one"):
        describe_sample(tmp_path)
    for name in ("jetclass-root", "jetclass-parquet", "toptag-hdf5"):
        path = written(name)
        path.write_bytes(path.read_bytes()[:300])
        with pytest.raises(EventFileError, match="truncated"):
            describe_sample(path)

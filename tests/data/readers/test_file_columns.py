"""Can any column of a file be target, weight, context or number of the events, in every format?"""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import pytest
import torch
from file_layouts import (
    jetclass_columns,
    padded,
    random_jets,
    write_jetnet,
    write_parquet,
    write_root,
    write_toptag,
)

import lorentzoo as lz
from lorentzoo.data.events import EventData
from lorentzoo.data.readers.files import FileDataset
from lorentzoo.data.readers.source import EventFileError

NUM = 90


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of many blocks."""
    monkeypatch.setitem(FileDataset.__init__.__kwdefaults__, "block_size", 16)


@pytest.fixture(scope="module")
def values() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        "mass": rng.uniform(50, 200, NUM).astype(np.float32),
        "hits": rng.integers(0, 100, NUM),
        "w": rng.normal(size=NUM),
        "number": rng.permutation(10 * NUM)[:NUM],
    }


def write(kind: str, path: Path, values: dict[str, np.ndarray]) -> tuple[str, dict[str, Any]]:
    """A file with these columns; the name of its data set, and which columns are what."""
    momenta, lengths = random_jets(NUM)
    labels = np.arange(NUM) % 10
    names = {"target": ["mass", "hits"], "weight": "w", "context": ["hits", "mass"], "event_id": "number"}
    if kind in ("root", "parquet", "rntuple"):
        columns = jetclass_columns(momenta, lengths, labels)
        columns = {name: column for name, column in columns.items() if not name.startswith("label_")}
        columns |= {name: ak.Array(column) for name, column in values.items()}
        if kind == "parquet":
            write_parquet(path / "a.parquet", columns)
            return "jetclass-parquet", {"path": str(path / "a.parquet"), **names}
        write_root(path / "a.root", columns, rntuple=kind == "rntuple")
        return "jetclass-root", {"path": str(path / "a.root"), **names}
    if kind == "npz":
        np.savez(path / "a.npz", momenta=padded(momenta, lengths, 64), **values)
        return "padded-npz", {"path": str(path / "a.npz"), **names}
    write_jetnet(path / "t.hdf5", NUM)
    with h5py.File(path / "t.hdf5", "a") as file:
        for name, column in values.items():
            file[f"extra/{name}"] = column
        file["jet_features"][:, 2] = values["mass"]
    names = {
        "target": ["mass", "extra/hits"],
        "weight": "extra/w",
        "context": ["extra/hits", "mass"],
        "event_id": "extra/number",
    }
    return "jetnet-hdf5", {"path": str(path), **names}


KINDS = ("root", "rntuple", "parquet", "npz", "jetnet")


@pytest.mark.parametrize(("kind", "in_memory"), list(itertools.product(KINDS, (False, True))))
def test_columns_travel(tmp_path: Path, values: dict[str, np.ndarray], kind: str, in_memory: bool) -> None:
    name, given = write(kind, tmp_path, values)
    data: EventData = lz.load_dataset(name, **given, target_units=["GeV", ""], in_memory=in_memory)
    assert data.target_names == tuple(given["target"])
    assert data.context_names == tuple(given["context"])
    assert (data.target_units, data.class_names, data.num_context) == (("GeV", ""), (), 2)
    assert not data.has_classes
    for part in (data.split("train"), pickle.loads(pickle.dumps(data)).split("train")):
        batch = part.batch(slice(None, None, -2))
        rows = [values["number"].tolist().index(number) for number in batch.event_id.tolist()]
        hits = values["hits"][rows]
        np.testing.assert_array_equal(batch.target.numpy(), np.stack([values["mass"][rows], hits], axis=1))
        np.testing.assert_array_equal(batch.weight.numpy(), values["w"][rows])
        np.testing.assert_array_equal(
            batch.cloud.context.numpy(), np.stack([hits, values["mass"][rows]], axis=1)
        )
        assert batch.cloud.context_names == data.context_names
    assert np.bincount(data.splits.numpy()).tolist() == [54, 14, 22]


@pytest.mark.parametrize("kind", KINDS)
def test_one_whole_number_is_a_value_and_unknown_columns_are_named(
    tmp_path: Path, values: dict[str, np.ndarray], kind: str
) -> None:
    name, given = write(kind, tmp_path, values)
    hits = given["target"][1]
    data = lz.load_dataset(name, path=given["path"], target=hits)
    assert (data.target.dtype, data.target.shape, data.has_classes) == (torch.int64, (NUM,), False)
    np.testing.assert_array_equal(data.target.numpy(), values["hits"])
    for role in ("target", "weight", "context", "event_id"):
        wrong = {"target": hits, role: "nothing"}
        with pytest.raises(
            EventFileError, match=r"'nothing' missing, needed for target, weight, context or event_id"
        ):
            lz.load_dataset(name, path=given["path"], **wrong)
    with pytest.raises(ValueError, match="target_units must name each of the 1 columns"):
        lz.load_dataset(name, path=given["path"], target=hits, target_units=["GeV", "GeV"])


def test_the_true_top_is_a_target(tmp_path: Path) -> None:
    momenta, lengths = random_jets(NUM)
    write_toptag(tmp_path / "a.h5", momenta, lengths, np.arange(NUM) % 2)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        rows = file["table/table"][:]
        rows["values_block_0"][:, 800:] = np.arange(4 * NUM).reshape(NUM, 4)
        file["table/table"][:] = rows
    given = {"path": str(tmp_path / "a.h5"), "target": ["truthE", "truthPZ"], "context": "is_signal_new"}
    data = lz.load_dataset("toptag-hdf5", **given)
    np.testing.assert_array_equal(data.target.numpy(), np.arange(4 * NUM).reshape(NUM, 4)[:, [0, 3]])
    np.testing.assert_array_equal(data.context[:, 0].numpy(), np.arange(NUM) % 2)


def test_an_array_of_several_numbers_an_event(tmp_path: Path) -> None:
    momenta, lengths = random_jets(NUM)
    wide = np.random.default_rng(0).normal(size=(NUM, 3)).astype(">f8")
    np.savez(tmp_path / "a.npz", momenta=padded(momenta, lengths, 64), y=wide, z=wide[:, :1])
    data = lz.load_dataset("padded-npz", path=str(tmp_path / "a.npz"), target="y", context=["z", "y"])
    np.testing.assert_array_equal(data.target.numpy(), wide)
    assert data.target_names == ("y_0", "y_1", "y_2")
    assert data.context_names == ("z_0", "y_0", "y_1", "y_2")
    with pytest.raises(EventFileError, match=r"column 'y' has shape \(90, 3\), not one number an event$"):
        lz.load_dataset("padded-npz", path=str(tmp_path / "a.npz"), target="y", weight="y")


def test_values_that_are_not_finite_stop_or_are_left_out(
    tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    spoiled = values["w"].copy()
    spoiled[[20, 70]] = np.nan
    name, given = write("npz", tmp_path, {**values, "w": spoiled})
    with pytest.raises(
        EventFileError, match=r"row 20 has a target, weight or context that is not finite .1 of the"
    ):
        lz.load_dataset(name, **given)
    with pytest.warns(UserWarning, match="2 of 90 events were left out"):
        data = lz.load_dataset(name, **given, on_bad="skip")
    assert data.event_id.tolist() == np.delete(values["number"], [20, 70]).tolist()


def _replace(column: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict], dict]:
    return lambda arrays: {**arrays, column: change(arrays[column])}


@pytest.mark.parametrize(
    "change",
    [
        _replace("momenta", lambda v: v * np.float32(1.001)),
        _replace("extra", lambda v: v + 1),
        _replace("mass", lambda v: v + 1),
        _replace("w", lambda v: -v),
        _replace("number", lambda v: v + 1),
    ],
)
def test_fingerprints_of_files_see_their_contents(
    tmp_path: Path, values: dict[str, np.ndarray], change: Callable[[dict], dict]
) -> None:
    momenta, lengths = random_jets(NUM)
    arrays = {"momenta": padded(momenta, lengths, 64), "extra": np.ones((NUM, 64, 2)), **values}
    given = {"target": "mass", "weight": "w", "event_id": "number", "scalars": "extra", "context": "hits"}

    def fingerprint(folder: str, arrays: dict[str, np.ndarray], **more: Any) -> str:
        (tmp_path / folder).mkdir(exist_ok=True)
        np.savez(tmp_path / folder / "a.npz", **arrays)
        data = lz.load_dataset("padded-npz", path=str(tmp_path / folder), **given, **more)
        assert pickle.loads(pickle.dumps(data)).fingerprint() == data.fingerprint()
        return data.fingerprint()

    first = fingerprint("one", arrays)
    assert fingerprint("two", arrays) == first  # the same contents in another place
    assert fingerprint("one", change(arrays)) != first  # other contents of the same name and size
    assert fingerprint("two", arrays, order="E,py,px,pz") != first
    assert fingerprint("two", arrays, max_constituents=3) != first
    assert fingerprint("two", arrays, units="TeV", check_units=False) != first


def test_a_fingerprint_is_that_of_the_events_of_a_subset(
    tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    name, given = write("npz", tmp_path, values)
    data = lz.load_dataset(name, **given)
    other = lz.load_dataset(name, **given)
    chosen = data.subset([40, 3])
    assert chosen.fingerprint() == other.subset([40, 3]).fingerprint() != data.subset([3, 40]).fingerprint()


def test_files_have_the_same_columns(tmp_path: Path, values: dict[str, np.ndarray]) -> None:
    momenta, lengths = random_jets(NUM)
    for name, width in (("a", 1), ("b", 2)):
        arrays = {"momenta": padded(momenta, lengths, 64), "y": np.ones((NUM, width))}
        np.savez(tmp_path / f"{name}.npz", **arrays)
    with pytest.raises(
        EventFileError, match=r"b\.npz: its columns \['y_0', 'y_1'\] are not those of .*a\.npz, \['y_0'\]"
    ):
        lz.load_dataset("padded-npz", path=str(tmp_path), target="y")


def test_statistics_of_files_sorted_by_class_come_from_all_of_them(tmp_path: Path) -> None:
    momenta, lengths = random_jets(NUM)
    np.savez(tmp_path / "a.npz", momenta=padded(momenta, lengths, 64), labels=np.arange(NUM) // 30)
    data = lz.load_dataset("padded-npz", path=str(tmp_path))
    assert np.bincount(data.sample(30).target.numpy()).tolist() == [10, 10, 10]

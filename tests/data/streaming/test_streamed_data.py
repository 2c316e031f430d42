"""Do events that are streamed from files come once a pass, as they are in the files, and go on where they stopped?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import torch
import torch.distributed
from torch.utils.data import DataLoader, IterableDataset

import lorentzoo as lz
from lorentzoo.core.cloud import Batch
from lorentzoo.data.batching import make_loader
from lorentzoo.data.readers.named import JetClassParquetFiles, JetClassROOTFiles
from lorentzoo.data.readers.opening import open_files
from lorentzoo.data.readers.source import EventFileError
from lorentzoo.data.sharding import Shard
from lorentzoo.data.streaming.dataset import StreamedData
from lorentzoo.data.streams import StreamError, start_at

MEMORY = 0.02
"""GB: a few row groups of the files below."""


@pytest.fixture
def folder(tmp_path: Path, jet_files: Callable[..., Path]) -> Path:
    """Six ROOT files of 900 jets, the jets of a file of one class."""
    return jet_files(tmp_path / "jets", files=6, jets=900, group=300)


def stream(folder: Path, **options: object) -> StreamedData:
    kind = JetClassParquetFiles if any(folder.glob("*.parquet")) else JetClassROOTFiles
    data = open_files(kind(path=str(folder), stream=True, **{"memory_gb": MEMORY, **options}))  # type: ignore[arg-type]
    assert isinstance(data, StreamedData)
    return data


def ids_of(batches: list[Batch]) -> list[int]:
    return [int(number) for batch in batches for number in batch.event_id]


def same(a: Batch, b: Batch) -> bool:
    names = ("target", "weight", "event_id")
    clouds = [(getattr(a.cloud, name), getattr(b.cloud, name)) for name in ("momenta", "scalars", "context")]
    return all(torch.equal(x, y) for x, y in [*clouds, *((getattr(a, n), getattr(b, n)) for n in names)])


@pytest.mark.parametrize("ending", ["root", "parquet"])
@pytest.mark.parametrize("options", [{}, {"features": "fourmomenta", "max_constituents": 7}])
def test_events_are_those_of_the_files(
    tmp_path: Path, jet_files: Callable[..., Path], ending: str, options: dict[str, object]
) -> None:
    folder = jet_files(tmp_path / "jets", files=3, jets=500, group=200, ending=ending)
    whole = lz.load_dataset(f"jetclass-{ending}", path=str(folder), in_memory=True, **options)
    place = {int(number): row for row, number in enumerate(whole.event_id)}
    seen = []
    for batch in make_loader(stream(folder, **options), 64, shuffle=True):
        assert same(batch, whole.batch([place[int(number)] for number in batch.event_id]))
        seen.append(batch)
    assert sorted(ids_of(seen)) == sorted(place)


def test_order_does_not_depend_on_workers_and_goes_on_bit_for_bit(folder: Path) -> None:
    data = stream(folder)
    whole = list(make_loader(data, 100, shuffle=True, seed=5))
    assert max(map(len, whole)) == 100
    assert len(make_loader(data, 100, shuffle=True, seed=5)) == len(whole) == 54
    for first, workers in ((0, 2), (17, 0), (40, 2), (54, 0)):
        loader = make_loader(data, 100, shuffle=True, seed=5, num_workers=workers)
        start_at(loader, 0, first)
        rest = list(loader)
        assert len(rest) == 54 - first
        assert all(same(a, b) for a, b in zip(rest, whole[first:], strict=True))
    passes = make_loader(data, 100, shuffle=True, seed=5)
    first_pass, second_pass = ids_of(list(passes)), ids_of(list(passes))
    assert first_pass == ids_of(whole)
    assert sorted(second_pass) == sorted(first_pass) != second_pass != first_pass


@pytest.mark.parametrize(("world", "batch_size"), [(2, 100), (3, 64), (7, 1000)])
def test_processes_share_a_pass(folder: Path, world: int, batch_size: int) -> None:
    data = stream(folder)
    loaders = [
        data.loader(batch_size, shuffle=True, seed=1, num_workers=0, shard=Shard(rank, world))
        for rank in range(world)
    ]
    batches = [list(loader) for loader in loaders]
    assert {len(each) for each in batches} == {len(loaders[0])}
    assert sorted(number for each in batches for number in ids_of(each)) == sorted(
        ids_of(list(make_loader(data, 256)))
    )


def test_splits_are_by_files_or_by_hash(folder: Path) -> None:
    data = stream(folder)
    parts = {name: ids_of(list(make_loader(data.split(name), 256))) for name in ("train", "validation")}
    test = data.split("test")
    parts["test"] = test.event_id.tolist()
    assert sorted(number for part in parts.values() for number in part) == sorted(
        ids_of(list(make_loader(data, 256)))
    )
    assert abs(len(parts["train"]) / len(data) - 0.6) < 0.05
    few = stream(folder, validation_jets=50).split("validation")
    assert len(few) == 50
    assert set(few.event_id.tolist()) <= set(parts["validation"])
    assert len(few.target.unique()) == 6
    files = sorted(map(str, folder.glob("*.root")))
    named = open_files(
        JetClassROOTFiles(
            path=files[:3], validation=files[3:5], test=files[5:], stream=True, memory_gb=MEMORY
        )
    )
    sizes = [len(named.split(name)) for name in ("train", "validation", "test")]  # type: ignore[arg-type]
    assert sizes == [2700, 1800, 900]


def test_classes_in_files_of_their_own_are_mixed(folder: Path) -> None:
    for batch in make_loader(stream(folder, memory_gb=0.05), 300, shuffle=True):
        assert np.bincount(batch.target.numpy(), minlength=6)[:6].min() > 20


def test_file_lists(folder: Path) -> None:
    (folder / "list.txt").write_text("jets_00[0-1].root  # two\n\njets_003.root\n")
    data = lz.load_dataset("jetclass-root", path=str(folder / "list.txt"), stream=True, memory_gb=MEMORY)
    assert len(data) == 2700
    (folder / "empty.txt").write_text("# nothing\n")
    with pytest.raises(EventFileError, match=r"empty\.txt: it lists no file"):
        JetClassROOTFiles(path=str(folder / "empty.txt")).find()
    (folder / "outer.txt").write_text("list.txt\n")
    with pytest.raises(EventFileError, match=r"outer\.txt: it lists the list"):
        JetClassROOTFiles(path=str(folder / "outer.txt")).find()


def test_what_a_stream_does_not_offer(folder: Path) -> None:
    data = stream(folder)
    for ask in (lambda: data.target, lambda: data[3], lambda: data.subset([0]), lambda: data.lengths):
        with pytest.raises(StreamError, match=r"a stream of 5,400 events does not offer .*stream=true"):
            ask()
    with pytest.raises(ValueError, match="stream=true and num_jets=5 exclude each other"):
        stream(folder, num_jets=5)
    with pytest.raises(ValueError, match="stream=true and in_memory=true exclude each other"):
        stream(folder, in_memory=True)
    with pytest.raises(EventFileError, match=r"one row group of .* GB.*pass memory_gb=0\.\d+, or write"):
        stream(folder, memory_gb=0.0005)
    with pytest.warns(UserWarning, match="mix only 1 row groups of up to 900 events"):
        stream(folder, memory_gb=0.008)


def test_bad_events_and_those_without_weight_are_left_out(
    tmp_path: Path, jet_files: Callable[..., Path]
) -> None:
    def spoil(columns: dict[str, ak.Array]) -> None:
        energy = ak.to_numpy(ak.flatten(columns["part_energy"])).copy()
        energy[0] = np.nan
        columns["part_energy"] = ak.unflatten(energy, ak.num(columns["part_energy"]))
        columns["w"] = ak.Array(np.where(np.arange(len(energy) and 300) % 10 == 1, 0.0, 2.0))

    folder = jet_files(tmp_path / "jets", files=4, jets=300, group=300, change=spoil)
    with pytest.raises(EventFileError, match=r"jets_00\d\.root: 1 of the events 0 to 300 .* first row 0"):
        stream(folder, weight="w")
    with pytest.warns(UserWarning, match=r"jets_00\d\.root: 1 of the events 0 to 300 are left out"):
        data = stream(folder, weight="w", on_bad="skip")
    with pytest.warns(UserWarning, match="are left out"):
        batches = list(make_loader(data, 64, shuffle=True))
    assert len(ids_of(batches)) == 4 * (300 - 1 - 30)
    assert all(bool((batch.weight == 2).all()) for batch in batches)


@pytest.mark.parametrize("damage", ["cut", "foreign", "missing", "middle"])
def test_damaged_files_are_named(folder: Path, damage: str) -> None:
    victim = folder / "jets_002.root"
    contents = victim.read_bytes()
    if damage == "missing":
        data = stream(folder)
        victim.unlink()
    elif damage == "middle":
        victim.write_bytes(contents[:20000] + bytes(60000) + contents[80000:])
    else:
        victim.write_bytes(contents[: len(contents) // 2] if damage == "cut" else b"not a file of jets" * 99)
    with pytest.raises(EventFileError, match=r"jets_002\.root: ") as caught:
        list(make_loader(data if damage == "missing" else stream(folder), 100, shuffle=True))
    assert "\n" not in str(caught.value)


def test_fingerprints_follow_what_a_training_sees(folder: Path) -> None:
    data = stream(folder)
    assert data.fingerprint() == stream(folder).fingerprint()
    others = [
        stream(folder, memory_gb=0.04),
        stream(folder, features="pid"),
        stream(folder, max_constituents=5),
        data.split("train"),
        data.split("validation"),
    ]
    assert len({data.fingerprint(), *(other.fingerprint() for other in others)}) == 6
    before, last = data.fingerprint(), folder / "jets_005.root"
    last.write_bytes(last.read_bytes() + b" ")
    assert stream(folder).fingerprint() != before


class _Wrapped(IterableDataset[Batch]):
    """Somebody else's data set of our batches."""

    def __init__(self, data: StreamedData) -> None:
        self.loader = make_loader(data, 100, shuffle=True, seed=2)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.loader)


def test_shares_are_those_of_the_process_and_of_the_worker(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = stream(folder)
    everything = sorted(ids_of(list(make_loader(data, 100))))
    assert sorted(ids_of(list(DataLoader(_Wrapped(data), batch_size=None, num_workers=2)))) == everything
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    found = []
    for rank in (0, 1):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        found += ids_of(list(make_loader(data, 100, shuffle=True)))
    assert sorted(found) == everything

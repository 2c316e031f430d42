"""Do files in the field's layouts come in as their events, and do bad ones say what is wrong?"""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

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
from lorentzoo.data.batching import make_loader
from lorentzoo.data.readers.files import FileDataset
from lorentzoo.data.readers.named import jetclass_parquet, jetclass_root, jetnet_hdf5, padded_npz, toptag_hdf5
from lorentzoo.data.readers.source import EventFileError

NUM = 130


@pytest.fixture(scope="module")
def jets():
    momenta, lengths = random_jets(NUM)
    return momenta, lengths, np.arange(NUM) % 10


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Files of many blocks."""
    monkeypatch.setattr(
        FileDataset.__init__, "__kwdefaults__", {**FileDataset.__init__.__kwdefaults__, "block_size": 16}
    )


def expected_events(momenta: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    """Each event's momenta by falling transverse momentum."""
    events = np.split(momenta.astype(np.float64), np.cumsum(lengths)[:-1])
    return [event[np.argsort(-np.hypot(event[:, 1], event[:, 2]), kind="stable")] for event in events]


def check_events(dataset, momenta, lengths, labels) -> None:
    """Every event is there, in any order of asking, on or inside the light cone."""
    assert torch.equal(dataset.lengths, torch.from_numpy(lengths))
    assert torch.equal(dataset.target, torch.from_numpy(labels))
    truth = expected_events(momenta, lengths)
    chosen = torch.randperm(NUM, generator=torch.Generator().manual_seed(0))
    batch = dataset.batch(chosen)
    assert torch.equal(batch.target, torch.from_numpy(labels)[chosen])
    assert torch.equal(batch.event_id, dataset.event_id[chosen])
    events = torch.split(batch.cloud.momenta, dataset.lengths[chosen].tolist())
    for index, event in zip(chosen.tolist(), events, strict=True):
        np.testing.assert_allclose(event.numpy(), truth[index], rtol=1e-6)
    assert bool((batch.cloud.momenta[:, 0] >= batch.cloud.momenta[:, 1:].norm(dim=-1) * (1 - 1e-15)).all())
    batch.cloud.validate()


@pytest.mark.parametrize("kind", ["root", "parquet"])
def test_jetclass(tmp_path, jets, kind):
    momenta, lengths, labels = jets
    columns = jetclass_columns(*jets)
    write, name = {"root": (write_root, "jetclass-root"), "parquet": (write_parquet, "jetclass-parquet")}[
        kind
    ]
    write(tmp_path / f"a.{kind}", columns)
    dataset = lz.load_dataset(name, path=str(tmp_path / f"a.{kind}"))
    check_events(dataset, momenta, lengths, labels)
    assert dataset.class_names[:3] == ("QCD", "Hbb", "Hcc")
    assert dataset.scalar_names[0] == "charge"
    assert dataset.num_scalars == 10
    scalars = dataset.batch(torch.arange(NUM)).cloud.scalars
    assert float(scalars[:, 6:].abs().max()) <= 1
    assert torch.equal(scalars[:, 1:6].sum(-1), torch.ones(len(scalars)))


def test_jetclass_without_counts_or_with_fewer_features(tmp_path, jets):
    columns = jetclass_columns(*jets)
    columns.pop("jet_nparticles")
    columns.pop("part_d0val")
    write_root(tmp_path / "a.root", columns)
    dataset = jetclass_root(str(tmp_path), features="pid")
    check_events(dataset, *jets)
    assert dataset.num_scalars == 6
    with pytest.raises(
        EventFileError,
        match=r"'part_d0val' missing, needed for the scalars charge, .*features=\.\.\..*part_px",
    ):
        jetclass_root(str(tmp_path))


def test_toptag(tmp_path, jets):
    momenta, lengths, labels = jets
    write_toptag(tmp_path / "train.h5", momenta, lengths, labels % 2)
    dataset = lz.load_dataset("toptag-hdf5", path=str(tmp_path / "train.h5"))
    check_events(dataset, momenta, lengths, labels % 2)
    assert dataset.class_names == ("qcd", "top")


def test_padded_npz_streamed_and_compressed(tmp_path, jets):
    momenta, lengths, labels = jets
    wrong_order = padded(momenta, lengths, 64)[..., [1, 2, 3, 0]]
    scalars = np.random.default_rng(0).normal(size=(NUM, 64, 2))
    mask = np.arange(64) < lengths[:, None]
    arrays = {"p4": wrong_order, "y": labels, "extra": scalars, "real": mask}
    np.savez(tmp_path / "a.npz", **arrays)
    np.savez_compressed(tmp_path / "b.npz", **arrays)
    for name in ("a", "b"):
        dataset = padded_npz(
            str(tmp_path / f"{name}.npz"), momenta="p4", labels="y", scalars="extra", order="px,py,pz,E"
        )
        check_events(dataset, momenta, lengths, labels)
        masked = padded_npz(
            str(tmp_path / f"{name}.npz"), momenta="p4", labels="y", mask="real", order="px,py,pz,E"
        )
        check_events(masked, momenta, lengths, labels)
        assert dataset.scalar_names == ("extra_0", "extra_1")


def test_jetnet(tmp_path):
    particles, jets = write_jetnet(tmp_path / "t.hdf5", 40)
    write_jetnet(tmp_path / "g.hdf5", 30, seed=1)
    dataset = lz.load_dataset("jetnet-hdf5", path=str(tmp_path))
    assert len(dataset) == 70
    assert dataset.class_names[int(dataset.target[0])] == "gluon"
    tops = dataset.subset(dataset.target == dataset.class_names.index("top"))
    total = tops.batch(torch.arange(40)).cloud.total()
    real = particles[..., 3] > 0
    px = (jets[:, None, 0] * particles[..., 2] * np.cos(particles[..., 1]) * real).sum(-1)
    np.testing.assert_allclose(total[:, 1].numpy(), px, rtol=1e-12)
    write_jetnet(tmp_path / "x.hdf5", 3)
    with pytest.raises(EventFileError, match=r"name of a JetNet file says its class.*'x' is none"):
        jetnet_hdf5(str(tmp_path / "x.hdf5"))


# ---- splits, order, memory ----------------------------------------------------------------


@pytest.fixture
def files(tmp_path, jets) -> Path:
    write_root(tmp_path / "a.root", jetclass_columns(*jets))
    momenta, lengths = random_jets(50, seed=5)
    write_root(tmp_path / "b.root", jetclass_columns(momenta, lengths, np.zeros(50, int)))
    return tmp_path


def test_named_files_are_the_splits(files):
    shutil.copy(files / "b.root", files / "c.root")
    dataset = jetclass_root(
        str(files / "a.root"), validation=str(files / "b.root"), test=str(files / "c.root")
    )
    assert [len(dataset.split(name)) for name in ("train", "validation", "test")] == [NUM, 50, 50]
    assert len(set(dataset.event_id.tolist())) == NUM + 100


def test_split_by_hash_is_stratified_and_stable(files):
    dataset = jetclass_root(str(files))
    again = jetclass_root(str(files), max_constituents=5)
    assert torch.equal(dataset.splits, again.splits)
    train = dataset.split("train")
    assert abs(len(train) - 0.6 * len(dataset)) <= 10
    assert set(train.target.tolist()) == set(range(10))
    assert int(again.lengths.max()) == 5


@pytest.mark.parametrize("batch_size", [7, 32])
def test_every_event_comes_once_an_epoch_and_blocks_stay_together(files, batch_size):
    dataset = jetclass_root(str(files)).split("train")
    loader = make_loader(dataset, batch_size, shuffle=True, seed=3, sort_within=2)
    first = [batch.event_id for batch in loader]
    second = [batch.event_id for batch in loader]
    assert sorted(torch.cat(first).tolist()) == sorted(dataset.event_id.tolist())
    assert torch.cat(first).tolist() != torch.cat(second).tolist()
    assert all(len(batch) == batch_size for batch in first[:1])
    again = make_loader(dataset, batch_size, shuffle=True, seed=3, sort_within=2)
    assert torch.cat([batch.event_id for batch in again]).tolist() == torch.cat(first).tolist()


def test_in_memory_is_the_same(files):
    streamed, held = jetclass_root(str(files)), jetclass_root(str(files), in_memory=True)
    chosen = torch.tensor([3, 100, 7, 150])
    a, b = streamed.batch(chosen), held.batch(chosen)
    assert torch.equal(a.cloud.momenta, b.cloud.momenta)
    assert torch.equal(a.cloud.scalars, b.cloud.scalars)
    assert torch.equal(a.event_id, b.event_id)
    assert torch.equal(streamed.splits, held.splits)
    shuffled = streamed.subset(torch.randperm(len(streamed), generator=torch.Generator().manual_seed(1)))
    loaded = shuffled.load()
    assert torch.equal(loaded.event_id, shuffled.event_id)
    assert torch.equal(loaded.target, shuffled.target)
    assert torch.equal(
        loaded.momenta,
        held.batch(
            torch.argsort(held.event_id)[torch.argsort(torch.argsort(shuffled.event_id))]
        ).cloud.momenta,
    )


def test_it_goes_to_other_processes(files):
    dataset = jetclass_root(str(files))
    twin = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(twin.batch([5]).cloud.momenta, dataset.batch([5]).cloud.momenta)


def test_training_reads_files(files, tmp_path):
    from lorentzoo.studies import train_model

    record = train_model(
        {"backbone": {"name": "deep-sets", "hidden": [8]}},
        dataset={"name": "jetclass-root", "path": str(files)},
        config={"max_steps": 4, "batch_size": 16},
        out=tmp_path / "run",
        progress=False,
    )
    assert record.training["steps"] == 4
    assert len(record.evaluation) == len(jetclass_root(str(files), split="test"))


# ---- what is wrong with a file ------------------------------------------------------------


def test_other_units_are_noticed(tmp_path, jets):
    momenta, lengths, labels = jets
    write_toptag(tmp_path / "mev.h5", 1000 * momenta, lengths, labels % 2)
    with pytest.raises(
        EventFileError,
        match=r"mev\.h5: read as GeV, the transverse momenta of the median event .* looks like MeV; pass units='MeV'",
    ):
        toptag_hdf5(str(tmp_path / "mev.h5")).batch([0])
    in_mev = toptag_hdf5(str(tmp_path / "mev.h5"), units="MeV").batch([0]).cloud.to_units("GeV")
    as_gev = toptag_hdf5(str(tmp_path / "mev.h5"), check_units=False).batch([0]).cloud
    torch.testing.assert_close(in_mev.momenta * 1000, as_gev.momenta)
    write_toptag(tmp_path / "tev.h5", momenta / 1000, lengths, labels % 2)
    with pytest.raises(EventFileError, match="looks like TeV"):
        toptag_hdf5(str(tmp_path / "tev.h5"), in_memory=True)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bad_rows_stop_or_are_left_out_with_a_count(tmp_path, jets, value):
    momenta, lengths, labels = jets
    spoiled = momenta.copy()
    spoiled[lengths[:40].sum() + 1, 2] = value  # in event 40
    spoiled[lengths[:90].sum(), 0] = -1.0
    write_toptag(tmp_path / "bad.h5", spoiled, lengths, labels % 2)
    dataset = toptag_hdf5(str(tmp_path / "bad.h5"))
    dataset.batch([0])
    with pytest.raises(
        EventFileError, match=r"1 of the events 32 to 48 hold values .*first row 40; pass on_bad='skip'"
    ):
        dataset.batch([41])
    with pytest.warns(UserWarning, match="2 of 130 events were left out"):
        kept = toptag_hdf5(str(tmp_path / "bad.h5"), on_bad="skip")
    assert len(kept) == NUM - 2
    assert kept.metadata["skipped"] == 2
    good = np.setdiff1d(np.arange(NUM), [40, 90])
    assert torch.equal(kept.target, torch.from_numpy(labels % 2)[good])
    events = expected_events(momenta, lengths)
    batch = kept.batch([39, 40, 88])
    want = np.concatenate([events[row] for row in (39, 41, 89)])
    np.testing.assert_allclose(batch.cloud.momenta.numpy(), want, rtol=1e-6)


def test_missing_columns_and_other_trees(tmp_path, jets):
    columns = jetclass_columns(*jets)
    columns.pop("part_px")
    columns.pop("label_Tbl")
    write_root(tmp_path / "a.root", columns, tree="events")
    with pytest.raises(EventFileError, match="there is no tree 'tree'; it has events"):
        jetclass_root(str(tmp_path))
    with pytest.raises(
        EventFileError, match="'part_px', 'label_Tbl' missing, needed for momenta and classes"
    ):
        jetclass_root(str(tmp_path), tree="events")


def test_truncated_files_are_named(tmp_path, jets):
    momenta, lengths, labels = jets
    columns = jetclass_columns(*jets)
    write_toptag(tmp_path / "a.h5", momenta, lengths, labels % 2)
    write_root(tmp_path / "a.root", columns)
    write_parquet(tmp_path / "a.parquet", columns)
    np.savez(tmp_path / "a.npz", momenta=padded(momenta, lengths, 64), labels=labels)
    readers = {"h5": toptag_hdf5, "root": jetclass_root, "parquet": jetclass_parquet, "npz": padded_npz}
    for ending, reader in readers.items():
        path = tmp_path / f"a.{ending}"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(EventFileError, match=rf"a\.{ending}: .*(truncated|damaged)"):
            reader(str(path), in_memory=True)


def test_labels_must_be_one_of_the_classes(tmp_path, jets):
    columns = jetclass_columns(*jets)
    columns["label_QCD"] = columns["label_QCD"] | True
    write_root(tmp_path / "a.root", columns)
    with pytest.raises(EventFileError, match="row 1 has not exactly one of the labels QCD, Hbb"):
        jetclass_root(str(tmp_path))


def test_files_that_are_not_there_or_do_not_belong_together(tmp_path, files):
    with pytest.raises(FileNotFoundError, match=r"not a folder with \.root files"):
        jetclass_root(str(tmp_path / "nothing"))
    np.savez(tmp_path / "bad.npz", momenta=np.zeros((3, 4)), labels=np.zeros(3, int))
    with pytest.raises(
        EventFileError, match=r"'momenta' has shape \(3, 4\), which is not momenta of padded events"
    ):
        padded_npz(str(tmp_path / "bad.npz"))
    with pytest.raises(ValueError, match="num_jets must be 1 to 180"):
        jetclass_root(str(files), num_jets=10_000)

"""Do columns of every kind travel with their events, and does a fingerprint see all that a training sees?"""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch

import lorentzoo as lz
from lorentzoo.data.batching import make_loader
from lorentzoo.data.dataset import JetDataset
from lorentzoo.data.events import EventData
from lorentzoo.data.splits import FRACTIONS, random_splits

COUNT, EACH = 60, 4


def arguments(**changes: Any) -> dict[str, Any]:
    """Everything that a data set in memory can hold."""
    rng = np.random.default_rng(0)
    three = rng.normal(size=(COUNT * EACH, 3)) * 20 + [60, 5, 10]
    ids = rng.permutation(10 * COUNT)[:COUNT]
    given = {
        "momenta": np.concatenate([np.linalg.norm(three, axis=1, keepdims=True) * 1.001, three], axis=1),
        "ptr": np.arange(0, COUNT * EACH + 1, EACH),
        "target": rng.normal(size=(COUNT, 2)),
        "weight": rng.normal(size=COUNT),
        "event_id": ids,
        "scalars": rng.normal(size=(COUNT * EACH, 1)).astype(np.float32),
        "context": rng.normal(size=(COUNT, 3)),
        "scalar_names": ("charge",),
        "context_names": ("a", "b", "c"),
        "target_names": ("mass", "pt"),
        "target_units": ("GeV", "GeV"),
        "splits": random_splits(ids),
    }
    return {**given, **changes}


def make(**changes: Any) -> JetDataset:
    return JetDataset(**arguments(**changes))


def same(a: lz.Batch, b: lz.Batch) -> bool:
    pairs = (
        (a.cloud.momenta, b.cloud.momenta),
        (a.cloud.scalars, b.cloud.scalars),
        (a.cloud.context, b.cloud.context),
        (a.target, b.target),
        (a.weight, b.weight),
        (a.event_id, b.event_id),
    )
    return all(torch.equal(one, other) for one, other in pairs)


def test_every_column_travels_through_subset_split_copy_pickle_and_workers() -> None:
    data = make()
    given = arguments()
    rows = np.flatnonzero(given["splits"] == 0)[[5, 2, 7]]
    train = data.split("train").subset([5, 2, 7])
    variants = {
        "subset": train,
        "copy": copy.copy(train),
        "deep copy": copy.deepcopy(train),
        "pickle": pickle.loads(pickle.dumps(train)),
    }
    for what, part in variants.items():
        batch = part.batch([0, 1, 2])
        for column, name in (
            (batch.target, "target"),
            (batch.weight, "weight"),
            (batch.event_id, "event_id"),
        ):
            np.testing.assert_array_equal(column.numpy(), given[name][rows], err_msg=f"{what}: {name}")
        np.testing.assert_array_equal(batch.cloud.context.numpy(), given["context"][rows])
        momenta = given["momenta"].reshape(COUNT, EACH, 4)[rows].reshape(-1, 4)
        np.testing.assert_array_equal(batch.cloud.momenta.numpy(), momenta)
        assert (part.target_names, part.target_units) == (("mass", "pt"), ("GeV", "GeV"))
        assert part.num_targets == 2
        assert not part.has_classes
    plain, worked = (list(make_loader(data, 16, shuffle=True, num_workers=n)) for n in (0, 2))
    assert all(same(a, b) for a, b in zip(plain, worked, strict=True))


def test_representation_says_what_the_target_is() -> None:
    assert repr(make()) == "JetDataset(60 events, 240 particles; target: mass [GeV], pt [GeV])"
    classes = {"target": np.arange(COUNT) % 2, "target_names": (), "target_units": ()}
    assert repr(make(**classes, class_names=("qcd", "top"))).endswith("classes: qcd, top)")
    assert repr(make(**classes)).endswith("classes: no class names)")
    assert repr(make(target=np.zeros(COUNT), target_names=(), target_units=())).endswith("target: 1 values)")


def test_whole_numbers_are_classes_unless_they_are_named_as_values() -> None:
    numbers = {"target": np.arange(COUNT) % 3, "target_units": ()}
    assert make(**numbers, target_names=()).has_classes
    assert not make(**numbers, target_names=("charge",)).has_classes
    with pytest.raises(
        ValueError, match=r"class_names \['a', 'b'\] name whole numbers .* torch\.float64 of shape \(60, 2\)"
    ):
        make(class_names=("a", "b"), target_names=(), target_units=())
    with pytest.raises(ValueError, match="target_names must name each of the 2 columns of the target, not 1"):
        make(target_names=("mass",))
    with pytest.raises(ValueError, match="target_units must name each of the 2 columns"):
        make(target_units=("GeV",))


def test_arrays_of_any_byte_order_and_stride_are_accepted() -> None:
    given = arguments()
    odd = {
        "momenta": given["momenta"].astype(">f8"),
        "target": np.ascontiguousarray(given["target"][::-1])[::-1],
        "weight": given["weight"].astype(">f8"),
        "event_id": given["event_id"].astype(">i4"),
        "scalars": given["scalars"].astype(">f4"),
        "context": np.asfortranarray(given["context"]),
    }
    assert make(**odd).fingerprint() == make().fingerprint()


CHANGES: dict[str, Any] = {
    "momenta": lambda v: v * (1 + 1e-12),
    "target": lambda v: v + (np.arange(len(v)) == 3)[:, None],
    "weight": lambda v: -v,
    "event_id": lambda v: v + 1,
    "scalars": lambda v: v + 1,
    "context": lambda v: v + 1,
    "scalar_names": lambda v: ("is_muon",),
    "context_names": lambda v: v[::-1],
    "target_names": lambda v: v[::-1],
    "target_units": lambda v: ("MeV", "MeV"),
    "splits": lambda v: (v + 1) % 3,
}


@pytest.mark.parametrize("what", [*CHANGES, "units", "dtype of the target"])
def test_a_fingerprint_sees(what: str) -> None:
    if what == "units":
        changed = make(units="MeV")
    elif what == "dtype of the target":
        zeros = {"target_names": (), "target_units": ()}
        same_bytes = [make(target=np.zeros(COUNT, dtype), **zeros) for dtype in (np.int64, np.float64)]
        assert same_bytes[0].fingerprint() != same_bytes[1].fingerprint()
        return
    else:
        changed = make(**{what: CHANGES[what](arguments()[what])})
    assert changed.fingerprint() != make().fingerprint()


def test_a_fingerprint_is_that_of_the_events_alone() -> None:
    data = make()
    again = pickle.loads(pickle.dumps(make()))
    assert data.fingerprint() == again.fingerprint() == data.subset(range(COUNT)).fingerprint()
    chosen = data.subset([4, 7])
    changed = arguments()
    changed["momenta"][:EACH] *= 2  # event 0 is not among the chosen ones
    assert JetDataset(**changed).subset([4, 7]).fingerprint() == chosen.fingerprint()
    assert data.subset([7, 4]).fingerprint() != chosen.fingerprint()


@pytest.mark.parametrize(
    "index", [[True] * 3 + [False] * 57, np.arange(3), slice(0, 3), torch.arange(3), range(3)]
)
def test_batch_subset_and_brackets_agree(index: Any) -> None:
    data = make()
    expected = data.batch([0, 1, 2])
    assert same(data.batch(index), expected)
    assert same(data[index], expected)
    assert same(data.subset(index).batch(range(3)), expected)


def test_numbers_of_one_event() -> None:
    data = make()
    for index in (7, np.int64(7), torch.tensor(7), -53):
        assert data[index].event_id.tolist() == [int(data.event_id[7])]
    with pytest.raises(IndexError, match="there is no event 60"):
        data[60]
    assert len(list(data)) == COUNT


def test_random_splits_have_the_fractions_and_follow_the_event() -> None:
    ids = np.random.default_rng(1).permutation(4000)
    codes = random_splits(ids)
    assert np.bincount(codes).tolist() == [round(fraction * 4000) for fraction in FRACTIONS]
    order = np.random.default_rng(2).permutation(4000)
    np.testing.assert_array_equal(random_splits(ids[order]), codes[order])
    jets = random_splits(np.repeat(ids[:500], 2)).reshape(-1, 2)
    assert (jets[:, 0] == jets[:, 1]).all()


def test_splits_by_hash_are_stratified_for_classes_only() -> None:
    labels = np.arange(COUNT) % 3
    unnamed = {"target_names": (), "target_units": ()}
    classes, values = make(target=labels, splits="hash", **unnamed), make(splits="hash")
    assert np.bincount(classes.splits.numpy() * 3 + labels).tolist() == [12] * 3 + [3] * 3 + [5] * 3
    np.testing.assert_array_equal(values.splits.numpy(), arguments()["splits"])
    with pytest.raises(ValueError, match="splits are codes of events or 'hash', not 'random'"):
        make(splits="random")


@pytest.mark.parametrize("count", [1, 7, 59, 60, 600])
def test_a_sample_stands_for_all(count: int) -> None:
    data = make(target=np.repeat([0, 1, 2], 20), target_names=(), target_units=())  # sorted by class
    part = data.sample(count)
    assert len(part) == min(count, COUNT)
    if count >= 7:
        assert set(part.target.tolist()) == {0, 1, 2}


def test_an_author_needs_gather_only() -> None:
    class Rest(EventData):
        """Particles at rest."""

        def __init__(self) -> None:
            self.lengths = torch.tensor([1, 2, 0])
            self.target = torch.tensor([0.5, 1.5, 2.5])
            self.weight = torch.ones(3, dtype=torch.float64)
            self.event_id = torch.arange(3)
            self.context = torch.zeros(3, 0)
            self.splits = None
            self.units = "GeV"
            self.scalar_names = self.context_names = ()
            self.num_scalars = self.num_context = 0
            self.metadata = {}

        def gather(self, chosen: torch.Tensor) -> lz.Batch:
            events = [torch.tensor([[1.0, 0.0, 0.0, 0.0]]).expand(int(n), 4) for n in self.lengths[chosen]]
            cloud = lz.ParticleCloud.from_list(events, context=self.context[chosen])
            return lz.Batch(cloud, self.target[chosen], self.weight[chosen], self.event_id[chosen])

    data = Rest()
    assert data[1:].target.tolist() == [1.5, 2.5]
    assert data.subset([2, 0]).batch([0]).event_id.tolist() == [2]
    assert data.fingerprint() == Rest().fingerprint() != data.subset([1, 0, 2]).fingerprint()

"""Is a batch what a plain loop over its events would make, for data sets, subsets and splits?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lorentzoo.core.cloud import Batch
from lorentzoo.data.dataset import JetDataset
from lorentzoo.data.named import jets10, toptag
from lorentzoo.data.sample import SPLITS, Sample


def events_of(batch: Batch) -> list[torch.Tensor]:
    """Momenta and scalars of each event, by the layout's own lengths."""
    rows = torch.cat([batch.cloud.momenta, batch.cloud.scalars.to(torch.float64)], dim=1)
    return list(rows.split(batch.cloud.layout.counts().tolist()))


def assert_batch_equals_loop(
    batch: Batch, sample: Sample, indices: np.ndarray, maximum: int | None = None
) -> None:
    momenta, events = sample.four_momenta(), events_of(batch)
    assert len(events) == len(batch) == len(indices)
    for event, index in zip(events, indices, strict=True):
        window = slice(sample.ptr[index], sample.ptr[index + 1])
        rows = np.concatenate([momenta[window], sample.scalars[window]], axis=1)
        if maximum is not None:
            rows = rows[np.argsort(-np.hypot(rows[:, 1], rows[:, 2]), kind="stable")][:maximum]
        np.testing.assert_array_equal(event.numpy(), rows)
    for column, name in ((batch.target, "labels"), (batch.weight, "weights"), (batch.event_id, "event_ids")):
        np.testing.assert_array_equal(column.numpy(), getattr(sample, name)[indices])


@given(data=st.data(), maximum=st.sampled_from([None, 1, 3, 50]))
def test_batch_equals_naive_loop(
    random_sample: Callable[..., Sample], data: st.DataObject, maximum: int | None
) -> None:
    sample = random_sample(12, seed=data.draw(st.integers(0, 50)))
    indices = np.array(data.draw(st.lists(st.integers(0, 11), min_size=1, max_size=20)))
    dataset = JetDataset.from_sample(sample, maximum)
    assert_batch_equals_loop(dataset.batch(torch.from_numpy(indices)), sample, indices, maximum)
    assert_batch_equals_loop(dataset[indices.tolist()], sample, indices, maximum)


def test_subsets_of_subsets_and_masks(sample: Sample) -> None:
    dataset = JetDataset.from_sample(sample)
    mask = dataset.lengths > 4
    part = dataset.subset(mask).subset([3, 0])
    indices = mask.nonzero().squeeze(1)[[3, 0]].numpy()
    assert_batch_equals_loop(part.batch([0, 1]), sample, indices)
    assert part.momenta is dataset.momenta  # shared, not copied
    assert len(dataset) == 40


def test_splits_are_a_partition(sample: Sample) -> None:
    dataset = JetDataset.from_sample(sample)
    ids = [set(dataset.split(name).event_id.tolist()) for name in SPLITS]
    assert set.union(*ids) == set(sample.event_ids.tolist())
    assert sum(map(len, ids)) == len(sample)


def test_single_index_units_and_names(sample: Sample) -> None:
    batch = JetDataset.from_sample(sample)[7]
    assert len(batch) == 1
    assert batch.cloud.momenta.dtype == torch.float64
    assert (batch.cloud.units, batch.cloud.scalar_names) == ("GeV", ("s0", "s1"))


def test_context_and_float_targets_travel() -> None:
    momenta = torch.tensor([[5.0, 0, 0, 1], [6, 1, 0, 0], [7, 0, 2, 0]])
    context = torch.tensor([[1.0], [2.0]])
    dataset = JetDataset(momenta, [0, 2, 3], [[0.1], [0.2]], context=context, context_names=["mass"])
    batch = dataset.batch([1])
    assert batch.cloud.context.tolist() == [[2.0]]
    assert batch.cloud.context_names == ("mass",)
    torch.testing.assert_close(batch.target, torch.tensor([[0.2]], dtype=batch.target.dtype))
    assert batch.weight.tolist() == [1.0]
    assert batch.event_id.tolist() == [1]


def test_bad_input_is_named() -> None:
    momenta = torch.tensor([[5.0, 0, 0, 1], [6, 1, 0, 0]])
    with pytest.raises(ValueError, match=r"target must have one entry per event \(2\), not shape \(3,\)"):
        JetDataset(momenta, [0, 1, 2], [0, 1, 1])
    with pytest.raises(ValueError, match="max_constituents must be at least 1"):
        JetDataset(momenta, [0, 1, 2], [0, 1], max_constituents=0)
    with pytest.raises(ValueError, match="event 1"):
        JetDataset(momenta * torch.tensor([[1.0], [float("nan")]]), [0, 1, 2], [0, 1])
    dataset = JetDataset(momenta, [0, 1, 2], [0, 1])
    with pytest.raises(ValueError, match="no splits"):
        dataset.split("train")
    with pytest.raises(ValueError, match="one of train, validation, test, not 'val'"):
        dataset.split("val")  # type: ignore[arg-type]


def test_toptag_selects(shipped: Sample) -> None:
    train = toptag("train", num_jets=200, max_constituents=16)
    assert (len(train), int(train.lengths.max())) == (200, 16)
    assert train.class_names == ("qcd", "top")
    assert 0.35 < train.target.double().mean() < 0.65  # any first jets are a mixture
    assert set(train.event_id.tolist()).isdisjoint(toptag("test").event_id.tolist())
    assert len(toptag()) == len(shipped)
    with pytest.raises(ValueError, match="the test split of this sample holds, not 1000000"):
        toptag("test", num_jets=1_000_000)


def test_jets10_has_named_scalars() -> None:
    batch = jets10("train", num_jets=20, max_constituents=30).batch(range(20))
    assert batch.cloud.scalar_names[:2] == ("charge", "is_charged_hadron")
    assert batch.cloud.scalars.shape[1] == 8
    assert int(batch.target.max()) <= 9


def test_toptag_reads_a_path(tmp_path: Path, sample: Sample) -> None:
    sample.save(tmp_path / "own.npz")
    assert len(toptag(path=tmp_path / "own.npz")) == len(sample)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz .* \(.*toptag.*\)"):
        toptag(path=tmp_path / "nowhere.npz")

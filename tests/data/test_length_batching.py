"""Does every event come once per epoch, in batches of similar length, in an order that a seed fixes?"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lorentzoo.data.batching import LengthBatchSampler, make_loader
from lorentzoo.data.dataset import JetDataset
from lorentzoo.data.sample import Sample

LENGTHS = torch.randint(1, 100, (1000,), generator=torch.Generator().manual_seed(0))


@given(
    count=st.integers(1, 200),
    batch_size=st.integers(1, 40),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
    sort_within=st.integers(1, 5),
)
def test_every_event_once(
    count: int, batch_size: int, shuffle: bool, drop_last: bool, sort_within: int
) -> None:
    if drop_last and count < batch_size:
        return
    sampler = LengthBatchSampler(
        LENGTHS[:count], batch_size, shuffle=shuffle, drop_last=drop_last, sort_within=sort_within
    )
    batches = list(sampler)
    events = torch.cat(batches).tolist()
    assert len(batches) == len(sampler)
    assert len(set(events)) == len(events) == (count - count % batch_size if drop_last else count)
    assert sorted(map(len, batches))[1:] == [batch_size] * (len(batches) - 1)
    if not shuffle:
        assert events == list(range(len(events)))


def test_deterministic_and_different_in_every_epoch() -> None:
    def epochs(seed: int) -> list[list[int]]:
        sampler = LengthBatchSampler(LENGTHS, 32, seed=seed)
        return [torch.cat(list(sampler)).tolist() for _ in range(3)]

    orders = epochs(seed=5)
    assert orders == epochs(seed=5)
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert orders != epochs(seed=6)


def test_resumes_inside_an_epoch() -> None:
    sampler = LengthBatchSampler(LENGTHS, 32, seed=1)
    whole = [batch.tolist() for batch in sampler.batches(4)]
    sampler.set_epoch(4, first_batch=10)
    assert [batch.tolist() for batch in sampler] == whole[10:]
    assert sampler.epoch == 5
    sampler.set_epoch(4)
    assert [batch.tolist() for batch in sampler] == whole
    with pytest.raises(ValueError, match="first_batch must be 0 to 32"):
        sampler.set_epoch(4, first_batch=33)


def test_a_broken_off_loop_starts_again() -> None:
    sampler = LengthBatchSampler(LENGTHS, 32)
    first = next(iter(sampler))
    assert torch.equal(first, next(iter(sampler)))
    assert len(list(sampler)) == len(sampler)


def test_batches_have_similar_lengths() -> None:
    def padding(sort_within: int) -> float:
        batches = LengthBatchSampler(LENGTHS, 32, sort_within=sort_within).batches(0)
        return sum(float(LENGTHS[b].max() * len(b)) for b in batches) / float(LENGTHS.sum())

    assert padding(sort_within=1) > 1.8
    assert padding(sort_within=32) < 1.05


def test_by_default_length_says_nothing_of_the_batch() -> None:
    """Sorted batches lean to one class, which batch norms learn and then miss."""
    lengths = LENGTHS.double()
    means = torch.stack([lengths[batch].mean() for batch in LengthBatchSampler(LENGTHS, 32).batches(0)])
    assert means.std() < 2 * lengths.std() / 32**0.5


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="batch_size and sort_within must be at least 1, not 0"):
        LengthBatchSampler(LENGTHS, 0)
    with pytest.raises(ValueError, match="leaves nothing of 5 events"):
        LengthBatchSampler(LENGTHS[:5], 8, drop_last=True)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_loader_gives_whole_batches(sample: Sample, num_workers: int) -> None:
    dataset = JetDataset.from_sample(sample)
    loader = make_loader(dataset, 16, shuffle=True, seed=3, num_workers=num_workers)
    expected = loader.sampler.batches(0)
    batches = list(loader)
    assert len(loader) == len(batches) == 3
    for batch, indices in zip(batches, expected, strict=True):
        assert torch.equal(batch.event_id, dataset.event_id[indices])
        assert torch.equal(batch.cloud.momenta, dataset.batch(indices).cloud.momenta)


def test_without_shuffle_the_order_is_kept(sample: Sample) -> None:
    dataset = JetDataset.from_sample(sample)
    loader = make_loader(dataset, 7)
    for _ in range(2):
        assert torch.equal(torch.cat([batch.event_id for batch in loader]), dataset.event_id)

"""Are the events of a batch shared out, none of them lost or twice?"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lorentzoo.data.batching import LengthBatchSampler
from lorentzoo.data.sharding import Shard


@given(st.integers(1, 9), st.integers(0, 200))
def test_parts_are_the_whole_and_differ_by_one_at_most(size: int, count: int) -> None:
    bounds = [Shard(rank, size).bounds(count) for rank in range(size)]
    assert [number for start, stop in bounds for number in range(start, stop)] == list(range(count))
    sizes = [stop - start for start, stop in bounds]
    assert max(sizes) - min(sizes) <= 1


@given(
    st.integers(1, 4),
    st.integers(1, 70),
    st.integers(1, 20),
    st.booleans(),
    st.booleans(),
    st.integers(0, 3),
)
def test_samplers_of_all_processes_give_the_batches_of_one(
    size: int, events: int, batch_size: int, shuffle: bool, in_blocks: bool, epoch: int
) -> None:
    options = {
        "shuffle": shuffle,
        "seed": 4,
        "block": np.arange(events) // 5 if in_blocks else None,
    }
    alone = LengthBatchSampler(np.ones(events), batch_size, **options)
    parts = [
        LengthBatchSampler(np.ones(events), batch_size, shard=Shard(rank, size), **options)
        for rank in range(size)
    ]
    for sampler in (alone, *parts):
        sampler.set_epoch(epoch)
    for whole, *shares in zip(alone, *parts, strict=True):
        assert torch.equal(torch.cat(shares), whole)
        assert len(whole) <= batch_size


def test_a_part_is_one_of_those_there_are() -> None:
    with pytest.raises(ValueError, match="rank must be 0 to 1 of 2 parts, not 2"):
        Shard(2, 2)

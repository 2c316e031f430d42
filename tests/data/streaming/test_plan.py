"""Is every event read exactly once a pass, by whatever number of processes, workers and windows?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorentzoo.data.sharding import Shard
from lorentzoo.data.streaming.plan import Chunks, Window, order_chunks, plan_pass, spread_evenly

chunk_tables = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9)), max_size=30).map(
    lambda rows: Chunks(
        np.array(sorted(file for file, _ in rows), np.int64), np.array([n for _, n in rows], np.int64)
    )
)


def events_of(window: Window, chunks: Chunks) -> np.ndarray:
    """Numbers of the events of a window, in the order in which they are used."""
    starts = np.cumsum(chunks.events) - chunks.events
    read = np.concatenate([starts[p.chunk] + np.arange(p.first, p.last) for p in window.pieces])
    return read[window.order()]


@given(
    chunk_tables,
    st.integers(1, 40),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 5),
    st.one_of(st.none(), st.integers(0, 99)),
    st.integers(0, 5),
)
@settings(max_examples=200, deadline=None)
def test_every_event_once(
    chunks: Chunks, window: int, world: int, workers: int, together: int, seed: int | None, epoch: int
) -> None:
    total, found, sizes = int(chunks.events.sum()), [], []
    for rank in range(world):
        for worker in range(workers):
            shard = Shard(rank * workers + worker, world * workers)
            windows = plan_pass(chunks, window, seed=seed, epoch=epoch, shard=shard, files_together=together)
            again = plan_pass(chunks, window, seed=seed, epoch=epoch, shard=shard, files_together=together)
            assert windows == again
            first = 0
            for each in windows:
                assert each.first == first
                assert 0 < len(each) <= window + int(chunks.events.max())
                first += len(each)
                found.append(events_of(each, chunks))
            sizes.append(first)
    assert np.array_equal(np.sort(np.concatenate([*found, np.zeros(0, int)])), np.arange(total))
    assert max(sizes) - min(sizes) <= 1
    if seed is None and world == workers == 1 and found:
        assert np.array_equal(np.concatenate(found), np.arange(total))


def test_orders_differ_from_pass_to_pass_and_from_seed_to_seed() -> None:
    chunks = Chunks(np.repeat(np.arange(8), 4), np.full(32, 10))
    orders = [
        np.concatenate([events_of(w, chunks) for w in plan_pass(chunks, 60, seed=seed, epoch=epoch)])
        for seed, epoch in ((0, 0), (0, 1), (1, 0))
    ]
    assert len({order.tobytes() for order in orders}) == 3


@pytest.mark.parametrize("seed", range(5))
def test_windows_mix_classes_that_have_files_of_their_own(seed: int) -> None:
    classes, files, groups = 10, 20, 12
    chunks = Chunks(np.repeat(np.arange(classes * files), groups), np.full(classes * files * groups, 100))
    label = np.repeat(np.arange(classes), files * groups)
    windows = plan_pass(chunks, 8000, seed=seed)
    counts = np.array(
        [np.bincount(label[[p.chunk for p in window.pieces]], minlength=classes) for window in windows]
    )
    assert counts.sum(1).tolist() == [80] * 30
    # Drawn at random, the numbers of a class would vary by (80 · 0.1 · 0.9)^½ = 2.7 about 8.
    assert np.sqrt(np.mean((counts - 8.0) ** 2)) < 1.5
    assert counts.min() >= 3


def test_few_files_are_read_at_the_same_time() -> None:
    chunks = Chunks(np.repeat(np.arange(100), 7), np.full(700, 5))
    files = chunks.file[order_chunks(chunks, 16, np.random.default_rng(3))]
    first = {file: int(np.argmax(files == file)) for file in range(100)}
    last = {file: 699 - int(np.argmax(files[::-1] == file)) for file in range(100)}
    together = [sum(first[f] <= place <= last[f] for f in range(100)) for place in range(700)]
    assert max(together) <= 16


@given(st.integers(0, 70), st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_neighbours_are_spread_evenly(count: int, seed: int) -> None:
    values = spread_evenly(count, np.random.default_rng(seed))
    assert ((values >= 0) & (values < 1)).all()
    for size in (2, 4, 8):
        for start in range(0, count - size + 1, size):
            assert len(set((values[start : start + size] * size).astype(int))) == size

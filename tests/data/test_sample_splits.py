"""Are the splits disjoint, stratified and fixed?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorentzoo.data.splits import FRACTIONS, scramble, stratified_splits

SPLITS_OF_TWENTY = [2, 0, 1, 0, 0, 0, 2, 0, 1, 2, 0, 0, 1, 2, 0, 0, 0, 0, 0, 2]
SCRAMBLED = [0, 6238072747940578789, 6514504133438201533]


@given(st.integers(0, 2**32), st.integers(1, 400))
def test_stratified_and_independent_of_order(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    ids = rng.choice(10 * count, count, replace=False)
    splits = stratified_splits(labels, ids)
    for label in range(3):
        members = int((labels == label).sum())
        counts = np.bincount(splits[labels == label], minlength=3)
        assert (np.abs(counts - members * np.array(FRACTIONS)) <= 1).all()
    order = rng.permutation(count)
    np.testing.assert_array_equal(stratified_splits(labels[order], ids[order]), splits[order])


def test_jets_of_one_event_stay_together() -> None:
    ids = np.repeat(np.arange(500), 2)
    splits = stratified_splits(np.arange(1000) % 2, ids)
    np.testing.assert_array_equal(splits[::2], splits[1::2])


def test_splits_are_fixed_for_ever() -> None:
    assert stratified_splits(np.zeros(20, int), np.arange(20)).tolist() == SPLITS_OF_TWENTY
    assert scramble(np.array([0, 1, 2**63 - 1]), salt=0).tolist() == SCRAMBLED


def test_fractions_must_make_sense() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        stratified_splits(np.zeros(3, int), np.arange(3), (0.5, 0.2, 0.2))

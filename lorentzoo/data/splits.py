"""Which events are for training, which for validation, which for the test?

The answer depends on event identifiers only, never on the order of a file, and no event is in two splits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["FRACTIONS", "random_splits", "scattered_splits", "scramble", "stratified_splits"]

FRACTIONS = (0.60, 0.15, 0.25)
"""Train, validation and test parts of every class."""


def stratified_splits(
    labels: NDArray[np.integer],
    event_ids: NDArray[np.integer],
    fractions: tuple[float, float, float] = FRACTIONS,
) -> NDArray[np.uint8]:
    """Split codes (0 train, 1 validation, 2 test), shape (B,), with the same fractions in every class.

    Events of a class are ranked by a hash of their identifier, and the ranks are cut at the fractions. Jets
    with the same identifier get the same code; the class of an event is that of its first jet.
    """
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"fractions must be positive and sum to 1, not {fractions}")
    unique, first, inverse = np.unique(event_ids, return_index=True, return_inverse=True)
    key, event_label = scramble(unique, salt=1), labels[first]
    codes = np.empty(len(unique), dtype=np.uint8)
    for label in np.unique(event_label):
        members = np.flatnonzero(event_label == label)
        ranked = members[np.argsort(key[members], kind="stable")]
        cuts = np.rint(np.cumsum(fractions[:2]) * len(ranked)).astype(int)
        for code, part in enumerate(np.split(ranked, cuts)):
            codes[part] = code
    return codes[inverse]


def random_splits(
    event_ids: NDArray[np.integer], fractions: tuple[float, float, float] = FRACTIONS
) -> NDArray[np.uint8]:
    """Split codes (B,) of events without classes, as continuous targets have: plain random, by a hash of identifiers."""
    return stratified_splits(np.zeros(len(event_ids), dtype=np.int64), event_ids, fractions)


def scattered_splits(
    event_ids: NDArray[np.integer], fractions: tuple[float, float, float] = FRACTIONS
) -> NDArray[np.uint8]:
    """Split codes (B,) of events that are never together: each by its own hash, so that fractions are met on average."""
    key = scramble(event_ids, salt=1) / 2.0**64
    return np.searchsorted(np.cumsum(fractions[:2]), key, side="right").astype(np.uint8)


def scramble(event_ids: NDArray[np.integer], salt: int) -> NDArray[np.uint64]:
    """Hash of identifiers (splitmix64), shape (B,): the same on every machine, in every version of numpy."""
    with np.errstate(over="ignore"):  # the arithmetic is modulo 2^64 by design
        z = np.asarray(event_ids).astype(np.uint64) + np.uint64(salt) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))

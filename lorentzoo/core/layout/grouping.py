"""Which events share a dense block?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

__all__ = ["LONE_LENGTH", "MAX_BLOCK_PAIRS", "Groups", "group_by_length", "group_together", "pair_places"]

Groups = tuple[tuple[int, ...], ...]

PADDING_ALLOWED: Final = 0.15
"""Fraction of padded rows up to which events of different length share a block."""
MAX_BLOCK_PAIRS: Final = 2**17
"""Pairs in one block: enough to fill the vector units, small enough to stay in cache."""
LONE_LENGTH: Final = 16
"""Events of at least this many particles fill a core on their own, and need no gather."""
ALIKE: Final = 8
"""Events for each length that occurs, from which on it pays to put events of one length side by side all the same."""


def group_by_length(lengths: Sequence[int], max_pairs: int) -> Groups:
    """Group events so that little is padded and no block of several events grows too large."""
    if not lengths:
        # One block without events, so that an empty batch passes through every verb.
        return ((),)
    if min(lengths) == max(lengths):
        per_block = max(1, max_pairs // max(lengths[0] ** 2, 1))
        return tuple(
            tuple(range(start, min(start + per_block, len(lengths))))
            for start in range(0, len(lengths), per_block)
        )
    if min(lengths) >= LONE_LENGTH and len(set(lengths)) * ALIKE > len(lengths):
        return tuple((event,) for event in range(len(lengths)))
    groups: list[tuple[int, ...]] = []
    current: list[int] = []
    real = 0
    for event in sorted(range(len(lengths)), key=lambda e: -lengths[e]):
        if current:
            longest = lengths[current[0]]
            padded = longest * (len(current) + 1)
            full = longest * padded > max_pairs
            if full or padded > (1 + PADDING_ALLOWED) * (real + lengths[event]) + LONE_LENGTH:
                groups.append(tuple(current))
                current, real = [], 0
        current.append(event)
        real += lengths[event]
    groups.append(tuple(current))
    return tuple(groups)


def group_together(lengths: Sequence[int], max_pairs: int) -> Groups:
    """Group events by falling length into as few blocks as fit, however much is padded."""
    groups: list[tuple[int, ...]] = []
    order = sorted(range(len(lengths)), key=lambda event: -lengths[event])
    while order:
        count = max(1, max_pairs // max(lengths[order[0]] ** 2, 1))
        groups.append(tuple(order[:count]))
        order = order[count:]
    return tuple(groups) or ((),)


def pair_places(
    index: np.ndarray[Any, Any], sizes: Sequence[tuple[int, int]], pairs: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Where each unordered pair stands above and below the diagonal of its dense block."""
    upper, lower = np.zeros(pairs, dtype=np.int64), np.zeros(pairs, dtype=np.int64)
    start = 0
    for b, n in sizes:
        block = index[start : start + b * n * n].reshape(b, n, n)
        place = start + np.arange(b * n * n).reshape(b, n, n)
        for target, keep in (
            (upper, np.triu(np.ones((n, n), dtype=bool))),
            (lower, np.tril(np.ones((n, n), dtype=bool))),
        ):
            chosen = (block >= 0) & keep
            target[block[chosen]] = place[chosen]
        start += b * n * n
    return upper, lower

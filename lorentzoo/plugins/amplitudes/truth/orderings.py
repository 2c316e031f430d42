"""Which ordered currents share which parts, and in which rows do they stand?

Currents of L gluons stand in rows (ordered tuple of gluons, helicities of the tuple), lexicographic; row and helicities
of a part of a tuple are then slices of it. Everything here is tables of integers, made once for each multiplicity.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

import torch
from torch import Tensor

__all__ = ["Orderings", "orderings"]


@dataclass(frozen=True)
class Orderings:
    """Tables for n gluons.

    Attributes
    ----------
    tuples
        By length L = 0..n the ordered tuples of distinct gluons.
    rows
        By length, the row of each tuple.
    members
        By length, the bit mask of each tuple's gluons, shape (tuples,).
    unfold
        By length L >= 2 the rows (tuple, helicities) of canonical tuples (first gluon below the last) from which all
        tuples follow by reflection, and the sign (-1)^(L+1) where they are reflected.
    by_gluon
        Rows of the full-length currents with helicities in the order of the gluons, shape (n!, 2^n).
    """

    n: int
    tuples: tuple[tuple[tuple[int, ...], ...], ...]
    rows: tuple[dict[tuple[int, ...], int], ...]
    members: tuple[Tensor, ...]
    unfold: tuple[tuple[Tensor, Tensor], ...]
    by_gluon: Tensor

    def canonical(self, length: int) -> list[tuple[int, ...]]:
        """Tuples of which no other is the reflection."""
        return [item for item in self.tuples[length] if item[0] < item[-1] or length == 1]

    def parts(self, tuples: list[tuple[int, ...]], start: int, stop: int) -> Tensor:
        """Rows of the parts ``tuple[start:stop]``, shape (tuples,)."""
        return torch.tensor([self.rows[stop - start][item[start:stop]] for item in tuples])


@lru_cache(maxsize=8)
def orderings(n: int) -> Orderings:
    """The tables for n gluons, made once."""
    tuples = tuple(tuple(permutations(range(n), length)) for length in range(n + 1))
    rows = tuple({item: row for row, item in enumerate(items)} for items in tuples)
    members = tuple(torch.tensor([sum(1 << g for g in item) for item in items]) for items in tuples)
    return Orderings(
        n, tuples, rows, members, tuple(_unfold(items) for items in tuples), _by_gluon(tuples[n])
    )


def _unfold(items: tuple[tuple[int, ...], ...]) -> tuple[Tensor, Tensor]:
    length = len(items[0])
    if length < 2:
        return torch.arange(0), torch.ones(0)
    canonical = {item: row for row, item in enumerate(i for i in items if i[0] < i[-1])}
    states = 1 << length
    found, signs = [], []
    for item in items:
        straight = item in canonical
        row = canonical[item if straight else item[::-1]]
        for state in range(states):
            found.append(row * states + (state if straight else _mirror_bits(state, length)))
            signs.append(1.0 if straight or length % 2 else -1.0)
    return torch.tensor(found), torch.tensor(signs, dtype=torch.float64)


def _mirror_bits(state: int, length: int) -> int:
    return sum(((state >> bit) & 1) << (length - 1 - bit) for bit in range(length))


def _by_gluon(items: tuple[tuple[int, ...], ...]) -> Tensor:
    n = len(items[0])
    found = []
    for row, item in enumerate(items):
        for state in range(1 << n):
            # The first gluon is the highest bit, as in a row-major shape (2, ..., 2).
            helicity = [(state >> (n - 1 - gluon)) & 1 for gluon in range(n)]
            found.append(
                (row << n) + sum(helicity[gluon] << (n - 1 - place) for place, gluon in enumerate(item))
            )
    return torch.tensor(found).reshape(len(items), 1 << n)

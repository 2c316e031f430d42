"""Which monomials are there in the invariants of an event, and which of them are one under exchange of particles?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations_with_replacement, pairwise, permutations, product

import numpy as np
import torch
from torch import Tensor

from lorentzoo.plugins.amplitudes.invariants import pairs_of

__all__ = ["Monomials", "count_monomials", "list_monomials"]


def count_monomials(variables: int, degree: int) -> int:
    """How many monomials of at most this degree there are, the constant among them."""
    return math.comb(variables + degree, degree)


@dataclass(frozen=True)
class Monomials:
    """All monomials in V variables up to a degree, and which of them are added up to one column.

    Attributes
    ----------
    parent, last
        Each monomial is its parent times one variable, shape (M,); monomial 0 is the constant.
    column
        To which column each belongs, shape (M,).
    bounds
        Where the monomials of each degree begin, and the end of the last.
    columns
        How many columns there are.
    """

    parent: Tensor
    last: Tensor
    column: Tensor
    bounds: tuple[int, ...]
    columns: int

    def evaluate(self, x: Tensor) -> Tensor:
        """Columns of variables (B, V), shape (B, columns)."""
        values = self.evaluate_each(x)
        if self.columns == len(self.parent):
            return values.T
        return x.new_zeros(self.columns, len(x)).index_add_(0, self.column.to(x.device), values).T

    def evaluate_each(self, x: Tensor) -> Tensor:
        """Monomials of variables (B, V), shape (M, B)."""
        variables = x.T.contiguous()
        parent, last = self.parent.to(x.device), self.last.to(x.device)
        degrees = [torch.ones_like(variables[:1])]
        for before, start, end in zip(self.bounds, self.bounds[1:], self.bounds[2:], strict=False):
            # Parents are of one degree less.
            degrees.append(degrees[-1][parent[start:end] - before] * variables[last[start:end]])
        return torch.cat(degrees)


@lru_cache(maxsize=32)
def list_monomials(sizes: tuple[int, ...], degree: int, averaged: bool) -> Monomials:
    """Monomials in the pairs of particles.

    Parameters
    ----------
    sizes
        How many particles there are of each kind; kinds follow each other.
    degree
        Largest degree.
    averaged
        Whether monomials that are one under exchange of particles of the same kind are added up.
    """
    variables = len(pairs_of(sum(sizes))[0])
    found = [m for d in range(degree + 1) for m in combinations_with_replacement(range(variables), d)]
    place = {monomial: number for number, monomial in enumerate(found)}
    column = np.arange(len(found))
    if averaged:
        column = _join_equal(found, _exchanges(sizes), variables)
    sizes_of = np.cumsum([0, *(math.comb(variables + d - 1, d) for d in range(degree + 1))])
    return Monomials(
        # Kept for all devices, also where models are made without memory.
        torch.tensor([place[monomial[:-1]] for monomial in found], device="cpu"),
        torch.tensor([monomial[-1] if monomial else 0 for monomial in found], device="cpu"),
        torch.from_numpy(column),
        tuple(int(start) for start in sizes_of),
        int(column.max()) + 1,
    )


def _exchanges(sizes: tuple[int, ...]) -> np.ndarray:
    """Where each pair goes under each exchange of particles of the same kind, (exchanges, pairs)."""
    first, second = pairs_of(sum(sizes))
    place = {pair: number for number, pair in enumerate(zip(first, second, strict=True))}
    starts = np.cumsum([0, *sizes])
    rows = []
    for chosen in product(*(permutations(range(s, e)) for s, e in pairwise(starts))):
        moved = [particle for kind in chosen for particle in kind]
        rows.append(
            [
                place[min(moved[i], moved[j]), max(moved[i], moved[j])]
                for i, j in zip(first, second, strict=True)
            ]
        )
    return np.array(rows)


def _join_equal(found: list[tuple[int, ...]], exchanges: np.ndarray, variables: int) -> np.ndarray:
    """The same number for monomials that exchanges take into each other, counted in their order."""
    degree = len(found[-1])
    # The constant variable, of number V, fills up monomials of a lower degree.
    padded = np.array([(*monomial, *[variables] * (degree - len(monomial))) for monomial in found])
    powers = (variables + 1) ** np.arange(degree)
    least = np.full(len(found), np.iinfo(np.int64).max)
    for moved in exchanges:
        image = np.sort(np.append(moved, variables)[padded], axis=1)
        least = np.minimum(least, image @ powers)
    _, first, column = np.unique(least, return_index=True, return_inverse=True)
    # Columns in the order of their first monomial, so that the constant stays in front.
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[column.reshape(-1)]

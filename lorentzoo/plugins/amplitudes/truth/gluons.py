"""What is the off-shell current of gluons in a given colour order?

Berends-Giele recursion (Nucl. Phys. B306 (1988) 759): ``J(1..L) P² = Σ [J, J] + Σ {J, J, J}`` over all ways to cut the
tuple in two or three. All orders and all helicities at once: a current of L gluons is an outer product over the
helicities of its parts, and reflected orders differ by (-1)^(L+1).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lorentzoo.plugins.amplitudes.truth.lightcone import contract
from lorentzoo.plugins.amplitudes.truth.orderings import Orderings

__all__ = ["gluon_currents", "numerators", "sum_momenta"]


def sum_momenta(k: Tensor) -> Tensor:
    """Momenta of all subsets of gluons, by bit mask. Shape (4, n, B) -> (4, 2^n, B)."""
    total = torch.zeros_like(k[:, :1])
    for gluon in range(k.shape[1]):
        total = torch.cat([total, total + k[:, gluon : gluon + 1]], dim=1)
    return total


def gluon_currents(table: Orderings, momenta: Tensor, polarisations: Tensor) -> list[Tensor]:
    """Currents of all ordered tuples of gluons, for all helicities.

    Parameters
    ----------
    table
        The tables for n gluons.
    momenta
        Momenta of the subsets of gluons, shape (4, 2^n, B).
    polarisations
        Polarisation vectors, shape (4, n, 2, B).

    Returns
    -------
    By length L (0 is unused) the currents, shape (4, tuples, 2^L, B), without couplings.
    """
    found = [polarisations[:, :, :1], polarisations]
    for length in range(2, table.n + 1):
        canonical = table.canonical(length)
        current = numerators(table, found, momenta, canonical)
        mask = torch.tensor([sum(1 << gluon for gluon in item) for item in canonical])
        total = momenta[:, mask]
        current = current / contract(total, total).real.unsqueeze(1)
        rows, signs = table.unfold[length]
        current = current.flatten(1, 2).index_select(1, rows) * signs[:, None]
        found.append(current.unflatten(1, (-1, 1 << length)))
    return found


def numerators(
    table: Orderings, currents: list[Tensor], momenta: Tensor, items: list[tuple[int, ...]]
) -> Tensor:
    """J P² of ordered tuples of L gluons from the currents of fewer, shape (4, tuples, 2^L, B)."""
    length = len(items[0])

    def part(start: int, stop: int) -> tuple[Tensor, Tensor]:
        rows = table.parts(items, start, stop)
        members = table.members[stop - start][rows]
        return currents[stop - start].index_select(1, rows), momenta.index_select(1, members).unsqueeze(2)

    total = sum(_join_two(*part(0, cut), *part(cut, length)) for cut in range(1, length))
    for first in range(1, length - 1):
        for second in range(first + 1, length):
            total = total + _join_three(part(0, first)[0], part(first, second)[0], part(second, length)[0])
    assert isinstance(total, Tensor)
    return total


def _join_two(a: Tensor, p: Tensor, b: Tensor, q: Tensor) -> Tensor:
    """[A, B] = 2 (q·A) B - 2 (p·B) A + (A·B)(p - q), for currents A, B of momenta p, q."""
    along_a = 2 * contract(q, a).unsqueeze(2)
    along_b = 2 * contract(p, b).unsqueeze(1)
    a, b = a.unsqueeze(3), b.unsqueeze(2)
    joined = torch.addcmul(along_a * b, along_b, a, value=-1)
    return torch.addcmul(joined, contract(a, b), (p - q).unsqueeze(2)).flatten(2, 3)


def _join_three(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """{A, B, C} = 2 (A·C) B - (A·B) C - (B·C) A."""
    a, b, c = a[:, :, :, None, None], b[:, :, None, :, None], c[:, :, None, None, :]
    joined = 2 * contract(a, c) * b - contract(a, b) * c - contract(b, c) * a
    return joined.flatten(2, 4)

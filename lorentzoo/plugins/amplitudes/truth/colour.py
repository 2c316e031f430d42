"""What does a sum over colours make of colour-ordered amplitudes?"""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations

import torch
from torch import Tensor

__all__ = ["colour_matrix", "colour_root", "generators"]


def generators() -> Tensor:
    """Generators T of SU(3) in the fundamental representation, half the Gell-Mann matrices, shape (8, 3, 3)."""
    t = torch.zeros(8, 3, 3, dtype=torch.complex128)
    for number, (i, j) in ((0, (0, 1)), (3, (0, 2)), (5, (1, 2))):
        t[number, i, j] = t[number, j, i] = 1
        t[number + 1, i, j], t[number + 1, j, i] = torch.tensor([-1j, 1j])
    t[2] = torch.diag(torch.tensor([1, -1, 0], dtype=torch.complex128))
    t[7] = torch.diag(torch.tensor([1, 1, -2], dtype=torch.complex128)) / 3**0.5
    return t / 2


@lru_cache(maxsize=8)
def colour_matrix(n: int) -> Tensor:
    """C(σ, τ) = Σ over colours of (T^σ1 ... T^σn)_ij times the conjugate of (T^τ1 ... T^τn)_ij, shape (n!, n!).

    Orders are lexicographic. The matrix depends on τ⁻¹σ alone, so that one row is computed.
    """
    t = generators()
    orders = list(permutations(range(n)))
    straight = _traces(t, n, orders)
    place = {order: number for number, order in enumerate(orders)}
    matrix = torch.empty(len(orders), len(orders), dtype=torch.float64)
    for row, sigma in enumerate(orders):
        back = sorted(range(n), key=lambda position: sigma[position])
        for column, tau in enumerate(orders):
            matrix[row, column] = straight[place[tuple(back[gluon] for gluon in tau)]]
    return matrix


def _traces(t: Tensor, n: int, orders: list[tuple[int, ...]]) -> Tensor:
    """Tr(T^1 ... T^n T^τn ... T^τ1) summed over colours, for all orders τ, shape (n!,)."""
    product = torch.eye(3, dtype=t.dtype).unsqueeze(0)
    for _ in range(n):
        product = torch.einsum("xij,ajk->xaik", product, t).flatten(0, 1)
    product = product.unflatten(0, (8,) * n)
    found = []
    for tau in orders:
        # Axis p of the product is the colour at place p; in the order τ gluon g stands at place τ⁻¹(g).
        back = sorted(range(n), key=lambda position: tau[position])
        found.append((product * product.permute(*back, n, n + 1).conj()).sum().real)
    return torch.stack(found)


@lru_cache(maxsize=8)
def colour_root(n: int) -> Tensor:
    """F with Fᵀ F = C, upper triangular, shape (n!, n!).

    Σ A* C A is then Σ |F A|²: one matrix product, and a sum of squares that cannot turn negative by rounding.
    """
    return torch.linalg.cholesky(colour_matrix(n), upper=True)

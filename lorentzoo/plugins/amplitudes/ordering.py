"""Which of several identical particles is the first?"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from lorentzoo.nn import inner, stable_argsort

__all__ = ["group_kinds", "kind_codes", "order_particles"]


@lru_cache(maxsize=16)
def _prime_roots(count: int) -> tuple[float, ...]:
    primes: list[int] = []
    number = 2
    while len(primes) < count:
        if all(number % prime for prime in primes):
            primes.append(number)
        number += 1
    return tuple(prime**0.5 for prime in primes)


def kind_codes(scalars: Tensor) -> Tensor:
    """One number for each kind of particle, Σ_s √prime_s x_s, from scalars (..., S); shape (...), float64.

    Square roots of different primes are linearly independent over the rational numbers, so that kinds with different
    rational scalars, e.g. one-hot ones, have different codes.
    """
    roots = torch.tensor(_prime_roots(scalars.shape[-1]), dtype=torch.float64, device=scalars.device)
    return (scalars.to(torch.float64) * roots).sum(-1)


def group_kinds(scalars: Tensor) -> list[list[int]]:
    """Places of the particles of each kind, kinds by their codes. Shape (N, S)."""
    codes = kind_codes(scalars).tolist()
    return [[place for place, code in enumerate(codes) if code == kind] for kind in sorted(set(codes))]


def order_particles(momenta: Tensor, codes: Tensor, mask: Tensor) -> Tensor:
    """Places of the particles of each event in an order that depends on nothing but invariants.

    Kinds follow each other by their codes. Within a kind, particles follow by falling Σ_j (p_i·p_j)²: invariant under
    Lorentz transformations, and different for the two incoming ones too.

    Parameters
    ----------
    momenta, codes, mask
        Shapes (B, N, 4), (B, N) and (B, N), True where there is a particle.

    Returns
    -------
    Shape (B, N), int64; empty places come last.
    """
    products = inner(momenta.unsqueeze(2), momenta.unsqueeze(1))
    products = torch.where(mask.unsqueeze(2) & mask.unsqueeze(1), products, torch.zeros_like(products))
    by_size = stable_argsort(products.square().sum(-1), dim=1, descending=True)
    sorted_codes = torch.where(mask, codes, torch.inf).gather(1, by_size)
    return by_size.gather(1, stable_argsort(sorted_codes, dim=1))

"""Which of several identical particles is the first, and what are the invariants of an event in that order?"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

from lorentzoo.nn import inner

__all__ = ["kind_codes", "log_products", "order_particles", "pairs_of"]

_FLOOR: Final = 1e-12
"""Smallest product of two momenta, relative to the largest of the event."""


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
    by_size = products.square().sum(-1).argsort(dim=1, descending=True, stable=True)
    sorted_codes = torch.where(mask, codes, torch.inf).gather(1, by_size)
    return by_size.gather(1, sorted_codes.argsort(dim=1, stable=True))


@lru_cache(maxsize=32)
def pairs_of(count: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """First and second particles of all pairs of so many, (0, 1), (0, 2), ..., (1, 2), ..."""
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
    return tuple(i for i, _ in pairs), tuple(j for _, j in pairs)


def log_products(momenta: Tensor, mask: Tensor | None = None) -> Tensor:
    """ln p_i·p_j of all pairs i < j, with a floor relative to the largest of the event; zero where a particle is missing.

    Parameters
    ----------
    momenta, mask
        Shapes (B, N, 4) and (B, N).

    Returns
    -------
    Shape (B, N(N-1)/2), in the type of the momenta.
    """
    first, second = (list(places) for places in pairs_of(momenta.shape[1]))
    if not first:
        return momenta.new_zeros(len(momenta), 0)
    products = inner(momenta[:, first], momenta[:, second])
    if mask is not None:
        present = mask[:, first] & mask[:, second]
        products = torch.where(present, products, torch.zeros_like(products))
    tiny = torch.finfo(products.dtype).tiny ** 0.25
    floor = (_FLOOR * products.detach().amax(1, keepdim=True)).clamp(min=tiny)
    logs = torch.log(torch.maximum(products, floor))
    return logs if mask is None else torch.where(present, logs, torch.zeros_like(logs))

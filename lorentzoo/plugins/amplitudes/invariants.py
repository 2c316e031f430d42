"""What are the invariants of an event, and their logarithms?"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from typing import Final

import torch
from torch import Tensor

from lorentzoo.nn import Columns, EventSteps, inner

__all__ = ["log_masses", "log_products", "pairs_of", "systems_of", "systems_present", "write_invariants"]

_FLOOR: Final = 1e-12
"""Smallest invariant whose logarithm is taken, relative to the largest product of momenta of the event."""


@lru_cache(maxsize=32)
def pairs_of(count: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """First and second particles of all pairs of so many, (0, 1), (0, 2), ..., (1, 2), ..."""
    pairs = list(combinations(range(count), 2))
    return tuple(i for i, _ in pairs), tuple(j for _, j in pairs)


@lru_cache(maxsize=32)
def systems_of(count: int) -> tuple[tuple[int, ...], ...]:
    """All sets of two particles up to half of them; those of the others follow from conservation of momentum."""
    return tuple(s for size in range(2, count // 2 + 1) for s in combinations(range(count), size))


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
        return momenta.new_zeros(momenta.shape[0], 0)
    products = inner(momenta[:, first], momenta[:, second])
    if mask is None:
        return torch.log(torch.maximum(products, _floor(products)))
    present = mask[:, first] & mask[:, second]
    products = torch.where(present, products, torch.zeros_like(products))
    logs = torch.log(torch.maximum(products, _floor(products)))
    return torch.where(present, logs, torch.zeros_like(logs))


def log_masses(momenta: Tensor, mask: Tensor) -> Tensor:
    """ln |(Σ ±p)²| of all `systems_of` particles, incoming momenta with a minus; zero where a particle is missing.

    These are the virtualities of propagators. The incoming particles are the pair of largest p_i·p_j, s/2: no other pair
    reaches it, and where both outgoing particles of a two-body final state do, signs may be exchanged.

    Parameters
    ----------
    momenta, mask
        Shapes (B, N, 4) and (B, N).

    Returns
    -------
    Shape (B, systems), in the type of the momenta.
    """
    count = momenta.shape[1]
    systems = systems_of(count)
    if not systems:
        return momenta.new_zeros(momenta.shape[0], 0)
    first, second = (torch.tensor(places, device=momenta.device) for places in pairs_of(count))
    momenta = torch.where(mask.unsqueeze(-1), momenta, torch.zeros_like(momenta))
    products = inner(momenta[:, first], momenta[:, second])
    incoming = products.detach().argmax(1, keepdim=True)
    sign = torch.ones_like(momenta[..., 0])
    sign = sign.scatter(1, first[incoming], -1.0).scatter(1, second[incoming], -1.0)
    signed = torch.cat([2 * products * sign[:, first] * sign[:, second], inner(momenta, momenta)], dim=1)
    masses = signed @ _sums(count).to(signed)
    logs = torch.log(torch.maximum(masses.abs(), _floor(products)))
    return torch.where(systems_present(mask), logs, torch.zeros_like(logs))


def systems_present(mask: Tensor) -> Tensor:
    """Whether all particles of each system are there, (B, N) to (B, systems)."""
    members = _members(mask.shape[1]).to(mask.device)
    return (~mask).to(torch.float32) @ members.T == 0


def write_invariants(
    event: EventSteps, momenta: Columns, count: int, *, masses: bool
) -> tuple[Columns, list[int]]:
    """Steps to the logarithms of some momenta, and their places among the invariants of `count` particles.

    Parameters
    ----------
    event
        To which the steps are written.
    momenta
        Of at most `count` particles.
    count
        Particles of the largest events.
    masses
        Whether `log_masses` follow `log_products`.
    """
    there, tiny = len(momenta) // 4, _tiny(torch.float64)
    pairs, systems = list(zip(*pairs_of(count), strict=True)), systems_of(count)
    present = [place for place, pair in enumerate(pairs) if max(pair) < there]
    logs = event.log_products(momenta, _FLOOR, tiny)
    if not masses:
        return logs, present
    known = [place for place, system in enumerate(systems) if max(system) < there]
    logs += event.log_masses(momenta, [systems[place] for place in known], _FLOOR, tiny)
    return logs, present + [len(pairs) + place for place in known]


def _tiny(dtype: torch.dtype) -> float:
    return float(torch.finfo(dtype).tiny ** 0.25)


def _floor(products: Tensor) -> Tensor:
    tiny = _tiny(products.dtype)
    return (_FLOOR * products.detach().amax(1, keepdim=True)).clamp(min=tiny)


@lru_cache(maxsize=32)
def _members(count: int) -> Tensor:
    """One where a particle belongs to a system, (systems, N)."""
    # Kept for all devices, also where models are made without memory.
    members = torch.zeros(len(systems_of(count)), count, device="cpu")
    for row, system in enumerate(systems_of(count)):
        members[row, list(system)] = 1.0
    return members


@lru_cache(maxsize=32)
def _sums(count: int) -> Tensor:
    """Which products of pairs, and squares of particles, add up to the mass squared of a system, (pairs + N, systems)."""
    first, second = (list(places) for places in pairs_of(count))
    members = _members(count).T.to(torch.float64)
    return torch.cat([members[first] * members[second], members])

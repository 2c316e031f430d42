"""What is known of an amplitude before anything is learned?

Where partons are soft or collinear, |M|² factorises. The factors here are functions of the momenta of two quarks, a
massive boson and gluons; their logarithms, in a linear combination fitted to the training set, take most of the variance
away.
"""

from __future__ import annotations

from itertools import combinations
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from lorentzoo import ParticleCloud
from lorentzoo.nn import Columns, EventSteps, inner, mass_squared, stable_argsort
from lorentzoo.plugins.amplitudes.errors import AmplitudeError

__all__ = ["FACTORS", "MOST_GLUONS", "log_factors", "read_partons", "write_factors"]

FACTORS: Final = ("order-summed chain", "squares of quark and boson", "energy")
"""What the columns of `log_factors` are."""
MOST_GLUONS: Final = 5
"""The sum over orders takes n 2ⁿ steps."""
_KINDS: Final = ("quark", "z", "gluon")


def log_factors(cloud: ParticleCloud) -> tuple[Tensor, Tensor]:
    """Logarithms of the factors, and the number of gluons, of events of q q̄ → Z + n g.

    ``Σ over orders of 1/((q·1)(1·2)...(n·q̄))``, ``(q·Z)² + (q̄·Z)²`` and ``s``. For one gluon, |M|² is the product of the
    first two, exactly.

    Parameters
    ----------
    cloud
        Momenta, and the one-hot scalars ``"quark"``, ``"z"`` and ``"gluon"``.

    Returns
    -------
    Shapes (B, 3), float64, and (B,), int64.

    Raises
    ------
    AmplitudeError
        As for `read_partons`.
    """
    quarks, boson, emitted, gluons = read_partons(cloud)
    factors = [
        _sum_chains(quarks, emitted, gluons),
        torch.log(inner(quarks, boson).square().sum(1)),
        torch.log(mass_squared(quarks.sum(1))),
    ]
    return torch.stack(factors, dim=-1), gluons


def read_partons(cloud: ParticleCloud) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Momenta by kind of events of q q̄ → Z + n g, in float64.

    Parameters
    ----------
    cloud
        Momenta, and the one-hot scalars ``"quark"``, ``"z"`` and ``"gluon"``.

    Returns
    -------
    Quarks (B, 2, 4), boson (B, 1, 4), gluons (B, G, 4) with an event's own first, and how many these are (B,), int64;
    in a graph, which cannot raise, 0 for events of other particles.

    Raises
    ------
    AmplitudeError
        If the cloud lacks these scalars, or an event has other particles than two quarks, a boson and 1 to 5 gluons.
    """
    missing = [name for name in _KINDS if name not in cloud.scalar_names]
    if missing:
        raise AmplitudeError(
            f"the reference needs scalars named {', '.join(_KINDS)}, but the cloud has "
            f"{', '.join(cloud.scalar_names) or 'none'}; load the data set 'amplitudes', or take reference='none'"
        )
    kinds = cloud.scalars[..., [cloud.scalar_names.index(name) for name in _KINDS]]
    momenta = cloud.layout.pad(cloud.momenta.to(torch.float64))
    member = cloud.layout.pad(kinds) > 0.5
    counts = member.sum(1)
    gluons = counts[:, 2]
    known = (counts[:, 0] == 2) & (counts[:, 1] == 1) & (gluons >= 1) & (gluons <= MOST_GLUONS)
    if torch.compiler.is_compiling():
        # A graph has no errors: other events are of no number of gluons, of which nothing is known.
        gluons = torch.where(known, gluons, torch.zeros_like(gluons))
        places = momenta.shape[1]
        most = max(min(MOST_GLUONS, places - 3), 1) if isinstance(places, int) else MOST_GLUONS
        momenta, member = F.pad(momenta, (0, 0, 0, most)), F.pad(member, (0, 0, 0, most))
    else:
        if not bool(known.all()):
            event = int((~known).nonzero()[0])
            raise AmplitudeError(
                f"the reference is for events of two quarks, a boson and 1 to {MOST_GLUONS} gluons; event {event} of the "
                f"batch has {counts[event].tolist()} of them; take reference='none'"
            )
        most = int(gluons.max()) if len(gluons) else 0
    quarks = _pick(momenta, member[..., 0], 2)
    boson = _pick(momenta, member[..., 1], 1)
    emitted = _pick(momenta, member[..., 2], most)
    return quarks, boson, emitted, gluons


def _pick(momenta: Tensor, member: Tensor, count: int) -> Tensor:
    """The first `count` particles of each event that are members, in their order. Shapes (B, N, 4), (B, N)."""
    places = stable_argsort((~member).to(torch.int8), dim=1)[:, :count]
    return momenta.gather(1, places.unsqueeze(-1).expand(-1, -1, 4))


def _sum_chains(quarks: Tensor, gluons: Tensor, counts: Tensor) -> Tensor:
    """ln Σ over orders of 1/((q·1)(1·2)...(n·q̄)), by the last gluon of each subset. Shapes (B, 2, 4), (B, G, 4), (B,)."""
    number = gluons.shape[1]
    first, last = (inner(quarks[:, side : side + 1], gluons) for side in (0, 1))
    between = inner(gluons.unsqueeze(1), gluons.unsqueeze(2))
    # Places beyond an event's own gluons are never reached: its own come first.
    chains: dict[tuple[int, int], Tensor] = {}
    for subset in range(1, 1 << number):
        members = [gluon for gluon in range(number) if subset >> gluon & 1]
        for end in members:
            rest = subset ^ (1 << end)
            before = [gluon for gluon in members if gluon != end]
            steps = [chains[rest, gluon] / between[:, gluon, end] for gluon in before]
            chains[subset, end] = torch.stack(steps).sum(0) if steps else 1 / first[:, end]
    total = torch.full_like(quarks[:, 0, 0], torch.nan)
    for number_of in range(1, number + 1):
        whole = (1 << number_of) - 1
        value = torch.stack([chains[whole, end] / last[:, end] for end in range(number_of)]).sum(0)
        total = torch.where(counts == number_of, value, total)
    return torch.log(total)


def write_factors(event: EventSteps) -> tuple[Columns, int]:
    """Steps to the logarithms of the factors of events of the same particles, and the number of gluons.

    Raises
    ------
    AmplitudeError
        As for `log_factors`.
    """
    missing = [name for name in _KINDS if name not in event.scalar_names]
    places = [
        (event.scalars[:, event.scalar_names.index(name)] > 0.5).nonzero().flatten().tolist()
        for name in _KINDS
        if not missing
    ]
    counts = [len(found) for found in places]
    if counts[:2] != [2, 1] or not 1 <= counts[2] <= MOST_GLUONS:
        raise AmplitudeError(
            f"the reference is for events of two quarks, a boson and 1 to {MOST_GLUONS} gluons, told by scalars named "
            f"{', '.join(_KINDS)}; here are {counts or 'none'} of them; take reference='none'"
        )
    quarks, (boson,), gluons = places
    products, number = event.products(event.momenta), event.num_particles
    pairs = {pair: place for place, pair in enumerate(combinations(range(number), 2))}

    def product(i: int, j: int) -> Columns:
        return products.take([pairs[min(i, j), max(i, j)]])

    chains: dict[tuple[int, int], Columns] = {}
    one = Columns((1.0,))
    for subset in range(1, 1 << len(gluons)):
        members = [gluon for gluon in range(len(gluons)) if subset >> gluon & 1]
        for end in members:
            steps = [
                event.combine(
                    "divide", chains[subset ^ (1 << end), before], product(gluons[before], gluons[end])
                )
                for before in members
                if before != end
            ]
            chains[subset, end] = (
                event.combine("add", *steps)
                if steps
                else event.combine("divide", one, product(quarks[0], gluons[end]))
            )
    whole = (1 << len(gluons)) - 1
    ends = [
        event.combine("divide", chains[whole, end], product(quarks[1], gluon))
        for end, gluon in enumerate(gluons)
    ]
    squares = [event.combine("multiply", product(quark, boson), product(quark, boson)) for quark in quarks]
    pair = event.momenta.take(4 * quark + c for quark in quarks for c in range(4))
    factors = event.combine("add", *ends) + event.combine("add", *squares) + event.mass_squared(pair)
    return event.combine("log", factors), len(gluons)

"""Which numbers describe an event whose particles have fixed places?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorentzoo.core import minkowski
from lorentzoo.core.cloud import ParticleCloud

__all__ = ["Observable", "default_observables", "observable_table", "places"]

Array = NDArray[np.float64]
Groups = Mapping[str, Sequence[Sequence[int]]]

_FLOOR: Final = 1e-3
"""Logarithms are taken of no less than this, in the unit of the observable: a vanishing mass is no outlier at -inf."""


@dataclass(frozen=True)
class Observable:
    """A number of each event, or several of the same kind.

    Parameters
    ----------
    name
        Short, for files and tables.
    label
        With its unit, for axes.
    function
        From events to values (B,) or (B, k), float64.
    log
        Whether it is looked at logarithmically: bins, axes and distances.
    bins
        Number of bins of a histogram, unless values are whole numbers.
    whole
        Whether values are whole numbers, each of which has a bin.
    coverage
        Fraction of the true values that a histogram's range holds, the tails being cut evenly.
    """

    name: str
    label: str
    function: Callable[[ParticleCloud], Array]
    log: bool = False
    bins: int = 40
    coverage: float = 0.995
    whole: bool = False

    def __call__(self, cloud: ParticleCloud) -> Array:
        """Values (B, k), float64.

        Raises
        ------
        ValueError
            If the function gives another number of rows than there are events.
        """
        values = np.asarray(self.function(cloud), dtype=np.float64)
        if values.ndim not in (1, 2) or len(values) != cloud.num_events:
            raise ValueError(
                f"observable {self.name!r} must give (B,) or (B, k) values for B = {cloud.num_events} events, "
                f"not shape {values.shape}"
            )
        return values.reshape(len(values), -1)

    def edges(self, values: Array) -> Array:
        """Edges of the bins, of equal width (in the logarithm, where it is logarithmic)."""
        tail = (1 - self.coverage) / 2
        flat = self._scaled(values[np.isfinite(values)])
        if not len(flat):
            raise ValueError(f"observable {self.name!r} has no finite value to choose bins for")
        if self.whole:
            return np.arange(flat.min(), flat.max() + 2) - 0.5
        low, high = np.quantile(flat, (tail, 1 - tail))
        if not high > low:
            low, high = low - 0.5, high + 0.5
        edges: Array = np.linspace(low, high, self.bins + 1)
        edges = np.exp(edges) if self.log else edges
        # The last bin holds its upper edge: the largest value does not overflow.
        edges[-1] += 1e-12 * abs(edges[-1])
        return edges

    def _scaled(self, values: Array) -> Array:
        return np.log(np.maximum(values, _FLOOR)) if self.log else values


def places(cloud: ParticleCloud, count: int | None = None) -> Tensor:
    """Momenta in GeV by place, (B, N, 4), float64.

    Parameters
    ----------
    cloud
        Events.
    count
        How many places, from the first on; all of them by default.

    Raises
    ------
    ValueError
        If some events have fewer particles, or without a count more than others.
    """
    packed = cloud.to_packed().to_units("GeV")
    counts = packed.multiplicity()
    if not len(counts):
        return packed.momenta.reshape(0, count or 0, 4)
    fewest, most = int(counts.min()), int(counts.max())
    if fewest < (most if count is None else count):
        raise ValueError(
            f"events have {fewest} to {most} particles; observables by place need particles in these places in all of "
            "them: give observables of your own"
        )
    return packed.layout.take(packed.momenta, most if count is None else count)


def default_observables(
    particle_names: Sequence[str] | int, resonances: Groups | None = None, *, varying: bool = False
) -> tuple[Observable, ...]:
    """Transverse momenta, pseudorapidities, the smallest distance and masses of events.

    Parameters
    ----------
    particle_names
        Names of the particles in the places that all events have, or how many there are.
    resonances
        Groups of places by name, as `EventData.resonances`. Corresponding members of the largest groups are of one
        kind and share a histogram.
    varying
        Whether events may have further particles.

    Returns
    -------
    pT and η of each kind of particle, the smallest ΔR of two particles, the masses of the resonances, and mass and pT
    of all particles together; where their number varies, that number and the sum of their pT too.
    """
    names = (
        [str(place + 1) for place in range(particle_names)]
        if isinstance(particle_names, int)
        else [str(name) for name in particle_names]
    )
    groups = dict(resonances or {})
    kinds = _kinds(len(names), groups)
    made = []
    for members in kinds:
        name = names[members[0]]
        made.append(
            Observable(
                f"pt-{name}", rf"$p_T$ ({_pretty(name)}) [GeV]", _of_places(minkowski.pt, members), True
            )
        )
    for members in kinds:
        name = names[members[0]]
        made.append(
            Observable(
                f"eta-{name}", rf"$\eta$ ({_pretty(name)})", _of_places(minkowski.pseudorapidity, members)
            )
        )
    if len(names) > 1:
        made.append(Observable("delta-r-min", r"Smallest $\Delta R$ of two particles", _smallest_distance))
    for name, copies in groups.items():
        made.append(
            Observable(f"mass-{name}", f"Mass ({name}) [GeV]", _masses(copies), bins=50, coverage=0.97)
        )
    if varying:
        made.append(
            Observable("number", "Particles", lambda c: _array(c.multiplicity().double()), whole=True)
        )
        made.append(Observable("ht", r"$\sum p_T$ [GeV]", _scalar_sum, True))
    if len(names) > 1:
        made.append(
            Observable("mass-all", "Mass (all) [GeV]", lambda c: _array(minkowski.mass(_total(c))), True)
        )
        made.append(
            Observable("pt-all", r"$p_T$ (all) [GeV]", lambda c: _array(minkowski.pt(_total(c))), True)
        )
    return tuple(made)


def observable_table(cloud: ParticleCloud, observables: Sequence[Observable]) -> Array:
    """All observables side by side, (B, F), logarithms where they are logarithmic."""
    return np.concatenate([one._scaled(one(cloud)) for one in observables], axis=1)


def _total(cloud: ParticleCloud) -> Tensor:
    """Sum of the momenta of each event in GeV, (B, 4)."""
    return cloud.to_units("GeV").total()


def _kinds(count: int, groups: Groups) -> list[tuple[int, ...]]:
    """Places that play the same part, in the order of their first: corresponding members of the largest groups."""
    largest: Sequence[Sequence[int]] = max(
        groups.values(), key=lambda copies: len(copies[0]) if len(copies) > 1 else 0, default=()
    )
    shared = [tuple(members) for members in zip(*largest, strict=True)] if len(largest) > 1 else []
    taken = {place for members in shared for place in members}
    return sorted(shared + [(place,) for place in range(count) if place not in taken])


def _of_places(
    function: Callable[[Tensor], Tensor], members: Sequence[int]
) -> Callable[[ParticleCloud], Array]:
    chosen = list(members)
    return lambda cloud: _array(function(places(cloud, max(chosen) + 1)[:, chosen]))


def _masses(copies: Sequence[Sequence[int]]) -> Callable[[ParticleCloud], Array]:
    chosen = [list(members) for members in copies]

    def masses(cloud: ParticleCloud) -> Array:
        momenta = places(cloud, max(max(members) for members in chosen) + 1)
        return _array(minkowski.mass(torch.stack([momenta[:, members].sum(1) for members in chosen], dim=1)))

    return masses


def _smallest_distance(cloud: ParticleCloud) -> Array:
    layout = cloud.layout
    eta, phi = (
        layout.pad(part(cloud.momenta), math.nan) for part in (minkowski.pseudorapidity, minkowski.phi)
    )
    first, second = torch.triu_indices(eta.shape[1], eta.shape[1], 1)
    apart = torch.hypot(eta[:, first] - eta[:, second], minkowski.delta_phi(phi[:, first], phi[:, second]))
    # Of particles that are not there the distance is not a number.
    return _array(torch.where(apart.isnan(), math.inf, apart).amin(1))


def _scalar_sum(cloud: ParticleCloud) -> Array:
    momenta = cloud.to_units("GeV").momenta
    return _array(cloud.layout.pool(minkowski.pt(momenta).unsqueeze(-1)).squeeze(-1))


def _array(values: Tensor) -> Array:
    return values.detach().cpu().numpy().astype(np.float64)


def _pretty(name: str) -> str:
    return f"${name[0]}_{{{name[1:]}}}$" if len(name) > 1 and name[1:].isdigit() else name

"""In which numbers is an event described whose particles come from chains of decays?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from lorentzoo.core.minkowski import (
    decay_momentum,
    from_ptyphim,
    inverse,
    mass_squared,
    phi,
    pseudorapidity,
    pt,
    rapidity,
)

__all__ = ["DecayChains"]

_LEAST: Final = 1e-9
"""GeV, or GeV²: what stands for numbers without a logarithm, in events that lie outside and are not looked at."""


class _System(NamedTuple):
    """A particle, or what decays into two systems."""

    particles: tuple[int, ...]
    parts: tuple[_System, ...] = ()

    @property
    def name(self) -> str:
        """The numbers of its particles, e.g. ``0+1+2``."""
        return "+".join(map(str, self.particles))


class _Masses(NamedTuple):
    """Numbers of a system on their way to momenta: its mass, the direction of its first part, and its parts."""

    mass: Tensor
    direction: tuple[Tensor, Tensor] | None = None
    parts: tuple[_Masses, ...] = ()


Chain: TypeAlias = "int | Sequence[Any]"


class DecayChains(nn.Module):
    """Coordinates of events in which particles come from two-body decays, one after the other.

    Of each system that no other decays into: ``log_pt``, ``rapidity`` and ``phi``. Of each system that decays into
    two: ``log_excess``, ln(M - m₁ - m₂) with the masses of both; ``eta``, artanh cos θ*, and ``phi`` of the first of
    them in the system's rest frame, whose z axis points along the system's flight in the frame of what it came from
    (or the laboratory) and whose x axis lies in the plane of that axis and the former z axis. Of each particle:
    ``log_mass2``, ln(m² - m²min). A resonance is then a peak in one of the numbers. With d⁴P = dM² pT² d ln pT dφ dy/2
    and

    d³p₁/2E₁ d³p₂/2E₂ = d³P/2E dM² p*/(4M) d cos θ* dφ*

    for each decay (PDG, kinematics, eq. 49.12), the Jacobian relative to Π d⁴p is in closed form. Cuts on single
    particles are curved surfaces in these numbers.

    Parameters
    ----------
    chains
        One for each system that no other decays into: the number of a particle, or a pair of chains, such as
        ``[[1, 2], 0]`` for a top of a W of particles 1 and 2 and of particle 0.
    mass_min
        Least mass of particles in GeV.

    Attributes
    ----------
    names
        Of the 4 N numbers, with the particles of the system that they belong to, e.g. ``phi(0+1+2)``.
    periods
        2π for angles, infinite for the others.
    azimuths
        Places of the azimuths in the laboratory, which alone change when an event turns about the beam.

    Raises
    ------
    ValueError
        If a chain is neither a number nor a pair, or the particles are not 0 to N - 1, each once.
    """

    order: Tensor
    places: Tensor

    def __init__(self, chains: Sequence[Chain], mass_min: float = 0.0) -> None:
        super().__init__()
        if not 0 <= mass_min < math.inf:
            raise ValueError(f"mass_min must be positive or zero, not {mass_min}")
        if isinstance(chains, int | str) or not len(chains):
            raise ValueError(
                f"chains is a list with a chain for each system, e.g. [[[1, 2], 0]], not {chains!r}"
            )
        self._systems = [_read(chain) for chain in chains]
        found = sorted(i for system in self._systems for i in system.particles)
        if found != list(range(len(found))):
            raise ValueError(
                f"chains name the particles {found}: each of 0 to {max(len(found) - 1, 0)} must come once"
            )
        self.num_particles, self.mass_min = len(found), mass_min
        order = [i for system in self._systems for i in system.particles]
        self.register_buffer("order", torch.tensor(order, dtype=torch.long), persistent=False)
        self.register_buffer(
            "places", torch.tensor([order.index(i) for i in range(len(order))]), persistent=False
        )
        names: list[str] = []
        self.azimuths: list[int] = []
        for system in self._systems:
            self.azimuths.append(len(names) + 2)
            names += [f"{name}({system.name})" for name in ("log_pt", "rapidity", "phi")]
            names += _names(system)
        self.names = tuple(names)
        self.periods = tuple(2 * math.pi if name.startswith("phi") else math.inf for name in names)

    @property
    def dim(self) -> int:
        """How many numbers, 4 N."""
        return len(self.names)

    def inside(self, momenta: Tensor) -> Tensor:
        """Whether all particles of events are heavier than the bound and fly forward in time, (B, N, 4) to (B,), bool."""
        return ((mass_squared(momenta) > self.mass_min**2) & (momenta[..., 0] > 0)).all(-1)

    def forward(self, momenta: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers (B, 4 N) of momenta (B, N, 4), and log |dx / Π d⁴p|, (B,)."""
        columns: list[Tensor] = []
        log_det = momenta.new_zeros(len(momenta))
        sizes = [len(system.particles) for system in self._systems]
        for system, own in zip(self._systems, momenta[:, self.order].split(sizes, dim=1), strict=True):
            total = own.sum(1)
            log_pt = pt(total).clamp(min=_LEAST).log()
            columns += [log_pt, rapidity(total), phi(total)]
            log_det = log_det + math.log(2) - 2 * log_pt
            _, change = self._describe(system, own, columns)
            log_det = log_det + change
        return torch.stack(columns, dim=-1), log_det

    def inverse(self, x: Tensor) -> Tensor:
        """Momenta (B, N, 4) of numbers (B, 4 N)."""
        columns = iter(x.unbind(-1))
        found: list[Tensor] = []
        for system in self._systems:
            size, y, azimuth = next(columns).exp(), next(columns), next(columns)
            masses = self._read_masses(system, columns)
            _decay(system, masses, from_ptyphim(size, y, azimuth, masses.mass), None, found)
        return torch.stack(found, dim=1)[:, self.places]

    def _describe(self, system: _System, momenta: Tensor, columns: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Append the numbers of a system of momenta (B, n, 4); its mass (B,), and log |dx / measure| with its dM²."""
        if not system.parts:
            square = mass_squared(momenta[:, 0])
            above = (square - self.mass_min**2).clamp(min=_LEAST).log()
            columns.append(above)
            return square.clamp(min=_LEAST).sqrt(), -above
        total = momenta.sum(1)
        at_rest = (_to_rest(total).unsqueeze(1) @ momenta.unsqueeze(-1)).squeeze(-1)
        own = at_rest.split([len(part.particles) for part in system.parts], dim=1)
        flight = own[0].sum(1)
        place = len(columns)
        (first_mass, first_change), (second_mass, second_change) = (
            self._describe(part, inside, columns) for part, inside in zip(system.parts, own, strict=True)
        )
        mass = mass_squared(total).clamp(min=_LEAST).sqrt()
        excess = (mass - first_mass - second_mass).clamp(min=_LEAST)
        eta = pseudorapidity(flight)
        columns[place:place] = [excess.log(), eta, phi(flight)]
        momentum = flight[:, 1:].norm(dim=-1).clamp(min=_LEAST)
        # dM² = 2 M (M - m₁ - m₂) dx, and d cos θ = dη / cosh² η.
        change = -(excess * momentum / 2).log() + 2 * eta.cosh().log()
        return mass, change + first_change + second_change

    def _read_masses(self, system: _System, columns: Iterator[Tensor]) -> _Masses:
        if not system.parts:
            return _Masses((next(columns).exp() + self.mass_min**2).sqrt())
        excess, direction = next(columns).exp(), (next(columns), next(columns))
        parts = tuple(self._read_masses(part, columns) for part in system.parts)
        return _Masses(excess + parts[0].mass + parts[1].mass, direction, parts)


def _read(chain: Chain) -> _System:
    if isinstance(chain, int) and not isinstance(chain, bool):
        return _System((chain,))
    if isinstance(chain, str) or not isinstance(chain, Sequence) or len(chain) != 2:
        raise ValueError(f"a chain is the number of a particle or a pair of chains, not {chain!r}")
    parts = tuple(_read(part) for part in chain)
    return _System(parts[0].particles + parts[1].particles, parts)


def _names(system: _System) -> list[str]:
    if not system.parts:
        return [f"log_mass2({system.name})"]
    own = [f"{name}({system.parts[0].name} in {system.name})" for name in ("eta", "phi")]
    return [f"log_excess({system.name})", *own, *(name for part in system.parts for name in _names(part))]


def _to_rest(total: Tensor) -> Tensor:
    """Λ (B, 4, 4) to the rest frame of momenta (B, 4), with the z axis along their flight."""
    energy, x, y, z = total.unbind(-1)
    across = torch.hypot(x, y).clamp(min=_LEAST)
    size = torch.hypot(across, z)
    mass = mass_squared(total).clamp(min=_LEAST).sqrt()
    cos, sin, tilt, fall = x / across, y / across, z / size, across / size
    gamma, speed, none = energy / mass, size / mass, torch.zeros_like(x)
    rows = [
        [gamma, -speed * fall * cos, -speed * fall * sin, -speed * tilt],
        [none, tilt * cos, tilt * sin, -fall],
        [none, -sin, cos, none],
        [-speed, gamma * fall * cos, gamma * fall * sin, gamma * tilt],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def _decay(system: _System, masses: _Masses, total: Tensor, back: Tensor | None, found: list[Tensor]) -> None:
    """Append the momenta of a system's particles in the laboratory, to which `back` (B, 4, 4) leads from its parent."""
    if masses.direction is None:
        found.append(total if back is None else (back @ total.unsqueeze(-1)).squeeze(-1))
        return
    eta, azimuth = masses.direction
    momentum = decay_momentum(masses.mass, *(part.mass for part in masses.parts))
    across = momentum / eta.cosh()
    flight = torch.stack([across * azimuth.cos(), across * azimuth.sin(), momentum * eta.tanh()], dim=-1)
    home = inverse(_to_rest(total))
    back = home if back is None else back @ home
    for part, own, sign in zip(system.parts, masses.parts, (1.0, -1.0), strict=True):
        energy = torch.hypot(own.mass, momentum).unsqueeze(-1)
        _decay(part, own, torch.cat([energy, sign * flight], dim=-1), back, found)

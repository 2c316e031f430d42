"""How does the physical region of a scattering or of a chain of decays map to the unit hypercube?

n-body phase space is a chain of two-body decays: ``dΦ_n = Π √λ(M², m₁², m₂²)/(8π M²) dΩ*/(4π) · Π dM²/(2π)``. The
coordinates are the total energy, the mass of each intermediate system, and cos θ* and φ* of each decay in its own rest
frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lorentzoo.nn import decay_momentum, mass
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.phase_space.densities import Density, LogUniform, Uniform

__all__ = ["Decay", "Scattering", "kallen"]


def kallen(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Källén function λ = a² + b² + c² - 2ab - 2ac - 2bc. Shapes (...) -> (...)."""
    return (a - b - c) ** 2 - 4 * b * c


@dataclass(frozen=True)
class Decay:
    """A system that decays into two, each a particle (its mass in GeV) or a system again.

    Parameters
    ----------
    first, second
        What it decays into.
    density
        Of its own mass, between what its particles need and what its parent leaves; the outermost system has the total
        energy for its mass, and its density is that of the `Scattering`.
    """

    first: Decay | float
    second: Decay | float
    density: Density = field(default_factory=Uniform)

    @property
    def parts(self) -> tuple[Decay | float, Decay | float]:
        """Both of them."""
        return self.first, self.second

    @property
    def masses(self) -> tuple[float, ...]:
        """Masses of the particles at the end, in order."""
        return tuple(m for part in self.parts for m in (part.masses if isinstance(part, Decay) else (part,)))

    def systems(self) -> Iterator[Decay]:
        """This and all inner systems, outer ones first."""
        yield self
        for part in self.parts:
            if isinstance(part, Decay):
                yield from part.systems()


@dataclass(frozen=True)
class Scattering:
    """All points of a chain of decays at energies between two bounds, as a map of the unit hypercube.

    ``Scattering(Decay(0, 0), 100, 1000)`` is 2 → 2, ``Scattering(Decay(Decay(0, 0), 91.2), ...)`` is 2 → 3.

    Parameters
    ----------
    decay
        The chain.
    low, high
        Bounds of √s in GeV.
    density
        Of √s; ln s is uniform by default.

    Raises
    ------
    AmplitudeError
        If the bounds are not in order, or below the masses.
    """

    decay: Decay
    low: float
    high: float
    density: Density = field(default_factory=LogUniform)

    def __post_init__(self) -> None:
        need = sum(self.decay.masses)
        if not need <= self.low < self.high < math.inf:
            raise AmplitudeError(
                f"bounds of √s must rise and lie above the masses, {need:.6g} GeV: {self.low:.6g}, {self.high:.6g} given"
            )

    @property
    def dimension(self) -> int:
        """Coordinates of the hypercube, 3n - 3 for n particles."""
        return 3 * len(self.decay.masses) - 3

    def to_momenta(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Momenta of the particles in the centre-of-mass frame, and the Jacobian.

        Parameters
        ----------
        u
            Points of the hypercube, shape (B, dimension), float64. Coordinates are √s, and then for each system, outer
            ones first: masses of its inner systems, cos θ*, φ*.

        Returns
        -------
        Momenta (B, n, 4), and d√s dΦ_n/du (B,): its mean over the hypercube is the volume integrated over √s.
        """
        if u.ndim != 2 or u.shape[1] != self.dimension:
            raise AmplitudeError(
                f"points need {self.dimension} coordinates, shape (B, {self.dimension}), not {tuple(u.shape)}"
            )
        columns = iter(u.unbind(1))
        total, jacobian = self.density.draw(next(columns), *self._bounds(u))
        at_rest = torch.zeros(len(u), 4, dtype=u.dtype)
        at_rest[:, 0] = total
        found: list[Tensor] = []
        jacobian = jacobian * _decay_forward(self.decay, total, at_rest, columns, found)
        return torch.stack(found, dim=1), jacobian

    def to_cube(self, momenta: Tensor) -> Tensor:
        """The point of the hypercube of momenta (B, n, 4) in the centre-of-mass frame, shape (B, dimension)."""
        total = momenta.sum(1)
        root = total[:, 0]
        columns = [self.density.invert(root, *self._bounds(momenta))]
        at_rest = torch.zeros_like(total)
        at_rest[:, 0] = root
        _decay_backward(self.decay, root, at_rest, momenta, columns)
        return torch.stack(columns, dim=1)

    def _bounds(self, like: Tensor) -> tuple[Tensor, Tensor]:
        return (like.new_full((len(like),), self.low), like.new_full((len(like),), self.high))


def _decay_forward(
    decay: Decay, total: Tensor, parent: Tensor, columns: Iterator[Tensor], found: list[Tensor]
) -> Tensor:
    """Append the momenta of a system's particles; the Jacobian of its masses and angles."""
    masses: list[Tensor] = []
    jacobian = torch.ones_like(total)
    for place, part in enumerate(decay.parts):
        if isinstance(part, Decay):
            low, high = _mass_bounds(decay, place, total, masses)
            m, slope = part.density.draw(next(columns), low, high)
            jacobian = jacobian * 2 * m * slope / (2 * math.pi)
        else:
            m = torch.full_like(total, part)
        masses.append(m)
    momentum = decay_momentum(total, masses[0], masses[1])
    jacobian = jacobian * momentum / (4 * math.pi * total)
    cos, phi = 2 * next(columns) - 1, 2 * math.pi * next(columns)
    sin = torch.sqrt((1 - cos) * (1 + cos))
    space = momentum.unsqueeze(-1) * torch.stack([sin * torch.cos(phi), sin * torch.sin(phi), cos], dim=-1)
    for part, m, sign in zip(decay.parts, masses, (1, -1), strict=True):
        energy = torch.hypot(m, momentum).unsqueeze(-1)
        moved = _boost_from_rest(torch.cat([energy, sign * space], dim=-1), parent, total)
        if isinstance(part, Decay):
            jacobian = jacobian * _decay_forward(part, m, moved, columns, found)
        else:
            found.append(moved)
    return jacobian


def _decay_backward(
    decay: Decay, total: Tensor, parent: Tensor, momenta: Tensor, columns: list[Tensor]
) -> None:
    """Append the coordinates of a system's masses and angles."""
    sizes = [len(part.masses) if isinstance(part, Decay) else 1 for part in decay.parts]
    groups = momenta.split(sizes, dim=1)
    masses: list[Tensor] = []
    for place, (part, group) in enumerate(zip(decay.parts, groups, strict=True)):
        if isinstance(part, Decay):
            m = mass(group.sum(1))
            columns.append(part.density.invert(m, *_mass_bounds(decay, place, total, masses)))
        else:
            m = torch.full_like(total, part)
        masses.append(m)
    x, y, z = _boost_to_rest(groups[0].sum(1), parent, total)[:, 1:].unbind(-1)
    length = torch.hypot(torch.hypot(x, y), z)
    columns.append((1 + z / torch.where(length > 0, length, 1.0)) / 2)
    columns.append(torch.remainder(torch.atan2(y, x) / (2 * math.pi), 1.0))
    for part, m, group in zip(decay.parts, masses, groups, strict=True):
        if isinstance(part, Decay):
            _decay_backward(part, m, group.sum(1), group, columns)


def _mass_bounds(decay: Decay, place: int, total: Tensor, masses: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Between which bounds does the mass of an inner system lie, given the masses of those before it?"""
    need = [sum(part.masses) if isinstance(part, Decay) else part for part in decay.parts]
    low = torch.full_like(total, need[place])
    return low, total - (need[1] if place == 0 else masses[0])


def _boost_from_rest(p: Tensor, parent: Tensor, m: Tensor) -> Tensor:
    """Momenta p of a system's rest frame in the frame where it has momentum `parent` and mass m. Shapes (B, 4), (B,)."""
    energy = (p * parent).sum(-1) / m
    shift = (p[:, 0] + energy) / (parent[:, 0] + m)
    return torch.cat([energy.unsqueeze(-1), p[:, 1:] + shift.unsqueeze(-1) * parent[:, 1:]], dim=-1)


def _boost_to_rest(p: Tensor, parent: Tensor, m: Tensor) -> Tensor:
    return _boost_from_rest(p, torch.cat([parent[:, :1], -parent[:, 1:]], dim=-1), m)

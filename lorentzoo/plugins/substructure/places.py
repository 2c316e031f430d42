"""How do observables of particles that have places, and of their groups, become the features of a model?"""

from __future__ import annotations

import math
from itertools import combinations
from typing import Final

import torch
from torch import Tensor

from lorentzoo import Features, Layout, Symmetry
from lorentzoo.nn import delta_phi, mass_squared, phi, pseudorapidity, pt
from lorentzoo.plugins.substructure.measured import MeasuredEvents

__all__ = ["PlacedObservables"]

_FLOOR: Final = 1e-4
"""In units of the embedding: logarithms of masses and momenta are taken of no less."""
_LIGHT: Final = 1e-3
"""Fraction of the transverse momentum below which masses are not told apart."""
_MOST: Final = 20_000


class PlacedObservables(MeasuredEvents):
    """What an analysis would look at in events of fixed length and order; nothing here is learned.

    Of each particle ln pT, η and ln m; of each pair |Δη|, |Δφ| and ΔR; of each group of particles up to a size, and of
    all of them, ln m and ln pT; and the particles' scalars, place by place. Missing particles have no momentum.

    Parameters
    ----------
    num_particles
        Particles of an event, in their order; further ones are left out.
    group_size
        Of the largest groups: 2 for pairs, 3 for triples too.
    azimuths
        Whether cos φ and sin φ of each particle are among the observables: without them no rotation about the beam is
        seen.
    standardise
        Subtract the mean and divide by the standard deviation of the training events; trees do not need it.
    """

    permutation_symmetric = False

    def __init__(
        self,
        num_particles: int = 6,
        group_size: int = 3,
        azimuths: bool = False,
        standardise: bool = True,
        *,
        in_scalars: int,
        in_vectors: int = 0,
    ) -> None:
        super().__init__(standardise, in_vectors)
        if num_particles < 2 or group_size < 2:
            raise ValueError(
                f"num_particles and group_size must be at least 2, not {num_particles} and {group_size}"
            )
        self.num_particles = num_particles
        self.azimuths = azimuths
        largest = min(group_size, num_particles)
        pairs = num_particles * (num_particles - 1) // 2
        width = (3 + 2 * azimuths + in_scalars) * num_particles + 3 * pairs
        # Counted before any group is listed: of many particles there are more than fit any memory.
        width += 2 * _count_groups(num_particles, largest, stop=_MOST)
        if width > _MOST:
            raise ValueError(
                f"groups of up to {group_size} of {num_particles} particles make {width} observables, more than "
                f"{_MOST}; take a smaller group_size"
            )
        sizes = sorted({*range(2, largest + 1), num_particles})
        groups = [members for size in sizes for members in combinations(range(num_particles), size)]
        # Which particles are in which group: sums of their momenta are one product of matrices.
        members = torch.zeros(len(groups), num_particles, dtype=torch.bool)
        for row, group in enumerate(groups):
            members[row, list(group)] = True
        self.register_buffer("members", members, persistent=False)
        self.set_width(width)

    members: Tensor

    @property
    def symmetry(self) -> Symmetry:
        """Rotations about the beam, unless azimuths are seen; pseudorapidities are seen as they are."""
        return Symmetry.trivial() if self.azimuths else Symmetry.spanned_by("Jz")

    def measure(self, features: Features, layout: Layout) -> Tensor:
        """Numbers of particles, pairs and groups, in float64, shape (B, width)."""
        momenta = layout.take(features.vectors.squeeze(-2), self.num_particles)
        scalars = layout.take(features.scalars, self.num_particles).to(momenta.dtype)
        eta, angle = pseudorapidity(momenta), phi(momenta)
        first, second = torch.triu_indices(self.num_particles, self.num_particles, 1, device=momenta.device)
        # Missing particles have no direction, and are at no distance of any other.
        there = momenta[..., 0] > 0
        both = there[:, first] & there[:, second]
        apart = torch.where(both, (eta[:, first] - eta[:, second]).abs(), 0.0)
        around = torch.where(both, delta_phi(angle[:, first], angle[:, second]).abs(), 0.0)
        # At zero the root has no derivative.
        distance = (apart.square() + around.square()).clamp(min=_FLOOR**2).sqrt()
        sums = self.members.to(momenta.dtype) @ momenta
        found = [_log_pt(momenta), eta, _log_mass(momenta), apart, around, distance]
        found += [_log_mass(sums), _log_pt(sums), scalars.flatten(1)]
        if self.azimuths:
            found += [angle.cos(), angle.sin()]
        return torch.cat(found, dim=-1)


def _log_pt(momenta: Tensor) -> Tensor:
    return pt(momenta).clamp(min=_FLOOR).log()


def _log_mass(momenta: Tensor) -> Tensor:
    # Of massless particles the mass is rounding, whose logarithm would be noise.
    floor = (_LIGHT * pt(momenta)).square() + _FLOOR**2
    return (mass_squared(momenta).clamp(min=0) + floor).log() / 2


def _count_groups(num_particles: int, largest: int, stop: int) -> int:
    """Groups of two to `largest` particles and the one of all; counting ends above `stop`."""
    count = int(largest < num_particles)
    for size in range(2, largest + 1):
        count += math.comb(num_particles, size)
        if count > stop:
            break
    return count

"""How do coupling layers with a backbone become a density of the particles of events of one multiplicity?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lorentzoo import Packed
from lorentzoo.densities import CouplingFlow, Tails

__all__ = ["ParticleCouplings"]


class ParticleCouplings(nn.Module):
    """A `CouplingFlow` of N particles, asked as a `SplineFlow` of the numbers of a whole event.

    Parameters
    ----------
    circular
        Which of the D numbers of a particle are angles.
    drawn
        Places of the numbers that are drawn among the N D of an event; the others are not there.
    num_particles
        Particles N.
    in_scalars, in_context
        What is given of each particle and of each event, one behind the other.
    backbone, tails, bins, bound, num_transforms
        See `CouplingFlow`.
    """

    drawn: Tensor

    def __init__(
        self,
        circular: Sequence[bool],
        drawn: Sequence[int],
        num_particles: int,
        in_scalars: int,
        in_context: int,
        backbone: str | Mapping[str, Any],
        tails: Tails,
        bins: int,
        bound: float,
        num_transforms: int,
    ) -> None:
        super().__init__()
        self.num_particles, self.in_scalars, self.bound = num_particles, in_scalars, bound
        self.total = num_particles * len(circular)
        self.register_buffer("drawn", torch.tensor(list(drawn)), persistent=False)
        self.flow = CouplingFlow(
            circular, backbone, in_scalars, in_context, tails, bins, bound, num_transforms
        )

    @property
    def permutation_symmetric(self) -> bool:
        """Whether the order of particles has no meaning: not if one of them lacks a number."""
        return self.flow.permutation_symmetric and len(self.drawn) == self.total

    def inside(self, x: Tensor) -> Tensor:
        """Which of the drawn numbers (B, M) can be drawn."""
        return self._flat(self.flow.inside(self._rows(x)))

    def log_prob(self, x: Tensor, given: Tensor) -> Tensor:
        """Logarithm of the density of the drawn numbers (B, M), given numbers (B, N S + C), (B,)."""
        return self.flow.log_prob(self._rows(x), *self._given(given), self._real(len(x)))

    def transported(self, z: Tensor, given: Tensor) -> Tensor:
        """Draws (B, M) of the density, from draws of the base (B, M)."""
        return self._flat(self.flow.transported(self._rows(z), *self._given(given), self._real(len(z))))

    def base(self, count: int, rng: torch.Generator | None = None) -> Tensor:
        """Draws of the base, (count, M), float64."""
        return self._flat(self.flow.base(count * self.num_particles, rng))

    def share_statistics(self, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
        """Means and deviations (N S + C) of what is given, with those of scalars the same for all particles."""
        sizes = self.num_particles, self.in_scalars
        first, scatter = (part[: sizes[0] * sizes[1]].unflatten(0, sizes) for part in (mean, deviation))
        common = first.mean(0)
        spread = (scatter.square() + (first - common).square()).mean(0).sqrt()
        mean, deviation = mean.clone(), deviation.clone()
        mean[: first.numel()] = common.repeat(sizes[0])
        deviation[: first.numel()] = spread.repeat(sizes[0])
        return mean, deviation

    def _rows(self, x: Tensor) -> Tensor:
        """Numbers of particles (B N, D), zero where there is none."""
        whole = x.new_zeros(len(x), self.total).index_copy(-1, self.drawn.to(x.device), x)
        return whole.unflatten(-1, (self.num_particles, -1)).flatten(0, 1)

    def _flat(self, x: Tensor) -> Tensor:
        whole = x.unflatten(0, (-1, self.num_particles)).flatten(1)
        return whole.index_select(-1, self.drawn.to(x.device))

    def _real(self, count: int) -> Tensor:
        return self._rows(torch.ones(count, len(self.drawn), device=self.drawn.device)) > 0

    def _given(self, given: Tensor) -> tuple[Tensor, Tensor, Packed]:
        scalars, context = given.tensor_split([self.num_particles * self.in_scalars], dim=-1)
        layout = Packed.from_lengths([self.num_particles] * len(given), device=given.device)
        return scalars.reshape(-1, self.in_scalars), context, layout

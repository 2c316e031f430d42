"""How do splines become a density of events whose particles come from chains of decays?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor

from lorentzoo import Batch, ParticleCloud, Symmetry
from lorentzoo.densities import Cuts, DecayChains
from lorentzoo.nn import CompositionError, mean_and_deviation, mean_loss
from lorentzoo.plugins.flows.conditioners import Backend
from lorentzoo.plugins.flows.flow import SplineFlow
from lorentzoo.plugins.flows.ordered import OrderedEvents, draw_azimuths

__all__ = ["DecayChainFlow"]

_MOST_EXCHANGES: Final = 64
"""Elements of a group of exchanges, over all of which the density is averaged."""


class DecayChainFlow(OrderedEvents):
    """A spline flow of the numbers of chains of decays: masses of resonances and angles in their rest frames.

    With the group G of `mirrors` and `exchanges` the density is q(x) = Σ_g f(g x) / |G| for the flow f: exactly
    symmetric, drawn from by one more random element of G, and trained on -ln f(g x) for a random g of each event, which
    on average is no less than -ln q (Jensen). The density is invariant under rotations about the beam: azimuths are
    relative to that of the first chain, which is uniform.

    Nothing holds cuts on transverse momenta, pseudorapidities or distances, which are curved surfaces in these numbers.
    Hold them by rejection: ``varying-multiplicity`` with this generator, ``networks=each`` and the cuts.

    Parameters
    ----------
    num_particles
        Particles N of every event.
    chains
        Nested pairs of numbers of particles, see `DecayChains`: ``[[[1, 2], 0], [[4, 5], 3]]`` for two tops.
    mass_min
        Least mass of particles in GeV.
    mirrors
        Whether events and their mirror images, at planes along the beam and across, are equally likely.
    exchanges
        Permutations of the particles' momenta, their scalars left where they are, under which events are equally
        likely, e.g. ``[[3, 4, 5, 0, 1, 2]]`` for top and antitop.
    bins, bound, hidden, num_transforms, backend
        Of the flow, with coupling layers and linear tails, see `SplineFlow`.

    Raises
    ------
    ValueError
        If the chains or the exchanges are not of the particles, or a number makes no sense.
    """

    def __init__(
        self,
        num_particles: int,
        chains: Sequence[Any],
        mass_min: float = 0.0,
        mirrors: bool = False,
        exchanges: Sequence[Sequence[int]] = (),
        bins: int = 8,
        bound: float = 5.0,
        hidden: Sequence[int] = (128, 128),
        num_transforms: int = 10,
        backend: Backend = "zuko",
        *,
        in_scalars: int = 0,
        in_context: int = 0,
    ) -> None:
        coordinates = DecayChains(chains, mass_min)
        super().__init__(num_particles, in_scalars, in_context)
        if coordinates.num_particles != num_particles:
            raise ValueError(
                f"chains are of {coordinates.num_particles} particles, but num_particles={num_particles}"
            )
        self.coordinates = coordinates
        self.cuts = Cuts(mass_min=mass_min)
        self.mirrors = mirrors
        signs = [(y, z) for z in (1.0, -1.0) for y in (1.0, -1.0)] if mirrors else [(1.0, 1.0)]
        self.register_buffer("exchanges", torch.tensor(_generate(exchanges, num_particles)), persistent=False)
        self.register_buffer(
            "reflections", torch.tensor([[1.0, 1.0, y, z] for y, z in signs]), persistent=False
        )
        angles = [period < math.inf for period in coordinates.periods]
        turning = [i in coordinates.azimuths for i in range(coordinates.dim)]
        drawn = [i for i in range(coordinates.dim) if i != coordinates.azimuths[0]]
        self.register_buffer("angles", torch.tensor(angles), persistent=False)
        self.register_buffer("turning", torch.tensor(turning), persistent=False)
        self.register_buffer("drawn", torch.tensor(drawn), persistent=False)
        self.register_buffer("mean", torch.zeros(coordinates.dim))
        self.register_buffer("width", torch.ones(coordinates.dim))
        self.flow = SplineFlow(
            [angles[i] for i in drawn],
            self.given,
            "coupling",
            "linear",
            bins,
            bound,
            hidden,
            num_transforms,
            backend,
        )

    exchanges: Tensor
    reflections: Tensor
    angles: Tensor
    turning: Tensor
    drawn: Tensor
    mean: Tensor
    width: Tensor

    @property
    def network_head(self) -> dict[str, Any]:
        """There is none.

        Raises
        ------
        CompositionError
            Always: perceptrons of its own give the splines.
        """
        raise CompositionError(
            "the flow of decay chains has perceptrons of its own and takes no backbone; leave it out"
        )

    # ---- training --------------------------------------------------------------------------

    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        """Standardisation of numbers and conditions, and the template, from training events.

        Raises
        ------
        ValueError
            If training events lie outside: names the first one.
        """
        batches = [
            replace(batch, cloud=self.check_cloud(batch.cloud)) for batch in self.read_batches(batches)
        ]
        given, spread = self.read_condition(batches)
        momenta = torch.cat([self._events(batch.cloud) for batch in batches])
        outside = (~self.coordinates.inside(momenta)).nonzero().squeeze(-1)
        if len(outside):
            raise ValueError(
                f"{len(outside)} of {len(momenta)} training events, first event {int(outside[0])}, have particles no "
                f"heavier than mass_min={self.coordinates.mass_min:g} GeV; choose a lower bound, or apply the cut to the "
                "data"
            )
        numbers, _ = self.coordinates(momenta)
        mean, width = mean_and_deviation(numbers, torch.cat([batch.weight for batch in batches]))
        self.mean.copy_(torch.where(self.angles, 0.0, mean))
        self.width.copy_(torch.where(self.angles, 1.0, width))
        self.condition_mean.copy_(given)
        self.condition_std.copy_(spread)
        self.mark_fitted()

    def loss(
        self, cloud: ParticleCloud, weight: Tensor | None = None, *, rng: torch.Generator | None = None
    ) -> Tensor:
        """Mean of -ln f of each event as a random element of the group has it."""
        self.require_fitted()
        cloud = self.check_cloud(cloud)
        shown = self._moved(self._events(cloud), rng)
        return mean_loss(-self._flow_log_prob(shown, self.standardised_condition(cloud)), weight)

    # ---- sampling and densities ------------------------------------------------------------

    @torch.no_grad()
    def sample(
        self, n: int, condition: ParticleCloud | None = None, *, rng: torch.Generator | None = None
    ) -> ParticleCloud:
        self.require_fitted()
        cloud = self.check_cloud(self.template.cloud(n, condition, self.device))
        base = self.flow.base(n, rng).to(cloud.momenta)
        found = self.flow.transported(base, self.standardised_condition(cloud))
        numbers = found.new_zeros(n, self.coordinates.dim).index_copy(-1, self.drawn, found)
        numbers = self._turned(
            numbers * self.width.double() + self.mean.double(), draw_azimuths(n, rng).to(numbers)
        )
        momenta = self._moved(self.coordinates.inverse(numbers), rng)
        return replace(cloud, momenta=momenta.flatten(0, 1))

    def differentiable_log_prob(self, cloud: ParticleCloud) -> Tensor:
        self.require_fitted()
        cloud = self.check_cloud(cloud)
        events, given = self._events(cloud), self.standardised_condition(cloud)
        found = [
            self._flow_log_prob(events[:, order] * signs.to(events), given)
            for order in self.exchanges.unbind(0)
            for signs in self.reflections.unbind(0)
        ]
        return torch.stack(found).logsumexp(0) - math.log(len(found))

    def _flow_log_prob(self, momenta: Tensor, given: Tensor) -> Tensor:
        """ln f of momenta (B, N, 4) relative to Π d⁴p, (B,)."""
        good = self.coordinates.inside(momenta)
        # Of events outside another event's place is evaluated, so that no infinite gradient arises.
        safe = self.coordinates.inverse(self.mean.expand(1, -1).to(momenta))
        numbers, log_det = self.coordinates(torch.where(good[:, None, None], momenta, safe))
        turned = self._turned(numbers, -numbers[:, self.coordinates.azimuths[0], None])
        width = self.width.double()
        standardised = ((turned - self.mean.double()) / width)[:, self.drawn]
        density = self.flow.log_prob(standardised, given) + log_det - width.log().sum()
        return torch.where(good, density - math.log(2 * math.pi), -math.inf)

    def _events(self, cloud: ParticleCloud) -> Tensor:
        return cloud.momenta.unflatten(0, (-1, self.num_particles)).double()

    def _turned(self, numbers: Tensor, by: Tensor) -> Tensor:
        """Numbers (B, 4 N) of events turned about the beam by angles (B, 1)."""
        turned = torch.remainder(numbers + by + math.pi, 2 * math.pi) - math.pi
        return torch.where(self.turning, turned, numbers)

    def _moved(self, momenta: Tensor, rng: torch.Generator | None) -> Tensor:
        """Momenta (B, N, 4) under a random element of the group for each event."""

        def drawn(elements: Tensor) -> Tensor:
            device = "cpu" if rng is None else rng.device
            place = torch.randint(len(elements), (len(momenta),), generator=rng, device=device)
            return elements[place.to(momenta.device)]

        if len(self.reflections) > 1:
            momenta = momenta * drawn(self.reflections).unsqueeze(1).to(momenta)
        if len(self.exchanges) > 1:
            momenta = momenta.gather(1, drawn(self.exchanges).unsqueeze(-1).expand(-1, -1, 4))
        return momenta

    # ---- what it is ------------------------------------------------------------------------

    @property
    def symmetry_paths(self) -> dict[str, Symmetry]:
        """Rotations about the beam, and with mirrors reflections."""
        return {"decay chains": Symmetry.spanned_by("Jz", discrete=("P", "z-flip") if self.mirrors else ())}


def _generate(exchanges: Sequence[Sequence[int]], num_particles: int) -> list[list[int]]:
    """All elements of the group that permutations generate, the identity first."""
    for order in exchanges:
        if sorted(order) != list(range(num_particles)):
            raise ValueError(
                f"an exchange is a permutation of 0 to {num_particles - 1}, one number for each particle, not "
                f"{list(order)}"
            )
    found = [list(range(num_particles))]
    for known in found:
        for order in exchanges:
            made = [known[i] for i in order]
            if made not in found:
                found.append(made)
        if len(found) > _MOST_EXCHANGES:
            raise ValueError(
                f"exchanges generate more than {_MOST_EXCHANGES} permutations, over which the density is averaged; give "
                "fewer"
            )
    return found

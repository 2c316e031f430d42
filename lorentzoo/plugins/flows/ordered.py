"""What do spline flows share whose events have one number of particles, each in its place?"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from lorentzoo import Batch, Generator, ParticleCloud
from lorentzoo.nn import Template, mean_and_deviation, mean_loss

__all__ = ["OrderedEvents", "draw_azimuths"]


class OrderedEvents(Generator):
    """A density of events of N particles in their order, given scalars and context, by exact likelihood.

    Parameters
    ----------
    num_particles
        Particles N of every event.
    in_scalars, in_context
        Numbers of each particle and of each event, which are the condition.

    Attributes
    ----------
    given
        Numbers of the condition, N times the scalars and the context.
    """

    needs_network = False
    permutation_symmetric = False
    condition_mean: Tensor
    condition_std: Tensor

    def __init__(self, num_particles: int, in_scalars: int = 0, in_context: int = 0) -> None:
        super().__init__()
        if num_particles < 1:
            raise ValueError(f"num_particles must be positive, but is {num_particles}")
        self.num_particles = num_particles
        self.template = Template(num_particles, in_scalars, in_context)
        self.given = num_particles * in_scalars + in_context
        self.register_statistics(condition_mean=torch.zeros(self.given), condition_std=torch.ones(self.given))

    def read_condition(self, batches: Sequence[Batch]) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the conditions (given,) each; the template is fitted."""
        self.template.fit(batches)
        found = torch.cat([self._conditions(batch.cloud) for batch in batches])
        return mean_and_deviation(found, torch.cat([batch.weight for batch in batches]))

    def standardised_condition(self, cloud: ParticleCloud) -> Tensor:
        """Scalars of all particles and the context of events, standardised, (B, given), float64."""
        return (self._conditions(cloud) - self.condition_mean.double()) / self.condition_std.double()

    def check_cloud(self, cloud: ParticleCloud) -> ParticleCloud:
        """The cloud in GeV.

        Raises
        ------
        ValueError
            If an event has another number of particles than the flow.
        """
        cloud = self.training_cloud(cloud)
        wrong = cloud.multiplicity() != self.num_particles
        if bool(wrong.any()):
            first = int(wrong.nonzero()[0, 0])
            raise ValueError(
                f"the flow is of events of num_particles={self.num_particles}, but event {first} has "
                f"{int(cloud.multiplicity()[first])}; splines have no density of other multiplicities, "
                "generator='flow-matching' does"
            )
        return cloud

    def loss(
        self, cloud: ParticleCloud, weight: Tensor | None = None, *, rng: torch.Generator | None = None
    ) -> Tensor:
        """Mean of -log_prob; no random numbers are needed."""
        return mean_loss(-self.differentiable_log_prob(cloud), weight)

    @torch.no_grad()
    def log_prob(self, cloud: ParticleCloud) -> Tensor:
        return self.differentiable_log_prob(cloud)

    @abstractmethod
    def differentiable_log_prob(self, cloud: ParticleCloud) -> Tensor:
        """`log_prob` with gradients."""

    def _conditions(self, cloud: ParticleCloud) -> Tensor:
        scalars = cloud.scalars.reshape(cloud.num_events, self.num_particles * cloud.scalars.shape[-1])
        return torch.cat([scalars, cloud.context], dim=-1).double()


def draw_azimuths(n: int, rng: torch.Generator | None) -> Tensor:
    """Angles (n, 1) in [-π, π], float64."""
    device = "cpu" if rng is None else rng.device
    uniform = torch.rand(n, 1, generator=rng, dtype=torch.float64, device=device)
    return math.pi * (2 * uniform - 1)

"""How do rational-quadratic splines become a density of events?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lorentzoo import Batch, Generator, ParticleCloud, Symmetry
from lorentzoo.core.coordinates import CoordinateName, Cuts, make_coordinates
from lorentzoo.core.coordinates.named import Standardisation
from lorentzoo.core.generator import Template
from lorentzoo.core.means import mean_and_deviation, weighted_mean
from lorentzoo.plugins.flows.conditioners import Backend
from lorentzoo.plugins.flows.flow import SplineFlow, Tails, Transform

__all__ = ["RationalQuadraticFlow"]


class RationalQuadraticFlow(Generator):
    """A spline flow of the coordinates of all particles of an event, in their order, given its scalars and context.

    Parameters
    ----------
    num_particles
        Particles of every event: the flow has so many times the coordinates' dimension.
    coordinates
        Name of the coordinates, see `make_coordinates`; φ lives on a circle.
    pt_min, mass_min, eta_max
        Boundaries (GeV) that the coordinates put at infinite distance, where they have them.
    standardise
        ``"componentwise"``, ``"isotropic"`` or ``"none"``, see `make_coordinates`.
    mass
        Of on-shell particles in GeV.
    transform, tails, bins, bound, hidden, num_transforms, backend
        Of the flow in standardised coordinates, see `SplineFlow`.
    """

    needs_network = False
    permutation_symmetric = False
    condition_mean: Tensor
    condition_std: Tensor

    def __init__(
        self,
        num_particles: int,
        coordinates: CoordinateName = "log-pt-phi-eta-log-mass",
        pt_min: float = 0.0,
        mass_min: float = 0.0,
        eta_max: float = math.inf,
        standardise: Standardisation = "componentwise",
        mass: float = 0.0,
        transform: Transform = "coupling",
        tails: Tails = "linear",
        bins: int = 8,
        bound: float = 5.0,
        hidden: Sequence[int] = (128, 128),
        num_transforms: int = 10,
        backend: Backend = "zuko",
        *,
        in_scalars: int = 0,
        in_context: int = 0,
    ) -> None:
        super().__init__()
        if num_particles < 1:
            raise ValueError(f"num_particles must be positive, but is {num_particles}")
        self.num_particles = num_particles
        self.cuts = Cuts(pt_min=pt_min, eta_max=eta_max, mass_min=mass_min)
        self.coordinates = make_coordinates(
            coordinates,
            standardise=standardise,
            pt_min=pt_min,
            mass_min=mass_min,
            eta_max=eta_max,
            mass=mass,
        )
        self.template = Template(num_particles, in_scalars, in_context)
        given = num_particles * in_scalars + in_context
        angles = [period < math.inf for period in self.coordinates.periods]
        self.flow = SplineFlow(
            angles * num_particles, given, transform, tails, bins, bound, hidden, num_transforms, backend
        )
        self.register_statistics(condition_mean=torch.zeros(given), condition_std=torch.ones(given))

    # ---- training --------------------------------------------------------------------------

    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        """Standardisation of coordinates and conditions, and the template, from training events.

        Raises
        ------
        ValueError
            If training events lie outside the coordinates' boundaries, or outside bounded tails: names the feature,
            the worst value, the bound and the fraction outside.
        """
        batches = [replace(batch, cloud=self.training_cloud(batch.cloud)) for batch in batches]
        self.template.fit(batches)
        momenta = torch.cat([batch.cloud.momenta for batch in batches])
        weight = torch.cat([b.cloud.layout.spread(b.weight.to(b.cloud.device)) for b in batches])
        self.coordinates.fit(momenta, weight.to(momenta))
        self._check_tails(self._numbers(momenta))
        given = torch.cat([self._given(batch.cloud) for batch in batches])
        mean, deviation = mean_and_deviation(given, torch.cat([batch.weight for batch in batches]))
        self.condition_mean.copy_(mean)
        self.condition_std.copy_(deviation)
        self.mark_fitted()

    def _check_tails(self, x: Tensor) -> None:
        outside = ~self.flow.inside(x)
        if not bool(outside.any()):
            return
        feature = int(torch.where(outside, x.abs(), -1.0).amax(0).argmax())
        column = x[:, feature]
        particle, component = divmod(feature, self.coordinates.dim)
        raise ValueError(
            f"{100 * float(outside[:, feature].double().mean()):.3g} % of the training events have a standardised "
            f"{self.coordinates.names[component]} of particle {particle} outside the splines' domain: the worst is "
            f"{float(column[column.abs().argmax()]):.4g}, the bound ±{self.flow.bound:g}; raise bound, or take "
            "tails='linear'"
        )

    def loss(
        self, cloud: ParticleCloud, weight: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Mean of -log_prob; no random numbers are needed."""
        return weighted_mean(-self._log_prob(cloud), weight)

    # ---- sampling and densities ------------------------------------------------------------

    @torch.no_grad()
    def sample(
        self, n: int, condition: ParticleCloud | None = None, *, generator: torch.Generator | None = None
    ) -> ParticleCloud:
        self.require_fitted()
        cloud = self._checked(self.template.cloud(n, condition, self.device))
        base = self.flow.base(n, generator).to(cloud.momenta)
        numbers = self.flow.transported(base, self._standardised(cloud))
        momenta = self.coordinates.inverse(numbers.unflatten(-1, (self.num_particles, -1)))
        return replace(cloud, momenta=momenta.flatten(0, 1))

    @torch.no_grad()
    def log_prob(self, cloud: ParticleCloud) -> Tensor:
        return self._log_prob(cloud)

    def _log_prob(self, cloud: ParticleCloud) -> Tensor:
        self.require_fitted()
        cloud = self._checked(cloud)
        good = self.coordinates.inside(cloud.momenta)
        # Of events outside another event's place is evaluated, so that no infinite gradient arises.
        safe = self.coordinates.inverse(torch.zeros_like(cloud.momenta[..., : self.coordinates.dim]))
        momenta = torch.where(good.unsqueeze(-1), cloud.momenta, safe)
        volume = self.coordinates.log_det(momenta).unflatten(0, (-1, self.num_particles)).sum(-1)
        density = self.flow.log_prob(self._numbers(momenta), self._standardised(cloud)) + volume
        return torch.where(good.unflatten(0, (-1, self.num_particles)).all(-1), density, -math.inf)

    def _checked(self, cloud: ParticleCloud) -> ParticleCloud:
        """The cloud in GeV, if all its events have as many particles as the flow."""
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

    def _numbers(self, momenta: Tensor) -> Tensor:
        """Standardised coordinates of momenta (P, 4), one event a row."""
        return self.coordinates.forward(momenta).unflatten(0, (-1, self.num_particles)).flatten(1)

    @staticmethod
    def _given(cloud: ParticleCloud) -> Tensor:
        """Scalars of all particles and the context, (B, C), float64."""
        scalars = cloud.scalars.unflatten(0, (cloud.num_events, -1)).flatten(1)
        return torch.cat([scalars, cloud.context], dim=-1).double()

    def _standardised(self, cloud: ParticleCloud) -> Tensor:
        return (self._given(cloud) - self.condition_mean.double()) / self.condition_std.double()

    # ---- symmetry --------------------------------------------------------------------------

    @property
    def symmetry_paths(self) -> dict[str, Symmetry]:
        """Splines of single coordinates keep nothing."""
        return {"splines": Symmetry.trivial()}

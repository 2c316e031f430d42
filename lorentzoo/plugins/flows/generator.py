"""How do rational-quadratic splines become a density of events?"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lorentzoo import Batch, ParticleCloud, Symmetry
from lorentzoo.densities import CoordinateName, Cuts, Standardisation, Tails, make_coordinates
from lorentzoo.nn import CompositionError, DensityWarning
from lorentzoo.plugins.flows.conditioners import Backend
from lorentzoo.plugins.flows.couplings import ParticleCouplings
from lorentzoo.plugins.flows.flow import SplineFlow, Transform
from lorentzoo.plugins.flows.momenta import MomentumLayers
from lorentzoo.plugins.flows.ordered import OrderedEvents, draw_azimuths

__all__ = ["RationalQuadraticFlow"]


class RationalQuadraticFlow(OrderedEvents):
    """A spline flow of the coordinates of all particles of an event, in their order, given its scalars and context.

    Parameters
    ----------
    num_particles
        Particles of every event: the flow has so many times the coordinates' dimension.
    coordinates
        Name of the coordinates, see `make_coordinates`; φ lives on a circle. Without logarithms of pT and mass a part
        of the density lies where no momenta are, and a `DensityWarning` says so.
    pt_min, mass_min, eta_max
        Boundaries (GeV) that the coordinates put at infinite distance, where they have them.
    standardise
        ``"componentwise"``, ``"isotropic"`` or ``"none"``, see `make_coordinates`.
    mass
        Of on-shell particles in GeV.
    transform, tails, bins, bound, hidden, num_transforms, backend
        Of the flow in standardised coordinates, see `SplineFlow`.
    backbone
        A backbone by name, inline text or mapping: the knots of each coupling layer then come from one that sees all
        particles, see `CouplingFlow`, and ``hidden`` and ``backend`` are those of the momentum layers alone. Without
        it, perceptrons give them, of all coordinates of the event in their order.
    momentum_layers
        Whether layers of transverse momenta that see the masses of pairs come nearest to the data, one for each
        particle, see `MomentumLayers`: with them narrow resonances are found.
    relative_azimuths
        Whether splines see azimuths relative to that of the first particle, which is uniform: the density is then
        invariant under rotations about the beam.

    Raises
    ------
    ValueError
        If the coordinates have no transverse momentum or azimuth where layers need one, or a number makes no sense.
    """

    angles: Tensor
    drawn: Tensor

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
        momentum_layers: bool = False,
        relative_azimuths: bool = False,
        backbone: str | Mapping[str, Any] | None = None,
        *,
        in_scalars: int = 0,
        in_context: int = 0,
    ) -> None:
        super().__init__(num_particles, in_scalars, in_context)
        self.cuts = Cuts(pt_min=pt_min, eta_max=eta_max, mass_min=mass_min)
        self.coordinates = make_coordinates(
            coordinates,
            standardise=standardise,
            pt_min=pt_min,
            mass_min=mass_min,
            eta_max=eta_max,
            mass=mass,
        )
        angles = [period < math.inf for period in self.coordinates.periods]
        if relative_azimuths and not any(angles):
            raise ValueError(
                f"relative_azimuths need coordinates with an azimuth, not {', '.join(self.coordinates.names)}"
            )
        self.relative_azimuths = relative_azimuths
        self.register_buffer("angles", torch.tensor(angles), persistent=False)
        circular = angles * num_particles
        self._azimuth = angles.index(True) if any(angles) else -1
        drawn = [i for i in range(len(circular)) if not (relative_azimuths and i == self._azimuth)]
        self.register_buffer("drawn", torch.tensor(drawn), persistent=False)
        self.flow: SplineFlow | ParticleCouplings
        if backbone is None:
            chosen = [circular[i] for i in drawn]
            self.flow = SplineFlow(
                chosen, self.given, transform, tails, bins, bound, hidden, num_transforms, backend
            )
        elif transform != "coupling":
            raise ValueError(f"a backbone gives the knots of coupling layers, not of transform={transform!r}")
        else:
            self.flow = ParticleCouplings(
                angles,
                drawn,
                num_particles,
                in_scalars,
                in_context,
                backbone,
                tails,
                bins,
                bound,
                num_transforms,
            )
            # Momentum layers know their particles by number.
            symmetric = self.flow.permutation_symmetric and not momentum_layers
            self.permutation_symmetric = symmetric  # type: ignore[misc]
        self.momentum_layers = (
            MomentumLayers(self.coordinates, num_particles, self.given, tails, bins, bound, hidden, backend)
            if momentum_layers
            else None
        )
        if self.coordinates.unphysical:
            warnings.warn(
                f"the flow of the coordinates {coordinates!r} reaches values of {', '.join(self.coordinates.unphysical)} "
                "that no momentum has: its integral over physical momenta is below one, and some drawn events have a "
                "negative pT or m², or no energy. Take coordinates with their logarithms, e.g. "
                "'log-pt-phi-eta-log-mass'",
                DensityWarning,
                stacklevel=2,
            )

    @property
    def network_head(self) -> Mapping[str, Any]:
        """There is none.

        Raises
        ------
        CompositionError
            Always: layers have backbones of their own, or none.
        """
        raise CompositionError(
            "a spline flow takes its backbone as a parameter, since every layer has one of its own: "
            "generator={'name': 'rqs-flow', 'backbone': 'vit', ...}"
        )

    # ---- training --------------------------------------------------------------------------

    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        """Standardisation of coordinates and conditions, and the template, from training events.

        Raises
        ------
        ValueError
            If training events lie outside the coordinates' boundaries, or outside bounded tails: names the feature,
            the worst value, the bound and the fraction outside.
        """
        batches = [
            replace(batch, cloud=self.training_cloud(batch.cloud)) for batch in self.read_batches(batches)
        ]
        mean, deviation = self.read_condition(batches)
        momenta = torch.cat([batch.cloud.momenta for batch in batches])
        weight = torch.cat([b.cloud.layout.spread(b.weight.to(b.cloud.device)) for b in batches])
        self.coordinates.fit(momenta, weight.to(momenta))
        numbers, events = self._numbers(momenta), torch.cat([batch.weight for batch in batches])
        self._check_tails(numbers)
        if self.momentum_layers is not None:
            self.momentum_layers.fit(numbers, events)
        if isinstance(self.flow, ParticleCouplings):
            mean, deviation = self.flow.share_statistics(mean, deviation)
        self.condition_mean.copy_(mean)
        self.condition_std.copy_(deviation)
        self.mark_fitted()

    def _check_tails(self, x: Tensor) -> None:
        x = x[:, self.drawn]
        outside = ~self.flow.inside(x)
        if not bool(outside.any()):
            return
        feature = int(torch.where(outside, x.abs(), -1.0).amax(0).argmax())
        column = x[:, feature]
        particle, component = divmod(int(self.drawn[feature]), self.coordinates.dim)
        raise ValueError(
            f"{100 * float(outside[:, feature].double().mean()):.3g} % of the training events have a standardised "
            f"{self.coordinates.names[component]} of particle {particle} outside the splines' domain: the worst is "
            f"{float(column[column.abs().argmax()]):.4g}, the bound ±{self.flow.bound:g}; raise bound, or take "
            "tails='linear'"
        )

    # ---- sampling and densities ------------------------------------------------------------

    @torch.no_grad()
    def sample(
        self, n: int, condition: ParticleCloud | None = None, *, rng: torch.Generator | None = None
    ) -> ParticleCloud:
        self.require_fitted()
        cloud = self.check_cloud(self.template.cloud(n, condition, self.device))
        given = self.standardised_condition(cloud)
        numbers = cloud.momenta.new_zeros(n, self.num_particles * self.coordinates.dim)
        base = self.flow.base(n, rng).to(numbers)
        numbers = numbers.index_copy(-1, self.drawn, self.flow.transported(base, given))
        if self.momentum_layers is not None:
            numbers = self.momentum_layers.inverse(numbers, given)
        numbers = numbers.unflatten(-1, (self.num_particles, self.coordinates.dim))
        if self.relative_azimuths:
            numbers = self._turned(numbers, draw_azimuths(n, rng).to(numbers))
        return replace(cloud, momenta=self.coordinates.inverse(numbers).flatten(0, 1))

    def differentiable_log_prob(self, cloud: ParticleCloud) -> Tensor:
        self.require_fitted()
        cloud = self.check_cloud(cloud)
        good = self.coordinates.inside(cloud.momenta)
        # Of events outside another event's place is evaluated, so that no infinite gradient arises.
        safe = self.coordinates.inverse(torch.zeros_like(cloud.momenta[..., : self.coordinates.dim]))
        momenta = torch.where(good.unsqueeze(-1), cloud.momenta, safe)
        volume = self.coordinates.log_det(momenta).unflatten(0, (-1, self.num_particles)).sum(-1)
        numbers, given = self._numbers(momenta), self.standardised_condition(cloud)
        if self.momentum_layers is not None:
            numbers, log_det = self.momentum_layers(numbers, given)
            volume = volume + log_det
        density = self.flow.log_prob(numbers[:, self.drawn], given) + volume
        if self.relative_azimuths:
            density = density - math.log(2 * math.pi)
        return torch.where(good.unflatten(0, (-1, self.num_particles)).all(-1), density, -math.inf)

    def _numbers(self, momenta: Tensor) -> Tensor:
        """Standardised coordinates of momenta (P, 4), one event a row; azimuths relative to the first if wanted."""
        numbers = self.coordinates.forward(momenta).unflatten(0, (-1, self.num_particles))
        if self.relative_azimuths:
            numbers = self._turned(numbers, -numbers[:, 0, self._azimuth : self._azimuth + 1])
        return numbers.flatten(1)

    def _turned(self, numbers: Tensor, by: Tensor) -> Tensor:
        """Coordinates (B, N, D) of events turned about the beam by angles (B, 1)."""
        turned = torch.remainder(numbers + by.unsqueeze(1) + math.pi, 2 * math.pi) - math.pi
        return torch.where(self.angles, turned, numbers)

    # ---- symmetry --------------------------------------------------------------------------

    @property
    def symmetry_paths(self) -> dict[str, Symmetry]:
        """Splines of single coordinates keep nothing, but for rotations about the beam if azimuths are relative."""
        return {"splines": Symmetry.spanned_by("Jz") if self.relative_azimuths else Symmetry.trivial()}

"""How does any network of the zoo become a density of events?

Riemannian conditional flow matching (arXiv:2210.02747, 2302.03660; for events 2411.00446): the network gives every
particle a four-vector, which is pushed forward to a velocity in the chosen coordinates, and scalars that take the place
of the velocities for which no vector will do.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from lorentzoo import Batch, Generator, Model, Packed, ParticleCloud, Symmetry
from lorentzoo.densities import (
    CoordinateName,
    Cuts,
    Method,
    Solver,
    SolverError,
    Standardisation,
    make_coordinates,
)
from lorentzoo.nn import DensityWarning, Template, TimeFeatures, draw_for_events, mean_loss
from lorentzoo.plugins.flow_matching.base import CoordinateBase, EventBase, PhaseSpaceBase
from lorentzoo.plugins.flow_matching.chart import Chart, CoordinateChart, ShellChart
from lorentzoo.plugins.flow_matching.divergence import Divergence
from lorentzoo.plugins.flow_matching.paths import Path, Schedule
from lorentzoo.plugins.flow_matching.transport import Velocities, draw_times, matching_loss, transport

__all__ = ["FlowMatching"]


class FlowMatching(Generator):
    """Continuous flow of events whose velocity is any composition.

    Parameters
    ----------
    coordinates
        Name of the coordinates, see `make_coordinates`.
    manifold
        ``"circles"``: angles go the shorter way; ``"flat"``: they do not, for comparison; ``"shell"``: particles of
        one mass flow on their mass shell, a hyperboloid, without coordinates.
    base
        ``"phase-space"``: normal three-momenta and log-normal masses; ``"coordinates"``: normal in the standardised
        coordinates.
    pt_min, mass_min, eta_max, delta_r_min
        Cuts (GeV, and none by default) that every event of the base passes.
    delta_r_leak
        Part of the base's events that may violate `delta_r_min`: with any, every event has a density, also those that the
        flow traces back into the gap.
    boundaries
        Whether the coordinates put pT, mass and η cuts at infinite distance, so that no trajectory crosses them.
    scalar_components
        Coordinates whose velocities are scalars of the network: names, or ``"auto"`` for the logarithms.
    standardise
        ``"componentwise"``, ``"isotropic"`` or ``"none"``, see `make_coordinates`.
    mass
        Of on-shell particles in GeV.
    num_particles
        Particles of every event, where they are as many in all of them: `sample` then needs no condition.
    velocity_scale
        GeV in which the network's vectors are counted.
    time_features, time_scale
        Fourier features of the time, and standard deviation of their frequencies.
    schedule, noise
        Of the path between base and data, see `Path`.
    solver, steps, rtol, atol
        How trajectories are solved, see `Solver`.
    divergence
        ``"exact"`` or ``"hutchinson"``, for `log_prob`.
    """

    def __init__(
        self,
        coordinates: CoordinateName = "log-pt-phi-eta-log-mass",
        manifold: Literal["circles", "flat", "shell"] = "circles",
        base: Literal["phase-space", "coordinates"] = "phase-space",
        pt_min: float = 0.0,
        mass_min: float = 0.0,
        eta_max: float = math.inf,
        delta_r_min: float = 0.0,
        delta_r_leak: float = 0.0,
        boundaries: bool = True,
        scalar_components: Literal["auto"] | Sequence[str] = "auto",
        standardise: Standardisation = "componentwise",
        mass: float = 0.0,
        num_particles: int = 0,
        velocity_scale: float = 50.0,
        time_features: int = 8,
        time_scale: float = 2.0,
        schedule: Schedule = "linear",
        noise: float = 0.0,
        solver: Method = "midpoint",
        steps: int = 32,
        rtol: float = 1e-5,
        atol: float = 1e-5,
        divergence: Divergence = "exact",
        *,
        in_scalars: int = 0,
        in_context: int = 0,
    ) -> None:
        super().__init__()
        if not velocity_scale > 0:
            raise ValueError(f"velocity_scale must be positive, not {velocity_scale}")
        shell = manifold == "shell"
        if shell:
            coordinates = "on-shell-cartesian"
        bounds: dict[str, float] = {"mass": mass} if coordinates.startswith("on-shell") else {}
        if boundaries:
            bounds |= _boundaries(coordinates, pt_min, mass_min, eta_max)
        self.cuts = Cuts(pt_min, eta_max, delta_r_min, mass_min)
        made = make_coordinates(coordinates, standardise="none" if shell else standardise, **bounds)
        self.coordinates = made
        self.chart: Chart
        if shell:
            self.chart = ShellChart(mass)
        else:
            chosen = _components(made.names, made.logarithmic, scalar_components)
            self.chart = CoordinateChart(made, chosen, circles=manifold == "circles")
        self.base: EventBase
        if base == "phase-space":
            self.base = PhaseSpaceBase(made, self.cuts, mass_min, delta_r_leak)
        elif shell:
            raise ValueError("manifold='shell' has no coordinates; take base='phase-space'")
        else:
            self.base = CoordinateBase(made, self.cuts, delta_r_leak)
        self.num_particles = num_particles
        self.template = Template(num_particles, in_scalars, in_context)
        self.time_features = TimeFeatures(time_features, time_scale)
        self.velocity_scale = velocity_scale
        self.path = Path(schedule, noise)
        self.solver = Solver(solver, steps, rtol, atol)
        self.divergence: Divergence = divergence
        self.register_statistics()

    # ---- the network -----------------------------------------------------------------------

    @property
    def network_head(self) -> Mapping[str, Any]:
        """One vector and the scalars of the overwritten components, of each particle."""
        return {"name": "velocity", "num_scalars": len(self.chart.scalars)}

    @property
    def further_context(self) -> int:
        """The features of the time."""
        return self.time_features.width

    def velocity(self, cloud: ParticleCloud, times: Tensor, points: Tensor) -> Tensor:
        """The velocity field.

        Parameters
        ----------
        cloud
            Packed events whose scalars and context are used.
        times
            Of each event, (B,).
        points
            Of each particle on the manifold, (P, A), float64.

        Returns
        -------
        Shape (P, A), float64.
        """
        momenta = self.chart.momenta(points)
        context = torch.cat([self.time_features(times), cloud.context.to(self.dtype)], dim=-1)
        out = self._network(replace(cloud, momenta=momenta, context=context, context_names=()))
        out = out.to(torch.float64)
        return self.chart.velocity(momenta, self.velocity_scale * out[..., :4], out[..., 4:])

    @property
    def _network(self) -> Model:
        assert self.network is not None, "the composition connects the network"
        return self.network

    # ---- training --------------------------------------------------------------------------

    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        """Standardisation, base distribution and template from training events; then what the network's parts need.

        Raises
        ------
        ValueError
            If training events lie outside the cuts; says how many.
        """
        batches = [
            replace(batch, cloud=self.training_cloud(batch.cloud)) for batch in self.read_batches(batches)
        ]
        momenta = torch.cat([batch.cloud.momenta for batch in batches])
        weight = torch.cat(
            [batch.cloud.layout.spread(batch.weight.to(batch.cloud.device)) for batch in batches]
        )
        lengths: set[int] = set()
        passed = []
        for batch in batches:
            assert isinstance(batch.cloud.layout, Packed)
            lengths |= set(batch.cloud.layout.lengths)
            passed.append(self.cuts.events(batch.cloud.momenta, batch.cloud.layout))
        outside = ~torch.cat(passed)
        if bool(outside.any()):
            raise ValueError(
                f"{int(outside.sum())} of {len(outside)} training events do not pass {self.cuts}; apply the cuts to the "
                "data, or loosen them here"
            )
        self.coordinates.fit(momenta, weight.to(momenta))
        self.base.fit(momenta.cpu(), weight.to(momenta).cpu(), lengths)
        self.template.fit(batches)
        self.mark_fitted()
        # The network sees events on their way, as it does in training.
        rng = torch.Generator().manual_seed(0)
        self._network.fit_statistics([self._on_the_way(batch, rng) for batch in batches])

    @torch.no_grad()
    def _on_the_way(self, batch: Batch, rng: torch.Generator) -> Batch:
        cloud = batch.cloud
        layout = cloud.layout
        assert isinstance(layout, Packed)
        times = draw_times(cloud.num_events, rng).to(cloud.device)
        start = self.chart.points(self.base.sample(layout, rng))
        points, _ = self.path.at(
            self.chart.manifold,
            start,
            self.chart.points(cloud.momenta),
            layout.spread(times).unsqueeze(-1),
            self.path.draw(self.chart.manifold, layout, rng) if self.path.noise else None,
        )
        context = torch.cat([self.time_features(times), cloud.context.to(self.dtype)], dim=-1)
        moved = replace(cloud, momenta=self.chart.momenta(points), context=context, context_names=())
        return replace(batch, cloud=moved)

    def loss(
        self, cloud: ParticleCloud, weight: Tensor | None = None, *, rng: torch.Generator | None = None
    ) -> Tensor:
        """Mean squared error of the velocity in the manifold's metric."""
        self.require_fitted()
        cloud = self.training_cloud(cloud)
        layout = cloud.layout
        start = self.chart.points(draw_for_events(layout, self.base.sample, rng))
        end = self.chart.points(cloud.momenta)

        def velocity(times: Tensor, points: Tensor) -> Tensor:
            return self.velocity(cloud, times, points)

        losses = matching_loss(velocity, start, end, self.chart.manifold, layout, self.path, rng)
        return mean_loss(losses, weight)

    # ---- sampling and densities ------------------------------------------------------------

    def sample(
        self,
        n: int,
        condition: ParticleCloud | None = None,
        *,
        rng: torch.Generator | None = None,
        batch_size: int = 1024,
    ) -> ParticleCloud:
        """Draw events, see `Generator.sample`; `batch_size` of them are solved at a time."""
        cloud = self._started(n, condition, rng)
        points, _, failure = self._transport(cloud, self.chart.points(cloud.momenta), None, rng, batch_size)
        if failure is not None:
            raise failure
        return replace(cloud, momenta=self.chart.momenta(points))

    def sample_with_log_prob(
        self,
        n: int,
        condition: ParticleCloud | None = None,
        *,
        rng: torch.Generator | None = None,
        batch_size: int = 1024,
    ) -> tuple[ParticleCloud, Tensor]:
        """Events and the logarithms of their densities (n,), in one solve."""
        cloud = self._started(n, condition, rng)
        layout, start = cloud.layout, cloud.momenta
        assert isinstance(layout, Packed)
        points, integral, failure = self._transport(
            cloud, self.chart.points(start), self.divergence, rng, batch_size
        )
        if failure is not None:
            raise failure
        end = self.chart.momenta(points)
        density = self.base.log_prob(start, layout) - integral
        density = density + self._volume(end, layout) - self._volume(start, layout)
        return replace(cloud, momenta=end), density

    def log_prob(
        self,
        cloud: ParticleCloud,
        *,
        rng: torch.Generator | None = None,
        batch_size: int = 1024,
    ) -> Tensor:
        """Logarithm of the density of each event (B,), see `Generator.log_prob`.

        Parameters
        ----------
        cloud
            The events.
        rng
            Source of Hutchinson's noise.
        batch_size
            Events that are solved at a time.

        Returns
        -------
        Shape (B,). Events whose trajectory cannot be solved have NaN, and a `DensityWarning` names them by their place in
        the cloud; the others have what they have alone.
        """
        self.require_fitted()
        cloud = self.training_cloud(cloud)
        layout = cloud.layout
        assert isinstance(layout, Packed)
        outside = (~self.coordinates.inside(cloud.momenta)).to(cloud.momenta)
        good = layout.pool(outside.unsqueeze(-1), "sum").squeeze(-1) == 0
        result = torch.full((cloud.num_events,), -math.inf, dtype=torch.float64, device=cloud.device)
        if not bool(good.any()):
            return result
        cloud = cloud.select(good)
        layout, end = cloud.layout, cloud.momenta
        assert isinstance(layout, Packed)
        points, integral, failure = self._transport(
            cloud, self.chart.points(end), self.divergence, rng, batch_size, backwards=True
        )
        start = self.chart.momenta(points)
        density = self.base.log_prob(start, layout) + integral
        density = density + self._volume(end, layout) - self._volume(start, layout)
        if failure is not None:
            density[failure.events] = math.nan
            numbers = good.nonzero().squeeze(1)[failure.events].tolist()
            named = SolverError(numbers, failure.times, self.solver.method, failure.reason)
            warnings.warn(f"log_prob is NaN where it is not known: {named}", DensityWarning, stacklevel=2)
        result[good] = density
        return result

    def _started(self, n: int, condition: ParticleCloud | None, rng: torch.Generator | None) -> ParticleCloud:
        """The events of the base that are to flow."""
        self.require_fitted()
        cloud = self.training_cloud(self.template.cloud(n, condition, self.device))
        assert isinstance(cloud.layout, Packed)
        return replace(cloud, momenta=self.base.sample(cloud.layout, rng))

    def _volume(self, momenta: Tensor, layout: Packed) -> Tensor:
        return layout.pool(self.chart.log_det(momenta).unsqueeze(-1), "sum").squeeze(-1)

    def _transport(
        self,
        cloud: ParticleCloud,
        points: Tensor,
        divergence: Divergence | None,
        rng: torch.Generator | None,
        batch_size: int,
        backwards: bool = False,
    ) -> tuple[Tensor, Tensor, SolverError | None]:
        layout = cloud.layout
        assert isinstance(layout, Packed)

        def of_events(events: Tensor) -> Velocities:
            part = cloud.select(events)
            return lambda times, x: self.velocity(part, times, x)

        was_training = self.training
        self.eval()
        try:
            return transport(
                of_events,
                points,
                self.chart.manifold,
                layout,
                self.solver,
                backwards=backwards,
                divergence=divergence,
                rng=rng,
                batch_size=batch_size,
            )
        finally:
            self.train(was_training)

    # ---- symmetry --------------------------------------------------------------------------

    @property
    def symmetry_paths(self) -> dict[str, Symmetry]:
        """Network ∩ coordinates ∩ overwritten velocities ∩ base ∩ its fitted statistics ∩ cuts."""
        return {
            "network": self._network.symmetry,
            "coordinates": self.chart.symmetry,
            "scalar velocities": self.chart.scalar_symmetry,
            "base": self.base.symmetry,
            "standardisation": self.base.statistics_symmetry,
            "cuts": self.cuts.symmetry,
        }


def _boundaries(coordinates: str, pt_min: float, mass_min: float, eta_max: float) -> dict[str, float]:
    """Those of the cuts that the coordinates can hold."""
    found: dict[str, float] = {}
    if "log-pt" in coordinates:
        found["pt_min"] = pt_min
    if "log-mass" in coordinates:
        found["mass_min"] = mass_min
    if "eta" in coordinates:
        found["eta_max"] = eta_max
    return found


def _components(
    names: Sequence[str], logarithmic: Sequence[int], chosen: Literal["auto"] | Sequence[str]
) -> tuple[int, ...]:
    if chosen == "auto":
        return tuple(logarithmic)
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise ValueError(f"scalar_components {unknown} are none of the coordinates {list(names)}")
    return tuple(names.index(name) for name in chosen)

"""From which distribution of events does a flow start?

Particles are drawn independently, and events are drawn again until they pass the cuts, so that the flow starts in the
phase space in which it ends. Densities are relative to Π d⁴p, or Π d³p/2E on shell, and normalised: the accepted part
is counted once, when the statistics are fitted.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, Final

import torch
from torch import Tensor, nn

from lorentzoo import Packed, Symmetry
from lorentzoo.densities import Coordinates, Cuts, Standardise, null_symmetry, reference_momenta
from lorentzoo.nn import DISCRETE, NotFittedError, lorentz_generators, mass_squared

__all__ = ["CoordinateBase", "EventBase", "PhaseSpaceBase"]

MAX_PARTICLES: Final = 32
_PROBES: Final = 2**19
"""Particles with which the acceptance of single particles is counted, and of pairs, of all events together."""
_ROUNDS: Final = 10_000


class EventBase(nn.Module, ABC):
    """Independent particles within the cuts.

    Parameters
    ----------
    coordinates
        Of the flow; they say whether particles are on shell.
    cuts
        That every drawn particle passes, and every drawn event but for the leak.
    leak
        Part of the events that may violate the cut on pairs: with any, no event of particles within the cuts is without a
        density.
    """

    log_particle: Tensor
    log_event: Tensor

    def __init__(self, coordinates: Coordinates, cuts: Cuts, leak: float = 0.0) -> None:
        super().__init__()
        if not 0 <= leak < 1:
            raise ValueError(f"the leak is a part from 0 to below 1, not {leak}")
        self.leak = leak
        # In a tuple: the coordinates are a part of the generator, not of its base.
        self._shared = (coordinates,)
        self.cuts = cuts
        self.register_buffer("log_particle", torch.tensor(0.0, dtype=torch.float64))
        self.register_buffer("log_event", torch.full((MAX_PARTICLES + 1,), math.nan, dtype=torch.float64))

    @property
    def coordinates(self) -> Coordinates:
        """The coordinates of the flow."""
        return self._shared[0]

    @abstractmethod
    def draw(self, count: int, rng: torch.Generator | None) -> Tensor:
        """Momenta of single particles without any cut, (count, 4), on the host."""

    @abstractmethod
    def particle_log_prob(self, momenta: Tensor) -> Tensor:
        """Logarithm of the density of single particles without any cut, (..., 4) to (...)."""

    @abstractmethod
    def fit_widths(self, momenta: Tensor, weight: Tensor) -> None:
        """Take location and widths from training particles (P, 4) with weights (P,)."""

    def fit(self, momenta: Tensor, weight: Tensor, lengths: set[int]) -> None:
        """Take widths from training particles, and count the accepted part for events of these lengths.

        Raises
        ------
        ValueError
            If events are too long for a cut on pairs, or the cuts accept almost nothing of the base.
        """
        longest = max(lengths, default=0)
        if self.cuts.delta_r_min > 0 and longest > MAX_PARTICLES:
            raise ValueError(
                f"with a cut on pairs events have at most {MAX_PARTICLES} particles, but there are some of {longest}; "
                "leave delta_r_min at zero"
            )
        self.fit_widths(momenta, weight)
        rng = torch.Generator().manual_seed(20241100)
        drawn = self.draw(_PROBES, rng)
        good = self._passes(drawn)
        share = float(good.double().mean())
        if share < 1e-3:
            raise ValueError(
                f"the cuts {self.cuts} accept only {100 * share:.2g} % of the particles of the base distribution; "
                "check their units (GeV), or take base='coordinates'"
            )
        self.log_particle.fill_(math.log(share))
        if self.cuts.delta_r_min == 0:
            # Particles are independent, whatever their number.
            self.log_event.fill_(0.0)
            return
        self.log_event.fill_(math.nan)
        kept = drawn[good]
        for length in sorted(lengths):
            self.log_event[length] = self._log_accepted(kept, length)

    def _log_accepted(self, particles: Tensor, length: int) -> float:
        """Logarithm of the part of events of good particles that pass the cuts on pairs."""
        if length < 2:
            return 0.0
        events = len(particles) // length
        layout = Packed.from_lengths([length] * events)
        share = float(self.cuts.events(particles[: events * length], layout).double().mean())
        if share * events < 100:
            raise ValueError(
                f"the cuts {self.cuts} accept only {100 * share:.2g} % of the base's events of {length} particles"
            )
        return math.log(share)

    def _passes(self, momenta: Tensor) -> Tensor:
        """Whether single particles pass the cuts and lie within the coordinates."""
        return self.cuts.particles(momenta) & self.coordinates.inside(momenta)

    def sample(self, layout: Packed, rng: torch.Generator | None = None) -> Tensor:
        """Momenta of events, (P, 4), float64.

        Raises
        ------
        RuntimeError
            If some event was not accepted after very many rounds; names it.
        """
        momenta = torch.zeros(layout.num_rows, 4, dtype=torch.float64)
        host = layout.to("cpu")
        assert isinstance(host, Packed)
        todo = torch.ones(layout.num_rows, dtype=torch.bool)
        free = torch.zeros(layout.num_events, dtype=torch.bool)
        if self.leak:
            free = torch.rand(layout.num_events, generator=rng, dtype=torch.float64) < self.leak
        for _ in range(_ROUNDS):
            rows = todo.nonzero().squeeze(1)
            if len(rows) == 0:
                break
            momenta[rows] = self._particles(len(rows), rng)
            # Whole events are drawn again: particles of an event that fails are not independent of its others.
            failed = ~(self.cuts.events(momenta, host) | free)
            todo = host.spread(failed)
        if bool(todo.any()):
            raise RuntimeError(
                f"the base found no event within {self.cuts} in {_ROUNDS} rounds for event {int(host.event[todo][0])}"
            )
        return momenta.to(layout.device)

    def _particles(self, count: int, rng: torch.Generator | None) -> Tensor:
        found = torch.zeros(0, 4, dtype=torch.float64)
        for _ in range(_ROUNDS):
            if len(found) >= count:
                return found[:count]
            drawn = self.draw(count - len(found) + 16, rng)
            found = torch.cat([found, drawn[self._passes(drawn)]])
        raise RuntimeError(f"the base found no particles within {self.cuts}")

    def log_prob(self, momenta: Tensor, layout: Packed) -> Tensor:
        """Logarithm of the density of events (B,); -inf where one does not pass.

        Raises
        ------
        NotFittedError
            If the accepted part was not counted for events of some length.
        """
        counts = layout.counts()
        normalisation = self.log_event[counts.clamp(max=MAX_PARTICLES)]
        unknown = normalisation.isnan() | ((counts > MAX_PARTICLES) & (self.cuts.delta_r_min > 0))
        if bool(unknown.any()):
            raise NotFittedError(
                f"the base was not fitted for events of {sorted(set(counts[unknown].tolist()))} particles: call "
                "fit_statistics with training events of these multiplicities"
            )
        inside = self._passes(momenta)
        safe = torch.where(inside.unsqueeze(-1), momenta, momenta.new_tensor([1.0, 0.0, 0.0, 0.0]))
        single = torch.where(inside, self.particle_log_prob(safe) - self.log_particle, -math.inf)
        total = layout.pool(single.unsqueeze(-1), "sum").squeeze(-1)
        within = torch.where(self.cuts.events(momenta, layout), total - normalisation, -math.inf)
        if not self.leak:
            return within
        return torch.logaddexp(math.log1p(-self.leak) + within, math.log(self.leak) + total)

    def _measured_symmetry(self) -> Symmetry:
        """What leaves the density of single particles without cuts alone, by linear algebra on its derivatives."""
        p = reference_momenta(self.coordinates).requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(self.particle_log_prob(p).sum(), p)
        rows = torch.stack(
            [(gradient * (p.detach() @ x.T)).sum(-1) for x in lorentz_generators(device="cpu")], -1
        )
        before, kept = self.particle_log_prob(p.detach()), set()
        for name in ("P", "z-flip"):
            mirrored = p.detach() @ torch.from_numpy(DISCRETE[name].copy()).T
            if float((self.particle_log_prob(mirrored) - before).abs().max()) < 1e-9:
                kept.add(name)
        return null_symmetry(rows.numpy(), kept)

    @property
    @abstractmethod
    def symmetry(self) -> Symmetry:
        """What leaves the density alone, apart from the cuts and from fitted statistics."""

    @property
    def statistics_symmetry(self) -> Symmetry:
        """What fitted statistics of any value leave of it."""
        return self.symmetry


class PhaseSpaceBase(EventBase):
    """Normal in px, py and pz with one width, log-normal in m² above its boundary; cut as the data.

    Parameters
    ----------
    coordinates, cuts, leak
        See `EventBase`.
    mass_min
        Boundary of the masses in GeV.
    """

    widths: Tensor

    def __init__(
        self, coordinates: Coordinates, cuts: Cuts, mass_min: float = 0.0, leak: float = 0.0
    ) -> None:
        super().__init__(coordinates, cuts, leak)
        self.mass_min = mass_min
        self.register_buffer("widths", torch.tensor([50.0, 4.0, 1.0], dtype=torch.float64))

    @property
    def symmetry(self) -> Symmetry:
        """Rotations."""
        return Symmetry.spanned_by("Jx", "Jy", "Jz", discrete=("P", "z-flip"))

    def fit_widths(self, momenta: Tensor, weight: Tensor) -> None:
        """One width from the transverse momenta; mean and width of ln(m² - m²_min)."""
        share = weight / weight.sum()
        size = (share * momenta[:, 1:3].square().mean(-1)).sum().sqrt()
        values = [size, torch.zeros_like(size), torch.ones_like(size)]
        if not self.coordinates.on_shell:
            log = torch.log((mass_squared(momenta) - self.mass_min**2).clamp(min=1e-12))
            mean = (share * log).sum()
            values[1:] = [mean, (share * (log - mean).square()).sum().sqrt().clamp(min=1e-6)]
        self.widths.copy_(torch.stack(values))

    def draw(self, count: int, rng: torch.Generator | None) -> Tensor:
        noise = torch.randn(count, 4, generator=rng, dtype=torch.float64)
        size, mean, spread = self.widths.cpu().unbind()
        three = size * noise[:, :3]
        if self.coordinates.on_shell:
            return self._shell(three)
        mass2 = torch.exp(mean + spread * noise[:, 3]) + self.mass_min**2
        energy = (three.square().sum(-1) + mass2).sqrt()
        return torch.cat([energy.unsqueeze(-1), three], dim=-1)

    def _shell(self, three: Tensor) -> Tensor:
        shell: Tensor = self.coordinates.steps[0].inverse(three)  # type: ignore[operator]
        return shell

    def particle_log_prob(self, momenta: Tensor) -> Tensor:
        size, mean, spread = self.widths.to(momenta).unbind()
        three = momenta[..., 1:].square().sum(-1)
        total = -three / (2 * size.square()) - 3 * torch.log(size * math.sqrt(2 * math.pi))
        # d³p of d³p/2E, and dm² of d⁴p = d³p dm²/2E: both bring 2E.
        total = total + torch.log(2 * momenta[..., 0])
        if self.coordinates.on_shell:
            return total
        above = mass_squared(momenta) - self.mass_min**2
        log = torch.log(torch.where(above > 0, above, 1.0))
        normal = -((log - mean) / spread).square() / 2 - torch.log(spread * math.sqrt(2 * math.pi))
        return torch.where(above > 0, total + normal - log, -math.inf)


class CoordinateBase(EventBase):
    """Standard normal in the flow's standardised coordinates, uniform in angles."""

    def draw(self, count: int, rng: torch.Generator | None) -> Tensor:
        dim = self.coordinates.dim
        noise = torch.randn(count, dim, generator=rng, dtype=torch.float64)
        angle = torch.rand(count, dim, generator=rng, dtype=torch.float64) - 0.5
        columns = [
            noise[:, i] if period == math.inf else period * angle[:, i]
            for i, period in enumerate(self.coordinates.periods)
        ]
        device = next(iter(self.coordinates.buffers()), noise).device
        return self.coordinates.inverse(torch.stack(columns, dim=-1).to(device)).cpu()

    def particle_log_prob(self, momenta: Tensor) -> Tensor:
        return _normal_log_prob(self.coordinates, momenta)

    def fit_widths(self, momenta: Tensor, weight: Tensor) -> None:
        """The coordinates' own statistics are all that is needed."""

    def _with_statistics(self, generic: bool) -> Symmetry:
        """The symmetry with statistics zero and one, or with generic ones of the kind that fitting gives."""
        steps: list[Any] = []
        for step in self.coordinates.steps:
            if isinstance(step, Standardise):
                plain = Standardise(step.component_names, step.isotropic)
                plain.to_empty(device="cpu")
                d = len(step.component_names)
                mean, std = torch.zeros(d, device="cpu"), torch.ones(d, device="cpu")
                if generic:
                    mean = torch.linspace(0.31, 1.17, d, device="cpu")
                    std = torch.linspace(1.3, 2.9, d, device="cpu") ** 2
                    three = [name in ("px", "py", "pz") and step.isotropic for name in step.component_names]
                    angle = [name == "phi" for name in step.component_names]
                    fixed = torch.tensor(three, device="cpu")
                    mean, std = torch.where(fixed, 0.0, mean), torch.where(fixed, 7.0, std)
                    turning = torch.tensor(angle, device="cpu")
                    mean, std = torch.where(turning, 0.0, mean), torch.where(turning, 1.0, std)
                plain.set(mean, std)
                steps.append(plain)
            else:
                steps.append(step)
        probe = CoordinateBase(Coordinates(steps, self.coordinates.name), Cuts())
        return probe._measured_symmetry()

    @property
    def symmetry(self) -> Symmetry:
        """What leaves a standard normal in the coordinates alone."""
        return self._with_statistics(generic=False)

    @property
    def statistics_symmetry(self) -> Symmetry:
        return self._with_statistics(generic=True)


def _normal_log_prob(coordinates: Coordinates, momenta: Tensor) -> Tensor:
    x = coordinates(momenta)
    total: Tensor = coordinates.log_det(momenta)
    for i, period in enumerate(coordinates.periods):
        if period == math.inf:
            total = total - x[..., i].square() / 2 - 0.5 * math.log(2 * math.pi)
        else:
            total = total - math.log(period)
    return total

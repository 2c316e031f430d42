"""How does a flow find the masses of resonances?

A narrow peak in the mass of two particles is, in coordinates of single particles, a thin curved sheet: m² is about
pT pT' 2(cosh Δη - cos Δφ). For the transverse momentum of one particle, given everything else, it is one narrow peak
at a place that is linear in logarithms which can be computed. So is the balance of transverse momenta.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from lorentzoo.densities import Coordinates, Ends, Tails
from lorentzoo.nn import mean_and_deviation, phi, pseudorapidity, pt, rapidity
from lorentzoo.plugins.flows.conditioners import Backend
from lorentzoo.plugins.flows.flow import SplineLayer

__all__ = ["MomentumLayers"]

_LEAST: Final = 1e-6
"""Least squared mass of a pair with transverse momenta of 1 GeV, of which a logarithm is taken."""

_SOFT: Final = 10.0
"""GeV beyond which networks see logarithms of sums of transverse momenta."""


class _Angles(NamedTuple):
    """What the layers leave alone: ln m² of pairs with 1 GeV each, cosine and sine between azimuths (B, N, N)."""

    log_masses: Tensor
    cos: Tensor
    sin: Tensor


class MomentumLayers(nn.Module):
    """Splines of transverse momenta, one particle after the other, given everything else and the masses of pairs.

    The n-th layer changes the transverse momentum of particle n. Its network sees all other coordinates, and besides

    - ln m² of all pairs, as if massless, at these angles: with the transverse momenta of the particles behind n, and
      1 GeV for n itself and those before it, which have been changed already;
    - the sum of the transverse momenta of the particles behind n, along and across each particle: what the others
      have to balance.

    Parameters
    ----------
    coordinates
        Of particles; one component is ``pt`` or ``log_pt``. Not saved with this module.
    num_particles
        Particles N of every event.
    context
        Width C of what is given.
    tails, bins, bound, hidden, backend
        Of each layer, see `SplineFlow`.

    Raises
    ------
    ValueError
        If the coordinates have no transverse momentum, or there is only one particle.
    """

    first: Tensor
    second: Tensor
    shift: Tensor
    width: Tensor

    def __init__(
        self,
        coordinates: Coordinates,
        num_particles: int,
        context: int,
        tails: Tails,
        bins: int,
        bound: float,
        hidden: Sequence[int],
        backend: Backend,
    ) -> None:
        super().__init__()
        names = [name.removeprefix("log_") for name in coordinates.names]
        if "pt" not in names:
            raise ValueError(
                f"momentum_layers need coordinates with a transverse momentum, not {', '.join(coordinates.names)}; "
                "take coordinates='log-pt-phi-eta-log-mass', or momentum_layers=False"
            )
        if num_particles < 2:
            raise ValueError("momentum_layers need two particles or more; take momentum_layers=False")
        self._coordinates = (coordinates,)
        # Coordinates of their own, so that they do not change with the transverse momentum.
        self._longitudinal = rapidity if "rapidity" in names else pseudorapidity
        self.num_particles, self.dim = num_particles, coordinates.dim
        first, second = torch.triu_indices(num_particles, num_particles, 1)
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("second", second, persistent=False)
        seen = len(first) + 2 * num_particles
        shape = (num_particles, seen)
        self.register_buffer("shift", torch.zeros(shape))
        self.register_buffer("width", torch.ones(shape))
        ends: list[Ends] = ["circular" if period < math.inf else tails for period in coordinates.periods]
        self.layers = nn.ModuleList(
            SplineLayer(
                ends * num_particles,
                [n * self.dim + names.index("pt")],
                "coupling",
                0,
                context + seen,
                bins,
                bound,
                hidden,
                backend,
            )
            for n in range(num_particles)
        )

    def fit(self, x: Tensor, weight: Tensor) -> None:
        """Standardise what networks see, of training events x (B, N * D) with weights (B,)."""
        pt, angles = self._pt(x), self._angles(x)
        for n in range(self.num_particles):
            mean, deviation = mean_and_deviation(self._observe(pt, angles, n), weight)
            self.shift[n] = mean
            self.width[n] = deviation

    def forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Values (B, N * D) and log-determinants (B,)."""
        # Layer n sees transverse momenta of particles behind n only, which those before it leave alone.
        pt, angles = self._pt(x), self._angles(x)
        total = torch.zeros_like(x[..., 0])
        for n, layer in enumerate(self.layers):
            x, log_det = layer(x, self._condition_on(pt, angles, n, context))
            total = total + log_det
        return x, total

    def inverse(self, z: Tensor, context: Tensor) -> Tensor:
        """Places (B, N * D) of values."""
        angles = self._angles(z)
        for n, layer in reversed(list(enumerate(self.layers))):
            z = layer.inverse(z, self._condition_on(self._pt(z), angles, n, context))  # type: ignore[operator]
        return z

    def _momenta(self, x: Tensor) -> Tensor:
        return self._coordinates[0].inverse(x.unflatten(-1, (self.num_particles, self.dim)))

    def _pt(self, x: Tensor) -> Tensor:
        return pt(self._momenta(x))

    def _angles(self, x: Tensor) -> _Angles:
        momenta = self._momenta(x)
        eta, azimuth = self._longitudinal(momenta), phi(momenta)
        i, j = self.first, self.second
        apart = torch.cosh(eta[..., i] - eta[..., j]) - torch.cos(azimuth[..., i] - azimuth[..., j])
        between = azimuth.unsqueeze(-1) - azimuth.unsqueeze(-2)
        return _Angles((2 * apart).clamp(min=_LEAST).log(), between.cos(), between.sin())

    def _condition_on(self, pt: Tensor, angles: _Angles, n: int, context: Tensor) -> Tensor:
        seen = (self._observe(pt, angles, n) - self.shift[n].to(pt)) / self.width[n].to(pt)
        return torch.cat([context.to(pt), seen], dim=-1)

    def _observe(self, pt: Tensor, angles: _Angles, n: int) -> Tensor:
        """What the n-th layer sees of masses and sums, (B, N (N - 1) / 2 + 2 N)."""
        behind = torch.arange(self.num_particles, device=pt.device) > n
        log_pt = torch.where(behind, pt, 1.0).log()
        log_masses = angles.log_masses + log_pt[..., self.first] + log_pt[..., self.second]
        present = torch.where(behind, pt, 0.0).unsqueeze(-2)
        along, across = (present * angles.cos).sum(-1), (present * angles.sin).sum(-1)
        # Transverse momenta differ by factors, these sums also in sign.
        return torch.cat([log_masses, torch.asinh(along / _SOFT), torch.asinh(across / _SOFT)], dim=-1)

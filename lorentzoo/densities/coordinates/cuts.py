"""Which part of phase space is measured?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lorentzoo.core.layout import Layout
from lorentzoo.core.minkowski import delta_phi, mass, phi, pseudorapidity, pt
from lorentzoo.core.symmetry import Symmetry, intersection

__all__ = ["Cuts"]


@dataclass(frozen=True)
class Cuts:
    """Cuts on every particle, and on every pair of particles of an event.

    Parameters
    ----------
    pt_min
        Least transverse momentum in GeV.
    eta_max
        Largest |η|.
    delta_r_min
        Least distance ΔR (with pseudorapidities) of two particles.
    mass_min
        Least mass in GeV.
    """

    pt_min: float = 0.0
    eta_max: float = math.inf
    delta_r_min: float = 0.0
    mass_min: float = 0.0

    def __post_init__(self) -> None:
        given = {"pt_min": self.pt_min, "delta_r_min": self.delta_r_min, "mass_min": self.mass_min}
        wrong = {name: value for name, value in given.items() if not 0 <= value < math.inf}
        if wrong or not self.eta_max > 0:
            raise ValueError(f"cuts must be positive (or zero, for none), not {wrong or self.eta_max}")

    @property
    def any(self) -> bool:
        """Whether there is a cut at all."""
        return self != Cuts()

    def tightened(self, other: Cuts) -> Cuts:
        """What passes these cuts and others."""
        return Cuts(
            pt_min=max(self.pt_min, other.pt_min),
            eta_max=min(self.eta_max, other.eta_max),
            delta_r_min=max(self.delta_r_min, other.delta_r_min),
            mass_min=max(self.mass_min, other.mass_min),
        )

    @property
    def symmetry(self) -> Symmetry:
        """What maps the allowed region onto itself."""
        beam = Symmetry.spanned_by("Kz", "Jz", discrete=("P", "z-flip"))
        about = Symmetry.spanned_by("Jz", discrete=("P", "z-flip"))
        found = []
        if self.pt_min > 0:
            found.append(beam)
        if self.eta_max < math.inf or self.delta_r_min > 0:
            # Beam boosts shift rapidities; pseudorapidities of massive particles change by different amounts.
            found.append(about)
        return intersection(found)

    def particles(self, momenta: Tensor) -> Tensor:
        """Which particles pass on their own, (..., 4) to (...), bool."""
        good = torch.ones(momenta.shape[:-1], dtype=torch.bool, device=momenta.device)
        if self.pt_min > 0:
            good = good & (pt(momenta) > self.pt_min)
        if self.eta_max < math.inf:
            good = good & (pseudorapidity(momenta).abs() < self.eta_max)
        if self.mass_min > 0:
            good = good & (mass(momenta) > self.mass_min)
        return good

    def events(self, momenta: Tensor, layout: Layout) -> Tensor:
        """Which events pass, (*lead, 4) to (B,), bool."""
        failed = (~self.particles(momenta)).to(momenta.dtype)
        if self.delta_r_min > 0:
            angles = torch.stack([pseudorapidity(momenta), phi(momenta)], dim=-1)
            failed = failed + layout.pairs(self._too_close, angles, reduce="sum").squeeze(-1)
        return layout.pool(failed.unsqueeze(-1), "sum").squeeze(-1) == 0

    def _too_close(self, a: Tensor, b: Tensor) -> Tensor:
        distance2 = (a[..., 0] - b[..., 0]).square() + delta_phi(a[..., 1], b[..., 1]).square()
        return (distance2 <= self.delta_r_min**2).to(a.dtype).unsqueeze(-1)

"""Which Lorentz-invariant numbers does a particle have within its event?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from lorentzoo import Embedding, Features, Frames, ParticleCloud, Symmetry
from lorentzoo.nn import asinh, inner, mass_squared

__all__ = ["Invariants"]

_FLOOR: Final = 1e-12
"""Smallest argument of a logarithm, relative to the event's mass squared."""
_MASS_FLOOR: Final = 1e-8
"""The same for masses: m² of a massless particle is the rounding of E², 1e-10 of M² at a boost of γ = 1000."""


class Invariants(Embedding):
    """Invariants of each particle: with the event's total P, with itself, and with every spurion.

    Channels: ``log_fraction`` = log ⟨p,P⟩/M² (the energy fraction in the event's rest frame), ``log_mass`` =
    log m²/M² with a floor, ``log_event_mass`` = log M², and ``with_<spurion>`` = asinh ⟨p,s⟩.

    Parameters
    ----------
    spurion_names
        Names of the spurions that stand in front of every event.
    """

    def __init__(self, *, spurion_names: Sequence[str] = ()) -> None:
        super().__init__()
        self.spurion_names = tuple(spurion_names)

    @property
    def scalar_names(self) -> tuple[str, ...]:
        return (
            "log_fraction",
            "log_mass",
            "log_event_mass",
            *(f"with_{name}" for name in self.spurion_names),
        )

    @property
    def vector_names(self) -> tuple[str, ...]:
        return ()

    @property
    def scalar_symmetry(self) -> Symmetry:
        """Everything: spurions are accounted for where they enter."""
        return Symmetry.full()

    @property
    def reads_spurions(self) -> bool:
        return bool(self.spurion_names)

    def forward(self, cloud: ParticleCloud, frames: Frames) -> Features:
        """Scalar channels, shape (*lead, 3 + spurions); the same in every frame."""
        layout, p = cloud.layout, cloud.momenta
        total = cloud.total()
        tiny = torch.finfo(p.dtype).tiny ** 0.25
        # The event's energy sets the floor where its total is light-like.
        event_mass = mass_squared(total).clamp(min=_FLOOR * total[..., 0].detach().square()).clamp(min=tiny)
        spread = layout.spread(torch.cat([total, event_mass.unsqueeze(-1)], dim=-1))
        total, event_mass = spread[..., :4], spread[..., 4]
        columns = [
            torch.log((inner(p, total) / event_mass).clamp(min=_FLOOR)),
            torch.log((mass_squared(p) / event_mass).clamp(min=_MASS_FLOOR)),
            torch.log(event_mass),
        ]
        columns += self._with_spurions(cloud, p)
        return Features.of_scalars(torch.stack(columns, dim=-1), self.scalar_names)

    def _with_spurions(self, cloud: ParticleCloud, p: Tensor) -> list[Tensor]:
        if not self.spurion_names:
            return []
        assert cloud.particles_layout is not None
        tokens, _ = cloud.particles_layout.append(cloud.tokens).split(p)
        spurions = cloud.layout.spread(tokens)
        return [asinh(inner(p, spurions[..., s, :])) for s in range(len(self.spurion_names))]

"""Along which path does a point of the base reach a point of the data?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lorentzoo import Packed
from lorentzoo.plugins.flow_matching.manifolds import Manifold

__all__ = ["Path", "Schedule"]

Schedule = Literal["linear", "cosine"]


@dataclass(frozen=True)
class Path:
    """The geodesic between the two, in a schedule, with a little noise around it if wanted.

    Parameters
    ----------
    schedule
        Part κ(t) of the geodesic that is done at time t: ``"linear"`` is t, ``"cosine"`` is sin²(π t / 2).
    noise
        Width of a normal distribution about the geodesic, in the tangent space.
    """

    schedule: Schedule = "linear"
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.noise < math.inf:
            raise ValueError(f"noise must not be negative, but is {self.noise}")

    def at(
        self,
        manifold: Manifold,
        start: Tensor,
        end: Tensor,
        time: Tensor,
        noise: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Point and velocity of the path from `start` to `end`, each (P, A), at times (P, 1), `noise` from `draw`."""
        if self.schedule == "linear":
            part, rate = time, torch.ones_like(time)
        else:
            part = torch.sin(time * (math.pi / 2)).square()
            rate = torch.sin(time * math.pi) * (math.pi / 2)
        x, velocity = manifold.geodesic(start, manifold.log(start, end), part)
        velocity = rate * velocity
        if noise is not None:
            kick = (noise.to(x).unsqueeze(-2) @ manifold.basis(x)).squeeze(-2)
            x = manifold.exp(x, self.noise * kick)
            velocity = manifold.tangent(x, velocity)
        return x, velocity

    def draw(self, manifold: Manifold, layout: Packed, rng: torch.Generator | None = None) -> Tensor:
        """Normal numbers for the noise of each point, (P, dim)."""
        return torch.randn(layout.num_rows, manifold.dim, generator=rng, dtype=torch.float64)

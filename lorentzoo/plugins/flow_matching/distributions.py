"""From which distributions on manifolds do flows start?

Densities are relative to the manifold's own volume.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from lorentzoo.plugins.flow_matching.manifolds import Flat, Hyperboloid, Manifold, Product, Sphere

__all__ = ["Base", "ProductBase", "StandardFlat", "UniformSphere", "WrappedNormal"]

_WINDINGS = 3


class Base(ABC):
    """A distribution of points of a manifold."""

    manifold: Manifold

    @abstractmethod
    def sample(self, count: int, rng: torch.Generator | None = None) -> Tensor:
        """Points (count, A), float64."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """Logarithm of the density, (..., A) to (...)."""


class StandardFlat(Base):
    """Standard normal on lines, uniform on circles.

    Parameters
    ----------
    manifold
        A product of lines and circles.
    """

    def __init__(self, manifold: Flat) -> None:
        self.manifold: Flat = manifold

    def sample(self, count: int, rng: torch.Generator | None = None) -> Tensor:
        normal = torch.randn(count, self.manifold.ambient, generator=rng, dtype=torch.float64)
        uniform = torch.rand(count, self.manifold.ambient, generator=rng, dtype=torch.float64)
        columns = [
            normal[:, i] if period == math.inf else period * (uniform[:, i] - 0.5)
            for i, period in enumerate(self.manifold.periods)
        ]
        return torch.stack(columns, dim=-1)

    def log_prob(self, x: Tensor) -> Tensor:
        total = torch.zeros_like(x[..., 0])
        for i, period in enumerate(self.manifold.periods):
            if period == math.inf:
                total = total - x[..., i].square() / 2 - 0.5 * math.log(2 * math.pi)
            else:
                total = total - math.log(period)
        return total


class UniformSphere(Base):
    """The uniform distribution on a unit sphere.

    Parameters
    ----------
    manifold
        The sphere.
    """

    def __init__(self, manifold: Sphere) -> None:
        self.manifold: Sphere = manifold
        half = (manifold.dim + 1) / 2
        self._log_area = math.log(2) + half * math.log(math.pi) - math.lgamma(half)

    def sample(self, count: int, rng: torch.Generator | None = None) -> Tensor:
        shape = (count, self.manifold.ambient)
        return self.manifold.project(torch.randn(*shape, generator=rng, dtype=torch.float64))

    def log_prob(self, x: Tensor) -> Tensor:
        return torch.full_like(x[..., 0], -self._log_area)


class WrappedNormal(Base):
    """Points reached along geodesics from a centre by normally distributed velocities.

    Parameters
    ----------
    manifold
        Lines and circles, a sphere, or a mass shell.
    centre
        A point (A,).
    width
        Standard deviation, the same in all directions.
    """

    def __init__(self, manifold: Flat | Sphere | Hyperboloid, centre: Tensor, width: float) -> None:
        if not width > 0:
            raise ValueError(f"the width must be positive, not {width}")
        self.manifold: Flat | Sphere | Hyperboloid = manifold
        self.centre = manifold.project(centre.to(torch.float64))
        self.width = width

    def sample(self, count: int, rng: torch.Generator | None = None) -> Tensor:
        noise = self.width * torch.randn(count, self.manifold.dim, generator=rng, dtype=torch.float64)
        return self.manifold.exp(self.centre.expand(count, -1), noise @ self.manifold.basis(self.centre))

    def log_prob(self, x: Tensor) -> Tensor:
        velocity = self.manifold.log(self.centre.expand_as(x), x)
        if isinstance(self.manifold, Flat):
            return self._on_flat(velocity, self.manifold)
        radius = self.manifold.squared_norm(x, velocity).clamp(min=0).sqrt()
        if isinstance(self.manifold, Sphere):
            return self._on_sphere(radius, self.manifold.dim)
        rapidity = radius / self.manifold.mass
        # The exponential map stretches the two directions across by sinh(θ)/θ.
        small = rapidity < 1e-4
        safe = torch.where(small, 1.0, rapidity)
        stretch = torch.where(small, rapidity.square() / 6, torch.log(safe.sinh() / safe))
        return self._normal(radius, 3) - 2 * stretch

    def _normal(self, radius: Tensor, dim: int) -> Tensor:
        return -radius.square() / (2 * self.width**2) - dim * math.log(self.width * math.sqrt(2 * math.pi))

    def _on_flat(self, velocity: Tensor, manifold: Flat) -> Tensor:
        total = torch.zeros_like(velocity[..., 0])
        for i, period in enumerate(manifold.periods):
            if period == math.inf:
                total = total + self._normal(velocity[..., i], 1)
            else:
                turns = torch.arange(-_WINDINGS, _WINDINGS + 1, device=velocity.device) * period
                total = total + self._normal(velocity[..., i, None] + turns, 1).logsumexp(-1)
        return total

    def _on_sphere(self, radius: Tensor, dim: int) -> Tensor:
        turns = torch.arange(-_WINDINGS, _WINDINGS + 1, device=radius.device) * (2 * math.pi)
        around = radius.unsqueeze(-1) + turns
        small = around.abs() < 1e-4
        safe = torch.where(small, 1.0, around)
        stretch = torch.where(small, -around.square() / 6, torch.log((safe.sin() / safe).abs()))
        return (self._normal(around, dim) - (dim - 1) * stretch).logsumexp(-1)


class ProductBase(Base):
    """Independent distributions on the factors of a product.

    Parameters
    ----------
    parts
        One for each factor.
    """

    def __init__(self, parts: list[Base]) -> None:
        self.parts = parts
        self.manifold = Product([part.manifold for part in parts])

    def sample(self, count: int, rng: torch.Generator | None = None) -> Tensor:
        return torch.cat([part.sample(count, rng) for part in self.parts], dim=-1)

    def log_prob(self, x: Tensor) -> Tensor:
        pieces = x.split([part.manifold.ambient for part in self.parts], dim=-1)
        return torch.stack([b.log_prob(a) for b, a in zip(self.parts, pieces, strict=True)]).sum(0)

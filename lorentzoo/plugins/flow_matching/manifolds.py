"""On which manifolds can densities flow?

Points and tangent vectors are rows of numbers in an ambient space, (..., A), in float64. Distances of zero have finite
gradients: everything is a smooth function of squared distances, by its series where the closed form cancels.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from lorentzoo.nn import inner, lower_index

__all__ = ["Flat", "Hyperboloid", "Manifold", "Product", "Sphere"]

_SERIES_BELOW: Final = 1e-3
"""Squared distance (in radii) below which series are taken: their error is then below 1e-15."""


class Manifold(ABC):
    """A Riemannian manifold in an ambient space.

    Attributes
    ----------
    ambient
        Numbers of a point, A.
    dim
        Dimension of the manifold, d.
    """

    ambient: int
    dim: int

    @abstractmethod
    def geodesic(self, x: Tensor, velocity: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Point and velocity, each (..., A), after a time (..., 1) on the geodesic that leaves x with a velocity."""

    @abstractmethod
    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """The velocity at x of the shortest geodesic that reaches y at time one, (..., A)."""

    @abstractmethod
    def project(self, x: Tensor) -> Tensor:
        """The point of the manifold next to x (or the same point in its standard numbers)."""

    @abstractmethod
    def tangent(self, x: Tensor, vector: Tensor) -> Tensor:
        """The part of a vector that is tangent at x."""

    @abstractmethod
    def basis(self, x: Tensor) -> Tensor:
        """Orthonormal tangent vectors at x, (..., d, A)."""

    def covector(self, x: Tensor, vector: Tensor) -> Tensor:
        """The numbers w with Σ w_a u_a = g(vector, u) for every tangent u."""
        return vector

    def exp(self, x: Tensor, velocity: Tensor) -> Tensor:
        """The point that is reached from x after unit time."""
        return self.geodesic(x, velocity, torch.ones_like(x[..., :1]))[0]

    def squared_norm(self, x: Tensor, vector: Tensor) -> Tensor:
        """g(vector, vector), (..., A) to (...)."""
        return (self.covector(x, vector) * vector).sum(-1)

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        """Length of the shortest geodesic, (...)."""
        return self.squared_norm(x, self.log(x, y)).clamp(min=0).sqrt()


class Flat(Manifold):
    """A product of lines and circles, on which angles go the shorter way.

    Parameters
    ----------
    periods
        One for each component: the circumference of a circle, infinite for a line.
    """

    def __init__(self, periods: Sequence[float]) -> None:
        if not periods or any(not period > 0 for period in periods):
            raise ValueError(f"periods are positive, infinite for lines, not {list(periods)}")
        self.periods = tuple(float(period) for period in periods)
        self.ambient = self.dim = len(self.periods)

    def geodesic(self, x: Tensor, velocity: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        return self.project(x + time * velocity), velocity

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        return self._wrapped(y - x)

    def project(self, x: Tensor) -> Tensor:
        """Angles in [-period/2, period/2)."""
        return self._wrapped(x)

    def tangent(self, x: Tensor, vector: Tensor) -> Tensor:
        return vector

    def basis(self, x: Tensor) -> Tensor:
        identity = torch.eye(self.ambient, dtype=x.dtype, device=x.device)
        return identity.expand(*x.shape[:-1], -1, -1)

    def _wrapped(self, x: Tensor) -> Tensor:
        if math.inf == min(self.periods):
            return x
        columns = [
            x[..., i] if period == math.inf else torch.remainder(x[..., i] + period / 2, period) - period / 2
            for i, period in enumerate(self.periods)
        ]
        return torch.stack(columns, dim=-1)


class Sphere(Manifold):
    """The unit sphere of a dimension, in one more numbers. Between antipodes no geodesic is the shortest one.

    Parameters
    ----------
    dim
        Two for the ordinary sphere.
    """

    def __init__(self, dim: int = 2) -> None:
        if dim < 1:
            raise ValueError(f"a sphere has at least one dimension, not {dim}")
        self.dim, self.ambient = dim, dim + 1

    def geodesic(self, x: Tensor, velocity: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        square = velocity.square().sum(-1, keepdim=True)
        angle2 = time.square() * square
        cosine, sinc = _cosine(angle2, -1), _sinc(angle2, -1)
        return cosine * x + time * sinc * velocity, cosine * velocity - time * square * sinc * x

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        # sin² of half the angle.
        q = ((y - x).square().sum(-1, keepdim=True) / 4).clamp(max=1 - 1e-12)
        return _angle_over_sine(q, 1) * self.tangent(x, y)

    def project(self, x: Tensor) -> Tensor:
        return x / x.norm(dim=-1, keepdim=True)

    def tangent(self, x: Tensor, vector: Tensor) -> Tensor:
        return vector - (x * vector).sum(-1, keepdim=True) * x

    def basis(self, x: Tensor) -> Tensor:
        """The reflection that takes the last axis to ±x takes the other axes to a tangent basis."""
        sign = torch.where(x[..., -1:] < 0, -1.0, 1.0)
        axis = torch.cat([x[..., :-1], x[..., -1:] + sign], dim=-1)
        identity = torch.eye(self.ambient, dtype=x.dtype, device=x.device)
        outer = axis.unsqueeze(-1) * axis.unsqueeze(-2)
        reflection = identity - 2 * outer / axis.square().sum(-1)[..., None, None]
        return reflection[..., :-1, :]


class Hyperboloid(Manifold):
    """The mass shell p² = m², E > 0, with the metric -⟨·,·⟩ of its tangent space, which Lorentz transformations keep.

    Parameters
    ----------
    mass
        In GeV; the radius.
    """

    dim, ambient = 3, 4

    def __init__(self, mass: float = 1.0) -> None:
        if not mass > 0:
            raise ValueError(f"the mass shell is a hyperboloid for positive masses, not for {mass} GeV")
        self.mass = mass

    def geodesic(self, x: Tensor, velocity: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        rate2 = -inner(velocity, velocity).unsqueeze(-1).clamp(max=0) / self.mass**2
        rate2 = rate2.abs()
        rapidity2 = time.square() * rate2
        cosh, sinhc = _cosine(rapidity2, 1), _sinc(rapidity2, 1)
        return cosh * x + time * sinhc * velocity, cosh * velocity + time * rate2 * sinhc * x

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        # sinh² of half the rapidity.
        difference = y - x
        q = (-inner(difference, difference) / (4 * self.mass**2)).clamp(min=0).unsqueeze(-1)
        return _angle_over_sine(q, -1) * self.tangent(x, y)

    def project(self, x: Tensor) -> Tensor:
        """The same three-momentum on the shell."""
        energy = (x[..., 1:].square().sum(-1, keepdim=True) + self.mass**2).sqrt()
        return torch.cat([energy, x[..., 1:]], dim=-1)

    def tangent(self, x: Tensor, vector: Tensor) -> Tensor:
        return vector - inner(x, vector).unsqueeze(-1) / self.mass**2 * x

    def basis(self, x: Tensor) -> Tensor:
        """The boost from rest takes the space axes to a tangent basis."""
        u = x / self.mass
        time, space = u[..., :1], u[..., 1:]
        identity = torch.eye(3, dtype=x.dtype, device=x.device)
        block = identity + space.unsqueeze(-1) * space.unsqueeze(-2) / (1 + time).unsqueeze(-1)
        return torch.cat([space.unsqueeze(-1), block], dim=-1)

    def covector(self, x: Tensor, vector: Tensor) -> Tensor:
        return -lower_index(vector)


class Product(Manifold):
    """Several manifolds side by side.

    Parameters
    ----------
    parts
        The factors, in the order of their numbers.
    """

    def __init__(self, parts: Sequence[Manifold]) -> None:
        if not parts:
            raise ValueError("a product needs at least one manifold")
        self.parts = tuple(parts)
        self.ambient = sum(part.ambient for part in parts)
        self.dim = sum(part.dim for part in parts)

    def _split(self, x: Tensor) -> tuple[Tensor, ...]:
        return x.split([part.ambient for part in self.parts], dim=-1)

    def geodesic(self, x: Tensor, velocity: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        pairs = zip(self.parts, self._split(x), self._split(velocity), strict=True)
        points, velocities = zip(*[part.geodesic(a, v, time) for part, a, v in pairs], strict=True)
        return torch.cat(points, dim=-1), torch.cat(velocities, dim=-1)

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        pairs = zip(self.parts, self._split(x), self._split(y), strict=True)
        return torch.cat([part.log(a, b) for part, a, b in pairs], dim=-1)

    def project(self, x: Tensor) -> Tensor:
        return torch.cat([part.project(a) for part, a in zip(self.parts, self._split(x), strict=True)], -1)

    def tangent(self, x: Tensor, vector: Tensor) -> Tensor:
        pairs = zip(self.parts, self._split(x), self._split(vector), strict=True)
        return torch.cat([part.tangent(a, v) for part, a, v in pairs], dim=-1)

    def covector(self, x: Tensor, vector: Tensor) -> Tensor:
        pairs = zip(self.parts, self._split(x), self._split(vector), strict=True)
        return torch.cat([part.covector(a, v) for part, a, v in pairs], dim=-1)

    def basis(self, x: Tensor) -> Tensor:
        rows, before = [], 0
        for part, a in zip(self.parts, self._split(x), strict=True):
            after = self.ambient - before - part.ambient
            rows.append(torch.nn.functional.pad(part.basis(a), (before, after)))
            before += part.ambient
        return torch.cat(rows, dim=-2)


def _cosine(square: Tensor, sign: int) -> Tensor:
    """cos √s for sign -1, cosh √s for sign +1."""
    small = square < _SERIES_BELOW
    root = torch.where(small, 1.0, square).sqrt()
    closed = root.cos() if sign < 0 else root.cosh()
    s = sign * torch.where(small, square, 0.0)
    series = 1 + s / 2 * (1 + s / 12 * (1 + s / 30 * (1 + s / 56)))
    return torch.where(small, series, closed)


def _sinc(square: Tensor, sign: int) -> Tensor:
    """sin √s / √s for sign -1, sinh √s / √s for sign +1."""
    small = square < _SERIES_BELOW
    root = torch.where(small, 1.0, square).sqrt()
    closed = (root.sin() if sign < 0 else root.sinh()) / root
    s = sign * torch.where(small, square, 0.0)
    series = 1 + s / 6 * (1 + s / 20 * (1 + s / 42 * (1 + s / 72)))
    return torch.where(small, series, closed)


def _angle_over_sine(q: Tensor, sign: int) -> Tensor:
    """θ/sin θ of q = sin²(θ/2) for sign +1, θ/sinh θ of q = sinh²(θ/2) for sign -1."""
    small = q < _SERIES_BELOW
    safe = torch.where(small, 0.5, q)
    root = safe.sqrt()
    closed = (root.asin() if sign > 0 else root.asinh()) / (root * (1 - sign * safe).sqrt())
    s = sign * torch.where(small, q, 0.0)
    series = 1 + s * (2 / 3 + s * (8 / 15 + s * (16 / 35 + s * (128 / 315 + s * 256 / 693))))
    return torch.where(small, series, closed)

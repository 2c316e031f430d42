"""In which numbers do events flow, and what becomes of a network's output there?"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from lorentzoo import Symmetry
from lorentzoo.densities import Bounded, Coordinates, OnShell
from lorentzoo.nn import intersection
from lorentzoo.plugins.flow_matching.manifolds import Flat, Hyperboloid, Manifold

__all__ = ["Chart", "CoordinateChart", "ShellChart"]


class Chart(ABC):
    """Between momenta and points of the manifold on which particles flow."""

    manifold: Manifold
    scalars: tuple[int, ...] = ()

    @abstractmethod
    def points(self, momenta: Tensor) -> Tensor:
        """Points (..., A) of momenta (..., 4)."""

    @abstractmethod
    def momenta(self, points: Tensor) -> Tensor:
        """Momenta (..., 4) of points (..., A)."""

    @abstractmethod
    def velocity(self, momenta: Tensor, vector: Tensor, scalars: Tensor) -> Tensor:
        """Velocities (..., A) of a network's vectors (..., 4) in GeV and scalars (..., k)."""

    @abstractmethod
    def log_det(self, momenta: Tensor) -> Tensor:
        """log of the manifold's volume per invariant measure, (...)."""

    @property
    @abstractmethod
    def symmetry(self) -> Symmetry:
        """What commutes with taking vectors to velocities."""

    @property
    def scalar_symmetry(self) -> Symmetry:
        """What leaves velocities of single components, of which scalars give the size, alone."""
        return Symmetry.full()


class CoordinateChart(Chart):
    """Coordinates, of which angles live on circles.

    A vector moves a bounded component as if there were no bound. Pushed forward exactly it would grow without limit on
    the way to the bound, which it reaches within a finite time, where no solver can follow. The bound alone breaks all
    that this breaks.

    Parameters
    ----------
    coordinates
        The coordinates.
    scalars
        Components whose velocities are scalars of the network instead of parts of its vector.
    circles
        Whether angles go the shorter way; otherwise they are lines, for comparison.
    """

    def __init__(self, coordinates: Coordinates, scalars: Sequence[int], circles: bool = True) -> None:
        self.coordinates = coordinates
        self.scalars = tuple(scalars)
        periods = coordinates.periods if circles else (math.inf,) * coordinates.dim
        self.manifold = Flat(periods)
        unbounded = [step for step in coordinates.steps if not isinstance(step, Bounded)]
        self._bounded = len(unbounded) < len(coordinates.steps)
        self._unbounded = Coordinates(unbounded)  # type: ignore[arg-type]

    def points(self, momenta: Tensor) -> Tensor:
        return self.coordinates.forward(momenta)

    def momenta(self, points: Tensor) -> Tensor:
        return self.coordinates.inverse(points)

    def velocity(self, momenta: Tensor, vector: Tensor, scalars: Tensor) -> Tensor:
        pushed = self._unbounded.push(momenta, vector)
        if not self.scalars:
            return pushed
        columns = list(pushed.unbind(-1))
        for place, component in enumerate(self.scalars):
            columns[component] = scalars[..., place]
        return torch.stack(columns, dim=-1)

    def log_det(self, momenta: Tensor) -> Tensor:
        return self.coordinates.log_det(momenta)

    @property
    def symmetry(self) -> Symmetry:
        about = Symmetry.spanned_by("Jz", discrete=("P", "z-flip"))
        return intersection([self.coordinates.symmetry, *([about] if self._bounded else [])])

    @property
    def scalar_symmetry(self) -> Symmetry:
        return self.coordinates.direction_symmetry(self.scalars)


class ShellChart(Chart):
    """The mass shell itself, a hyperboloid: every Lorentz transformation is one of its isometries.

    Vectors become tangent by adjusting their energy, see `OnShell`.

    Parameters
    ----------
    mass
        In GeV.
    """

    def __init__(self, mass: float) -> None:
        self.manifold: Hyperboloid = Hyperboloid(mass)
        self._shell = OnShell(mass)

    def points(self, momenta: Tensor) -> Tensor:
        return momenta

    def momenta(self, points: Tensor) -> Tensor:
        return points

    def velocity(self, momenta: Tensor, vector: Tensor, scalars: Tensor) -> Tensor:
        return self._shell.pull(momenta[..., 1:], vector[..., 1:])

    def log_det(self, momenta: Tensor) -> Tensor:
        """The volume is m d³p/E."""
        return torch.full_like(momenta[..., 0], math.log(2 * self.manifold.mass))

    @property
    def symmetry(self) -> Symmetry:
        return self._shell.symmetry

"""By which density is a mass or an energy drawn between two bounds?

Each density maps u in [0, 1] to x in [low, high] by its inverse cumulative distribution, and back.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from lorentzoo.plugins.amplitudes.errors import AmplitudeError

__all__ = ["BreitWigner", "Cauchy", "Density", "LogUniform", "Uniform", "Within"]


class Density(ABC):
    """A density of a positive number x between bounds that may differ from point to point."""

    @abstractmethod
    def draw(self, u: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """x and dx/du for u in [0, 1]. Shapes (B,), (B,), (B,) -> (B,), (B,)."""

    @abstractmethod
    def invert(self, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """The u of which `draw` makes x. Shapes (B,), (B,), (B,) -> (B,)."""


@dataclass(frozen=True)
class Uniform(Density):
    """x = low + u (high - low)."""

    def draw(self, u: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """x and dx/du."""
        return low + u * (high - low), high - low

    def invert(self, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """u = (x - low)/(high - low)."""
        return (x - low) / (high - low)


@dataclass(frozen=True)
class LogUniform(Density):
    """The density whose cumulative distribution is ln(1 + y (eᵖ - 1))/p with y = (x - low)/(high - low).

    Parameters
    ----------
    power
        p > 0. By default ln(high/low), with which ln x is uniform; needed where the lower bound is zero.

    Raises
    ------
    AmplitudeError
        If the power is not positive.
    """

    power: float | None = None

    def __post_init__(self) -> None:
        if self.power is not None and not 0 < self.power < math.inf:
            raise AmplitudeError(f"the power of a log-uniform density must be positive, not {self.power}")

    def draw(self, u: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """x and dx/du.

        Raises
        ------
        AmplitudeError
            If the lower bound is zero and no power is given.
        """
        p = self._power(low, high)
        scale = (high - low) / torch.expm1(p)
        return low + torch.expm1(p * u) * scale, p * torch.exp(p * u) * scale

    def invert(self, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """u = ln(1 + y (eᵖ - 1))/p."""
        p = self._power(low, high)
        return torch.log1p((x - low) / (high - low) * torch.expm1(p)) / p

    def _power(self, low: Tensor, high: Tensor) -> Tensor:
        if self.power is not None:
            return torch.full_like(low, self.power)
        if bool((low <= 0).any()):
            raise AmplitudeError(
                "a log-uniform density from zero needs a power, e.g. LogUniform(power=5): ln 0 is not a bound"
            )
        return torch.log(high / low)


@dataclass(frozen=True)
class BreitWigner(Density):
    """The density 1/((x² - M²)² + M²Γ²) of x², as of the mass of a resonance.

    Parameters
    ----------
    mass, width
        M and Γ in GeV.

    Raises
    ------
    AmplitudeError
        If one of them is not positive.
    """

    mass: float
    width: float

    def __post_init__(self) -> None:
        _require_positive(self, ("mass", "width"))

    def draw(self, u: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """x and dx/du."""
        squared, slope = _draw_cauchy(u, low**2, high**2, self.mass**2, self.mass * self.width)
        # The tangent may leave the bounds by rounding.
        x = torch.minimum(torch.maximum(squared.clamp_min(0).sqrt(), low), high)
        return x, slope / (2 * x)

    def invert(self, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """The share of the cumulative distribution below x."""
        return _invert_cauchy(x**2, low**2, high**2, self.mass**2, self.mass * self.width)


@dataclass(frozen=True)
class Cauchy(Density):
    """The density 1/((x - c)² + w²).

    Parameters
    ----------
    centre, width
        c and w.

    Raises
    ------
    AmplitudeError
        If one of them is not positive.
    """

    centre: float
    width: float

    def __post_init__(self) -> None:
        _require_positive(self, ("centre", "width"))

    def draw(self, u: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """x and dx/du."""
        x, slope = _draw_cauchy(u, low, high, self.centre, self.width)
        return torch.minimum(torch.maximum(x, low), high), slope

    def invert(self, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """The share of the cumulative distribution below x."""
        return _invert_cauchy(x, low, high, self.centre, self.width)


@dataclass(frozen=True)
class Within(Density):
    """Another density, within bounds of its own besides those that kinematics leave.

    Parameters
    ----------
    density
        The other one.
    lowest, highest
        Its bounds.

    Raises
    ------
    AmplitudeError
        If the bounds are not in order.
    """

    density: Density
    lowest: float
    highest: float

    def __post_init__(self) -> None:
        if not self.lowest < self.highest:
            raise AmplitudeError(f"bounds of a density must rise: {self.lowest} and {self.highest} given")

    def draw(self, u: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """x and dx/du."""
        return self.density.draw(u, *self._bounds(low, high))

    def invert(self, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """The u of which `draw` makes x."""
        return self.density.invert(x, *self._bounds(low, high))

    def _bounds(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        return low.clamp_min(self.lowest), high.clamp_max(self.highest)


def _draw_cauchy(u: Tensor, low: Tensor, high: Tensor, centre: float, width: float) -> tuple[Tensor, Tensor]:
    first, last = torch.atan((low - centre) / width), torch.atan((high - centre) / width)
    distance = width * torch.tan(first + u * (last - first))
    return centre + distance, (last - first) * (distance**2 + width**2) / width


def _invert_cauchy(x: Tensor, low: Tensor, high: Tensor, centre: float, width: float) -> Tensor:
    first, last = torch.atan((low - centre) / width), torch.atan((high - centre) / width)
    return (torch.atan((x - centre) / width) - first) / (last - first)


def _require_positive(density: Density, names: tuple[str, ...]) -> None:
    for name in names:
        value = getattr(density, name)
        if not 0 < value < math.inf:
            raise AmplitudeError(f"{type(density).__name__}: {name} must be positive, not {value}")

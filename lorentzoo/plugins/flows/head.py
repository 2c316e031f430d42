"""How are the numbers of an event distributed, whatever shape that takes?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from lorentzoo import DensityHead, Features, ParticleCloud
from lorentzoo.densities import Tails
from lorentzoo.nn import Pooling
from lorentzoo.plugins.flows.conditioners import Backend
from lorentzoo.plugins.flows.flow import SplineFlow, Transform

__all__ = ["SplineDensity", "SplineDistribution"]

_POINTS = 128
"""Points of a Sobol sequence in the base, from which means and variances are taken."""


class SplineDensity(DensityHead):
    """A spline flow of the targets of each event given the backbone's pooled features (arXiv:1906.04032).

    For posteriors of any shape: skewed, bounded, with several peaks, of angles. The raw output holds the features that
    the splines' networks see; `distribution` makes a distribution in the targets' own units of it.

    Parameters
    ----------
    num_targets
        Numbers of each event.
    angles
        Which of them, counted from 0, are angles in radians: they live on a circle and are not standardised.
    context
        Width of the features that the splines' networks see.
    transform
        ``"autoregressive"``, or ``"coupling"``, which is faster to draw from and needs two targets; see `SplineFlow`.
    tails, bins, bound, hidden, num_transforms, backend
        Of the flow in standardised targets, see `SplineFlow`.
    pooling
        As for `classify`.

    Raises
    ------
    ValueError
        If an angle is not a target, or the flow cannot be built.
    """

    def __init__(
        self,
        num_targets: int = 1,
        angles: Sequence[int] = (),
        context: int = 64,
        transform: Transform = "autoregressive",
        tails: Tails = "linear",
        bins: int = 8,
        bound: float = 5.0,
        hidden: Sequence[int] = (64, 64),
        num_transforms: int = 3,
        backend: Backend = "zuko",
        pooling: Pooling = "mean",
        *,
        in_scalars: int | None = None,
    ) -> None:
        super().__init__(num_targets)
        wrong = [i for i in angles if not 0 <= i < num_targets]
        if wrong:
            raise ValueError(f"angles={list(angles)}, but the {num_targets} targets are counted from 0")
        if context < 1:
            raise ValueError(f"context must be positive, not {context}")
        self.pooling = pooling
        self.out_scalars = context
        self.layer = nn.Identity() if in_scalars is None else nn.Linear(in_scalars, context)
        circular = [i in angles for i in range(num_targets)]
        self.flow = SplineFlow(
            circular, context, transform, tails, bins, bound, hidden, num_transforms, backend
        )
        self.register_buffer("circular", torch.tensor(circular), persistent=False)

    circular: Tensor

    @property
    def last_map(self) -> nn.Module | None:
        """The layer before the flow, whose networks have maps of their own."""
        return self.layer if isinstance(self.layer, nn.Linear) else None

    def forward(self, features: Features, cloud: ParticleCloud) -> Tensor:
        """What the splines' networks see of each event, shape (B, context)."""
        x = features.scalars
        if self.pooling in ("mean", "sum", "max"):
            x = cloud.layout.pool(x, self.pooling)
        return self.layer(x)

    def distribution(self, output: Tensor) -> SplineDistribution:
        """The distribution of the targets in their own units, float64, of raw outputs (B, context)."""
        self.require_fitted()
        mean = torch.where(self.circular, 0.0, self.mean.double())
        width = torch.where(self.circular, 1.0, self.std.double())
        return SplineDistribution(self.flow, output, mean, width)


class SplineDistribution(Distribution):
    """Distributions of D numbers by splines, a batch (B,) of them.

    Parameters
    ----------
    flow
        In standardised numbers.
    context
        What it is given, shape (B, C).
    mean, width
        Of the standardisation, (D,) each; float64.
    """

    arg_constraints = {}  # noqa: RUF012 - the base class declares it as an attribute of the instance
    has_rsample = True

    def __init__(self, flow: SplineFlow, context: Tensor, mean: Tensor, width: Tensor) -> None:
        self.flow, self.context, self._shift, self._width = flow, context, mean, width
        super().__init__(context.shape[:-1], mean.shape, validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """All real vectors."""
        return constraints.real_vector

    def log_prob(self, value: Tensor) -> Tensor:
        """Natural logarithm of the density of values (..., B, D), shape (..., B); angles may be given on any turn."""
        x = ((value - self._shift) / self._width).expand(*value.shape[:-2], *self.batch_shape, -1)
        context = self.context.expand(*x.shape[:-1], -1)
        log_prob = self.flow.log_prob(x.flatten(0, -2), context.flatten(0, -2)) - self._width.log().sum()
        return log_prob.unflatten(0, x.shape[:-1])

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws, (*sample_shape, B, D), which gradients pass."""
        shape = torch.Size((*sample_shape, *self.batch_shape))
        return self._transported(self.flow.base(shape.numel()).unflatten(0, shape))

    @property
    def mean(self) -> Tensor:
        """Means, of angles circular ones, (B, D): of 128 points, with an error of a few hundredths of a width."""
        return self._mean_of(self._points())

    @property
    def variance(self) -> Tensor:
        """Variances about the mean, of angles by the shorter way, (B, D); of the same points."""
        points = self._points()
        away = points - self._mean_of(points)
        short = torch.remainder(away + math.pi, 2 * math.pi) - math.pi
        return torch.where(self.flow.lines, away, short).square().mean(0)

    def _mean_of(self, points: Tensor) -> Tensor:
        direction = torch.atan2(points.sin().mean(0), points.cos().mean(0))
        return torch.where(self.flow.lines, points.mean(0), direction)

    def _points(self) -> Tensor:
        """Points (128, B, D) that stand for as many equal shares of each distribution, the same each time."""
        sobol = torch.quasirandom.SobolEngine(self.flow.dim, scramble=True, seed=0)
        base = self.flow.base_at(sobol.draw(_POINTS, dtype=torch.float64)).unsqueeze(1)
        return self._transported(base.expand(-1, len(self.context), -1))

    def _transported(self, base: Tensor) -> Tensor:
        base = base.to(self._shift)
        context = self.context.expand(*base.shape[:-1], -1)
        x = self.flow.transported(base.flatten(0, -2), context.flatten(0, -2))
        return self._shift + self._width * x.unflatten(0, base.shape[:-1])

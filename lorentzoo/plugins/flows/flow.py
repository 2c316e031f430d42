"""How do splines become a density of a few numbers, given others?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

import torch
from torch import Tensor, nn

from lorentzoo.densities import Ends, NumberFeatures, Splines, Tails, UnitBase, coupled_numbers
from lorentzoo.plugins.flows.conditioners import Backend, make_free, make_masked

__all__ = ["SplineFlow", "SplineLayer", "Transform"]

Transform = Literal["coupling", "autoregressive"]

_MOST_NUMBERS: Final = 1024
"""Numbers of one density at most: networks grow with their square."""


class SplineFlow(UnitBase):
    """A density of D numbers, some of them angles, given C others, by rational-quadratic splines (arXiv:1906.04032).

    Numbers are of unit size, angles in radians. Angles live on circles (arXiv:2002.02428): their splines close, and
    networks see their sine and cosine, so that the density is continuous everywhere.

    Parameters
    ----------
    circular
        Which of the D numbers are angles.
    context
        How many numbers C are given.
    transform
        ``"coupling"``: half of the numbers at a time, fast both ways; ``"autoregressive"``: each given those before
        it, D times slower to draw from.
    tails
        Of numbers that are no angles: ``"linear"``: the identity outside [-bound, bound], with normal tails;
        ``"bounded"``: no density outside, and a uniform base.
    bins, bound
        Of the splines.
    hidden
        Widths of the networks' hidden layers.
    num_transforms
        How many layers.
    backend
        Whose networks, see `make_free` and `make_masked`; the splines are the same.
    """

    def __init__(
        self,
        circular: Sequence[bool],
        context: int = 0,
        transform: Transform = "coupling",
        tails: Tails = "linear",
        bins: int = 8,
        bound: float = 5.0,
        hidden: Sequence[int] = (64, 64),
        num_transforms: int = 6,
        backend: Backend = "zuko",
    ) -> None:
        super().__init__(circular, tails, bound)
        for name, value, allowed in (
            ("transform", transform, ("coupling", "autoregressive")),
            ("backend", backend, ("zuko", "nflows")),
        ):
            if value not in allowed:
                raise ValueError(f"{name} is one of {', '.join(allowed)}, not {value!r}")
        if not 1 <= len(circular) <= _MOST_NUMBERS:
            raise ValueError(f"a flow is of 1 to {_MOST_NUMBERS} numbers, not of {len(circular)}")
        if num_transforms < 1:
            raise ValueError(f"num_transforms must be positive, not {num_transforms}")
        if transform == "coupling" and len(circular) < 2:
            raise ValueError(
                f"coupling needs two numbers or more, not {len(circular)}; take transform='autoregressive'"
            )
        ends = self.ends
        self.layers = nn.ModuleList(
            SplineLayer(
                ends, _active(transform, i, len(ends)), transform, i, context, bins, bound, hidden, backend
            )
            for i in range(num_transforms)
        )

    def log_prob(self, x: Tensor, context: Tensor) -> Tensor:
        """Logarithm of the density of x (B, D) given context (B, C), (B,); -inf where nothing can be drawn."""
        good = self.inside(x).all(-1)
        z = torch.where(good.unsqueeze(-1), x, torch.zeros_like(x))
        total = torch.zeros_like(z[..., 0])
        for layer in self.layers:
            z, log_det = layer(z, context)
            total = total + log_det
        return torch.where(good, total + self.base_log_prob(z).sum(-1), -math.inf)

    def transported(self, z: Tensor, context: Tensor) -> Tensor:
        """Draws x (B, D) of the density, from draws z (B, D) of the base (see `base`)."""
        for layer in reversed(self.layers):
            z = layer.inverse(z, context)  # type: ignore[operator]
        return z


class SplineLayer(nn.Module):
    """Splines of the active numbers, whose parameters come from the others, or from those before each."""

    def __init__(
        self,
        ends: Sequence[Ends],
        active: Sequence[int],
        transform: Transform,
        number: int,
        context: int,
        bins: int,
        bound: float,
        hidden: Sequence[int],
        backend: Backend,
    ) -> None:
        super().__init__()
        self.passes = len(active) if transform == "autoregressive" else 1
        seen = active if transform == "autoregressive" else [i for i in range(len(ends)) if i not in active]
        self.register_buffer("active", torch.tensor(active), persistent=False)
        self.register_buffer("seen", torch.tensor(seen), persistent=False)
        self.features = NumberFeatures([ends[i] == "circular" for i in seen])
        # Splines of circles leave one point where it is: every other layer it is another one.
        self.splines = Splines([ends[i] for i in active], bins, bound, math.pi * (number % 2))
        outputs = self.splines.outputs
        if transform == "coupling":
            self.conditioner = make_free(backend, self.features.width, context, sum(outputs), hidden)
        elif len(active) == 1 and context == 0:
            raise ValueError("one number without context has no network to give its spline; use two or more")
        else:
            self.conditioner = make_masked(backend, self.features.groups, outputs, context, hidden)

    active: Tensor
    seen: Tensor

    def forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Values (B, D) and log-determinants (B,)."""
        y, log_det = self.splines(x[..., self.active], self._give_parameters(x, context))
        return x.index_copy(-1, self.active, y), log_det.sum(-1)

    def inverse(self, y: Tensor, context: Tensor) -> Tensor:
        """Places (B, D) of values: one pass for coupling, one for each number otherwise."""
        wanted = y[..., self.active]
        x = y if self.passes == 1 else torch.zeros_like(y)
        for _ in range(self.passes):
            x = x.index_copy(-1, self.active, self.splines.inverse(wanted, self._give_parameters(x, context)))
        return x

    def _give_parameters(self, x: Tensor, context: Tensor) -> Tensor:
        dtype = next(self.conditioner.parameters()).dtype
        seen = self.features(x[..., self.seen])
        parameters: Tensor = self.conditioner(seen.to(dtype), context.to(dtype)).to(x.dtype)
        return parameters


def _active(transform: Transform, number: int, dim: int) -> list[int]:
    """Which numbers a layer changes, in the order in which it does: autoregressive layers go up and down in turn."""
    if transform == "autoregressive":
        return list(range(dim))[:: -1 if number % 2 else 1]
    return coupled_numbers(number, dim)

"""How do splines become a density of a few numbers, given others?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, Literal

import torch
from torch import Tensor, nn

from lorentzoo.plugins.flows.conditioners import Backend, make_free, make_masked
from lorentzoo.plugins.flows.spline import Ends, Knots, num_parameters

__all__ = ["SplineFlow", "SplineLayer", "Tails", "Transform"]

Transform = Literal["coupling", "autoregressive"]
Tails = Literal["linear", "bounded"]

_LOG_NORMAL: Final = 0.5 * math.log(2 * math.pi)
_MOST_NUMBERS: Final = 1024
"""Numbers of one density at most: networks grow with their square."""


class SplineFlow(nn.Module):
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

    lines: Tensor

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
        super().__init__()
        for name, value, allowed in (
            ("transform", transform, ("coupling", "autoregressive")),
            ("tails", tails, ("linear", "bounded")),
            ("backend", backend, ("zuko", "nflows")),
        ):
            if value not in allowed:
                raise ValueError(f"{name} is one of {', '.join(allowed)}, not {value!r}")
        if not 1 <= len(circular) <= _MOST_NUMBERS:
            raise ValueError(f"a flow is of 1 to {_MOST_NUMBERS} numbers, not of {len(circular)}")
        if not (0 < bound < math.inf and num_transforms >= 1):
            raise ValueError(f"bound and num_transforms must be positive, not {bound} and {num_transforms}")
        if transform == "coupling" and len(circular) < 2:
            raise ValueError(
                f"coupling needs two numbers or more, not {len(circular)}; take transform='autoregressive'"
            )
        self.tails: Tails = tails
        self.bound = bound
        self.register_buffer("lines", ~torch.tensor(list(circular), dtype=torch.bool), persistent=False)
        ends: list[Ends] = ["circular" if angle else tails for angle in circular]
        self.layers = nn.ModuleList(
            SplineLayer(
                ends, _active(transform, i, len(ends)), transform, i, context, bins, bound, hidden, backend
            )
            for i in range(num_transforms)
        )

    @property
    def dim(self) -> int:
        """How many numbers D."""
        return len(self.lines)

    def inside(self, x: Tensor) -> Tensor:
        """Which numbers can be drawn, (..., D), bool: all but those outside bounded tails."""
        if self.tails == "linear":
            return torch.isfinite(x)
        return torch.isfinite(x) & (~self.lines | (x.abs() <= self.bound))

    def log_prob(self, x: Tensor, context: Tensor) -> Tensor:
        """Logarithm of the density of x (B, D) given context (B, C), (B,); -inf where nothing can be drawn."""
        good = self.inside(x).all(-1)
        z = torch.where(good.unsqueeze(-1), x, torch.zeros_like(x))
        total = torch.zeros_like(z[..., 0])
        for layer in self.layers:
            z, log_det = layer(z, context)
            total = total + log_det
        return torch.where(good, total + self._base(z), -math.inf)

    def transported(self, z: Tensor, context: Tensor) -> Tensor:
        """Draws x (B, D) of the density, from draws z (B, D) of the base (see `base`)."""
        for layer in reversed(self.layers):
            z = layer.inverse(z, context)  # type: ignore[operator]
        return z

    def base(self, count: int, rng: torch.Generator | None = None) -> Tensor:
        """Draws of the base, (count, D), float64: uniform on circles and bounded lines, else normal."""
        device = "cpu" if rng is None else rng.device
        shape = (count, self.dim)
        return self.base_at(torch.rand(shape, generator=rng, dtype=torch.float64, device=device))

    def base_at(self, share: Tensor) -> Tensor:
        """Numbers below which shares (..., D) of the base lie, float64; of circles from -π on."""
        share = share.double().clamp(torch.finfo(torch.float64).tiny, 1 - torch.finfo(torch.float64).eps / 2)
        uniform = 2 * share - 1
        lines = self.lines.to(share.device)
        ends = torch.where(lines, self.bound, math.pi) * uniform
        return ends if self.tails == "bounded" else torch.where(lines, torch.special.ndtri(share), ends)

    def _base(self, z: Tensor) -> Tensor:
        if self.tails == "linear":
            line = -z.square() / 2 - _LOG_NORMAL
        else:
            line = torch.full_like(z, -math.log(2 * self.bound))
        return torch.where(self.lines, line, -math.log(2 * math.pi)).sum(-1)


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
        self.bound = bound
        self.passes = len(active) if transform == "autoregressive" else 1
        # Splines of circles leave one point where it is: every other layer it is another one.
        self.shift = math.pi * (number % 2)
        self.kinds = [ends[i] for i in active]
        seen = active if transform == "autoregressive" else [i for i in range(len(ends)) if i not in active]
        self.register_buffer("active", torch.tensor(active), persistent=False)
        round_ = [ends[i] == "circular" for i in seen]
        self.register_buffer("angles", torch.tensor(round_), persistent=False)
        self.register_buffer("seen", torch.tensor(seen), persistent=False)
        outputs = [num_parameters(bins, kind) for kind in self.kinds]
        groups = [2 if angle else 1 for angle in round_]
        # Where cosines and sines end up is known on the host, also of a flow on the meta device.
        sines = [i for i, angle in enumerate(round_) if angle]
        slots = [0, *accumulate(groups)][:-1]
        places = [*slots, *(slots[i] + 1 for i in sines)]
        self.register_buffer("sines", torch.tensor(sines, dtype=torch.long), persistent=False)
        self.register_buffer("rows", torch.tensor(places).argsort(), persistent=False)
        starts = torch.tensor([0, *outputs]).cumsum(0)[:-1]
        self.present = sorted(set(self.kinds))
        for kind in self.present:
            columns = torch.tensor([i for i, k in enumerate(self.kinds) if k == kind])
            rows = starts[columns].unsqueeze(-1) + torch.arange(num_parameters(bins, kind))
            self.register_buffer(f"{kind}_parameters", rows, persistent=False)
        order = [i for kind in self.present for i, k in enumerate(self.kinds) if k == kind]
        self.register_buffer("back", torch.tensor(order).argsort(), persistent=False)
        circular = torch.tensor([kind == "circular" for kind in self.kinds])
        self.register_buffer("circular", circular, persistent=False)
        if transform == "coupling":
            self.conditioner = make_free(backend, sum(groups), context, sum(outputs), hidden)
        elif len(active) == 1 and context == 0:
            raise ValueError("one number without context has no network to give its spline; use two or more")
        else:
            self.conditioner = make_masked(backend, groups, outputs, context, hidden)

    active: Tensor
    angles: Tensor
    seen: Tensor
    sines: Tensor
    rows: Tensor
    back: Tensor
    circular: Tensor

    def forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Values (B, D) and log-determinants (B,)."""
        y, log_det = self._knots(x, context).forward(self._shifted(x[..., self.active], self.shift))
        return x.index_copy(-1, self.active, y), log_det.sum(-1)

    def inverse(self, y: Tensor, context: Tensor) -> Tensor:
        """Places (B, D) of values: one pass for coupling, one for each number otherwise."""
        wanted = self._wrapped(y[..., self.active])
        x = y if self.passes == 1 else torch.zeros_like(y)
        for _ in range(self.passes):
            found, _ = self._knots(x, context).inverse(wanted)
            x = x.index_copy(-1, self.active, self._shifted(found, -self.shift))
        return x

    def _knots(self, x: Tensor, context: Tensor) -> Knots:
        dtype = next(self.conditioner.parameters()).dtype
        parameters = self.conditioner(self._described(x).to(dtype), context.to(dtype)).to(x.dtype)
        made = []
        for kind in self.present:
            bound = math.pi if kind == "circular" else self.bound
            rows = self.get_buffer(f"{kind}_parameters")
            made.append(Knots.from_parameters(parameters[..., rows], bound, kind))
        parts = [torch.cat([getattr(k, n) for k in made], dim=-2) for n in ("x", "y", "slopes")]
        places, values, slopes = (part.index_select(-2, self.back) for part in parts)
        return Knots(places, values, slopes)

    def _described(self, x: Tensor) -> Tensor:
        """What the network sees, (B, I): lines as they are, angles as cosine and sine."""
        seen = x[..., self.seen]
        first = torch.where(self.angles, seen.cos(), seen)
        return torch.cat([first, seen.sin()[..., self.sines]], dim=-1)[..., self.rows]

    def _shifted(self, x: Tensor, by: float) -> Tensor:
        return self._wrapped(torch.where(self.circular, x + by, x))

    def _wrapped(self, x: Tensor) -> Tensor:
        wrapped = torch.remainder(x + math.pi, 2 * math.pi) - math.pi
        return torch.where(self.circular, wrapped, x)


def _active(transform: Transform, number: int, dim: int) -> list[int]:
    """Which numbers a layer changes, in the order in which it does.

    Autoregressive layers go up and down in turn. Coupling layers change those whose place has one binary digit set or
    not set, digit by digit: after two layers for each digit every number has met every other.
    """
    if transform == "autoregressive":
        return list(range(dim))[:: -1 if number % 2 else 1]
    digit = number // 2 % max(1, (dim - 1).bit_length())
    return [i for i in range(dim) if (i >> digit) & 1 == number % 2]

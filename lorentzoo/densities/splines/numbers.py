"""How do several numbers, some of them angles, share splines, a base distribution, and features for networks?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, Literal

import torch
from torch import Tensor, nn

from lorentzoo.densities.splines.knots import Ends, Knots, num_parameters

__all__ = ["NumberFeatures", "Splines", "Tails", "UnitBase"]

Tails = Literal["linear", "bounded"]

_LOG_NORMAL: Final = 0.5 * math.log(2 * math.pi)


class UnitBase(nn.Module):
    """The distribution in which a spline flow begins: uniform on circles and bounded lines, else normal.

    Numbers are of unit size, angles in radians.

    Parameters
    ----------
    circular
        Which of the D numbers are angles.
    tails
        Of numbers that are no angles: ``"linear"``: normal; ``"bounded"``: nothing outside [-bound, bound].
    bound
        Of the splines.

    Attributes
    ----------
    ends
        Of the spline of each number.
    """

    lines: Tensor

    def __init__(self, circular: Sequence[bool], tails: Tails, bound: float) -> None:
        super().__init__()
        if tails not in ("linear", "bounded"):
            raise ValueError(f"tails is one of linear, bounded, not {tails!r}")
        if not 0 < bound < math.inf:
            raise ValueError(f"bound must be positive, not {bound}")
        self.tails: Tails = tails
        self.bound = bound
        self.register_buffer("lines", ~torch.tensor(list(circular), dtype=torch.bool), persistent=False)
        self.ends: list[Ends] = ["circular" if angle else tails for angle in circular]

    @property
    def dim(self) -> int:
        """How many numbers D."""
        return len(self.ends)

    def inside(self, x: Tensor) -> Tensor:
        """Which numbers can be drawn, (..., D), bool: all but those outside bounded tails."""
        if self.tails == "linear":
            return torch.isfinite(x)
        return torch.isfinite(x) & (~self.lines | (x.abs() <= self.bound))

    def base(self, count: int, rng: torch.Generator | None = None) -> Tensor:
        """Draws of the base, (count, D), float64."""
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

    def base_log_prob(self, z: Tensor) -> Tensor:
        """Logarithm of the base's density of each number, (..., D)."""
        if self.tails == "linear":
            line = -z.square() / 2 - _LOG_NORMAL
        else:
            line = torch.full_like(z, -math.log(2 * self.bound))
        return torch.where(self.lines, line, -math.log(2 * math.pi))


class NumberFeatures(nn.Module):
    """What networks see of numbers: lines as they are, angles as cosine and sine.

    Parameters
    ----------
    circular
        Which of the I numbers are angles.
    """

    angles: Tensor
    sines: Tensor
    rows: Tensor

    def __init__(self, circular: Sequence[bool]) -> None:
        super().__init__()
        self.groups = [2 if angle else 1 for angle in circular]
        # Where cosines and sines end up is known on the host, also of a flow on the meta device.
        sines = [i for i, angle in enumerate(circular) if angle]
        slots = [0, *accumulate(self.groups)][:-1]
        places = [*slots, *(slots[i] + 1 for i in sines)]
        self.register_buffer("angles", torch.tensor(list(circular), dtype=torch.bool), persistent=False)
        self.register_buffer("sines", torch.tensor(sines, dtype=torch.long), persistent=False)
        self.register_buffer("rows", torch.tensor(places, dtype=torch.long).argsort(), persistent=False)

    @property
    def width(self) -> int:
        """How many features."""
        return sum(self.groups)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (..., I) to (..., width)."""
        first = torch.where(self.angles, x.cos(), x)
        return torch.cat([first, x.sin()[..., self.sines]], dim=-1)[..., self.rows]


class Splines(nn.Module):
    """A spline for each of A numbers, whose parameters stand one behind the other.

    Parameters
    ----------
    ends
        Of the spline of each number, see `Knots.from_parameters`.
    bins, bound
        Of the splines; those of angles are over the whole circle.
    shift
        By which angles are turned before: a spline of a circle leaves one point where it is.
    """

    back: Tensor
    circular: Tensor

    def __init__(self, ends: Sequence[Ends], bins: int, bound: float, shift: float) -> None:
        super().__init__()
        self.bound, self.shift = bound, shift
        self.outputs = [num_parameters(bins, kind) for kind in ends]
        starts = torch.tensor([0, *self.outputs]).cumsum(0)[:-1]
        self.present = sorted(set(ends))
        for kind in self.present:
            columns = torch.tensor([i for i, k in enumerate(ends) if k == kind])
            rows = starts[columns].unsqueeze(-1) + torch.arange(num_parameters(bins, kind))
            self.register_buffer(f"{kind}_parameters", rows, persistent=False)
        order = [i for kind in self.present for i, k in enumerate(ends) if k == kind]
        self.register_buffer("back", torch.tensor(order).argsort(), persistent=False)
        circular = torch.tensor([kind == "circular" for kind in ends])
        self.register_buffer("circular", circular, persistent=False)

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Values of x (..., A) and logarithms of the derivatives, (..., A) each; parameters are (..., Σ outputs)."""
        return self._knots(parameters).forward(self._shifted(x, self.shift))

    def inverse(self, y: Tensor, parameters: Tensor) -> Tensor:
        """Places of values y, (..., A)."""
        found, _ = self._knots(parameters).inverse(self._wrapped(y))
        return self._shifted(found, -self.shift)

    def _knots(self, parameters: Tensor) -> Knots:
        made = []
        for kind in self.present:
            bound = math.pi if kind == "circular" else self.bound
            rows = self.get_buffer(f"{kind}_parameters")
            made.append(Knots.from_parameters(parameters[..., rows], bound, kind))
        parts = [torch.cat([getattr(k, n) for k in made], dim=-2) for n in ("x", "y", "slopes")]
        places, values, slopes = (part.index_select(-2, self.back) for part in parts)
        return Knots(places, values, slopes)

    def _shifted(self, x: Tensor, by: float) -> Tensor:
        return self._wrapped(torch.where(self.circular, x + by, x))

    def _wrapped(self, x: Tensor) -> Tensor:
        wrapped = torch.remainder(x + math.pi, 2 * math.pi) - math.pi
        return torch.where(self.circular, wrapped, x)

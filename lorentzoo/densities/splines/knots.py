"""What is a monotonic rational-quadratic spline, there and back, without cancellation?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, get_args

import torch
from torch import Tensor

__all__ = ["Ends", "Knots", "num_parameters"]

Ends = Literal["linear", "bounded", "circular"]

_EXTRA: Final[dict[str, int]] = {"linear": -1, "bounded": 1, "circular": 0}
_MIN_BIN: Final = 1e-3
"""Least width and height of a bin, in parts of the domain."""
_LOG_SLOPE: Final = math.log(1e3)
"""Slopes at the knots lie between 1/1000 and 1000."""


def num_parameters(bins: int, ends: Ends) -> int:
    """Parameters of one spline: 3K - 1 with linear tails, 3K + 1 with free end slopes, 3K on a circle.

    >>> [num_parameters(8, ends) for ends in ("linear", "bounded", "circular")]
    [23, 25, 24]
    """
    if ends not in _EXTRA:
        raise ValueError(f"a spline has no ends {ends!r}; there are {', '.join(get_args(Ends))}")
    if not 1 <= bins < 1 / _MIN_BIN:
        raise ValueError(f"bins must be between 1 and {int(1 / _MIN_BIN) - 1}, not {bins}")
    return 3 * bins + _EXTRA[ends]


@dataclass(frozen=True)
class Knots:
    """Monotonic rational-quadratic splines through knots (arXiv:1906.04032, section 3.1).

    Between two knots the quadratic equation of the inverse is solved in the form in which its discriminant and its
    denominator are sums of positive terms, so that the inverse is as accurate as the type allows at any slopes.
    Outside the knots the splines are the identity: tails of slope one where the knots span the same interval on both
    sides.

    Parameters
    ----------
    x, y
        Ascending places and values, each (..., K + 1).
    slopes
        Derivatives there, positive, (..., K + 1).
    """

    x: Tensor
    y: Tensor
    slopes: Tensor

    @classmethod
    def from_parameters(cls, parameters: Tensor, bound: float, ends: Ends) -> Knots:
        """Knots over [-bound, bound] of free numbers; of zeros, the identity.

        Parameters
        ----------
        parameters
            Widths, heights and slopes, (..., `num_parameters`).
        bound
            Half the width of the domain.
        ends
            ``"linear"``: slope one at both ends; ``"bounded"``: free slopes; ``"circular"``: one slope for both.
        """
        total = parameters.shape[-1]
        bins = (total - _EXTRA[ends]) // 3
        if num_parameters(bins, ends) != total:
            raise ValueError(f"{total} parameters are not those of a spline with {ends} ends")
        widths, heights, free = parameters.split([bins, bins, total - 2 * bins], dim=-1)
        slopes = torch.exp(_LOG_SLOPE * torch.tanh(free / _LOG_SLOPE))
        if ends == "linear":
            slopes = torch.nn.functional.pad(slopes, (1, 1), value=1.0)
        elif ends == "circular":
            slopes = torch.cat([slopes, slopes[..., :1]], dim=-1)
        return cls(_places(widths, bound), _places(heights, bound), slopes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values and logarithms of the derivative at x, shape (...)."""
        bin_, inside = self._bin(self.x, x)
        x0, width, y0, height, d0, d1 = self._edges(bin_)
        slope = height / width
        z = ((x - x0) / width).clamp(0, 1)
        denominator = _denominator(z, slope, d0, d1)
        y = y0 + height * z * (slope * z + d0 * (1 - z)) / denominator
        log_det = _log_slope(z, slope, d0, d1, denominator)
        return torch.where(inside, y, x), torch.where(inside, log_det, torch.zeros_like(log_det))

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Places of values y and logarithms of the derivative of the inverse there, shape (...)."""
        bin_, inside = self._bin(self.y, y)
        x0, width, y0, height, d0, d1 = self._edges(bin_)
        slope = height / width
        u = ((y - y0) / height).clamp(0, 1)
        # a z² + b z = s u with b = difference + 2 s u; of the two forms of the root the one without subtraction.
        difference = d0 * (1 - u) - d1 * u
        root = (difference.square() + 4 * slope.square() * u * (1 - u)).clamp(min=1e-30).sqrt()
        rising = difference >= 0
        size = difference.abs() + root
        from_left = 2 * slope * u / (size + 2 * slope * u)
        from_right = 2 * slope * (1 - u) / (size + 2 * slope * (1 - u))
        z = torch.where(rising, from_left, 1 - from_right)
        log_det = -_log_slope(z, slope, d0, d1, _denominator(z, slope, d0, d1))
        x = torch.where(rising, x0 + width * from_left, x0 + width - width * from_right)
        return torch.where(inside, x, y), torch.where(inside, log_det, torch.zeros_like(log_det))

    @staticmethod
    def _bin(edges: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Number of the bin of each value (..., 1), and whether it lies between the outer knots (...)."""
        inside = (value >= edges[..., 0]) & (value <= edges[..., -1])
        inner = edges[..., 1:-1]
        return (inner <= value.unsqueeze(-1)).sum(-1, keepdim=True), inside

    def _edges(self, bin_: Tensor) -> tuple[Tensor, ...]:
        x, y, d = (t.expand(*bin_.shape[:-1], t.shape[-1]) for t in (self.x, self.y, self.slopes))
        x0, y0, d0 = (t.gather(-1, bin_).squeeze(-1) for t in (x, y, d))
        x1, y1, d1 = (t.gather(-1, bin_ + 1).squeeze(-1) for t in (x, y, d))
        return x0, x1 - x0, y0, y1 - y0, d0, d1


def _places(sizes: Tensor, bound: float) -> Tensor:
    """Knots over [-bound, bound] with parts of softmax(sizes) between them."""
    parts = _MIN_BIN + (1 - _MIN_BIN * sizes.shape[-1]) * torch.softmax(sizes, dim=-1)
    inner = bound * (2 * parts.cumsum(-1)[..., :-1] - 1)
    ends = torch.full_like(parts[..., :1], bound)
    return torch.cat([-ends, inner, ends], dim=-1)


def _denominator(z: Tensor, slope: Tensor, d0: Tensor, d1: Tensor) -> Tensor:
    return slope * (z.square() + (1 - z).square()) + (d0 + d1) * z * (1 - z)


def _log_slope(z: Tensor, slope: Tensor, d0: Tensor, d1: Tensor, denominator: Tensor) -> Tensor:
    top = d1 * z.square() + 2 * slope * z * (1 - z) + d0 * (1 - z).square()
    return 2 * (slope.log() - denominator.log()) + top.log()

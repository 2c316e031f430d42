"""Which functions take another form in an exported graph?

Runtimes for ONNX have no kernel in float64 for determinants, inverse trigonometric and inverse hyperbolic functions, and
momenta are float64; nor do they know a sort that is asked to be stable. Outside of an export torch's own functions are
called, so that nothing changes in training.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

__all__ = ["asinh", "atan2", "determinant3", "stable_argsort", "written_asinh", "written_atan2"]

_HALVINGS: Final = 3
"""Of an angle of at most π/4, after which its tangent is below 0.0985."""
_TERMS: Final = 9
"""Of the series of atan, whose first missing one is then below 1e-20."""


def atan2(y: Tensor, x: Tensor) -> Tensor:
    """Angle of (x, y) in (-π, π]. Shapes (...), (...) -> (...)."""
    return written_atan2(y, x) if torch.compiler.is_exporting() else torch.atan2(y, x)


def asinh(x: Tensor) -> Tensor:
    """Inverse hyperbolic sine. Shape (...) -> (...)."""
    return written_asinh(x) if torch.compiler.is_exporting() else torch.asinh(x)


def determinant3(matrices: Tensor) -> Tensor:
    """Determinants of matrices of three rows. Shape (..., 3, 3) -> (...)."""
    if not torch.compiler.is_exporting():
        determinants: Tensor = torch.linalg.det(matrices)
        return determinants
    first, second, third = matrices.unbind(-2)
    normal: Tensor = torch.linalg.cross(first, second, dim=-1)
    return (normal * third).sum(-1)


def stable_argsort(x: Tensor, dim: int = -1, descending: bool = False) -> Tensor:
    """Indices that sort, equal values by input order. Shape (...) -> (...), int64.

    In an exported graph they are those of a plain sort: ONNX's TopK breaks ties by the lower index, and so does torch on
    a CPU.
    """
    if not torch.compiler.is_exporting():
        return x.argsort(dim=dim, descending=descending, stable=True)
    comparable = x if x.is_floating_point() else x.to(torch.int64)
    return comparable.sort(dim=dim, descending=descending).indices


def written_atan2(y: Tensor, x: Tensor) -> Tensor:
    """`atan2` of sums, products and roots alone, to a few last digits; zero at the origin.

    With t = min(|x|, |y|)/max(|x|, |y|), angles are halved by tan(a/2) = t/(1 + √(1 + t²)) until the series of atan
    converges at once; octants follow by symmetry.
    """
    width, height = x.abs(), y.abs()
    largest = torch.maximum(width, height)
    t = torch.minimum(width, height) / torch.where(largest > 0, largest, torch.ones_like(largest))
    for _ in range(_HALVINGS):
        t = t / (1 + torch.sqrt(1 + t * t))
    square = t * t
    series = torch.zeros_like(t)
    for power in reversed(range(_TERMS)):
        series = (-1) ** power / (2 * power + 1) + square * series
    angle = 2**_HALVINGS * t * series
    angle = torch.where(height > width, math.pi / 2 - angle, angle)
    angle = torch.where(x < 0, math.pi - angle, angle)
    return torch.where(y < 0, -angle, angle)


def written_asinh(x: Tensor) -> Tensor:
    """`asinh` of roots and logarithms alone: sign(x) (ln m + ln(|x|/m + √((x/m)² + 1/m²))) with m = max(|x|, 1).

    Squares of large numbers do not overflow. Its error is 1e-16 absolutely, not relatively.
    """
    size = x.abs()
    m = size.clamp(min=1.0)
    ratio = size / m
    return torch.sign(x) * (torch.log(m) + torch.log(ratio + torch.sqrt(ratio * ratio + 1 / (m * m))))

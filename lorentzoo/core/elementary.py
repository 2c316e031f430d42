"""Which functions take another form in an exported graph?

Runtimes for ONNX have no kernel in float64 for determinants, inverse trigonometric and inverse hyperbolic functions, and
momenta are float64; nor do they know a sort that is asked to be stable, or logarithms and exponentials less or plus one.
Outside of an export torch's own functions are called, so that nothing changes in training.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from numpy.polynomial import Chebyshev, Polynomial
from torch import Tensor

__all__ = [
    "asinh",
    "atan2",
    "determinant3",
    "stable_argsort",
    "written_asinh",
    "written_atan2",
    "written_elu",
    "written_erf",
    "written_erfc",
    "written_expm1",
    "written_gather",
    "written_gelu",
    "written_leaky_relu",
    "written_log1p",
    "written_sign",
    "written_softplus",
]

_HALVINGS: Final = 3
"""Of an angle of at most π/4, after which its tangent is below 0.0985."""
_ERFC_DEGREE: Final = 22
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
    area = torch.log(m) + torch.log(ratio + torch.sqrt(ratio * ratio + 1 / (m * m)))
    return torch.where(x < 0, -area, area)


def written_erfc(x: Tensor) -> Tensor:
    """Complementary error function, to 1e-13 relatively up to x = 26. Shape (...) -> (...).

    For x ≥ 0 it is t exp(-x² + P(t)) with t = 2/(2 + x) and a polynomial P (W. H. Press et al., Numerical Recipes, §6.2),
    found here by interpolation; for x < 0 it is 2 - erfc(-x).
    """
    size = x.abs()
    t = 2 / (2 + size)
    # On [-1, 1], where the coefficients are moderate.
    u = 2 * t - 1
    polynomial = torch.zeros_like(u)
    for coefficient in reversed(_erfc_coefficients()):
        polynomial = coefficient + u * polynomial
    half = t * torch.exp(polynomial - size * size)
    return torch.where(x < 0, 2 - half, half)


def written_erf(x: Tensor) -> Tensor:
    """Error function 1 - erfc(x), to 1e-15 absolutely. Shape (...) -> (...)."""
    return 1 - written_erfc(x)


def written_gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """x Φ(x) = x erfc(-x/√2)/2, or its approximation by a tanh. Shape (...) -> (...)."""
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
        return 0.5 * x * (1 + torch.tanh(inner))
    return 0.5 * x * written_erfc(-x * math.sqrt(0.5))


def written_softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """ln(1 + exp(βx))/β = max(x, 0) + ln(1 + exp(-β|x|))/β, to 1e-16 absolutely. Shape (...) -> (...)."""
    soft = x.clamp(min=0.0) + torch.log(1 + torch.exp(-beta * x.abs())) / beta
    return torch.where(beta * x > threshold, x, soft)


def written_elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    """scale · (x if x > 0 else α (exp(input_scale · x) - 1)), to 1e-16 absolutely. Shape (...) -> (...)."""
    below = alpha * (torch.exp(input_scale * x.clamp(max=0.0)) - 1)
    return scale * torch.where(x > 0, x, below)


def written_leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where it is positive, negative_slope · x elsewhere. Shape (...) -> (...)."""
    return torch.where(x > 0, x, negative_slope * x)


def written_log1p(x: Tensor) -> Tensor:
    """ln(1 + x) where 1 + x has lost digits of x: ln(u) x/(u - 1) with u the number that 1 + x is rounded to.

    Source: W. Kahan; D. Goldberg, What every computer scientist should know about floating-point arithmetic, Theorem 4.
    """
    rounded = 1 + x
    exact = rounded == 1
    safe = torch.where(exact, 2.0, rounded)
    near = torch.where(exact, x, torch.log(safe) * (x / (safe - 1)))
    return torch.where(x.abs() < 1, near, torch.log(rounded))


def written_expm1(x: Tensor) -> Tensor:
    """exp(x) - 1 where exp(x) is near one: (u - 1) x/ln(u) with u the number that exp(x) is rounded to.

    Source: as of `written_log1p`.
    """
    rounded = torch.exp(x)
    small = x.abs() < 1
    exact = rounded == 1
    safe = torch.where(exact | ~small, 2.0, rounded)
    near = torch.where(exact, x, (safe - 1) * (x / torch.log(safe)))
    return torch.where(small, near, rounded - 1)


def written_sign(x: Tensor) -> Tensor:
    """-1, 0 or 1 by comparisons. Shape (...) -> (...)."""
    one = torch.ones_like(x)
    return torch.where(x > 0, one, torch.where(x < 0, -one, 0 * one))


def written_gather(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """``x.gather(dim, index)`` as a selection of rows of the flat tensor. Shapes as there."""
    flat = torch.zeros_like(index)
    for axis, length in enumerate(x.shape):
        place = index
        if axis != dim % x.ndim:
            line = torch.arange(index.shape[axis], device=index.device)
            place = line.reshape([-1 if other == axis else 1 for other in range(x.ndim)])
        flat = flat * length + place
    return x.reshape(-1).index_select(0, flat.reshape(-1)).reshape(index.shape)


@lru_cache
def _erfc_coefficients() -> tuple[float, ...]:
    """Of P(t) = ln(erfc(x)/t) + x² in powers of u = 2t - 1, for x = 2/t - 2 from 0 to 26."""
    lowest = 2 / (2 + 26.0)

    def exponent(u: float) -> float:
        t = (u + 1) / 2
        x = 2 / t - 2
        return math.log(math.erfc(x) / t) + x * x

    series = Chebyshev.interpolate(
        lambda points: np.array([exponent(float(u)) for u in points]),
        _ERFC_DEGREE,
        domain=[2 * lowest - 1, 1],
    )
    return tuple(float(c) for c in series.convert(kind=Polynomial).coef)

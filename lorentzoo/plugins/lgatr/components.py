"""Scalars, vectors, bivectors, axial vectors and pseudoscalars as multivectors of sixteen components, and back.

The public interface: shapes (..., 16) in the order of :mod:`~lorentzoo.nn.clifford`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from lorentzoo.nn import SPACETIME

__all__ = [
    "embed_axial_vector",
    "embed_bivector",
    "embed_lorentz",
    "embed_pseudoscalar",
    "embed_scalar",
    "embed_vector",
    "extract_axial_vector",
    "extract_bivector",
    "extract_pseudoscalar",
    "extract_scalar",
    "extract_vector",
]

DUALS = SPACETIME.dual(torch.eye(16, dtype=torch.float64)[1:5].numpy())[:, 11:15]
"""The axial unit vectors e_0123 e_μ over e012, e013, e023, e123, shape (4, 4): signed, in reverse order."""


def embed_scalar(scalars: Tensor) -> Tensor:
    """Scalars (..., 1) as multivectors (..., 16)."""
    return F.pad(_require_width(scalars, 1), (0, 15))


def extract_scalar(multivectors: Tensor) -> Tensor:
    """Scalar part of multivectors, (..., 16) to (..., 1)."""
    return _require_width(multivectors, 16)[..., :1]


def embed_vector(vectors: Tensor) -> Tensor:
    """Four-vectors (..., 4) as multivectors x_μ e_μ (..., 16)."""
    return F.pad(_require_width(vectors, 4), (1, 11))


def extract_vector(multivectors: Tensor) -> Tensor:
    """Vector part of multivectors, (..., 16) to (..., 4)."""
    return _require_width(multivectors, 16)[..., 1:5]


def embed_bivector(bivectors: Tensor) -> Tensor:
    """Bivectors (..., 6) over e01, e02, e03, e12, e13, e23 as multivectors (..., 16)."""
    return F.pad(_require_width(bivectors, 6), (5, 5))


def extract_bivector(multivectors: Tensor) -> Tensor:
    """Bivector part of multivectors, (..., 16) to (..., 6)."""
    return _require_width(multivectors, 16)[..., 5:11]


def embed_axial_vector(vectors: Tensor) -> Tensor:
    """Axial vectors (..., 4) as multivectors e_0123 a_μ e_μ (..., 16): a turns like a vector, but not under parity."""
    duals = torch.as_tensor(DUALS).to(vectors)
    return F.pad(_require_width(vectors, 4) @ duals, (11, 1))


def extract_axial_vector(multivectors: Tensor) -> Tensor:
    """Axial vector of multivectors, (..., 16) to (..., 4)."""
    return _require_width(multivectors, 16)[..., 11:15] @ torch.as_tensor(DUALS).to(multivectors).T


def embed_pseudoscalar(pseudoscalars: Tensor) -> Tensor:
    """Pseudoscalars (..., 1) as multivectors p e_0123 (..., 16)."""
    return F.pad(_require_width(pseudoscalars, 1), (15, 0))


def extract_pseudoscalar(multivectors: Tensor) -> Tensor:
    """Pseudoscalar part of multivectors, (..., 16) to (..., 1)."""
    return _require_width(multivectors, 16)[..., 15:]


def embed_lorentz(matrix: Tensor) -> Tensor:
    """Versor R of one Lorentz transformation (4, 4), as a multivector (16,): R e_μ R⁻¹ = Λ^ν_μ e_ν."""
    return torch.as_tensor(SPACETIME.versor(matrix.detach().cpu().double().numpy())).to(matrix)


def _require_width(x: Tensor, width: int) -> Tensor:
    if x.shape[-1] != width:
        raise ValueError(f"the last dimension must be {width}, not {x.shape[-1]} (shape {tuple(x.shape)})")
    return x

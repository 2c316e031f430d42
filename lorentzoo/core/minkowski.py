"""Which operations do four-momenta and Lorentz matrices have?

Conventions, everywhere in the package: metric diag(+1, -1, -1, -1), energy first,
``p = (E, px, py, pz)``, natural units. Lorentz matrices act on column vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from lorentzoo.core.elementary import asinh, atan2

__all__ = [
    "GENERATOR_NAMES",
    "boost",
    "boost_to_rest",
    "cap_gamma",
    "decay_momentum",
    "delta_phi",
    "energy",
    "exp",
    "from_ptetaphim",
    "from_ptyphim",
    "generators",
    "has_azimuth",
    "inner",
    "inverse",
    "lower",
    "mass",
    "mass_squared",
    "metric",
    "phi",
    "pseudorapidity",
    "pt",
    "random_lorentz",
    "random_rotation",
    "rapidity",
    "rotation",
]

GENERATOR_NAMES: Final = ("Kx", "Ky", "Kz", "Jx", "Jy", "Jz")
"""The basis of so(1,3) in which every `Symmetry` and every table of the package is written."""

_CUT: Final = 1e-6
_AT_REST: Final = 1e-8
"""Velocity below which a direction is rounding, for vectors that were taken to rest at γ up to 1e4."""
_LIGHT_CONE: Final = 1e-7
"""mT/E that is rounding, since m² is known to 1e-16 E²."""
_ON_AXIS: Final = 1e-11
"""pT/E below which a vector is on the beam axis: beyond |η| = 26."""


def metric(*, dtype: torch.dtype = torch.float64, device: torch.device | str | None = None) -> Tensor:
    """Return g = diag(+1, -1, -1, -1), shape (4, 4)."""
    return torch.diag(torch.tensor([1.0, -1.0, -1.0, -1.0], dtype=dtype, device=device))


def lower(p: Tensor) -> Tensor:
    """Lower the Lorentz index: (E, -px, -py, -pz). Shape (..., 4) -> (..., 4)."""
    return torch.cat([p[..., :1], -p[..., 1:]], dim=-1)


def inner(p: Tensor, q: Tensor) -> Tensor:
    """Minkowski inner product <p, q> = p^T g q. Shapes (..., 4), (..., 4) -> (...)."""
    product = p * q
    return product[..., 0] - product[..., 1] - product[..., 2] - product[..., 3]


def mass_squared(p: Tensor) -> Tensor:
    """Invariant mass squared m² = <p, p> in the momenta's units squared. Shape (..., 4) -> (...).

    Evaluated as (E - |p|)(E + |p|), which loses fewer digits for light particles than E² - |p|².
    """
    three = _safe_norm(p[..., 1:])
    return (p[..., 0] - three) * (p[..., 0] + three)


def mass(p: Tensor) -> Tensor:
    """Invariant mass √max(m², 0). Shape (..., 4) -> (...)."""
    return _safe_sqrt(mass_squared(p))


def energy(p: Tensor) -> Tensor:
    """Energy, the first component. Shape (..., 4) -> (...)."""
    return p[..., 0]


def pt(p: Tensor) -> Tensor:
    """Transverse momentum √(px² + py²), with zero gradient at zero. Shape (..., 4) -> (...)."""
    return _safe_norm(p[..., 1:3])


def phi(p: Tensor) -> Tensor:
    """Azimuth atan2(py, px) in (-π, π]; zero, with zero gradient, on the beam axis. Shape (..., 4) -> (...)."""
    px, py = p[..., 1], p[..., 2]
    on_axis = (px == 0) & (py == 0)
    return torch.where(
        on_axis, torch.zeros_like(px), atan2(py, torch.where(on_axis, torch.ones_like(px), px))
    )


def has_azimuth(p: Tensor) -> Tensor:
    """Whether φ is more than rounding: neither at rest nor on the beam axis. Shape (..., 4) -> (...), bool.

    The thresholds, pT > 1e-8 √(E² - pz²) and pT > 1e-11 E, are the same under rotations about the beam, and the first
    under boosts along it.
    """
    pt2 = p[..., 1:3].square().sum(-1)
    transverse_mass2 = (p[..., 0] - p[..., 3]) * (p[..., 0] + p[..., 3])
    return (pt2 > _AT_REST**2 * transverse_mass2) & (pt2 > (_ON_AXIS * p[..., 0]).square())


def pseudorapidity(p: Tensor) -> Tensor:
    """Pseudorapidity η = asinh(pz / pT), zero at rest (|p| < 1e-8 E). Shape (..., 4) -> (...).

    Invariant differences under beam boosts only for massless particles: see `rapidity`.
    """
    transverse = pt(p)
    floor = torch.finfo(p.dtype).tiny ** 0.5
    moving = p[..., 1:].square().sum(-1) > (_AT_REST * p[..., 0]).square()
    eta = asinh(p[..., 3] / transverse.clamp(min=floor))
    return torch.where(moving, eta, torch.zeros_like(eta))


def rapidity(p: Tensor) -> Tensor:
    """Rapidity y = ½ ln((E + pz)/(E - pz)), shifted exactly by beam boosts. Shape (..., 4) -> (...).

    Evaluated as asinh(pz/mT), which does not cancel for forward particles and is smooth at pz = 0. Light-like vectors
    along the beam, whose mT is the rounding of E, have |y| = ln(2/1e-7) = 16.8.
    """
    transverse_mass_squared = pt(p).square() + mass_squared(p).clamp(min=0)
    tiny = torch.finfo(p.dtype).tiny ** 0.5
    floor = _LIGHT_CONE * p[..., 0].detach().abs()
    transverse_mass = torch.maximum(_safe_sqrt(transverse_mass_squared), floor).clamp(min=tiny)
    return asinh(p[..., 3] / transverse_mass)


def delta_phi(a: Tensor, b: Tensor) -> Tensor:
    """Azimuthal difference a - b wrapped to (-π, π]. Shapes (...), (...) -> (...).

    The cut lies 1e-6 beyond -π, so that what is back to back by construction (a particle and its event in
    `lloca-rest` frames) is +π on every machine and in every frame, and not a matter of rounding.
    """
    end = torch.pi + _CUT
    return end - torch.remainder(end - (a - b), 2 * torch.pi)


def from_ptetaphim(pt: Tensor, eta: Tensor, phi: Tensor, m: Tensor) -> Tensor:
    """Four-momenta from transverse momentum, pseudorapidity, azimuth and mass. Shapes (...) -> (..., 4)."""
    px, py, pz = pt * torch.cos(phi), pt * torch.sin(phi), pt * torch.sinh(eta)
    e = torch.sqrt((pt * torch.cosh(eta)).square() + m.square())
    return torch.stack([e, px, py, pz], dim=-1)


def from_ptyphim(pt: Tensor, y: Tensor, phi: Tensor, m: Tensor) -> Tensor:
    """Four-momenta from transverse momentum, rapidity, azimuth and mass. Shapes (...) -> (..., 4)."""
    transverse_mass = torch.sqrt(pt.square() + m.square())
    return torch.stack(
        [
            transverse_mass * torch.cosh(y),
            pt * torch.cos(phi),
            pt * torch.sin(phi),
            transverse_mass * torch.sinh(y),
        ],
        dim=-1,
    )


def decay_momentum(total: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Momentum of both parts in the rest frame of what decays, from masses. Shapes (...) -> (...).

    p* = √λ(M², m₁², m₂²)/(2M), as a product that is exact at threshold; zero below it.
    """
    product = (total - first - second) * (total + first + second) * (total - first + second)
    return torch.sqrt((product * (total + first - second)).clamp_min(0)) / (2 * total)


def inverse(matrices: Tensor) -> Tensor:
    """Inverse of Lorentz matrices by the metric, L⁻¹ = g Lᵀ g. Shape (..., 4, 4) -> (..., 4, 4)."""
    transposed = matrices.transpose(-1, -2)
    time, space = transposed[..., :1, :], transposed[..., 1:, :]
    return torch.cat(
        [
            torch.cat([time[..., :1], -time[..., 1:]], dim=-1),
            torch.cat([-space[..., :1], space[..., 1:]], dim=-1),
        ],
        dim=-2,
    )


def boost_to_rest(p: Tensor) -> Tensor:
    """Pure boost B with B p = (m, 0, 0, 0), for time-like future p. Shape (..., 4) -> (..., 4, 4).

    Written in the four-velocity u = p/m instead of β and γ, so that nothing cancels at high γ:
    B = [[u0, -uᵀ], [-u, 1 + u uᵀ/(1 + u0)]].
    """
    space = p[..., 1:] / mass(p).unsqueeze(-1)
    # u0 from the spatial part: B is a Lorentz matrix to rounding even where the mass has lost its digits.
    time = torch.sqrt(1 + space.square().sum(-1, keepdim=True))
    return _boost_from_unit_velocity(torch.cat([time, space], dim=-1))


def cap_gamma(p: Tensor, gamma_max: float) -> Tensor:
    """Raise the energy of vectors whose boost would exceed γ_max, so that light-like ones get a rest frame too.

    Only the ratio E/m matters, so the result scales with the input. Shape (..., 4) -> (..., 4).
    """
    floor = (p[..., 0] / gamma_max).square()
    energy = torch.sqrt(p[..., 1:].square().sum(-1) + floor)
    capped = torch.cat([energy.unsqueeze(-1), p[..., 1:]], dim=-1)
    return torch.where((mass_squared(p) < floor).unsqueeze(-1), capped, p)


def boost(direction: Tensor | Sequence[float], rapidity: Tensor | float) -> Tensor:
    """Active boost by a rapidity along a direction. Shapes (3,), () -> (4, 4), batched by broadcasting.

    Parameters
    ----------
    direction
        Three-vector, shape (..., 3); normalised here.
    rapidity
        Rapidity artanh(β), shape (...).
    """
    n = torch.as_tensor(direction, dtype=torch.float64)
    n = n / n.norm(dim=-1, keepdim=True)
    r = torch.as_tensor(rapidity, dtype=torch.float64, device=n.device)
    velocity = torch.cat([torch.cosh(r)[..., None], -torch.sinh(r)[..., None] * n], dim=-1)
    return _boost_from_unit_velocity(velocity)


def rotation(axis: Tensor | Sequence[float], angle: Tensor | float) -> Tensor:
    """Active rotation by an angle about an axis, as a Lorentz matrix. Shapes (3,), () -> (4, 4)."""
    n = torch.as_tensor(axis, dtype=torch.float64)
    n = n / n.norm(dim=-1, keepdim=True)
    a = torch.as_tensor(angle, dtype=torch.float64, device=n.device)
    coefficients = torch.cat([torch.zeros_like(n), n * a[..., None]], dim=-1)
    return exp(coefficients)


def generators(*, dtype: torch.dtype = torch.float64, device: torch.device | str | None = None) -> Tensor:
    """The basis (Kx, Ky, Kz, Jx, Jy, Jz) of so(1,3), shape (6, 4, 4), acting on column vectors."""
    basis = torch.zeros(6, 4, 4, dtype=dtype)
    for axis in range(3):
        basis[axis, 0, axis + 1] = basis[axis, axis + 1, 0] = 1.0
        j, k = (axis + 1) % 3 + 1, (axis + 2) % 3 + 1
        basis[axis + 3, j, k], basis[axis + 3, k, j] = -1.0, 1.0
    return basis.to(device) if device is not None else basis


def exp(coefficients: Tensor) -> Tensor:
    """Finite Lorentz matrix exp(Σ_a c_a X_a). Shape (..., 6) -> (..., 4, 4)."""
    basis = generators(dtype=coefficients.dtype, device=coefficients.device)
    matrices: Tensor = torch.linalg.matrix_exp(torch.einsum("...a,aij->...ij", coefficients, basis))
    return matrices


def random_rotation(
    *shape: int, rng: torch.Generator | None = None, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Rotations uniform in SO(3), as Lorentz matrices of shape (*shape, 4, 4)."""
    q = torch.randn(*shape, 4, generator=rng, dtype=dtype)
    w, x, y, z = (q / q.norm(dim=-1, keepdim=True)).unbind(-1)
    zero, one = torch.zeros_like(w), torch.ones_like(w)
    rows = [
        [one, zero, zero, zero],
        [zero, 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [zero, 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [zero, 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def random_lorentz(
    *shape: int,
    max_rapidity: float = 1.0,
    rng: torch.Generator | None = None,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Proper orthochronous matrices rotation · z-boost · rotation, shape (*shape, 4, 4).

    Rotations are uniform and the rapidity is uniform in [0, max_rapidity]; the Lorentz group
    itself has no uniform distribution.
    """
    r = max_rapidity * torch.rand(shape, generator=rng, dtype=dtype)
    zero = torch.zeros_like(r)
    velocity = torch.stack([torch.cosh(r), zero, zero, torch.sinh(r)], dim=-1)
    left = random_rotation(*shape, rng=rng, dtype=dtype)
    right = random_rotation(*shape, rng=rng, dtype=dtype)
    return left @ _boost_from_unit_velocity(velocity) @ right


def _boost_from_unit_velocity(u: Tensor) -> Tensor:
    time, space = u[..., 0, None, None], u[..., 1:]
    identity = torch.eye(3, dtype=u.dtype, device=u.device)
    block = identity + space.unsqueeze(-1) * space.unsqueeze(-2) / (1 + time)
    top = torch.cat([time, -space.unsqueeze(-2)], dim=-1)
    return torch.cat([top, torch.cat([-space.unsqueeze(-1), block], dim=-1)], dim=-2)


def _safe_norm(x: Tensor) -> Tensor:
    return _safe_sqrt(x.square().sum(-1))


def _safe_sqrt(x: Tensor) -> Tensor:
    """√max(x, 0) whose gradient at and below zero is zero instead of infinite or NaN."""
    positive = x > 0
    return torch.where(positive, torch.where(positive, x, torch.ones_like(x)).sqrt(), torch.zeros_like(x))

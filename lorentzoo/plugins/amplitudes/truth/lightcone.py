"""Which components make tree amplitudes short to compute?

A vector is (E + pz, E - pz, px + i py, px - i py), complex, components first and events last, so that every operation
runs over whole rows of events. Its products with the Pauli matrices are then its components again:
``v·σ̄ = [[v0, v3], [v2, v1]]`` and ``v·σ = [[v1, -v3], [-v2, v0]]``.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = [
    "apply_left",
    "apply_right",
    "contract",
    "longitudinal",
    "propagate_left",
    "propagate_right",
    "spinor",
    "to_lightcone",
    "transverse",
]


def to_lightcone(p: Tensor) -> Tensor:
    """Light-cone components of momenta (E, px, py, pz). Shape (..., 4) -> (4, ...), complex."""
    energy, x, y, z = p.unbind(-1)
    zero = torch.zeros_like(energy)
    return torch.stack(
        [
            torch.complex(energy + z, zero),
            torch.complex(energy - z, zero),
            torch.complex(x, y),
            torch.complex(x, -y),
        ]
    )


def contract(a: Tensor, b: Tensor) -> Tensor:
    """Minkowski product a·b = (a0 b1 + a1 b0 - a2 b3 - a3 b2)/2. Shapes (4, ...), (4, ...) -> (...)."""
    plus = torch.addcmul(a[0] * b[1], a[1], b[0])
    return 0.5 * (plus - torch.addcmul(a[2] * b[3], a[3], b[2]))


def apply_left(v: Tensor, psi: Tensor) -> Tensor:
    """The vertex (v·σ̄) ψ on a column of left-handed spinors. Shapes (4, ...), (2, ...) -> (2, ...)."""
    return torch.stack(
        [torch.addcmul(v[0] * psi[0], v[3], psi[1]), torch.addcmul(v[2] * psi[0], v[1], psi[1])]
    )


def apply_right(chi: Tensor, v: Tensor) -> Tensor:
    """The vertex χ (v·σ̄) on a row of spinors. Shapes (2, ...), (4, ...) -> (2, ...)."""
    return torch.stack(
        [torch.addcmul(chi[0] * v[0], chi[1], v[2]), torch.addcmul(chi[0] * v[3], chi[1], v[1])]
    )


def propagate_left(v: Tensor, psi: Tensor) -> Tensor:
    """The propagator's numerator (v·σ) ψ. Shapes (4, ...), (2, ...) -> (2, ...)."""
    return torch.stack([v[1] * psi[0] - v[3] * psi[1], v[0] * psi[1] - v[2] * psi[0]])


def propagate_right(chi: Tensor, v: Tensor) -> Tensor:
    """The propagator's numerator χ (v·σ). Shapes (2, ...), (4, ...) -> (2, ...)."""
    return torch.stack([chi[0] * v[1] - chi[1] * v[2], chi[1] * v[0] - chi[0] * v[3]])


def spinor(p: Tensor) -> Tensor:
    """Left-handed spinor u of a massless momentum, u u† = p·σ. Shape (..., 4) -> (2, ...).

    Evaluated from the larger of E + pz and E - pz, so that no direction is singular.
    """
    energy, x, y, z = p.unbind(-1)
    forward = z >= 0
    large = torch.sqrt(energy + z.abs())
    across = torch.complex(x, y) / large
    large = torch.complex(large, torch.zeros_like(large))
    first = torch.where(forward, -across.conj(), -large)
    second = torch.where(forward, large, across)
    return torch.stack([first, second])


def transverse(p: Tensor) -> Tensor:
    """Outgoing polarisation vectors ε*(p, λ) for λ = -1, +1. Shape (..., 4) -> (4, 2, ...).

    ``ε* = (e1 - iλ e2)/√2`` with e1 along the polar and e2 along the azimuthal direction: purely spatial, of unit norm,
    orthogonal to p. The phases are such that ε*(p, -λ) is the complex conjugate of ε*(p, λ) (in ordinary components).
    """
    _, x, y, z = p.unbind(-1)
    across = torch.hypot(x, y)
    length = torch.hypot(across, z)
    on_axis = across == 0
    safe = torch.where(on_axis, 1.0, across)
    cos_phi, sin_phi = torch.where(on_axis, 1.0, x / safe), torch.where(on_axis, 0.0, y / safe)
    cos, sin = z / length, across / length
    zero = torch.zeros_like(x)
    polar = to_lightcone(torch.stack([zero, cos * cos_phi, cos * sin_phi, -sin], dim=-1))
    azimuthal = to_lightcone(torch.stack([zero, -sin_phi, cos_phi, zero], dim=-1))
    return torch.stack([polar + 1j * azimuthal, polar - 1j * azimuthal], dim=1) / 2**0.5


def longitudinal(p: Tensor) -> Tensor:
    """The polarisation vector λ = 0 of a massive boson, less p/m. Shape (..., 4) -> (4, ...).

    (|p|, E p/|p|)/m - p/m = m/(E + |p|) (-1, p/|p|): conserved currents do not see a multiple of p, and terms that grow
    with E/m and cancel between diagrams are left out. At rest the direction is that of the z-axis.
    """
    energy, space = p[..., 0], p[..., 1:]
    length = space.norm(dim=-1)
    m = torch.sqrt((energy - length) * (energy + length))
    at_rest = (length == 0).unsqueeze(-1)
    axis = torch.tensor([0.0, 0.0, 1.0], dtype=p.dtype, device=p.device)
    direction = torch.where(at_rest, axis, space / torch.where(at_rest, 1.0, length.unsqueeze(-1)))
    size = (m / (energy + length)).unsqueeze(-1)
    return to_lightcone(torch.cat([-size, size * direction], -1))

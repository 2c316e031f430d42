"""How are points drawn evenly over n-body phase space?

RAMBO (Comput. Phys. Commun. 40 (1986) 359): isotropic massless momenta, boosted and scaled to the event's energy, and
scaled again onto the mass shells. Evenly without masses; with masses each point has a weight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lorentzoo.plugins.amplitudes.errors import AmplitudeError

__all__ = ["beam_momenta", "massless_volume", "rambo"]

_STEPS = 50
"""Newton steps at most; five are usual, more are needed at threshold."""


def beam_momenta(sqrt_s: Tensor) -> Tensor:
    """Two massless beams along ±z in the centre-of-mass frame. Shape (B,) -> (B, 2, 4)."""
    half, zero = sqrt_s / 2, torch.zeros_like(sqrt_s)
    return torch.stack([torch.stack([half, zero, zero, sign * half], -1) for sign in (1, -1)], dim=1)


def massless_volume(n: int, sqrt_s: Tensor) -> Tensor:
    """Volume of massless n-body phase space, (2π)^(4-3n) (π/2)^(n-1) s^(n-2)/((n-1)! (n-2)!). Shape (B,) -> (B,)."""
    constant = (2 * math.pi) ** (4 - 3 * n) * (math.pi / 2) ** (n - 1)
    return constant * sqrt_s ** (2 * n - 4) / (math.factorial(n - 1) * math.factorial(n - 2))


def rambo(uniform: Tensor, sqrt_s: Tensor, masses: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Momenta of n outgoing particles in their centre-of-mass frame, and their weights.

    Parameters
    ----------
    uniform
        Random numbers in (0, 1), shape (B, n, 4), float64.
    sqrt_s
        Energies in GeV, shape (B,).
    masses
        Masses in GeV, n >= 2 of them.

    Returns
    -------
    Momenta (B, n, 4), and weights (B,) whose mean is the volume of phase space, with the element
    ``(2π)⁴ δ⁴(P - Σp) Π d³p/((2π)³ 2E)``.

    Raises
    ------
    AmplitudeError
        If there are fewer than two particles, or an energy is below the sum of the masses.
    """
    n = len(masses)
    if n < 2 or uniform.shape[1:] != (n, 4):
        raise AmplitudeError(
            f"RAMBO needs random numbers (B, n, 4) for n >= 2 masses, not {tuple(uniform.shape)} for {n}"
        )
    below = sqrt_s <= sum(masses)
    if bool(below.any()):
        raise AmplitudeError(
            f"an energy of {float(sqrt_s[below][0]):.6g} GeV does not reach the masses {list(masses)}, together "
            f"{sum(masses):.6g} GeV"
        )
    momenta = _massless(uniform, sqrt_s)
    weight = massless_volume(n, sqrt_s)
    if not any(masses):
        return momenta, weight
    return _onto_shells(momenta, weight, sqrt_s, torch.tensor(masses, dtype=momenta.dtype))


def _massless(uniform: Tensor, sqrt_s: Tensor) -> Tensor:
    cos, phi = 2 * uniform[..., 0] - 1, 2 * math.pi * uniform[..., 1]
    energy = -torch.log(uniform[..., 2] * uniform[..., 3])
    across = energy * torch.sqrt(1 - cos**2)
    space = torch.stack([across * torch.cos(phi), across * torch.sin(phi), energy * cos], dim=-1)
    total, boost = energy.sum(1), space.sum(1)
    mass = torch.sqrt(total**2 - boost.square().sum(-1))
    velocity, gamma = -boost / mass.unsqueeze(-1), total / mass
    along = (velocity.unsqueeze(1) * space).sum(-1)
    scale = (sqrt_s / mass).unsqueeze(1)
    shift = (energy + along / (1 + gamma).unsqueeze(1)).unsqueeze(-1)
    moved = scale.unsqueeze(-1) * (space + velocity.unsqueeze(1) * shift)
    # Energies from the momenta, so that mass shells are exact.
    return torch.cat([moved.norm(dim=-1, keepdim=True), moved], dim=-1)


def _onto_shells(momenta: Tensor, weight: Tensor, sqrt_s: Tensor, masses: Tensor) -> tuple[Tensor, Tensor]:
    n = len(masses)
    length = momenta[..., 0]
    scale = torch.sqrt(1 - (masses.sum() / sqrt_s) ** 2)
    for _ in range(_STEPS):
        energy = torch.hypot(masses, scale.unsqueeze(1) * length)
        excess = energy.sum(1) - sqrt_s
        scale = scale - excess / (scale.unsqueeze(1) * length.square() / energy).sum(1)
        if bool((excess.abs() <= 4 * torch.finfo(energy.dtype).eps * sqrt_s).all()):
            break
    energy = torch.hypot(masses, scale.unsqueeze(1) * length)
    space = scale[:, None, None] * momenta[..., 1:]
    length = scale.unsqueeze(1) * length
    root = sqrt_s.unsqueeze(1)
    factor = (length / root).sum(1) ** (2 * n - 3) * (length / energy).prod(1)
    factor = factor / (length.square() / (energy * root)).sum(1)
    return torch.cat([energy.unsqueeze(-1), space], dim=-1), weight * factor

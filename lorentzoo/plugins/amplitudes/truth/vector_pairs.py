"""What are the helicity amplitudes of q q̄ → V V with vector bosons of any mass, on shell or off?

Two diagrams, one for each order of the bosons along the line; couplings are factored out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lorentzoo.nn import mass
from lorentzoo.plugins.amplitudes.truth.lightcone import (
    apply_left,
    contract,
    propagate_left,
    spinor,
    to_lightcone,
    transverse,
)
from lorentzoo.plugins.amplitudes.truth.quark_line import z_helicities

__all__ = [
    "complete_by_parity",
    "contract_with_currents",
    "decay_current",
    "pair_amplitudes",
    "pair_helicity_amplitudes",
]


def pair_amplitudes(momenta: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Amplitudes of a left-handed quark line for given polarisations, ``Σ χ̄ ε̸₂ (q̸ - k̸₁) ε̸₁ ψ/(q - k₁)²``, both orders.

    Parameters
    ----------
    momenta
        q, q̄ (incoming), V₁, V₂ (outgoing), shape (B, 4, 4).
    first, second
        Polarisation vectors of V₁ and V₂, or currents into which they decay, shapes (4, V, B) and (4, W, B).

    Returns
    -------
    Shape (V, W, B), complex.
    """
    k = to_lightcone(momenta.transpose(0, 1))
    u, v = spinor(momenta[:, 0]), spinor(momenta[:, 1]).conj()

    def absorb(a: Tensor, along: Tensor, b: Tensor) -> Tensor:
        p = k[:, 0] - along
        inner = propagate_left((p / contract(p, p)).unsqueeze(1), apply_left(a, u.unsqueeze(1)))
        outer = apply_left(b[:, None], inner.unsqueeze(2))
        return v[0] * outer[0] + v[1] * outer[1]

    return absorb(first, k[:, 2], second) + absorb(second, k[:, 3], first).transpose(0, 1)


def pair_helicity_amplitudes(momenta: Tensor) -> Tensor:
    """All 18 helicity amplitudes of q q̄ → V V.

    Nine are computed; nine follow by parity: with all helicities reversed an amplitude is its complex conjugate, in the
    phases of `transverse`. Exchange of the bosons (Bose) and of quark and antiquark (CP) relate amplitudes at one point
    to those at another.

    Parameters
    ----------
    momenta
        q, q̄, V₁, V₂, shape (B, 4, 4).

    Returns
    -------
    By helicity of the quark (-, +; the antiquark has the other), of V₁ and of V₂ (-, 0, +), shape (B, 2, 3, 3), complex.
    """
    left = pair_amplitudes(momenta, z_helicities(momenta[:, 2]), z_helicities(momenta[:, 3])).movedim(-1, 0)
    return complete_by_parity(left)


def complete_by_parity(left: Tensor) -> Tensor:
    """All 18 helicity amplitudes from the nine of a left-handed quark. Shape (B, 3, 3) -> (B, 2, 3, 3)."""
    return torch.stack([left, left.flip((1, 2)).conj()], dim=1)


def contract_with_currents(amplitudes: Tensor, momenta: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Amplitudes with the decays of both bosons, from helicity amplitudes: ``Σ A(λ₁, λ₂) (ε(λ₁)·L₁) (ε(λ₂)·L₂)``.

    Parameters
    ----------
    amplitudes
        Helicity amplitudes (B, 2, 3, 3).
    momenta
        q, q̄, V₁, V₂, shape (B, 4, 4).
    first, second
        Conserved currents of the decays (Breit-Wigner factors and couplings are the caller's), shape (4, B).

    Returns
    -------
    By helicity of the quark, shape (B, 2). The currents' own sign is that of -g = Σ ε ε* on shell.
    """
    projected = [
        # ε(λ) is the conjugate of ε*(λ), which is ε*(-λ) in these phases.
        contract(z_helicities(momenta[:, 2 + boson]).flip(1), current.unsqueeze(1))
        for boson, current in enumerate((first, second))
    ]
    return torch.einsum("bqvw,vb,wb->bq", amplitudes, projected[0], projected[1])


def decay_current(boson: Tensor, cos: Tensor, phi: Tensor) -> Tensor:
    """Current ⟨l|σ̄^μ|l̄⟩ of the decay of a boson into a left-handed massless pair, ``√2 m ε*(l, -)`` in its rest frame.

    Its phase is a smooth function of the angles, as that of products of spinors is not.

    Parameters
    ----------
    boson
        Momentum, shape (B, 4).
    cos, phi
        Direction of the particle l in the rest frame of the boson, with the axes of the frame in which the boson moves,
        shape (B,).

    Returns
    -------
    Light-cone components, shape (4, B), complex; orthogonal to the boson's momentum.
    """
    sin = torch.sqrt((1 - cos) * (1 + cos))
    direction = torch.stack([torch.ones_like(cos), sin * torch.cos(phi), sin * torch.sin(phi), cos], dim=-1)
    m = mass(boson)
    at_rest = 2**0.5 * m * transverse(direction)[:, 0]
    axis = to_lightcone(torch.eye(4, dtype=boson.dtype)[0].expand_as(boson))
    # The boost of a vector v without energy: v - (v·k)/(m (E + m)) (k + m t), with the time axis t.
    along = contract(at_rest, to_lightcone(boson)) / (m * (boson[:, 0] + m))
    return at_rest - along * (to_lightcone(boson) + m * axis)

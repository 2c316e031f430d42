"""Which squared matrix elements are a line of algebra?

All are averaged over spins and colours of the incoming particles, summed over those of the outgoing ones, and carry 1/n!
for n identical outgoing particles. Momenta are (E, px, py, pz): the first two come in, the others go out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations

import torch
from torch import Tensor

from lorentzoo.nn import mass_squared
from lorentzoo.plugins.amplitudes.truth.lightcone import spinor

__all__ = [
    "gluon_pair",
    "gluons",
    "lepton_pair",
    "mandelstam",
    "parke_taylor",
    "photon_pair",
    "spinor_product",
    "z_gluon",
]


def mandelstam(momenta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """s = (p1 + p2)², t = (p1 - p3)², u = (p1 - p4)² of 2 → 2. Shape (B, 4, 4) -> three times (B,)."""
    first, second, third, fourth = momenta.unbind(1)
    return mass_squared(first + second), mass_squared(first - third), mass_squared(first - fourth)


def z_gluon(momenta: Tensor, couplings_squared: float, alpha_s: float) -> Tensor:
    """q q̄ → Z g: (4/9) g_s² (g_L² + g_R²) (t² + u² + 2 s m²)/(t u).

    Parameters
    ----------
    momenta
        q, q̄, Z, g, shape (B, 4, 4).
    couplings_squared
        g_L² + g_R² of the quark.
    alpha_s
        Strong coupling, g_s² = 4π α_s.
    """
    s, t, u = mandelstam(momenta)
    m2 = mass_squared(momenta[:, 2])
    return 4 / 9 * (4 * math.pi * alpha_s) * couplings_squared * (t**2 + u**2 + 2 * s * m2) / (t * u)


def photon_pair(momenta: Tensor, charge: float, alpha: float) -> Tensor:
    """q q̄ → γ γ: (1/3) e⁴ Q⁴ (t² + u²)/(t u)."""
    _, t, u = mandelstam(momenta)
    return (4 * math.pi * alpha * charge**2) ** 2 / 3 * (t**2 + u**2) / (t * u)


def lepton_pair(
    momenta: Tensor, left: float, right: float, alpha: float, mass: float, width: float
) -> Tensor:
    """e⁺e⁻ → μ⁺μ⁻ by a photon and a Z: (|G_LL|² + |G_RR|²) u² + 2 |G_LR|² t², masses of leptons neglected.

    Parameters
    ----------
    momenta
        e⁻, e⁺, μ⁻, μ⁺, shape (B, 4, 4).
    left, right
        Couplings of the Z to left- and right-handed charged leptons; zero for pure electrodynamics, 2 e⁴ (t² + u²)/s².
    alpha
        Electromagnetic coupling, e² = 4π α.
    mass, width
        Of the Z in GeV, in G_ij = e²/s + g_i g_j/(s - M² + i M Γ).
    """
    s, t, u = mandelstam(momenta)
    pole = torch.complex(s - mass**2, torch.full_like(s, mass * width))
    exchange = {
        (i, j): (4 * math.pi * alpha / s + i * j / pole).abs() ** 2
        for i, j in ((left, left), (right, right), (left, right))
    }
    same = exchange[left, left] + exchange[right, right]
    return same * u**2 + 2 * exchange[left, right] * t**2


def gluon_pair(momenta: Tensor, alpha_s: float) -> Tensor:
    """g g → g g: (9/4) g_s⁴ (3 - t u/s² - s u/t² - s t/u²)."""
    s, t, u = mandelstam(momenta)
    return 9 / 4 * (4 * math.pi * alpha_s) ** 2 * (3 - t * u / s**2 - s * u / t**2 - s * t / u**2)


def spinor_product(p: Tensor, q: Tensor) -> Tensor:
    """⟨pq⟩ with |⟨pq⟩|² = 2 p·q. Shapes (..., 4), (..., 4) -> (...), complex."""
    a, b = spinor(p), spinor(q)
    return a[0] * b[1] - a[1] * b[0]


def parke_taylor(momenta: Tensor, negative: tuple[int, int], order: Sequence[int] | None = None) -> Tensor:
    """Colour-ordered amplitude of N gluons of which two have helicity -, ⟨ij⟩⁴/(⟨12⟩⟨23⟩ ... ⟨N1⟩).

    Phys. Rev. Lett. 56 (1986) 2459, without couplings; its phase is fixed up to those of the gluons.

    Parameters
    ----------
    momenta
        Two incoming and N - 2 outgoing gluons, shape (B, N, 4).
    negative
        Which two have helicity -, counted as outgoing.
    order
        Colour order; that of the momenta by default.

    Returns
    -------
    Shape (B,), complex.
    """
    order = range(momenta.shape[1]) if order is None else order
    around = [*order[1:], order[0]]
    product = math.prod(
        (spinor_product(momenta[:, i], momenta[:, j]) for i, j in zip(order, around, strict=True)),
        start=torch.ones((), dtype=torch.complex128),
    )
    return spinor_product(momenta[:, negative[0]], momenta[:, negative[1]]) ** 4 / product


def gluons(momenta: Tensor, alpha_s: float) -> Tensor:
    """g g → n g, all colours and helicities, n = 2 or 3: ``h g_s²ⁿ 3ⁿ 8 Σ s_ij⁴ Σ 1/(s_12 ... s_N1) / (4·64·n!)``.

    The second sum runs over the (N - 1)! cyclic orders; h = 1 for four gluons, and 2 for five, where the amplitudes with
    three negative helicities come on top. For more gluons neither colours nor helicities close in this form.

    Parameters
    ----------
    momenta
        Two incoming and n outgoing gluons, shape (B, n + 2, 4).
    alpha_s
        Strong coupling, g_s² = 4π α_s.
    """
    number = momenta.shape[1]
    n = number - 2
    signs = torch.tensor([1.0, 1.0] + [-1.0] * n, dtype=momenta.dtype)
    outgoing = momenta * signs[:, None]
    s = mass_squared(outgoing.unsqueeze(2) + outgoing.unsqueeze(1)).abs()
    pairs = torch.triu_indices(number, number, 1)
    fourth = (s[:, pairs[0], pairs[1]] ** 4).sum(-1)
    orders = torch.tensor([(0, *rest) for rest in permutations(range(1, number))])
    chains = (1 / s[:, orders, orders.roll(-1, 1)].prod(-1)).sum(-1)
    constant = (n - 1) * (4 * math.pi * alpha_s) ** n * 3**n * 8 / (4 * 64 * math.factorial(n))
    return constant * fourth * chains

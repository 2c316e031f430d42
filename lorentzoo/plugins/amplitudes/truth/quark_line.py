"""What are the helicity amplitudes of q q̄ → Z + n gluons, and their sum over helicities and colours?

One massless quark line that emits gluons and one Z. The currents of both of its ends, without the Z, meet at its vertex:
``A(σ) = Σ_m χ̄(σ_m+1 ... σ_n) ε̸_Z ψ(σ_1 ... σ_m)``. Ends are shared between orders, gluon currents between both ends, and
everything between helicities.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lorentzoo.plugins.amplitudes.truth.colour import colour_root
from lorentzoo.plugins.amplitudes.truth.gluons import gluon_currents, sum_momenta
from lorentzoo.plugins.amplitudes.truth.lightcone import (
    apply_left,
    apply_right,
    contract,
    longitudinal,
    propagate_left,
    propagate_right,
    spinor,
    to_lightcone,
    transverse,
)
from lorentzoo.plugins.amplitudes.truth.orderings import Orderings, orderings

__all__ = ["gluon_helicities", "helicity_amplitudes", "ordered_amplitudes", "squared_amplitude"]

_CHUNK_BYTES = 1 << 20
"""Size of the largest tensor of a chunk; a few of these fit a second-level cache of 2 MB."""


def ordered_amplitudes(momenta: Tensor, z_polarisations: Tensor, gluon_polarisations: Tensor) -> Tensor:
    """Colour-ordered amplitudes of a left-handed quark line, without couplings.

    Parameters
    ----------
    momenta
        q, q̄ (incoming), Z, gluons (outgoing), shape (B, n + 3, 4). The Z may have any mass.
    z_polarisations
        Any V polarisation vectors of the Z, light-cone components, shape (4, V, B).
    gluon_polarisations
        Two polarisation vectors of each gluon, shape (4, n, 2, B).

    Returns
    -------
    Amplitudes by order of the gluons along the line from q to q̄, by Z and gluon polarisations (of gluon 1 slowest),
    shape (n!, V, 2^n, B), complex.
    """
    table = orderings(momenta.shape[1] - 3)
    k = to_lightcone(momenta.transpose(0, 1))
    subsets = sum_momenta(k[:, 3:])
    gluons = gluon_currents(table, subsets, gluon_polarisations)
    psi = _quark_ends(table, spinor(momenta[:, 0]), k[:, 0], subsets, gluons)
    chi = _antiquark_ends(table, spinor(momenta[:, 1]).conj(), k[:, 1], subsets, gluons)
    n, orders = table.n, list(table.tuples[table.n])
    bispinor: Tensor | None = None
    for m in range(n + 1):
        left = psi[m].index_select(1, table.parts(orders, 0, m)).unsqueeze(3)
        right = chi[n - m].index_select(1, table.parts(orders, m, n)).unsqueeze(2)
        product = (right.unsqueeze(1) * left.unsqueeze(0)).flatten(3, 4)
        bispinor = product if bispinor is None else bispinor + product
    assert bispinor is not None
    # By order, helicities in the order of the gluons: (2, 2, n! 2^n, B) -> (2, 2, n!, 1, 2^n, B).
    bispinor = bispinor.flatten(2, 3).index_select(2, table.by_gluon.flatten())
    bispinor = bispinor.unflatten(2, table.by_gluon.shape).unsqueeze(3)
    v = z_polarisations[:, None, :, None]
    amplitude = torch.addcmul(bispinor[0, 0] * v[0], bispinor[0, 1], v[3])
    return torch.addcmul(torch.addcmul(amplitude, bispinor[1, 0], v[2]), bispinor[1, 1], v[1])


def helicity_amplitudes(momenta: Tensor) -> Tensor:
    """Colour-ordered helicity amplitudes of q q̄ → Z + n g, without couplings, by helicity.

    A right-handed line is a left-handed one with all helicities reversed and the amplitude conjugated (parity), in the
    phases of `transverse`.

    Parameters
    ----------
    momenta
        q, q̄, Z, gluons, shape (B, n + 3, 4).

    Returns
    -------
    Shape (B, n!, 2, 3, 2, ..., 2), complex: by colour order, helicity of the quark (-, +; the antiquark has the other),
    of the Z (-, 0, +) and of each gluon (-, +).
    """
    n = momenta.shape[1] - 3
    left = ordered_amplitudes(momenta, z_helicities(momenta[:, 2]), gluon_helicities(momenta))
    left = left.movedim(-1, 0).unflatten(-1, (2,) * n)
    right = left.flip(list(range(2, left.ndim))).conj()
    return torch.stack([left, right], dim=2)


def z_helicities(p: Tensor) -> Tensor:
    """Polarisation vectors of a massive boson by helicity (-, 0, +). Shape (B, 4) -> (4, 3, B)."""
    minus, plus = transverse(p).unbind(1)
    return torch.stack([minus, longitudinal(p), plus], dim=1)


def gluon_helicities(momenta: Tensor) -> Tensor:
    """Polarisation vectors of the gluons of q q̄ → Z + n g by helicity (-, +). Shape (B, n + 3, 4) -> (4, n, 2, B)."""
    return transverse(momenta[:, 3:].transpose(0, 1)).transpose(1, 2)


def squared_amplitude(momenta: Tensor) -> Tensor:
    """Σ |A|² over colours, and over helicities for one handedness of the line, without couplings or averages.

    By parity both handednesses have the same sum, so that couplings enter as g_L² + g_R². Events go through in chunks
    whose largest tensor fits the cache.

    Parameters
    ----------
    momenta
        q, q̄, Z, gluons, shape (B, n + 3, 4).

    Returns
    -------
    Shape (B,).
    """
    n = momenta.shape[1] - 3
    size = max(1, _CHUNK_BYTES // (4 * 16 * math.factorial(n) << n))
    return (
        torch.cat([_square(chunk, n) for chunk in momenta.split(size)])
        if len(momenta)
        else momenta.new_zeros(0)
    )


def _square(momenta: Tensor, n: int) -> Tensor:
    amplitudes = ordered_amplitudes(momenta, z_helicities(momenta[:, 2]), gluon_helicities(momenta))
    flat = torch.view_as_real(amplitudes).flatten(1)
    coloured = colour_root(n).to(flat) @ flat
    return coloured.square().unflatten(1, (-1, len(momenta), 2)).sum((0, 1, 3))


def _quark_ends(
    table: Orderings, u: Tensor, q: Tensor, subsets: Tensor, gluons: list[Tensor]
) -> list[Tensor]:
    """By number m of absorbed gluons the current of the quark's end, shape (2, tuples, 2^m, B)."""
    found = [u[:, None, None]]
    for length in range(1, table.n + 1):
        items = list(table.tuples[length])
        total: Tensor | None = None
        for cut in range(length):
            psi = found[cut].index_select(1, table.parts(items, 0, cut)).unsqueeze(3)
            current = gluons[length - cut].index_select(1, table.parts(items, cut, length)).unsqueeze(2)
            vertex = apply_left(current, psi).flatten(2, 3)
            total = vertex if total is None else total + vertex
        p = q.unsqueeze(1) - subsets[:, table.members[length]]
        assert total is not None
        found.append(propagate_left((p / contract(p, p)).unsqueeze(2), total))
    return found


def _antiquark_ends(
    table: Orderings, v: Tensor, q: Tensor, subsets: Tensor, gluons: list[Tensor]
) -> list[Tensor]:
    """By number m of gluons emitted last the current of the antiquark's end, shape (2, tuples, 2^m, B)."""
    found = [v[:, None, None]]
    for length in range(1, table.n + 1):
        items = list(table.tuples[length])
        total: Tensor | None = None
        for cut in range(1, length + 1):
            chi = found[length - cut].index_select(1, table.parts(items, cut, length)).unsqueeze(2)
            current = gluons[cut].index_select(1, table.parts(items, 0, cut)).unsqueeze(3)
            vertex = apply_right(chi, current).flatten(2, 3)
            total = vertex if total is None else total + vertex
        p = subsets[:, table.members[length]] - q.unsqueeze(1)
        assert total is not None
        found.append(propagate_right(total, (p / contract(p, p)).unsqueeze(2)))
    return found

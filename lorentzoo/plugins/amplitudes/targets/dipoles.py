"""How much of an amplitude is one gluon emitted from the amplitude of one gluon fewer?"""

from __future__ import annotations

import math
from itertools import permutations
from typing import Final

import torch
from torch import Tensor

from lorentzoo import ParticleCloud
from lorentzoo.nn import Columns, EventSteps, ExportError
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.processes import Couplings, z_gluon_factor
from lorentzoo.plugins.amplitudes.targets.dipole_maps import NUM_INCOMING, dot, take_away
from lorentzoo.plugins.amplitudes.targets.factors import read_partons
from lorentzoo.plugins.amplitudes.targets.references import Reference
from lorentzoo.plugins.amplitudes.truth.quark_line import gluon_helicities, ordered_amplitudes, z_helicities

__all__ = ["Dipoles", "sum_dipoles"]

_MOST_DIPOLES: Final = 10_000
"""Amplitudes of one gluon, or of `stop` of them, for an event."""
_AT_ONCE: Final = 1 << 15
_COLOURS: Final = 3
_FIRST: Final = NUM_INCOMING + 1
"""Where gluons begin, behind two quarks and the boson."""


class Dipoles(Reference):
    """Leading-colour dipoles for q q̄ → Z + n g, each times the amplitude of one gluon fewer, down to the exact one.

    For each order of the gluons along the quark line, ``L_n = Σ_j w_j Σ K(e, j; s) L_(n-1)``: each gluon j is emitted by
    one of its two neighbours e and the other one, s, takes the recoil (the maps of Catani and Seymour). K is the eikonal
    factor's part of e with the collinear splitting function,

    ``K = (2 e·s/(e·j + s·j) + c)/(e·j)``, with ``v = s·j/(e·j + s·j)`` and ``c = v (1 - x)/x`` for an incoming quark e,
    ``c = 2 j·s/(e·j + e·s) + 2 v z (1 - z)`` for a gluon e with z = e·s/(e·s + j·s),

    and ``w_j ∝ (a·b/(a·j j·b))²`` of the neighbours a and b shares out which gluon was the last, so that the limit of a
    soft gluon, and of a collinear pair, comes out right and is not counted n times. With v, which is 1 where j is
    collinear to e, q q̄ → Z g is exact from q q̄ → Z. All terms are positive, and the limits are those of |M|² up to 1/N².
    Nothing is fitted. α_s and the couplings are the default ones.

    Parameters
    ----------
    stop
        At how many gluons amplitudes are exact (at leading colour); 0 takes q q̄ → Z.

    Raises
    ------
    AmplitudeError
        If stop is negative; in `evaluate` on other particles, and on more gluons than are worth it.
    """

    exportable = "dipoles map each event to hundreds of others, of which its number of gluons tells how many"

    def __init__(self, stop: int = 1) -> None:
        super().__init__()
        if stop < 0:
            raise AmplitudeError(f"stop is a number of gluons, at least 0, not {stop}")
        self.stop = stop

    def evaluate(self, cloud: ParticleCloud) -> Tensor:
        """ln R of each event, (B,)."""
        quarks, boson, gluons, counts = read_partons(cloud)
        total = torch.zeros(len(counts), dtype=torch.float64, device=quarks.device)
        for n in counts.unique().tolist():
            events = counts == n
            momenta = torch.cat([quarks[events], boson[events], gluons[events, :n]], dim=1)
            total = total.masked_scatter(events, sum_dipoles(momenta, self.stop).log())
        return total

    def write_steps(self, event: EventSteps) -> Columns:
        """None: a sum over hundreds of mapped events is no form for source code, and slower than the truth there.

        Raises
        ------
        ExportError
            Always.
        """
        raise ExportError(
            "source code has no form of the reference 'dipoles', which maps each event to hundreds of others; take "
            "reference='factorised' or 'tree'"
        )


def sum_dipoles(momenta: Tensor, stop: int = 1) -> Tensor:
    """R of `Dipoles`, in GeV^(2 - 2n).

    Parameters
    ----------
    momenta
        q, q̄, Z, gluons, shape (B, n + 3, 4), float64; the quarks come in with positive energies.
    stop
        At how many gluons amplitudes are exact.

    Returns
    -------
    Shape (B,).

    Raises
    ------
    AmplitudeError
        If there would be too many dipoles.
    """
    n = momenta.shape[1] - _FIRST
    dipoles = math.prod(2 * k for k in range(stop + 1, n + 1)) * math.factorial(n)
    if dipoles > _MOST_DIPOLES:
        raise AmplitudeError(
            f"the reference 'dipoles' takes {dipoles} amplitudes for an event of {n} gluons, at most {_MOST_DIPOLES} are "
            f"worth it; take a larger stop than {stop}, or reference='factorised'"
        )
    # |M|² at leading colour: exact for one gluon, then N/2 for each further one.
    factor = z_gluon_factor(n, Couplings()) * (_COLOURS**2 - 1) / 2 * (_COLOURS / 2) ** (n - 1)
    chunks = momenta.split(max(1, _AT_ONCE // dipoles))
    return factor * torch.cat([_sum_orders(chunk.movedim(0, -1), stop) for chunk in chunks])


def _sum_orders(momenta: Tensor, stop: int) -> Tensor:
    """Σ over orders of L_n. Shape (n + 3, 4, B) -> (B,)."""
    n = len(momenta) - _FIRST
    if n <= stop:
        return _exact(momenta).sum(0)
    orders = [[0, 1, 2, *(_FIRST + gluon for gluon in order)] for order in permutations(range(n))]
    # (n!, n + 3, 4, B), and orders beside the events.
    arranged = momenta[torch.tensor(orders)].permute(1, 2, 0, 3).flatten(2)
    return _emit(list(arranged), stop).unflatten(0, (len(orders), -1)).sum(0)


def _emit(momenta: list[Tensor], stop: int) -> Tensor:
    """L_n for gluons in their order along the line from q to q̄, (4, B) each -> (B,)."""
    n = len(momenta) - _FIRST
    if n == stop:
        return _exact(torch.stack(momenta))[0]
    line = [0, *range(_FIRST, len(momenta)), 1]
    antennae: list[Tensor] = []
    kernels: list[Tensor] = []
    mapped: list[list[Tensor]] = []
    for before, gluon, after in zip(line, line[1:], line[2:], strict=False):
        products = {place: dot(momenta[place], momenta[gluon]) for place in (before, after)}
        between = dot(momenta[before], momenta[after])
        antennae.append(between / (products[before] * products[after]))
        for emitter, spectator in ((before, after), (after, before)):
            left, share = take_away(momenta, emitter, gluon, spectator)
            near, far = products[emitter], products[spectator]
            wide = far / (near + far)
            if emitter < NUM_INCOMING:
                collinear = (1 - share) / share * wide
            else:
                z = between / (between + far)
                collinear = 2 * far / (near + between) + 2 * z * (1 - z) * wide
            kernels.append((2 * between / (near + far) + collinear) / near)
            mapped.append(left)
    # Over the largest, whose square may be beyond what numbers hold.
    last = torch.stack(antennae)
    last = (last / last.amax(0)).square()
    last = (last / last.sum(0)).repeat_interleave(2, dim=0)
    joined = [torch.cat(parts, dim=-1) for parts in zip(*mapped, strict=True)]
    lower = _emit(joined, stop).unflatten(0, (len(mapped), -1))
    return (last * torch.stack(kernels) * lower).sum(0)


def _exact(momenta: Tensor) -> Tensor:
    """Σ |A|² over helicities of a left-handed line, by order of the gluons. Shape (n + 3, 4, B) -> (n!, B)."""
    q, anti, z = momenta[:_FIRST]
    n = len(momenta) - _FIRST
    if n == 0:
        return 4 * dot(q, anti).unsqueeze(0)
    if n == 1:
        gluon = momenta[_FIRST]
        squares = dot(q, z).square() + dot(anti, z).square()
        return (4 * squares / (dot(q, gluon) * dot(anti, gluon))).unsqueeze(0)
    events = momenta.movedim(-1, 0)
    amplitudes = ordered_amplitudes(events, z_helicities(events[:, 2]), gluon_helicities(events))
    return torch.view_as_real(amplitudes).square().sum((1, 2, 4))

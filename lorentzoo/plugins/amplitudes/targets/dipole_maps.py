"""Where do the other momenta go when an emitted gluon is taken away?

The maps of Catani and Seymour (hep-ph/9605323, sections 5.1 to 5.5) from n + 1 to n partons, each for an emitter and a
spectator that absorb the recoil: both final, one of them incoming, or both incoming. They conserve energy and momentum,
keep all mass shells, and leave the momenta as they are where the gluon is soft.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

__all__ = ["NUM_INCOMING", "dot", "take_away"]

NUM_INCOMING: Final = 2
"""The first two momenta come in, with positive energies."""


def dot(p: Tensor, q: Tensor) -> Tensor:
    """p·q of momenta by component, shapes (4, B), (4, B) -> (B,)."""
    product = p * q
    return product[0] - product[1] - product[2] - product[3]


def take_away(
    momenta: Sequence[Tensor], emitter: int, gluon: int, spectator: int
) -> tuple[list[Tensor], Tensor]:
    """The momenta without the gluon, and what the emitter kept.

    Parameters
    ----------
    momenta
        Two incoming and then outgoing momenta by component, shape (4, B) each; emitter, gluon and spectator are massless.
    emitter, gluon, spectator
        Their places.

    Returns
    -------
    The others in their order, and the share of the momentum of a dipole that is left, (B,): 1 - y for two final partons,
    x where one or both come in; 1 where the gluon is soft.
    """
    incoming = [place for place in (emitter, spectator) if place < NUM_INCOMING]
    found = list(momenta)
    j = momenta[gluon]
    if not incoming:
        i, k = momenta[emitter], momenta[spectator]
        ij, ik, jk = dot(i, j), dot(i, k), dot(j, k)
        share = (ik + jk) / (ij + ik + jk)
        found[spectator] = k / share
        found[emitter] = i + j - (1 - share) / share * k
    elif len(incoming) == 1:
        (place,) = incoming
        other = emitter + spectator - place
        a, k = momenta[place], momenta[other]
        across = dot(k, a) + dot(j, a)
        share = (across - dot(j, k)) / across
        found[place] = share * a
        found[other] = k + j - (1 - share) * a
    else:
        a, b = momenta[emitter], momenta[spectator]
        ab = dot(a, b)
        share = (ab - dot(j, a) - dot(j, b)) / ab
        before = a + b - j
        found[emitter] = share * a
        after = found[emitter] + b
        # All of the final state takes the recoil, by the boost from one sum to the other.
        total = before + after
        square, mass = dot(total, total), dot(before, before)
        for place in range(NUM_INCOMING, len(momenta)):
            p = momenta[place]
            along, back = 2 * dot(p, total) / square, 2 * dot(p, before) / mass
            found[place] = torch.addcmul(torch.addcmul(p, along, total, value=-1), back, after)
    del found[gluon]
    return found, share

"""From what does a jet come, by the particles of the generator?

Partons of the decays of tops, W, Z and Higgs bosons are looked for around the jet: a jet that holds all of a hadronic
decay is of that class, one that holds none of any decay is of light quarks and gluons (qcd), and what is between is
of none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.ragged import event_index, gather

__all__ = ["TRUTH_CLASSES", "GeneratorParticles", "match_jets"]

TRUTH_CLASSES: Final = ("qcd", "top", "W", "Z", "H")
"""Classes of `match_jets`, by their numbers."""
_HEAVY: Final = {6: 1, 24: 2, 23: 3, 25: 4}
"""Class of the hadronic decay of each kind of particle."""
_FIRST_OF: Final = (1, 4, 3, 2)
"""A jet that holds several decays is of the first of these classes: the W of a top is part of it."""
_QUARKS: Final = (1, 2, 3, 4, 5)
_GLUON: Final = 21
_HIGGS: Final = 25
_TOP: Final = 6
_LEPTONS: Final = tuple(range(11, 19))
_MOST_COPIES: Final = 64
_DEEPEST: Final = 3
"""Decays one in another that are followed: H → W W*, t → b W."""
_NONE: Final = -1


@dataclass(frozen=True, eq=False)
class GeneratorParticles:
    """Particles of consecutive events.

    Attributes
    ----------
    ptr : ndarray, shape (n + 1,), int64
        Event ``i`` has the particles ``ptr[i]:ptr[i + 1]``.
    pdg : ndarray, shape (P,), int64
        Numbers of the Particle Data Group.
    mother : ndarray, shape (P,), int64
        Place of the (first) mother within the event; negative without one.
    eta, phi : ndarray, shape (P,)
        Directions.
    """

    ptr: NDArray[np.int64]
    pdg: NDArray[np.int64]
    mother: NDArray[np.int64]
    eta: NDArray[np.float64]
    phi: NDArray[np.float64]


def match_jets(
    ptr: NDArray[np.int64],
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    particles: GeneratorParticles,
    radius: float,
) -> NDArray[np.int64]:
    """Class of each jet by `TRUTH_CLASSES`, or -1.

    A decay is hadronic if its last copy decays into quarks (H: or gluons) alone, directly or by W and Z, and a top
    into three. All of its partons with ΔR < radius make the jet of its class; where several decays are so held, top
    comes before H, Z and W. A jet without any parton or lepton of such decays within the radius is of the class qcd.
    All others are -1.

    Parameters
    ----------
    ptr
        Event ``i`` has the jets ``ptr[i]:ptr[i + 1]``.
    eta, phi
        Directions of the jets, shape (J,).
    particles
        Of the same events.
    radius
        Largest ΔR, in pseudorapidity and azimuth.

    Returns
    -------
    Shape (J,), int64.
    """
    prong, heavy = _list_decays(particles)
    expected = np.bincount(heavy, minlength=len(particles.pdg))
    hadronic = _find_hadronic(particles, prong, heavy, expected)
    # Pairs of a jet with each prong of its event, once for each particle whose decay the prong is part of.
    owner = event_index(particles.ptr)[prong]
    order = np.argsort(owner, kind="stable")
    prong, heavy, owner = prong[order], heavy[order], owner[order]
    links = np.searchsorted(owner, np.arange(len(ptr)))
    rows, pair_ptr = gather(links, event_index(ptr))
    jet = event_index(pair_ptr)
    around = np.abs(phi[jet] - particles.phi[prong[rows]]) % (2 * np.pi)
    around = np.minimum(around, 2 * np.pi - around)
    inside = np.hypot(eta[jet] - particles.eta[prong[rows]], around) < radius
    found = np.full(len(eta), _NONE, dtype=np.int64)
    found[np.bincount(jet[inside], minlength=len(eta)) == 0] = 0
    keys, counts = np.unique(
        np.stack([jet[inside], heavy[rows[inside]]], axis=-1).reshape(-1, 2), axis=0, return_counts=True
    )
    whole = hadronic[keys[:, 1]] & (counts == expected[keys[:, 1]])
    kinds = np.array([_HEAVY[abs(int(number))] for number in particles.pdg[keys[whole, 1]]], dtype=np.int64)
    for kind in reversed(_FIRST_OF):
        found[keys[whole, 0][kinds == kind]] = kind
    return found


def _list_decays(particles: GeneratorParticles) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Partons and leptons of decays, and the particle each comes from: one row for each of these it is part of."""
    pdg = np.abs(particles.pdg)
    event = event_index(particles.ptr)
    place = particles.mother + particles.ptr[:-1][event]
    there = (particles.mother >= 0) & (place < particles.ptr[1:][event])
    mother = np.where(there, place, -1)
    is_heavy = np.isin(pdg, list(_HEAVY))
    first = _first_copies(particles.pdg, mother)
    # What stands beside a copy of its mother is radiated, not a product of the decay.
    copies = mother[(mother >= 0) & (particles.pdg[mother] == particles.pdg)]
    decays = is_heavy & ~np.isin(np.arange(len(pdg)), copies)
    prong = np.flatnonzero((mother >= 0) & decays[mother] & np.isin(pdg, [*_QUARKS, _GLUON, *_LEPTONS]))
    # A gluon is a product of the Higgs boson's decay alone.
    prong = prong[(pdg[prong] != _GLUON) | (pdg[mother[prong]] == _HIGGS)]
    source = mother[prong]
    rows, owners = [prong], [source]
    for _ in range(_DEEPEST - 1):
        above = mother[first[source]]
        going = (above >= 0) & is_heavy[above]
        prong, source = prong[going], above[going]
        rows.append(prong)
        owners.append(source)
    return np.concatenate(rows), np.concatenate(owners)


def _first_copies(pdg: NDArray[np.int64], mother: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first of the copies of each particle that the generator keeps."""
    first = np.arange(len(pdg))
    for _ in range(_MOST_COPIES):
        above = mother[first]
        same = (above >= 0) & (pdg[above] == pdg[first])
        if not same.any():
            break
        first = np.where(same, above, first)
    return first


def _find_hadronic(
    particles: GeneratorParticles,
    prong: NDArray[np.int64],
    heavy: NDArray[np.int64],
    expected: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Which particles decay into quarks or gluons alone, a top into three."""
    pdg = np.abs(particles.pdg)
    leptonic = np.bincount(heavy, np.isin(pdg[prong], _LEPTONS), len(pdg)) > 0
    least = np.where(pdg == _TOP, 3, 2)
    return (expected >= least) & ~leptonic

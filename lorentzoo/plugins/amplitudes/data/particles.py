"""Which scalars say what each particle of a process is?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

__all__ = ["KINDS", "PDG", "kind_names", "number_repeated", "particle_scalars"]

PDG: Final = {"u": 2, "u~": -2, "Z": 23, "g": 21, "a": 22, "e-": 11, "e+": -11, "mu-": 13, "mu+": -13}
"""Numbers of the Particle Data Group."""
KINDS: Final = {
    # Squares that are summed over helicities do not change under exchange of quark and antiquark.
    "u": "quark",
    "u~": "quark",
    "Z": "z",
    "g": "gluon",
    "a": "photon",
    "e-": "electron",
    "e+": "positron",
    "mu-": "muon",
    "mu+": "antimuon",
}
"""Kinds that networks tell apart."""
_INCOMING: Final = "incoming"


def kind_names(particles: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Names of the scalars of several processes, each given by its particles, incoming ones first.

    One for each kind, and ``"incoming"`` where a kind comes in and goes out.
    """
    coming = {KINDS[name] for names in particles for name in names[:2]}
    going = {KINDS[name] for names in particles for name in names[2:]}
    kinds = dict.fromkeys(KINDS[name] for names in particles for name in names)
    return (*kinds, _INCOMING) if coming & going else tuple(kinds)


def number_repeated(particles: Sequence[str]) -> tuple[str, ...]:
    """The same names, with a number behind those that occur more than once: g1, g2."""
    counts = dict.fromkeys(particles, 0)
    found = []
    for name in particles:
        counts[name] += 1
        found.append(f"{name}{counts[name]}" if list(particles).count(name) > 1 else name)
    return tuple(found)


def particle_scalars(particles: Sequence[str], names: Sequence[str]) -> Tensor:
    """One-hot kinds of the particles of one process, and whether they come in, shape (N, len(names))."""
    rows = [
        [float(place < 2 if name == _INCOMING else KINDS[particle] == name) for name in names]
        for place, particle in enumerate(particles)
    ]
    return torch.tensor(rows, dtype=torch.float32)

"""Which events does one test a network on?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from lorentzoo.core.cloud import ParticleCloud

__all__ = ["HADRON_MASSES", "random_cloud"]

HADRON_MASSES = (0.0, 0.13957, 0.49368, 0.93827)
"""Photons, pions, kaons and protons, in GeV."""


def random_cloud(
    lengths: Sequence[int] = (9, 4, 1, 12, 0, 6),
    *,
    in_scalars: int = 0,
    in_context: int = 0,
    in_vectors: int = 0,
    masses: Sequence[float] = HADRON_MASSES,
    seed: int = 0,
) -> ParticleCloud:
    """Random events of given multiplicities, packed: jets of photons and hadrons within |y| < 3.

    Parameters
    ----------
    lengths
        Particles of each event; empty events and events of one particle are welcome.
    in_scalars, in_context, in_vectors
        Numbers of each particle, numbers of each event and further vectors of each particle to draw.
    masses
        From which those of the particles are drawn, in GeV.
    seed
        The same seed gives the same events.

    >>> random_cloud([3, 0, 2]).layout
    Packed(events=3, particles=5)
    """
    rng = np.random.default_rng(seed)
    number, events = int(np.sum(lengths, dtype=np.int64)), len(lengths)
    axis = np.repeat(rng.uniform([-2, -np.pi], [2, np.pi], (events, 2)), lengths, axis=0)
    rapidity = axis[:, 0] + 0.3 * rng.normal(size=number)
    angle = axis[:, 1] + 0.3 * rng.normal(size=number)
    pt = 0.5 + rng.exponential(20.0, number)
    mass = rng.choice(masses, number)
    transverse = np.hypot(pt, mass)
    momenta = np.stack(
        [
            transverse * np.cosh(rapidity),
            pt * np.cos(angle),
            pt * np.sin(angle),
            transverse * np.sinh(rapidity),
        ],
        axis=-1,
    )
    # Energies from the stored three-momenta, so that photons are massless to the last digit.
    momenta[:, 0] = np.sqrt(mass**2 + np.square(momenta[:, 1:]).sum(-1))
    ptr = np.concatenate([[0], np.cumsum(np.asarray(lengths, dtype=np.int64))]).astype(np.int64)
    return ParticleCloud.from_packed(
        momenta,
        torch.from_numpy(ptr),
        rng.normal(size=(number, in_scalars)),
        rng.normal(size=(events, in_context)),
        vectors=rng.normal(size=(number, in_vectors, 4)),
    )

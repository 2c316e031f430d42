"""Events whose number of emissions is a Poisson variable with a known rate."""

import numpy as np

from lorentzoo import JetDataset

__all__ = ["emissions"]


def emissions(num_events: int = 2000, num_particles: int = 4, seed: int = 0) -> JetDataset:
    """Massless particles with isotropic directions; the rate is 1/2 ln(1 + m²/GeV²) with the mass m of all of them.

    Parameters
    ----------
    num_events, num_particles
        How many events, and particles of each.
    seed
        Of everything that is drawn.
    """
    rng = np.random.default_rng(seed)
    momenta = rng.normal(scale=20.0, size=(num_events, num_particles, 3)) * rng.exponential(
        size=(num_events, 1, 1)
    )
    vectors = np.concatenate([np.linalg.norm(momenta, axis=-1, keepdims=True), momenta], axis=-1)
    total = vectors.sum(1)
    mass2 = np.maximum(total[:, 0] ** 2 - np.square(total[:, 1:]).sum(-1), 0.0)
    data = JetDataset(
        vectors.reshape(-1, 4),
        np.arange(num_events + 1) * num_particles,
        rng.poisson(0.5 * np.log1p(mass2)),
        splits=rng.choice(3, num_events, p=[0.6, 0.15, 0.25]),
        target_names=("emissions",),
    )
    data.tasks = ("counting",)
    return data

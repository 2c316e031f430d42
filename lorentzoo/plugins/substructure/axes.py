"""Which axes make N-subjettiness smallest? (arXiv:1108.2701)"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from lorentzoo.nn import delta_phi, phi, rapidity
from lorentzoo.plugins.substructure.observables import Jets

__all__ = ["smallest_tau"]

_STEPS: Final = 200
_NEAREST: Final = 1e-6
"""ΔR below which a particle pulls no harder at its axis."""


def smallest_tau(jets: Jets, count: int) -> Tensor:
    """N-subjettiness τ_N = min Σ z_i min_k ΔR(i, k), β = 1, from the axes of exclusive kT subjets on (one pass).

    Particles belong to their nearest axis; each axis goes to the point of the smallest weighted distance to its own,
    step by step: n ← Σ (z_i / ΔR_i) n_i / Σ z_i / ΔR_i.

    Parameters
    ----------
    jets
        The jets.
    count
        Number of axes N, one of the jets' `counts`.

    Returns
    -------
    Shape (B,), the smallest value on the way, as `tau` without the jet's radius.
    """
    subjets = jets.subjets[count]
    axes = torch.stack([rapidity(subjets.momenta), phi(subjets.momenta)], dim=-1)
    places = torch.stack([rapidity(jets.momenta), phi(jets.momenta)], dim=-1)
    places = torch.where(jets.real.unsqueeze(-1), places, 0.0)
    smallest = None
    for _ in range(_STEPS):
        along = places[:, :, None, 0] - axes[:, None, :, 0]
        around = delta_phi(places[:, :, None, 1], axes[:, None, :, 1])
        distance = torch.hypot(along, around).masked_fill(~subjets.found.unsqueeze(1), torch.inf)
        value = (jets.fractions * distance.amin(-1)).sum(1)
        smallest = value if smallest is None else torch.minimum(smallest, value)
        own = F.one_hot(distance.argmin(-1), count) * jets.fractions.unsqueeze(-1)
        pull = own / distance.clamp(min=_NEAREST)
        shift = torch.stack([(pull * along).sum(1), (pull * around).sum(1)], dim=-1)
        total = pull.sum(1).unsqueeze(-1)
        axes = axes + torch.where(total > 0, shift / total.clamp(min=torch.finfo(total.dtype).tiny), 0.0)
    assert smallest is not None
    return smallest

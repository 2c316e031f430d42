"""Does an event lie where a network was trained?

The invariants 2 p_i·p_j of all pairs of an event, in rising order, do not depend on the frame or on the order of its
particles. Each of them has a range in the training set, for each number of particles.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import torch
from torch import Tensor, nn

from lorentzoo import ParticleCloud
from lorentzoo.nn import inner

__all__ = ["MOST_PARTICLES", "TrainingRegion", "log_invariants"]

MOST_PARTICLES: Final = 12
"""Events of more particles are not watched."""
_SMALLEST: Final = 1e-300
_SLACK: Final = 1e-6
"""Distance in ln that is rounding: buffers may be of single precision."""


def log_invariants(momenta: Tensor) -> Tensor:
    """ln 2 p_i·p_j of all pairs in rising order, float64. Shape (B, N, 4) -> (B, N(N - 1)/2)."""
    momenta = momenta.to(torch.float64)
    first, second = torch.triu_indices(momenta.shape[1], momenta.shape[1], 1)
    products = 2 * inner(momenta[:, first], momenta[:, second])
    return products.clamp(min=_SMALLEST).log().sort(dim=1).values


class TrainingRegion(nn.Module):
    """Ranges of the sorted `log_invariants` of training events, for each number of particles up to twelve.

    It is a part of a head, and lives with its weights.
    """

    lowest: Tensor
    highest: Tensor

    def __init__(self) -> None:
        super().__init__()
        shape = (MOST_PARTICLES + 1, MOST_PARTICLES * (MOST_PARTICLES - 1) // 2)
        self.register_buffer("lowest", torch.full(shape, torch.inf, dtype=torch.float64))
        self.register_buffer("highest", torch.full(shape, -torch.inf, dtype=torch.float64))

    def fit(self, clouds: Iterable[ParticleCloud]) -> None:
        """Take the ranges of these events, in place of earlier ones."""
        self.lowest.fill_(torch.inf)
        self.highest.fill_(-torch.inf)
        for cloud in clouds:
            for number, _, values in _by_length(cloud):
                low, high = self.lowest[number, : values.shape[1]], self.highest[number, : values.shape[1]]
                low.copy_(torch.minimum(low, values.amin(0)))
                high.copy_(torch.maximum(high, values.amax(0)))

    def outside(self, cloud: ParticleCloud) -> Tensor:
        """Whether an event has an invariant beyond the ranges, or a number of particles that was not there; (B,), bool.

        Events of one particle, and of more than twelve, never are.
        """
        found = torch.zeros(cloud.layout.num_events, dtype=torch.bool, device=cloud.momenta.device)
        for number, events, values in _by_length(cloud):
            low, high = (bound[number, : values.shape[1]] for bound in (self.lowest, self.highest))
            beyond = (values < low - _SLACK) | (values > high + _SLACK)
            found[events] = beyond.any(1)
        return found


def _by_length(cloud: ParticleCloud) -> Iterable[tuple[int, Tensor, Tensor]]:
    """For each number of particles that occurs the events that have it, and their invariants, in GeV."""
    cloud = cloud.to_units("GeV")
    counts = cloud.layout.counts()
    momenta = cloud.layout.pad(cloud.momenta)
    for number in counts.unique().tolist():
        if not 2 <= number <= MOST_PARTICLES:
            continue
        events = (counts == number).nonzero().squeeze(1)
        yield number, events, log_invariants(momenta[events, :number])

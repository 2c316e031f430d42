"""Which subjets does sequential recombination find in a jet?

Exclusive kT clustering (hep-ph/9305266) of many jets at a time. One step merges one pair in every jet; the merging of
a single jet is sequential by its nature, so there are as many steps as particles.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Subjets", "exclusive_subjets"]


@dataclass(frozen=True)
class Subjets:
    """Subjets of jets by falling transverse momentum; a jet of fewer particles lacks the last ones.

    Attributes
    ----------
    momenta
        Sums of their particles' momenta (E scheme), shape (B, K, 4); zero where missing.
    found
        Which subjets exist, shape (B, K).
    """

    momenta: Tensor
    found: Tensor


def exclusive_subjets(momenta: Tensor, mask: Tensor | None, counts: tuple[int, ...]) -> dict[int, Subjets]:
    """Cluster jets until so many subjets are left.

    The distance is min(pT_i², pT_j²) ΔR_ij², without a beam, and momenta are added (E scheme). The history has no
    gradient; the subjets' momenta, sums of particles, have.

    Parameters
    ----------
    momenta
        Particles of each jet, shape (B, N, 4) with N ≥ 1.
    mask
        Which are real, shape (B, N); None where all are.
    counts
        Numbers of subjets wanted.

    Returns
    -------
    Subjets for each count.
    """
    with torch.no_grad():
        members = _members(momenta.detach(), mask, counts)
    return {
        count: Subjets(owned.to(momenta.dtype) @ momenta, found) for count, (owned, found) in members.items()
    }


def _members(
    momenta: Tensor, mask: Tensor | None, counts: tuple[int, ...]
) -> dict[int, tuple[Tensor, Tensor]]:
    """Which particles make each subjet, (B, K, N), and which subjets there are, (B, K)."""
    b, n = momenta.shape[:2]
    rows = torch.arange(b, device=momenta.device)
    alive = torch.ones(b, n, dtype=torch.bool, device=momenta.device) if mask is None else mask.clone()
    names = torch.arange(n, device=momenta.device).expand(b, n).clone()
    owner = torch.where(alive, names, -1)
    state = _State(momenta.clone(), _coordinates(momenta), alive, names)
    distance = state.distance(state.coordinates.unsqueeze(2))
    distance.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    distance.masked_fill_(~alive.unsqueeze(2), torch.inf)
    found = {}
    left = n
    for count in sorted(counts, reverse=True):
        while left > count:
            if 2 * left <= distance.shape[1]:
                state, distance = _without_gaps(state, distance, left)
            owner = _merge(state, distance, owner, rows, count)
            left -= 1
        found[count] = state.members(owner, count)
    return found


def _coordinates(p: Tensor) -> Tensor:
    """pT², y and φ in as few operations as possible: this runs once a merging. Shape (..., 4) -> (..., 3)."""
    transverse = p[..., 1:3].square().sum(-1)
    along = ((p[..., 0] - p[..., 3]) * (p[..., 0] + p[..., 3])).clamp(min=torch.finfo(p.dtype).tiny)
    return torch.stack(
        [transverse, torch.asinh(p[..., 3] * along.rsqrt()), torch.atan2(p[..., 2], p[..., 1])], dim=-1
    )


@dataclass
class _State:
    """What is left of each jet while it is clustered.

    Momenta (B, N, 4), coordinates (B, N, 3), which places hold a pseudojet (B, N), and their names (B, N).
    """

    momenta: Tensor
    coordinates: Tensor
    alive: Tensor
    names: Tensor

    def distance(self, coordinates: Tensor) -> Tensor:
        """kT distance of some pseudojets (B, M, 1, 3) to all, shape (B, M, N); infinite to those that are no more."""
        mine, theirs = self.coordinates.unsqueeze(1).unbind(-1), coordinates.unbind(-1)
        around = (mine[2] - theirs[2]).abs()
        around = torch.minimum(around, 2 * torch.pi - around)
        value = torch.minimum(mine[0], theirs[0]) * ((mine[1] - theirs[1]).square() + around.square())
        return value.masked_fill(~self.alive.unsqueeze(1), torch.inf)

    def members(self, owner: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """The pseudojets that are left, by falling transverse momentum: members (B, K, N), found (B, K)."""
        hardness = torch.where(self.alive, self.coordinates[..., 0], -1.0)
        order = hardness.argsort(dim=1, descending=True, stable=True)[:, :count]
        found, names = self.alive.gather(1, order), self.names.gather(1, order)
        missing = count - order.shape[1]
        found, names = F.pad(found, (0, missing)), F.pad(names, (0, missing))
        return (owner.unsqueeze(1) == names.unsqueeze(2)) & found.unsqueeze(2), found


def _merge(state: _State, distance: Tensor, owner: Tensor, rows: Tensor, keep: int) -> Tensor:
    """Merge the closest pair of every jet that has more than `keep` pseudojets, in place; who owns what then."""
    more = state.alive.sum(1) > keep
    first = distance.amin(2).argmin(1)
    second = distance[rows, first].argmin(1)
    old, new = state.names[rows, second], state.names[rows, first]
    owner = torch.where((owner == old.unsqueeze(1)) & more.unsqueeze(1), new.unsqueeze(1), owner)
    mine = state.momenta[rows, first]
    joined = torch.where(more.unsqueeze(1), mine + state.momenta[rows, second], mine)
    coordinates = _coordinates(joined)
    state.momenta[rows, first] = joined
    state.coordinates[rows, first] = coordinates
    state.alive[rows, second] &= ~more
    # Who merged away is nobody's neighbour any more, and the new pseudojet has new neighbours.
    gone = torch.where(more.unsqueeze(1), torch.inf, distance[rows, second])
    distance[rows, second] = gone
    distance[rows, :, second] = gone
    fresh = state.distance(coordinates[:, None, None]).squeeze(1)
    fresh[rows, first] = torch.inf
    fresh = torch.where(more.unsqueeze(1), fresh, distance[rows, first])
    distance[rows, first] = fresh
    distance[rows, :, first] = fresh
    return owner


def _without_gaps(state: _State, distance: Tensor, left: int) -> tuple[_State, Tensor]:
    """The same pseudojets in the first `left` places; no jet has more."""
    order = (~state.alive).long().argsort(dim=1, stable=True)[:, :left]
    across = order.unsqueeze(1).expand(-1, left, -1)
    down = order.unsqueeze(2)
    kept = _State(
        state.momenta.gather(1, down.expand(-1, -1, 4)),
        state.coordinates.gather(1, down.expand(-1, -1, 3)),
        state.alive.gather(1, order),
        state.names.gather(1, order),
    )
    return kept, distance.gather(1, down.expand(-1, -1, distance.shape[2])).gather(2, across)

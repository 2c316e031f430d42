"""Which particles of a dense block of events are nearest to each other?"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lorentzoo.core.elementary import stable_argsort
from lorentzoo.core.layout.masks import allowed_pairs

__all__ = ["find_nearest"]


def find_nearest(mask: Tensor | None, points: Tensor, rows: Tensor, k: int) -> Tensor:
    """The k nearest other particles in Euclidean distance, ties by input order.

    Parameters
    ----------
    mask
        Which places hold a particle, (b, n), or None.
    points
        Coordinates, (b, n, D).
    rows
        Number of each particle in the batch, (b, n).
    k
        How many; places beyond the particles that exist repeat the particle itself.

    Returns
    -------
    Rows of the neighbours and whether they exist, shape (b, n, k, 2), int64.
    """
    n = points.shape[1]
    distance = (points.unsqueeze(2) - points.unsqueeze(1)).square().sum(-1)
    allowed = allowed_pairs(mask, points, self_pairs=False)
    distance = torch.where(allowed, distance, torch.inf)
    if torch.compiler.is_exporting():
        # How many particles there are is not known then: places beyond all of them, as far away as those that are empty.
        distance, allowed = F.pad(distance, (0, k), value=torch.inf), F.pad(allowed, (0, k))
        rows = F.pad(rows, (0, k))
    order = stable_argsort(distance, dim=2)[:, :, :k]
    found = allowed.gather(2, order)
    own = rows[:, :n].unsqueeze(2)
    candidates = rows.unsqueeze(1).expand(-1, n, -1)
    index = torch.where(found, candidates.gather(2, order), own)
    missing = k - order.shape[2]
    if missing:
        index = torch.cat([index, own.expand(-1, -1, missing)], dim=2)
        found = F.pad(found, (0, missing), value=False)
    return torch.stack([index, found.long()], dim=-1)

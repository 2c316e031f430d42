"""Which numbers do pairs of momenta have, and how are they standardised?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from lorentzoo.core.layout import Layout, allowed_pairs
from lorentzoo.core.minkowski import lower

__all__ = ["pair_masses", "pair_products", "pair_statistics"]


def pair_products(p: Tensor) -> Tensor:
    """⟨p_i, p_j⟩, shape (..., n, 4) -> (..., n, n)."""
    return p @ lower(p).transpose(-1, -2)


def pair_masses(p: Tensor) -> Tensor:
    """(p_i + p_j)², shape (..., n, 4) -> (..., n, n)."""
    products = pair_products(p)
    own = products.diagonal(dim1=-2, dim2=-1)
    return own.unsqueeze(-1) + own.unsqueeze(-2) + 2 * products


@torch.no_grad()
def pair_statistics(
    values: Callable[..., Tensor],
    batches: Iterable[tuple[Layout, Sequence[Tensor]]],
    *,
    self_pairs: bool,
    smallest: float,
) -> tuple[list[float], list[float]] | None:
    """Mean and standard deviation of numbers of pairs, over all pairs of all events.

    Parameters
    ----------
    values
        ``values(mask, *dense) -> (b, n, n, K)`` from blocks (b, n, ...) of the inputs, as in `Layout.map_blocks`.
    batches
        A layout and the inputs (*lead, ...) of each batch.
    self_pairs
        Whether i = j takes part.
    smallest
        Smallest standard deviation returned: numbers that are all equal are only centred.

    Returns
    -------
    Means and deviations, K each; None where there are fewer than two pairs.
    """

    def moments(mask: Tensor | None, *dense: Tensor) -> Tensor:
        number = values(mask, *dense)
        allowed = allowed_pairs(mask, dense[0], self_pairs).unsqueeze(-1)
        number = torch.where(allowed, number, 0.0).to(torch.float64)
        count = allowed.sum(2).to(number.dtype)
        return torch.cat([count, number.sum(2), number.square().sum(2)], dim=-1)

    total: Tensor | None = None
    for layout, inputs in batches:
        rows = layout.map_blocks(moments, *inputs)
        summed = layout.pool(rows, "sum").sum(0).cpu()
        total = summed if total is None else total + summed
    if total is None or float(total[0]) < 2:
        return None
    count, first, second = total[0], *total[1:].chunk(2)
    mean = first / count
    variance = (second - count * mean.square()).clamp(min=0) / (count - 1)
    return mean.tolist(), variance.sqrt().clamp(min=smallest).tolist()

"""How is a linear layer on all pairs batch-normalised exactly, without evaluating it on the pairs?

The layer's sum is receive_i + send_j + edge_ij · W. Its mean and variance over every pair of every event follow
from sums over particles and from the second moments of the few edge channels, so that statistics cost what
particles cost, and normalisation becomes a rescaling of the three terms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lorentzoo.core.layout import Layout, allowed_pairs
from lorentzoo.nn.norms import MaskedBatchNorm

__all__ = ["EdgeSums", "PairTerms", "edge_sums", "normalise_pairs", "pair_moments"]


@dataclass(frozen=True)
class PairTerms:
    """A linear layer on pairs, receive_i + send_j + edge_ij · weight.

    Attributes
    ----------
    receive, send
        Shares of the two particles, shape (*lead, C).
    weight
        Weights of the edge channels, shape (C, K).
    """

    receive: Tensor
    send: Tensor
    weight: Tensor


@dataclass(frozen=True)
class EdgeSums:
    """Sums of the edge channels over the partners of each particle, i = j left out.

    Attributes
    ----------
    rows
        Σ_j e_ij, shape (*lead, K).
    columns
        Σ_j e_ji, shape (*lead, K).
    second
        Σ_ij e_ij e_ijᵀ over all events, shape (K, K).
    """

    rows: Tensor
    columns: Tensor
    second: Tensor


def edge_sums(
    edges: Callable[..., Tensor], num_channels: int, layout: Layout, *inputs: Tensor, max_pairs: int
) -> EdgeSums:
    """Sums of edge channels, evaluated in blocks of events and again in the backward pass.

    Parameters
    ----------
    edges
        ``edges(*dense) -> (b, n, n, K)`` from blocks (b, n, ...) of the inputs, as in `Layout.map_blocks`.
    num_channels
        Edge channels K.
    layout
        Which particle belongs to which event.
    inputs
        Tensors of particles, (*lead, ...).
    max_pairs
        Pairs in a block of several events.
    """

    def block(mask: Tensor | None, *dense: Tensor) -> Tensor:
        e = edges(*dense)
        allowed = allowed_pairs(mask, dense[0], self_pairs=False)
        if mask is not None:
            allowed = allowed & mask.unsqueeze(2)
        e = torch.where(allowed.unsqueeze(-1), e, torch.zeros_like(e))
        return torch.cat([e.sum(2), e.sum(1), (e.transpose(2, 3) @ e).flatten(2)], dim=-1)

    sums = layout.map_blocks(block, *inputs, recompute=True, max_pairs=max_pairs)
    rows, columns, second = sums.split([num_channels, num_channels, num_channels**2], dim=-1)
    total = layout.pool(second, "sum").sum(0).reshape(num_channels, num_channels)
    return EdgeSums(rows, columns, total)


def normalise_pairs(
    norm: MaskedBatchNorm, terms: PairTerms, layout: Layout, sums: Callable[[], EdgeSums]
) -> PairTerms:
    """Batch normalisation of a layer on pairs, folded into its three terms.

    Parameters
    ----------
    norm
        Its parameters and running statistics.
    terms
        The layer.
    layout
        Which particle belongs to which event.
    sums
        Gives the sums of the edge channels; called in training only.

    Returns
    -------
    The terms whose sum on each pair is the normalised layer.
    """
    scale, shift = norm.fold(pair_moments(terms, layout, sums()) if norm.training else None)
    return PairTerms(terms.receive * scale + shift, terms.send * scale, terms.weight * scale.unsqueeze(-1))


def pair_moments(terms: PairTerms, layout: Layout, sums: EdgeSums) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (C,) and variance (C,) of a layer over all pairs i ≠ j of all events, and their number ()."""
    dtype = terms.receive.dtype
    number = layout.counts().to(dtype).unsqueeze(-1)
    partners = (number - 1).clamp(min=0)
    count = (number * partners).sum()
    safe = count.clamp(min=1)

    def pooled(x: Tensor) -> Tensor:
        return layout.pool(x.flatten(len(layout.lead)), "sum")

    # Everything is centred first: no mean is later lost against a variance.
    means = [(pooled(x) * partners).sum(0) / safe for x in (terms.receive, terms.send)]
    edge_mean = pooled(sums.rows).sum(0) / safe
    receive, send = terms.receive - means[0], terms.send - means[1]
    spread = layout.spread(partners)
    rows, columns = sums.rows - spread * edge_mean, sums.columns - spread * edge_mean
    second = sums.second / safe - edge_mean.outer(edge_mean)
    weight = terms.weight
    own = partners * (pooled(receive.square()) + pooled(send.square()))
    both = pooled(receive) * pooled(send) - pooled(receive * send)
    crossed = pooled(receive * (rows @ weight.T) + send * (columns @ weight.T))
    variance = (own + 2 * both + 2 * crossed).sum(0) / safe + ((weight @ second) * weight).sum(-1)
    mean = means[0] + means[1] + weight @ edge_mean
    return mean, variance.clamp(min=0), count

"""How do three and four particles of a jet correlate in energy and angle? (generalised correlators, arXiv:1609.07483)"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from lorentzoo.nn import delta_phi
from lorentzoo.plugins.substructure.observables import Jets, ratio

__all__ = ["n2", "n3"]

_AT_ONCE: Final = 1 << 22
"""Numbers of one product in memory."""


def n2(jets: Jets) -> Tensor:
    """N₂ = ₂e₃ / (₁e₂)², β = 1: of three particles the two smallest angles count. Shape (B,); usual on groomed jets."""
    return ratio(_three(jets, 2), _two(jets).square())


def n3(jets: Jets) -> Tensor:
    """N₃ = ₂e₄ / (₁e₃)², β = 1: of four particles the two smallest of six angles count. Shape (B,)."""
    return ratio(_four(jets), _three(jets, 1).square())


def _separations(jets: Jets) -> Tensor:
    """ΔR of all pairs, shape (B, N, N)."""
    along, around = (jets.offsets[:, :, None] - jets.offsets[:, None, :]).unbind(-1)
    return torch.hypot(along, delta_phi(around, torch.zeros_like(around)))


def _two(jets: Jets) -> Tensor:
    """₁e₂ = Σ_{i<j} z_i z_j R_ij."""
    return jets.correlators[0]


def _three(jets: Jets, angles: int) -> Tensor:
    """Σ_{i<j<k} z_i z_j z_k × the product of the smallest one or two of their angles."""
    z, separation = jets.fractions, _separations(jets)
    found = []
    for weights, apart in zip(z, separation, strict=True):
        triples = _combinations(int((weights > 0).sum()), 3)
        i, j, k = weights.nonzero().squeeze(1)[triples].unbind(-1)
        sides = torch.stack([apart[i, j], apart[i, k], apart[j, k]], dim=-1).sort(dim=-1).values
        found.append((weights[i] * weights[j] * weights[k] * sides[:, :angles].prod(-1)).sum())
    return torch.stack(found)


def _four(jets: Jets) -> Tensor:
    """₂e₄ = Σ z_i z_j z_k z_l × the product of the two smallest of their six angles."""
    z, separation = jets.fractions, _separations(jets)
    found = []
    for weights, apart in zip(z, separation, strict=True):
        real = weights.nonzero().squeeze(1)
        total = weights.new_zeros(())
        # All that have their last particle in common, a part of the triples before it at a time.
        for last in range(3, len(real)):
            for triples in _combinations(last, 3).split(_AT_ONCE):
                i, j, k = real[triples].unbind(-1)
                m = real[last]
                pairs = [apart[i, j], apart[i, k], apart[j, k], apart[i, m], apart[j, m], apart[k, m]]
                smallest = torch.stack(pairs, dim=-1).topk(2, dim=-1, largest=False).values
                total = total + (weights[i] * weights[j] * weights[k] * weights[m] * smallest.prod(-1)).sum()
        found.append(total)
    return torch.stack(found)


def _combinations(count: int, size: int) -> Tensor:
    return torch.combinations(torch.arange(count), size)

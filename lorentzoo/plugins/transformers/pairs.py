"""What does a Particle Transformer know of two particles together?"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorentzoo.nn import MaskedBatchNorm, Triangle, WeightReader, has_azimuth, mass_squared, phi, pt, rapidity

__all__ = ["PairEmbedding", "pair_features"]

_EPS: Final = 1e-8
"""Floor of the pairwise quantities before their logarithm, in GeV units (arXiv:2202.03772)."""


def pair_features(a: Tensor, b: Tensor) -> Tensor:
    """log kT, log z, log Δ and log m² of two momenta. Shapes (..., 4), (..., 4) -> (..., 4).

    kT = min(pT) Δ, z = min(pT)/Σ pT, Δ² = Δy² + Δφ² (arXiv:2202.03772, eq. 3). A beam has no azimuth: Δφ to it is zero.
    """
    pt_a, pt_b = pt(a), pt(b)
    smaller = torch.minimum(pt_a, pt_b)
    difference = torch.remainder(phi(a) - phi(b) + torch.pi, 2 * torch.pi) - torch.pi
    difference = torch.where(has_azimuth(a) & has_azimuth(b), difference, torch.zeros_like(difference))
    squared = (rapidity(a) - rapidity(b)).square() + difference.square()
    distance = torch.where(squared > 0, torch.where(squared > 0, squared, 1.0).sqrt(), 0.0)
    z = smaller / (pt_a + pt_b).clamp(min=_EPS)
    quantities = [smaller * distance, z, distance, mass_squared(a + b)]
    return torch.stack([torch.log(x.clamp(min=_EPS)) for x in quantities], dim=-1)


class PairEmbedding(nn.Module):
    """Pointwise network on unordered pairs: BN, then (linear, BN, GELU) for each width.

    Parameters
    ----------
    dims
        Widths; the last one is the number of heads that attend by queries and keys, the one before it the number
        of those that attend by these values alone.
    last_activation
        Whether the last width is followed by a GELU.
    """

    def __init__(self, dims: list[int], last_activation: bool = True) -> None:
        super().__init__()
        self.last_activation = last_activation
        widths = [4, *dims]
        self.norm = MaskedBatchNorm(4)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(MaskedBatchNorm(b) for b in dims)

    def read_published(self, reader: WeightReader, prefix: str, order: list[int]) -> None:
        """A sequence of BN, then (convolution, BN, GELU) for each width; `order` finds our features among theirs."""
        for name, target in self.norm.state_dict(keep_vars=True).items():
            value = reader.take(f"{prefix}.0.{name}", *target.shape)
            reader.assign(target, value[order] if value.ndim else value)
        for number, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            assert isinstance(layer, nn.Linear)
            place = f"{prefix}.{3 * number + 1}"
            if number == 0:
                weight = reader.take(f"{place}.weight", *layer.weight.shape, 1)
                reader.assign(layer.weight, weight.squeeze(-1)[:, order])
                reader.copy(layer.bias, f"{place}.bias")
            else:
                reader.copy_pointwise(layer, place, kernel=1)
            reader.copy_module(norm, f"{prefix}.{3 * number + 2}")

    def forward(self, features: Tensor, triangle: Triangle) -> tuple[Tensor, Tensor]:
        """Shape (E, 4) -> last hidden layer and biases of the pairs, (E, C) and (E, H)."""
        x = hidden = self.norm(features, triangle.mask)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            hidden = x
            before = norm(layer(x), triangle.mask)
            x = F.gelu(before)
        return hidden, x if self.last_activation else before

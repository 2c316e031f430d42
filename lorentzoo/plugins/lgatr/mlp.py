r"""The geometric MLP: channel-wise geometric products, then gated layers.

Linear maps alone never mix grades as products do: the bilinear layer multiplies two linear projections of the
input channel by channel, and a further linear map joins the products with the auxiliary scalars
(arXiv:2411.00446, eqs. 10 and 15).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from lorentzoo.plugins.lgatr.columns import join_channels
from lorentzoo.plugins.lgatr.gate import gate
from lorentzoo.plugins.lgatr.linear import EquivariantLinear, Maps, apply_maps
from lorentzoo.plugins.lgatr.norm import NormGains, normalize
from lorentzoo.plugins.lgatr.options import Options
from lorentzoo.plugins.lgatr.paired import Paired
from lorentzoo.plugins.lgatr.product import product_of_halves

__all__ = ["GeometricBilinear", "GeometricMLP", "drop"]


class GeometricBilinear(nn.Module):
    """Geometric products of two projections, linearly mixed and normalized.

    Parameters
    ----------
    in_channels, out_channels, in_scalars, out_scalars
        Widths; there are as many products as output channels.
    options
        Symmetry group and norm.
    """

    def __init__(
        self, in_channels: int, out_channels: int, in_scalars: int, out_scalars: int, options: Options
    ) -> None:
        super().__init__()
        self.options = options
        self.left = EquivariantLinear(in_channels, out_channels, in_scalars, group=options.group)
        self.right = EquivariantLinear(
            in_channels, out_channels, in_scalars, group=options.group, initialization="near-unit"
        )
        self.output = EquivariantLinear(
            out_channels, out_channels, in_scalars, out_scalars, group=options.group
        )

    def forward(self, x: Paired, gains: NormGains | None = None) -> Paired:
        """Products of a normalized stream with itself; ``gains`` are those of its norm."""
        factors = _stacked(self.left.maps(), self.right.maps())
        maps = self.output.maps()
        if gains is not None:
            factors = gains.fold(factors)
            ones = maps.vectors.shape[1]
            columns = torch.cat([gains.scalars.new_ones(ones), gains.scalars])
            maps = maps._replace(scalars=maps.scalars * columns)
        products = product_of_halves(apply_maps(factors, x, rows=True))
        if not self.options.bivectors:
            products = products._replace(bivectors=torch.zeros_like(products.bivectors))
        joined = products._replace(scalars=torch.cat([products.scalars, x.auxiliary], dim=-1))
        options = self.options
        return normalize(apply_maps(maps, joined), options.eps_norm, options.eps_mode, options.eps_scalars)


class GeometricMLP(nn.Module):
    """A geometric bilinear, then gated linear layers back to the width of the stream.

    Parameters
    ----------
    channels, scalars
        Widths of the stream.
    options
        Expansion, depth, activation, dropout.
    """

    def __init__(self, channels: int, scalars: int, options: Options) -> None:
        super().__init__()
        if options.mlp_layers < 1:
            raise ValueError(f"mlp_layers must be at least 1, not {options.mlp_layers}")
        self.options = options
        ratios = [1, *[options.mlp_ratio] * (options.mlp_layers - 1), 1]
        widths = [(channels * ratio, scalars * ratio) for ratio in ratios]
        (first, first_scalars), (second, second_scalars) = widths[:2]
        self.bilinear = (
            GeometricBilinear(first, second, first_scalars, second_scalars, options)
            if options.geometric_product
            else EquivariantLinear(first, second, first_scalars, second_scalars, group=options.group)
        )
        self.layers = nn.ModuleList(
            EquivariantLinear(a, b, s, t, group=options.group) for (a, s), (b, t) in pairwise(widths[1:])
        )

    def forward(self, x: Paired, gains: NormGains | None = None) -> Paired:
        """Apply to a normalized stream; ``gains`` are those of its norm."""
        options = self.options
        if isinstance(self.bilinear, GeometricBilinear):
            x = self.bilinear(x, gains)
        else:
            x = x if gains is None else gains.scale(x)
            x = self.bilinear(gate(x, options.activation, options.scalar_activation))
        x = drop(x, options.dropout, self.training)
        for layer in self.layers:
            x = layer(gate(x, options.activation, options.scalar_activation))
            x = drop(x, options.dropout, self.training)
        return x


def drop(x: Paired, probability: float, training: bool) -> Paired:
    """Drop whole multivectors, and scalars, with a probability; scale what is left."""
    if not training or probability == 0.0:
        return x
    kept = F.dropout(x.vectors.new_ones(*x.vectors.shape[1:-1], x.channels), probability)
    kept = kept.unsqueeze(-1).expand(*kept.shape, 2).flatten(-2)
    scalars = F.dropout(x.auxiliary, probability)
    head = x.scalars[..., : x.vectors.shape[-1]] * kept
    return Paired(join_channels([head, scalars]), x.vectors * kept, x.bivectors * kept)


def _stacked(first: Maps, second: Maps) -> Maps:
    """One map whose outputs are those of two."""
    bias = None if first.bias is None or second.bias is None else torch.cat([first.bias, second.bias])
    return Maps(
        torch.cat([first.scalars, second.scalars]),
        bias,
        torch.cat([first.vectors, second.vectors]),
        torch.cat([first.bivectors, second.bivectors]),
    )

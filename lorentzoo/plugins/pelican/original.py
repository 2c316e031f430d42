"""What does the first PELICAN tagger do differently?"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorentzoo import Backbone, Features, Frames, Layout
from lorentzoo.nn import pair_products
from lorentzoo.plugins.pelican.aggregation import (
    Coefficients,
    PairsToPairs,
    Scales,
    pair_sums,
    particles_to_pairs,
)
from lorentzoo.plugins.pelican.network import BLOCK_PAIRS

__all__ = ["OriginalPELICAN"]


class OriginalPELICAN(Backbone):
    """The network of arXiv:2211.00454 and 2307.16506: products of momenta, learned powers, sums, biases, no norm.

    The input ⟨p_i,p_j⟩ enters each channel through sign(x) ((1+|x|)^a - 1)/a with a power of its own. Sums over
    particles are divided by a fixed number, so that multiplicity stays visible.

    Parameters
    ----------
    num_blocks
        Blocks.
    hidden_channels
        Channels of pairs between blocks.
    message_channels
        Channels of pairs inside blocks.
    average_particles
        What sums over particles are divided by.
    in_scalars, in_vectors
        Scalars, which the published tagger does not take and which are added to the encoded products here through
        the maps from particles to pairs, and vectors of each particle.
    """

    equivariant = True
    pools = True
    reads_vectors = "pairs"
    spurion_mode = "tokens"
    # Pairs are compared channel by channel: of a channel that is the same for all particles nothing would be seen.
    spurion_modes = ("tokens", "drop")

    def __init__(
        self,
        num_blocks: int = 5,
        hidden_channels: int = 132,
        message_channels: int = 78,
        average_particles: float = 49.0,
        *,
        in_scalars: int,
        in_vectors: int,
    ) -> None:
        super().__init__()
        if min(hidden_channels, message_channels) < 1 or not average_particles > 0:
            raise ValueError("hidden_channels, message_channels and average_particles must be positive")
        self.width = hidden_channels
        each = 1.0 / average_particles
        self.scales = Scales(each, each * each, each)

        def coefficients(inputs: int, outputs: int, maps: int) -> Coefficients:
            return Coefficients(inputs, outputs, maps, factorised=True, multipliers=False, reshaped=False)

        self.embed = nn.Linear(in_vectors, hidden_channels)
        nn.init.ones_(self.embed.weight)
        nn.init.zeros_(self.embed.bias)
        # Half powers: the exponents are their squares.
        self.powers = nn.Parameter(torch.linspace(0.05, 0.5, hidden_channels))
        self.embed_scalars = coefficients(in_scalars, hidden_channels, 5) if in_scalars else None
        self.messages = nn.ModuleList(
            nn.Linear(hidden_channels, message_channels) for _ in range(num_blocks + 1)
        )
        for message in self.messages:
            assert isinstance(message, nn.Linear)
            nn.init.kaiming_normal_(message.weight, a=0.01)
            nn.init.zeros_(message.bias)
        self.mixers = nn.ModuleList(
            PairsToPairs(coefficients(message_channels, hidden_channels, 15), bias=True)
            for _ in range(num_blocks)
        )
        self.read_out = coefficients(message_channels, hidden_channels, 2)
        self.read_out_bias = nn.Parameter(torch.zeros(hidden_channels))

    def forward(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Scalars of each event, (B, hidden_channels)."""
        sums = layout.map_blocks(
            self._rows, features.vectors, features.scalars, recompute=True, max_pairs=BLOCK_PAIRS
        )
        event = layout.pool(sums, "sum") @ self.read_out().flatten(0, 1) + self.read_out_bias
        return Features.of_scalars(F.leaky_relu(event))

    def _rows(self, mask: Tensor | None, vectors: Tensor, scalars: Tensor) -> Tensor:
        products = pair_products(vectors.transpose(1, 2)).permute(0, 2, 3, 1)
        x = self._encode(F.linear(products.to(scalars.dtype), self.embed.weight, self.embed.bias))
        if self.embed_scalars is not None:
            x = x + particles_to_pairs(scalars, self.embed_scalars(), mask, self.scales)
        for message, mixer in zip(self.messages[:-1], self.mixers, strict=True):
            x = F.leaky_relu(mixer(F.leaky_relu(message(x)), mask, self.scales))
        return pair_sums(F.leaky_relu(self.messages[-1](x)), mask, self.scales)

    def _encode(self, x: Tensor) -> Tensor:
        power = self.powers.square() + 1e-6
        # expm1: for small powers the difference would lose all its digits.
        return torch.sign(x) * torch.expm1(power * torch.log1p(x.abs())) / power

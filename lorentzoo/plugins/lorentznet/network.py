"""How do scalars and vectors run through LorentzNet?"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lorentzoo import Backbone, Features, Frames, Layout
from lorentzoo.plugins.lorentznet.block import LorentzBlock

__all__ = ["LorentzNet"]


class LorentzNet(Backbone):
    """Message passing on the complete graph, symmetric because it sees vectors through Minkowski products only.

    Scalars h and vectors x of every particle are updated in turn (arXiv:2201.08187). Messages are evaluated in
    blocks of events and again in the backward pass; the first layer acts on particles, not on pairs, and its
    batch normalisation over all pairs is exact (`lorentzoo.nn.pair_norm`).

    Parameters
    ----------
    num_blocks
        Rounds of messages.
    hidden_channels
        Scalar channels inside.
    step
        The constant c by which vectors move.
    pool_rows
        Average over all rows of an event, spurions included, as the published tagger does; otherwise the head
        pools over particles.
    in_scalars, in_vectors
        Scalars and vectors of each particle; several vectors give the products of each.
    out_scalars, out_vectors
        What is emitted: a linear map of h, and linear combinations of the vectors.

    Raises
    ------
    ValueError
        If there are no blocks or no vectors, or vectors are wanted of whole events.
    """

    equivariant = True
    projects = True
    spurion_mode = "tokens"
    # Pairs are compared channel by channel: of a channel that is the same for all particles nothing would be seen.
    spurion_modes = ("tokens", "drop")

    def __init__(
        self,
        num_blocks: int = 6,
        hidden_channels: int = 72,
        step: float = 5e-3,
        pool_rows: bool = False,
        *,
        in_scalars: int,
        in_vectors: int,
        out_scalars: int,
        out_vectors: int = 0,
    ) -> None:
        super().__init__()
        if num_blocks < 1 or hidden_channels < 1:
            raise ValueError(
                f"num_blocks and hidden_channels must be at least 1, not {num_blocks} and {hidden_channels}"
            )
        if in_vectors < 1:
            raise ValueError("LorentzNet reads four-vectors: add 'momenta' to the embedding")
        if pool_rows and out_vectors:
            raise ValueError("pool_rows gives scalars of whole events; leave it out where vectors are wanted")
        self.pools = pool_rows
        self.width = out_scalars
        self.embed = _Embedding(in_scalars, hidden_channels)
        self.blocks = nn.ModuleList(
            LorentzBlock(
                hidden_channels, in_scalars, in_vectors, number < num_blocks - 1 or out_vectors > 0, step
            )
            for number in range(num_blocks)
        )
        self.last = nn.Linear(hidden_channels, out_scalars)
        self.mix = nn.Linear(in_vectors, out_vectors, bias=False) if out_vectors else None

    def forward(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Scalars (*lead, out_scalars), or (B, out_scalars) where it pools, and vectors (*lead, out_vectors, 4)."""
        return self.project(self.last_features(features, frames, layout, context), layout)

    @property
    def last_map(self) -> nn.Module:
        return self.last

    def last_features(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Scalars h and vectors x of the rows, or the mean of h over all of them."""
        scalars, x = features.scalars, features.vectors
        h = self.embed(scalars)
        for block in self.blocks:
            h, x = block(h, x, scalars, layout)
        return Features.of_scalars(layout.pool(h, "mean")) if self.pools else Features(h, x)

    def project(self, features: Features, layout: Layout) -> Features:
        """A linear map of h, and linear combinations of the vectors."""
        h = self.last(features.scalars)
        if self.mix is None:
            return Features.of_scalars(h)
        return Features(h, torch.einsum("ov,...vd->...od", self.mix.weight, features.vectors))


class _Embedding(nn.Linear):
    """The first linear map; of no scalars its bias is all that there is."""

    def reset_parameters(self) -> None:
        """Torch warns of empty weights."""
        if self.in_features:
            super().reset_parameters()
        else:
            nn.init.zeros_(self.bias)

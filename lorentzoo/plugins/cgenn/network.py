"""How do multivectors and scalars run through CGENN?"""

from __future__ import annotations

import math
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorentzoo import Backbone, Features, Frames, Layout
from lorentzoo.plugins.cgenn.layers import CliffordBlock
from lorentzoo.plugins.cgenn.product import NUM_GRADES, grade_squares

__all__ = ["CGENN"]


class CGENN(Backbone):
    """A Clifford-group equivariant network: message passing on multivectors (arXiv:2305.11141).

    Sums, grade projections and geometric products of vectors turn with them under every Lorentz transformation,
    parity and time reversal included. Messages are evaluated in blocks of events; what is made of pairs stays until the
    backward pass up to a bound of bytes, and beyond it is made again.

    Parameters
    ----------
    num_blocks
        Rounds of messages.
    hidden_channels
        Multivectors of each particle.
    hidden_scalars
        Scalars of each particle.
    pool_rows
        Average over all rows of an event, spurions included, as the published tagger does; otherwise the head
        pools over particles.
    in_scalars, in_vectors
        Scalars and vectors of each particle. As published, one more scalar that is zero goes with them, so that
        its weights count among the parameters but learn nothing.
    out_scalars, out_vectors
        What is emitted: a linear map of scalars and invariants, and linear combinations of the grade-one parts.

    Raises
    ------
    ValueError
        If the network is empty or has no vectors to read, or vectors are wanted of whole events.
    """

    equivariant = True
    projects = True
    spurion_mode = "tokens"

    def __init__(
        self,
        num_blocks: int = 4,
        hidden_channels: int = 8,
        hidden_scalars: int = 72,
        pool_rows: bool = False,
        *,
        in_scalars: int,
        in_vectors: int,
        out_scalars: int,
        out_vectors: int = 0,
    ) -> None:
        super().__init__()
        if min(num_blocks, hidden_channels, hidden_scalars) < 1:
            raise ValueError(
                "num_blocks, hidden_channels and hidden_scalars must be at least 1, not "
                f"{num_blocks}, {hidden_channels} and {hidden_scalars}"
            )
        if in_vectors < 1:
            raise ValueError("CGENN reads four-vectors: add 'momenta' to the embedding")
        if pool_rows and out_vectors:
            raise ValueError("pool_rows gives scalars of whole events; leave it out where vectors are wanted")
        self.pools = pool_rows
        self.width = out_scalars
        if not in_scalars:
            self.without_gradient = ("embed_scalars.weight",)
        self.embed_scalars = nn.Linear(in_scalars + 1, hidden_scalars)
        self.embed_vectors = nn.Parameter(torch.randn(hidden_channels, in_vectors) / math.sqrt(in_vectors))
        self.embed_bias = nn.Parameter(torch.zeros(hidden_channels))
        self.blocks = nn.ModuleList(
            CliffordBlock(hidden_channels, hidden_scalars, in_vectors, in_scalars + 1)
            for _ in range(num_blocks)
        )
        self.last = nn.Linear(hidden_scalars + NUM_GRADES * hidden_channels, out_scalars)
        self.mix = nn.Linear(hidden_channels, out_vectors, bias=False) if out_vectors else None

    def forward(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Scalars (*lead, out_scalars), or (B, out_scalars) where it pools, and vectors (*lead, out_vectors, 4)."""
        return self.project(self.last_features(features, frames, layout, context), layout)

    @property
    def last_map(self) -> nn.Module:
        return self.last

    def read_stage(self, output: tuple[Tensor, Tensor]) -> Features:
        """Scalars and the invariants of each grade; the vectors are those of grade one."""
        h, x = output
        return Features(torch.cat([h, grade_squares(x).flatten(-2)], dim=-1), x[..., 1:5])

    def last_features(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Scalars, invariants and vectors of the rows, or the mean of the first two over all of them."""
        scalars = F.pad(features.scalars, (0, 1))
        # Grade zero is the component 0 and grade one are 1 to 4: there are no others before the first product.
        p = F.pad(features.vectors, (1, 0))
        h = self.embed_scalars(scalars)
        x = torch.einsum("ov,...vi->...oi", self.embed_vectors, p)
        x = x + F.pad(self.embed_bias.unsqueeze(-1), (0, 4))
        device = p.device.type
        # Products of multivectors cancel, so that a lower precision would leave little of them. Only where there is one
        # to leave: a compiled graph has no place for it.
        lowered = torch.is_autocast_enabled(device)
        with torch.autocast(device, enabled=False) if lowered else nullcontext():
            h, x, scalars = h.to(p.dtype), x.to(p.dtype), scalars.to(p.dtype)
            for block in self.blocks:
                h, x = block(h, x, p, scalars, layout)
        found = self.read_stage((h, x))
        return Features.of_scalars(layout.pool(found.scalars, "mean")) if self.pools else found

    def project(self, features: Features, layout: Layout) -> Features:
        """A linear map of scalars and invariants, and linear combinations of the vectors."""
        out = self.last(features.scalars)
        if self.mix is None:
            return Features.of_scalars(out)
        return Features(out, torch.einsum("oc,...cd->...od", self.mix.weight, features.vectors))

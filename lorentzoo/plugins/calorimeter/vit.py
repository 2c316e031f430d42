"""How does a transformer over patches take conditions and a time?

Every block is modulated by the context of its event: scale and shift after each layer norm, and a gate before each sum
(arXiv:2212.09748; for calorimeters 2312.09290, 2405.09629). Gates begin at zero, so that a new network is the identity.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorentzoo import Backbone, Features, Frames, Layout
from lorentzoo.nn import FeedForward

__all__ = ["VisionTransformer"]


class VisionTransformer(Backbone):
    """Transformer over the patches of an event, modulated by its context (adaptive layer norm with zero gates).

    Where patches are is for the embedding to say (e.g. ``places``): after the first linear map, features of places are
    positions that are added to the tokens, and any grid will do.

    Parameters
    ----------
    num_blocks
        Number of blocks.
    width
        Channels of each token.
    num_heads
        Attention heads, which divide the width.
    mlp_ratio
        Width of the feed-forward layer relative to the network's.
    dropout
        After attention and feed-forward layers.
    """

    projects = False
    reads_context = True

    def __init__(
        self,
        num_blocks: int = 6,
        width: int = 128,
        num_heads: int = 4,
        mlp_ratio: int = 4,
        dropout: float = 0.0,
        *,
        in_scalars: int,
        in_vectors: int = 0,
        in_context: int = 0,
        out_vectors: int = 0,
    ) -> None:
        super().__init__()
        if num_blocks < 0 or num_heads < 1 or mlp_ratio < 1 or width < 1 or width % num_heads:
            raise ValueError(
                "a vision transformer needs a positive mlp_ratio and a width that its heads divide, not "
                f"num_blocks={num_blocks}, width={width}, num_heads={num_heads}, mlp_ratio={mlp_ratio}"
            )
        self.width = width
        self.in_layer = nn.Linear(in_scalars + 4 * in_vectors, width)
        self.condition = Condition(in_context, width)
        self.blocks = nn.ModuleList(_Block(width, num_heads, mlp_ratio, dropout) for _ in range(num_blocks))
        self.out_modulation = _modulation(width, 2)
        self.out_vectors = out_vectors
        if out_vectors:
            self.vector_layer = nn.Linear(width, 4 * out_vectors)

    def forward(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Scalars (*lead, width); vectors (*lead, out_vectors, 4) in local frames."""
        x = self.in_layer(torch.cat([features.scalars, features.vectors.flatten(-2)], dim=-1))
        condition = F.silu(self.condition(context))
        for block in self.blocks:
            x = block(x, layout, condition)
        shift, scale = layout.spread(self.out_modulation(condition)).chunk(2, dim=-1)
        x = _modulated(x, shift, scale)
        if not self.out_vectors:
            return Features.of_scalars(x)
        return Features(x, self.vector_layer(x).unflatten(-1, (self.out_vectors, 4)))


class Condition(nn.Module):
    """What every block hears of an event: a perceptron of its context, or a learned vector where there is none.

    Parameters
    ----------
    in_context
        Numbers of each event.
    width
        Channels.
    """

    def __init__(self, in_context: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.layers: nn.Sequential | None = None
        if in_context:
            self.layers = nn.Sequential(nn.Linear(in_context, width), nn.SiLU(), nn.Linear(width, width))
        else:
            self.constant = nn.Parameter(torch.zeros(width))

    def forward(self, context: Tensor) -> Tensor:
        """Shape (B, in_context) to (B, width)."""
        if self.layers is None:
            # A copy: of a view of a weight that is made without gradients torch's counter of FLOPs finds no origin.
            return self.constant.repeat(*context.shape[:-1], 1)
        out: Tensor = self.layers(context)
        return out


class _Block(nn.Module):
    def __init__(self, width: int, num_heads: int, mlp_ratio: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.modulation = _modulation(width, 6)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp = FeedForward(width, mlp_ratio)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, layout: Layout, condition: Tensor) -> Tensor:
        """Tokens (*lead, width), and the condition of each event (B, width)."""
        shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = layout.spread(self.modulation(condition)).chunk(
            6, dim=-1
        )
        q, k, v = self.qkv(_modulated(x, shift, scale)).unflatten(-1, (3, self.num_heads, -1)).unbind(-3)
        x = x + gate * self.dropout(self.out(layout.attend(q, k, v).flatten(-2)))
        return x + gate_mlp * self.dropout(self.mlp(_modulated(x, shift_mlp, scale_mlp)))


def _modulation(width: int, count: int) -> nn.Linear:
    """Shifts, scales and gates of a condition, all zero in the beginning."""
    layer = nn.Linear(width, count * width)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift

r"""Where tokens have an order: rotary and learned positional embeddings, on scalars only.

Positions are numbers without a Lorentz index, so they may enter nothing but the auxiliary scalars. Rotary
embedding (arXiv:2104.09864) turns pairs of the scalars of queries and keys by angles proportional to the position,
so that weights depend on differences of positions.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from lorentzoo import Layout

__all__ = ["FourierContext", "LearnedPositions", "Positions", "places", "rotate"]

Positions = Literal["none", "rotary", "learned"]


def rotate(heads: Tensor, positions: Tensor, scalars: int, base: float = 10_000.0) -> Tensor:
    """Turn the scalars at the end of each head, (..., H, D), by the positions (...) of the tokens."""
    pairs = scalars // 2
    frequencies = base ** (-torch.arange(pairs, device=heads.device, dtype=heads.dtype) / max(pairs, 1))
    angles = positions.to(heads.dtype)[..., None, None] * frequencies
    cosine, sine = angles.cos(), angles.sin()
    start = heads.shape[-1] - scalars
    first, second = heads[..., start : start + pairs], heads[..., start + pairs : start + 2 * pairs]
    return torch.cat(
        [
            heads[..., :start],
            first * cosine - second * sine,
            first * sine + second * cosine,
            heads[..., start + 2 * pairs :],
        ],
        dim=-1,
    )


class LearnedPositions(nn.Module):
    """A learned vector of scalars for each place, added to the stream.

    Parameters
    ----------
    places
        Longest order.
    scalars
        Width of the stream's auxiliary scalars.
    """

    def __init__(self, places: int, scalars: int) -> None:
        super().__init__()
        self.table = nn.Parameter(0.02 * torch.randn(places, scalars))

    def forward(self, positions: Tensor) -> Tensor:
        """Scalars (..., S) of positions (...), int64; places beyond the table share the last one."""
        return self.table[positions.clamp(max=self.table.shape[0] - 1)]


class FourierContext(nn.Module):
    """The numbers of an event as scalars; the first, a time, through random Fourier features if wanted.

    Parameters
    ----------
    in_context
        Numbers of each event.
    features
        Fourier features of the first of them, an even number: sines and cosines of frozen random frequencies, then
        a linear layer (as in arXiv:2411.00446 for flow matching). 0 takes the number as it is.
    """

    def __init__(self, in_context: int, features: int) -> None:
        super().__init__()
        if features % 2 or (features and not in_context):
            raise ValueError(
                f"time_features={features} must be even, and needs a context (in_context={in_context})"
            )
        self.width = in_context + (features - 1 if features else 0)
        self.layer = nn.Linear(features, features) if features else None
        if features:
            self.frequencies = nn.Parameter(30.0 * torch.randn(features // 2), requires_grad=False)

    def forward(self, context: Tensor) -> Tensor:
        """Shape (B, in_context) to (B, width)."""
        if self.layer is None:
            return context
        angles = 2 * math.pi * context[:, :1].to(self.frequencies.dtype) * self.frequencies
        time = self.layer(torch.cat([angles.sin(), angles.cos()], dim=-1))
        return torch.cat([time, context[:, 1:].to(time.dtype)], dim=-1)


def places(layout: Layout, like: Tensor) -> Tensor:
    """Place of each token in its event, shape (*lead,), int64."""
    longest = layout.pad(like[..., :0]).shape[1]
    return layout.unpad(torch.arange(longest, device=like.device).expand(layout.num_events, -1))

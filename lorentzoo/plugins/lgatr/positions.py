r"""Where tokens have an order: rotary and learned positional embeddings, on scalars only.

Positions are numbers without a Lorentz index, so they may enter nothing but the auxiliary scalars. Rotary
embedding (arXiv:2104.09864) turns pairs of the scalars of queries and keys by angles proportional to the position,
so that weights depend on differences of positions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["LearnedPositions", "rotate"]


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

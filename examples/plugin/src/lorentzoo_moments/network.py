"""What does a particle look like beside the rest of its event?"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lorentzoo import Backbone, Features, Frames, Layout

__all__ = ["Moments"]


class Moments(Backbone):
    """A network on each particle's features, the event's mean of them, and their spread.

    Parameters
    ----------
    width
        Channels of each layer.
    num_layers
        Layers; each sees the moments of the one before.
    """

    def __init__(self, width: int = 64, num_layers: int = 2, *, in_scalars: int, in_vectors: int = 0) -> None:
        super().__init__()
        if num_layers < 1:
            raise ValueError(f"num_layers must be at least 1, not {num_layers}")
        self.width = width
        inputs = [in_scalars + 4 * in_vectors] + [width] * (num_layers - 1)
        self.layers = nn.ModuleList(nn.Linear(3 * size, width) for size in inputs)

    def forward(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Scalars of each particle, shape (*lead, width)."""
        x = torch.cat([features.scalars, features.vectors.flatten(-2)], dim=-1)
        for layer in self.layers:
            # Only the layout knows which particle belongs to which event; its verbs work packed and padded.
            mean = layout.spread(layout.pool(x, "mean"))
            spread = layout.spread(layout.pool((x - mean).square(), "mean"))
            x = torch.relu(layer(torch.cat([x, mean, torch.log1p(spread)], dim=-1)))
        return Features.of_scalars(x)

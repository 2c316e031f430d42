"""How does a network see the time of a flow?"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["TimeFeatures"]


class TimeFeatures(nn.Module):
    """Sines and cosines of frozen random frequencies, and a linear layer (arXiv:2411.00446).

    Parameters
    ----------
    features
        How many; an even number.
    scale
        Standard deviation of the frequencies: turns in the unit of time.
    """

    def __init__(self, features: int = 8, scale: float = 2.0) -> None:
        super().__init__()
        if features < 2 or features % 2:
            raise ValueError(f"time_features must be an even number from 2 on, not {features}")
        self.width = features
        self.frequencies = nn.Parameter(scale * torch.randn(features // 2), requires_grad=False)
        self.layer = nn.Linear(features, features)

    def forward(self, times: Tensor) -> Tensor:
        """Shape (B,) to (B, features), in the weights' type."""
        angles = 2 * math.pi * times.to(self.frequencies.dtype).unsqueeze(-1) * self.frequencies
        features: Tensor = self.layer(torch.cat([angles.sin(), angles.cos()], dim=-1))
        return features

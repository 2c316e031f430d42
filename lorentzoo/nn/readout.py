"""How do a backbone's features of particles become a few numbers of the event?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from lorentzoo import Features, ParticleCloud
from lorentzoo.core.interfaces import Pooling
from lorentzoo.core.steps import Columns, EventSteps

__all__ = ["Activation", "Readout"]

Activation = Literal["relu", "gelu", "silu"]
_ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}


class Readout(nn.Module):
    """Pooling, hidden layers and the last linear map.

    Parameters
    ----------
    in_scalars
        Width of the backbone; None if it already emits `out` numbers (or `hidden[0]` where there are hidden layers).
    out
        Numbers wanted.
    hidden
        Widths of layers between pooling and the last map.
    dropout
        Dropout after each hidden activation.
    activation
        Between layers.
    """

    def __init__(
        self, in_scalars: int | None, out: int, hidden: Sequence[int], dropout: float, activation: Activation
    ) -> None:
        super().__init__()
        if out < 1 or min(hidden, default=1) < 1:
            raise ValueError(
                f"at least one number is predicted, with at least one channel in each hidden layer, not {out} "
                f"with hidden={list(hidden)}"
            )
        layers: list[nn.Module] = []
        width = in_scalars
        for size in hidden:
            if width is not None:
                layers.append(nn.Linear(width, size))
            layers.append(_ACTIVATIONS[activation]())
            if dropout:
                layers.append(nn.Dropout(dropout))
            width = size
        if width is not None:
            layers.append(nn.Linear(width, out))
        self.layers = nn.Sequential(*layers)
        self.wants = hidden[0] if hidden else out

    def write_steps(self, features: Columns, event: EventSteps) -> Columns:
        """Its layers on what a backbone that pools gives."""
        return event.run_layers(features, self.layers)

    def forward(self, features: Features, cloud: ParticleCloud, pooling: Pooling | None) -> Tensor:
        """Shape (B, out): pooled first, since a mean commutes with the last linear map and costs less."""
        x = features.scalars
        if pooling in ("mean", "sum", "max"):
            x = cloud.layout.pool(x, pooling)
        return self.layers(x)

"""Which class is an event of?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lorentzoo import Features, Head, ParticleCloud
from lorentzoo.nn import Activation, Pooling, Readout, mean_loss

__all__ = ["Classify"]


class Classify(Head):
    """Logits of each class, with the (weighted) cross-entropy.

    Parameters
    ----------
    num_classes
        Number of classes; 1 means two classes by a single logit, as published top taggers have it.
    pooling
        ``"mean"``, ``"sum"``, ``"max"`` over the particles, or ``"global-token"`` (a class token that
        runs through the backbone).
    hidden, dropout, activation
        Layers between pooling and the last map.
    """

    task = "classification"

    def __init__(
        self,
        num_classes: int = 2,
        pooling: Pooling = "mean",
        hidden: Sequence[int] = (),
        dropout: float = 0.0,
        activation: Activation = "relu",
        *,
        in_scalars: int | None = None,
    ) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, not {num_classes}")
        self.num_classes = num_classes
        self.pooling = pooling
        self.readout = Readout(in_scalars, num_classes, hidden, dropout, activation)
        self.out_scalars = self.readout.wants

    def forward(self, features: Features, cloud: ParticleCloud) -> Tensor:
        """Logits, shape (B, num_classes)."""
        return self.readout(features, cloud, self.pooling)

    def loss(self, output: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Cross-entropy of logits (B, num_classes) and class indices (B,), averaged with event weights."""
        if self.num_classes == 1:
            loss = F.binary_cross_entropy_with_logits(
                output.squeeze(-1), target.to(output.dtype), reduction="none"
            )
        else:
            loss = F.cross_entropy(output, target.long(), reduction="none")
        return mean_loss(loss, weight)

    def predict(self, output: Tensor) -> Tensor:
        """Class probabilities, shape (B, max(num_classes, 2))."""
        if self.num_classes == 1:
            signal = torch.sigmoid(output)
            return torch.cat([1 - signal, signal], dim=-1)
        return torch.softmax(output, dim=-1)

    def log_predict(self, output: Tensor) -> Tensor:
        """Logarithms of the class probabilities, shape (B, max(num_classes, 2))."""
        if self.num_classes == 1:
            return torch.cat([F.logsigmoid(-output), F.logsigmoid(output)], dim=-1)
        return torch.log_softmax(output, dim=-1)

"""By how much is an event more likely under one distribution than under another?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from lorentzoo import Features, ParticleCloud
from lorentzoo.nn import Activation, Pooling, mean_loss
from lorentzoo.plugins.heads.classify import Classify

__all__ = ["LikelihoodRatio"]

_EXPONENTIAL_UP_TO: Final = 5.0
"""Largest output of the network: no event of q pulls on it with more than exp of this."""


class LikelihoodRatio(Classify):
    """ln w of each event, with the likelihood ratio w = p/q of events labelled 1 (p) and 0 (q).

    Events of p and of q are averaged on their own, with their weights, so that the ratio does not depend on how many
    there are of each.

    Parameters
    ----------
    criterion
        ``"mlc"``: the maximum-likelihood classifier loss -⟨ln f⟩_p + ⟨f - 1⟩_q of f = w (arXiv:1806.02350);
        ``"bce"``: the binary cross-entropy of p and q in equal parts. Both are least at w = p/q.
        With ``"mlc"``, w is the exponential of the network's output s up to s = 5, and beyond it goes on along the
        tangent, w = e⁵ (s - 4): any ratio can still be given, the loss is the published one and least at the same w,
        but a few events of q at large s, of which e^s would overflow, have gradients of at most e⁵.
    pooling, hidden, dropout, activation
        As for `classify`.
    """

    task = "likelihood-ratio"

    def __init__(
        self,
        criterion: Literal["mlc", "bce"] = "bce",
        pooling: Pooling = "mean",
        hidden: Sequence[int] = (),
        dropout: float = 0.0,
        activation: Activation = "relu",
        *,
        in_scalars: int | None = None,
    ) -> None:
        if criterion not in ("mlc", "bce"):
            raise ValueError(f"criterion is one of mlc, bce, not {criterion!r}")
        super().__init__(1, pooling, hidden, dropout, activation, in_scalars=in_scalars)
        self.criterion = criterion

    def forward(self, features: Features, cloud: ParticleCloud) -> Tensor:
        """ln w, shape (B, 1)."""
        output = super().forward(features, cloud)
        if self.criterion != "mlc":
            return output
        beyond = F.relu(output - _EXPONENTIAL_UP_TO)
        return output.clamp(max=_EXPONENTIAL_UP_TO) + torch.log1p(beyond)

    def loss(self, output: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Loss of ln w (B, 1) and labels (B,), 1 for p and 0 for q."""
        log_ratio = output.squeeze(-1)
        of_p = target.to(output.dtype)
        weight = torch.ones_like(of_p) if weight is None else weight.to(of_p)
        if self.criterion == "mlc":
            first, second = -log_ratio, torch.expm1(log_ratio)
        else:
            first, second = F.softplus(-log_ratio), F.softplus(log_ratio)
        return mean_loss(first, weight * of_p) + mean_loss(second, weight * (1 - of_p))

    def loss_weights(self, target: Tensor, weight: Tensor) -> Tensor:
        """A mean over the events of p, and one over those of q."""
        of_p = target.to(weight)
        return torch.stack([weight * of_p, weight * (1 - of_p)], dim=-1)

    def ratio(self, output: Tensor) -> Tensor:
        """The likelihood ratio w of each event, (B,), float64."""
        return output.double().squeeze(-1).exp()

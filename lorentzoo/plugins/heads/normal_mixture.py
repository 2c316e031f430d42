"""How are the numbers of an event distributed?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from lorentzoo import DensityHead, Features, ParticleCloud
from lorentzoo.nn import Activation, Pooling, Readout

__all__ = ["NormalMixture"]

_LEAST_WIDTH = 1e-4
"""In standard deviations of the training targets."""
_ONE = math.log(math.e - 1)
"""Where softplus is one."""


class NormalMixture(DensityHead):
    """A mixture of normal distributions of the targets of each event, trained by maximum likelihood (Bishop 1994).

    The raw output holds the parameters of the mixture in standardised targets; `distribution` makes a distribution in the
    targets' own units of it.

    Parameters
    ----------
    num_targets
        Numbers of each event.
    components
        Normal distributions in the mixture, each with correlations of its own; 1 for a single one.
    pooling, hidden, dropout, activation
        As for `classify`.
    """

    def __init__(
        self,
        num_targets: int = 1,
        components: int = 1,
        pooling: Pooling = "mean",
        hidden: Sequence[int] = (),
        dropout: float = 0.0,
        activation: Activation = "relu",
        *,
        in_scalars: int | None = None,
    ) -> None:
        super().__init__(num_targets)
        if components < 1:
            raise ValueError(f"components must be positive, not {components}")
        self.components = components
        self.pooling = pooling
        self.readout = Readout(in_scalars, self.num_outputs, hidden, dropout, activation)
        self.out_scalars = self.readout.wants
        # Components that start alike would stay alike.
        starts = torch.linspace(-1, 1, components) if components > 1 else torch.zeros(1)
        self.register_buffer("starts", starts.unsqueeze(-1), persistent=False)

    starts: Tensor

    @staticmethod
    def _entries(num_targets: int) -> int:
        return num_targets * (num_targets + 1) // 2

    @property
    def num_outputs(self) -> int:
        """Numbers of all components: a weight, a mean and the lower triangle of the width of each."""
        return self.components * (1 + self.num_targets + self._entries(self.num_targets))

    def forward(self, features: Features, cloud: ParticleCloud) -> Tensor:
        """Parameters of the mixtures, shape (B, num_outputs)."""
        return self.readout(features, cloud, self.pooling)

    def distribution(self, output: Tensor) -> MixtureSameFamily:
        """The distribution of the targets (B, num_targets) in their own units, float64, of raw outputs (B, M)."""
        self.require_fitted()
        d = self.num_targets
        each = output.double().unflatten(-1, (self.components, -1))
        weights, means, entries = each.split([1, d, self._entries(d)], dim=-1)
        width, mean = self.std.double(), self.mean.double()
        diagonal = F.softplus(entries[..., :d] + _ONE) + _LEAST_WIDTH
        triangle = torch.diag_embed(diagonal)
        rows, columns = torch.tril_indices(d, d, offset=-1, device=output.device)
        triangle[..., rows, columns] = entries[..., d:]
        normal = MultivariateNormal(
            mean + width * (means + self.starts.double()), scale_tril=width.unsqueeze(-1) * triangle
        )
        return MixtureSameFamily(Categorical(logits=weights.squeeze(-1)), normal)

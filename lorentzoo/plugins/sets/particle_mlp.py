"""What does a perceptron say of each particle of an event of fixed length and order?"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorentzoo import Backbone, Features, Frames, Layout
from lorentzoo.plugins.sets.mlp import ACTIVATIONS

__all__ = ["ParticleMLP"]


class ParticleMLP(Backbone):
    """Perceptron from the features of all particles of an event, side by side, to features of each of them.

    Parameters
    ----------
    num_particles
        Particles of an event, in their order; missing ones are zero, further ones neither read nor written to.
    hidden
        Widths of the layers, each followed by the activation.
    activation
        ``"gelu"`` or ``"relu"``.
    read_scalars
        Whether scalars of the particles are read. Where their place says what they are, vectors and the context are
        enough (arXiv:2508.14898).
    """

    projects = True
    reads_context = True
    permutation_symmetric = False

    def __init__(
        self,
        num_particles: int = 6,
        hidden: Sequence[int] = (128, 128, 128),
        activation: Literal["gelu", "relu"] = "gelu",
        read_scalars: bool = True,
        *,
        in_scalars: int,
        in_vectors: int = 0,
        in_context: int = 0,
        out_scalars: int = 1,
        out_vectors: int = 0,
    ) -> None:
        super().__init__()
        if num_particles < 1 or min(hidden, default=0) < 1:
            raise ValueError(
                "num_particles must be at least 1, and hidden needs at least one layer, none empty"
            )
        self.num_particles = num_particles
        self.read_scalars = read_scalars
        self.out_scalars, self.out_vectors = out_scalars, out_vectors
        each = (in_scalars if read_scalars else 0) + 4 * in_vectors
        if not each:
            raise ValueError(
                "nothing of the particles would be read: add 'momenta' to the embedding, or set read_scalars=true"
            )
        widths = [num_particles * each + in_context, *hidden]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after), ACTIVATIONS[activation]()]
        layers.append(nn.Linear(widths[-1], num_particles * (out_scalars + 4 * out_vectors)))
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Scalars (*lead, out_scalars); vectors (*lead, out_vectors, 4) in local frames."""
        return self._of_events(self._hidden(features, layout, context), layout)

    @property
    def last_map(self) -> nn.Module:
        return self.layers[-1]

    def last_features(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """The last hidden layer of the event, for each of its particles."""
        return Features.of_scalars(layout.spread(self._hidden(features, layout, context)))

    def project(self, features: Features, layout: Layout) -> Features:
        """What the last layer says of the place of each particle."""
        return self._of_events(layout.pool(features.scalars, "max"), layout)

    def _hidden(self, features: Features, layout: Layout, context: Tensor) -> Tensor:
        """The last hidden layer of each event, (B, H)."""
        read = [features.scalars] if self.read_scalars else []
        rows = torch.cat([*read, features.vectors.flatten(-2)], dim=-1)
        taken = layout.take(rows, self.num_particles).flatten(1)
        hidden: Tensor = self.layers[:-1](torch.cat([taken, context.to(taken.dtype)], dim=-1))
        return hidden

    def _of_events(self, hidden: Tensor, layout: Layout) -> Features:
        """Scalars and vectors of the particles from the last hidden layer of each event."""
        out = self.layers[-1](hidden).unflatten(1, (self.num_particles, -1))
        out = self._of_rows(out, layout)
        scalars, vectors = out.split([self.out_scalars, 4 * self.out_vectors], dim=-1)
        return Features(scalars, vectors.unflatten(-1, (self.out_vectors, 4)))

    def _of_rows(self, out: Tensor, layout: Layout) -> Tensor:
        """What the place of each row in its event says, (B, num_particles, C) to (*lead, C); zero beyond."""
        real = layout.pad(out.new_ones(*layout.lead, 1)).squeeze(-1)
        place = real.long().cumsum(1) - 1
        extended = F.pad(out, (0, 0, 0, 1))
        index = place.clamp(min=0, max=self.num_particles).unsqueeze(-1)
        return layout.unpad(extended.gather(1, index.expand(-1, -1, out.shape[-1])))

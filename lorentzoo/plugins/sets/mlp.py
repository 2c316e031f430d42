"""What does a perceptron do with a fixed number of particles in a fixed order?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import torch
from torch import Tensor, nn

from lorentzoo import Backbone, Features, Frames, Layout
from lorentzoo.nn import Columns, EventSteps, WeightReader, require_package

__all__ = ["ACTIVATIONS", "MLP"]

ACTIVATIONS: Final[dict[str, type[nn.Module]]] = {"gelu": nn.GELU, "relu": nn.ReLU}
"""Activations by name."""


class MLP(Backbone):
    """Perceptron on the concatenated features of the first particles of each event.

    Parameters
    ----------
    num_particles
        Particles taken, in the order of the event; missing ones are zero, further ones are left out.
    hidden
        Widths of the layers, each followed by the activation.
    dropout
        After each activation.
    activation
        ``"gelu"``, as the published perceptrons have it (arXiv:2508.14898), or ``"relu"``.
    read_scalars
        Whether scalars of the particles are read. Where their place says what they are, vectors are enough
        (arXiv:2505.20280).
    """

    pools = True
    permutation_symmetric = False

    def __init__(
        self,
        num_particles: int = 40,
        hidden: Sequence[int] = (128, 128, 128),
        dropout: float = 0.0,
        activation: Literal["gelu", "relu"] = "gelu",
        read_scalars: bool = True,
        *,
        in_scalars: int,
        in_vectors: int = 0,
    ) -> None:
        super().__init__()
        if num_particles < 1 or not hidden or min(hidden) < 1:
            raise ValueError(
                "num_particles must be at least 1, and hidden needs at least one layer, none empty"
            )
        each = (in_scalars if read_scalars else 0) + 4 * in_vectors
        if not each:
            raise ValueError(
                "nothing of the particles would be read: add 'momenta' to the embedding, or set read_scalars=true"
            )
        self.num_particles = num_particles
        self.read_scalars = read_scalars
        layers: list[nn.Module] = []
        width = num_particles * each
        for size in hidden:
            layers += [nn.Linear(width, size), ACTIVATIONS[activation](), nn.Dropout(dropout)]
            width = size
        self.layers = nn.Sequential(*layers)
        self.width = width

    def forward(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Scalars of each event, (B, width)."""
        return Features.of_scalars(self.layers(self._rows(features, layout)))

    def write_steps(self, event: EventSteps) -> Columns:
        """Its layers on the scalars and momenta of the first particles."""
        read = Columns(())
        for particle in range(self.num_particles):
            there = particle < event.num_particles
            if self.read_scalars:
                scalars = event.scalars[particle].tolist() if there else [0.0] * event.scalars.shape[1]
                read += Columns(tuple(scalars))
            place = range(4 * particle, 4 * particle + 4)
            read += event.momenta.take(place) if there else Columns((0.0,) * 4)
        return event.run_layers(read, self.layers)

    def _rows(self, features: Features, layout: Layout) -> Tensor:
        """What is read of the first particles of each event, side by side."""
        read = [features.scalars] if self.read_scalars else []
        return layout.take(
            torch.cat([*read, features.vectors.flatten(-2)], dim=-1), self.num_particles
        ).flatten(1)

    def read_published(self, reader: WeightReader, package: str) -> list[str]:
        """Weights of the perceptron of ``lloca`` (1.3, 2.0), without or with dropout."""
        require_package(package, "lloca-1.3", "lloca-2.0")
        linear = [layer for layer in self.layers if isinstance(layer, nn.Linear)]
        *hidden, last = reader.layers("mlp.", len(linear) + 1, 0, 2)
        for layer, prefix in zip(linear, hidden, strict=True):
            reader.copy_module(layer, prefix)
        return [last]

    def run_published(
        self, network: nn.Module, package: str, features: Features, frames: Frames, context: Tensor
    ) -> Tensor:
        events: Tensor = network(self._rows(features, frames.layout))
        return events

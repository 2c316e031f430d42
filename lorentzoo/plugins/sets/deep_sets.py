"""What can a network see that treats every particle on its own?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lorentzoo import Backbone, Features, Frames, Layout
from lorentzoo.nn import WeightReader, require_package

__all__ = ["DeepSets"]


class DeepSets(Backbone):
    """The per-particle part of a deep set, ρ(Σ_i φ(x_i)) with φ here and ρ in the head (arXiv:1810.05165).

    Parameters
    ----------
    hidden
        Widths of φ's layers, each followed by a ReLU.
    dropout
        After each activation.
    """

    mixes_particles = False

    def __init__(
        self,
        hidden: Sequence[int] = (128, 128, 128),
        dropout: float = 0.0,
        *,
        in_scalars: int,
        in_vectors: int = 0,
        out_vectors: int = 0,
    ) -> None:
        super().__init__()
        if not hidden or min(hidden) < 1:
            raise ValueError(
                f"hidden needs at least one layer, each of at least one channel, not {list(hidden)}"
            )
        layers: list[nn.Module] = []
        width = in_scalars + 4 * in_vectors
        for size in hidden:
            layers += [nn.Linear(width, size), nn.ReLU(), nn.Dropout(dropout)]
            width = size
        self.layers = nn.Sequential(*layers)
        self.width = width
        self.out_vectors = out_vectors
        if out_vectors:
            self.vector_layer = nn.Linear(width, 4 * out_vectors)

    @property
    def stages(self) -> dict[str, nn.Module]:
        """The end of each layer."""
        return {f"blocks.{number}": layer for number, layer in enumerate([*self.layers][2::3])}

    def read_published(self, reader: WeightReader, package: str) -> list[str]:
        """Weights of the particle-flow network, without batch norms, that the authors of ``weaver`` trained."""
        require_package(package, "weaver-0.4", "weaver-0.5")
        maps = [layer for layer in self.layers if isinstance(layer, nn.Linear)]
        for number, layer in enumerate(maps):
            reader.copy_pointwise(layer, f"phi.{number}.0", kernel=1)
        last = max((int(key.split(".")[1]) for key in reader.state if key.startswith("fc.")), default=0)
        return [*(f"fc.{number}.0" for number in range(last)), f"fc.{last}"]

    def forward(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Scalars (*lead, width); vectors (*lead, out_vectors, 4) in local frames."""
        x = self.layers(torch.cat([features.scalars, features.vectors.flatten(-2)], dim=-1))
        if not self.out_vectors:
            return Features.of_scalars(x)
        return Features(x, self.vector_layer(x).unflatten(-1, (self.out_vectors, 4)))

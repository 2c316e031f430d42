"""What stands in the place of a network where there is nothing to learn by gradients?"""

from __future__ import annotations

from torch import Tensor

from lorentzoo import Backbone, Features, Frames, Layout
from lorentzoo.nn import Columns, EventSteps

__all__ = ["Nothing"]


class Nothing(Backbone):
    """Zeros, so that a head predicts by what it fits in closed form alone, e.g. by a reference of `amplitude-ratio`."""

    equivariant = True
    projects = True
    pools = True
    reads_vectors = None
    spurion_modes = ("drop",)

    def __init__(self, *, out_scalars: int = 1) -> None:
        super().__init__()
        self.out_scalars = out_scalars

    def write_steps(self, event: EventSteps) -> Columns:
        """Zeros."""
        return Columns((0.0,) * self.out_scalars)

    def last_features(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """The same zeros: there is no map."""
        return self(features, frames, layout, context)

    def forward(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Zeros, (B, out_scalars)."""
        return Features.of_scalars(features.scalars.new_zeros(layout.num_events, self.out_scalars))

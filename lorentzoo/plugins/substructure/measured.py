"""How do numbers that are measured on whole events become the features of a model?"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor

from lorentzoo import Backbone, Features, Frames, Layout
from lorentzoo.nn import Standardised

__all__ = ["MeasuredEvents"]


class MeasuredEvents(Standardised, Backbone):
    """Functions of the momenta of an event, standardised if wanted; nothing here is learned.

    Parameters
    ----------
    standardise
        Subtract the mean and divide by the standard deviation of the training events; trees do not need it.
    in_vectors
        Must be one: the momenta.
    """

    equivariant = True
    pools = True
    reads_vectors = "pairs"
    spurion_modes = ("drop",)

    def __init__(self, standardise: bool, in_vectors: int) -> None:
        super().__init__()
        if in_vectors != 1:
            raise ValueError(
                "observables need the momenta, and nothing else, as vectors: embedding 'momenta'"
            )
        self.standardise = standardise

    def set_width(self, width: int) -> None:
        """Declare how many numbers are measured; called once, by the constructor."""
        self.width = width
        if self.standardise:
            self.register_standardisation(width)

    @abstractmethod
    def measure(self, features: Features, layout: Layout) -> Tensor:
        """The numbers of each event in float64, shape (B, width)."""

    def fit_inputs(self, inputs: Iterable[tuple[Features, Frames, Layout]]) -> None:
        """Take mean and standard deviation of what is measured, where it is to be standardised."""
        if self.standardise:
            self.fit_standardisation(torch.cat([self.measure(seen, layout) for seen, _, layout in inputs]))

    def forward(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Scalars of each event, (B, width)."""
        values = self.measure(features, layout)
        if self.standardise:
            values = self.standardise_values(values)
        return Features.of_scalars(values.to(features.scalars.dtype))

"""How do jet observables become the features of a model?"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from lorentzoo import Backbone, Features, Frames, Layout, Symmetry
from lorentzoo.nn import mean_and_deviation
from lorentzoo.plugins.substructure.observables import Observable, measure

__all__ = ["Substructure"]


class Substructure(Backbone):
    """Observables of each jet, and the pT-weighted means of the particles' scalars; nothing here is learned.

    Parameters
    ----------
    observables
        Which ones, in this order; see `lorentzoo.plugins.substructure.observables`.
    standardise
        Subtract the mean and divide by the standard deviation of the training events; trees do not need it.
    """

    equivariant = True
    pools = True
    reads_vectors = "pairs"
    spurion_modes = ("drop",)
    exportable = (
        "clustering takes as many steps as the jet has particles, a number that an exported graph would fix"
    )

    def __init__(
        self,
        observables: Sequence[Observable] = typing.get_args(Observable),
        standardise: bool = True,
        *,
        in_scalars: int,
        in_vectors: int = 0,
    ) -> None:
        super().__init__()
        if in_vectors != 1:
            raise ValueError(
                "observables need the momenta, and nothing else, as vectors: embedding 'momenta'"
            )
        if not observables or len(set(observables)) != len(observables):
            raise ValueError(f"observables needs at least one, none twice, not {list(observables)}")
        self.observables: tuple[str, ...] = tuple(observables)
        self.width = len(self.observables) + in_scalars
        self.standardise = standardise
        if standardise:
            self.register_statistics(mean=torch.zeros(self.width), deviation=torch.ones(self.width))

    mean: Tensor
    deviation: Tensor

    @property
    def symmetry(self) -> Symmetry:
        """Beam boosts and rotations about the beam, of which observables see only differences."""
        return Symmetry.spanned_by("Kz", "Jz", discrete=("P", "z-flip"))

    def fit_inputs(self, inputs: Iterable[tuple[Features, Frames, Layout]]) -> None:
        """Take mean and standard deviation of the observables, where they are to be standardised."""
        if not self.standardise:
            return
        values = torch.cat([self._measure(features, layout) for features, _, layout in inputs])
        mean, deviation = mean_and_deviation(values)
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)
        self.mark_fitted()

    def forward(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Scalars of each event, (B, observables + in_scalars)."""
        values = self._measure(features, layout)
        if self.standardise:
            self.require_fitted()
            values = (values - self.mean) / self.deviation
        return Features.of_scalars(values.to(features.scalars.dtype))

    def _measure(self, features: Features, layout: Layout) -> Tensor:
        """In float64, shape (B, width)."""
        return measure(self.observables, layout, features.vectors.squeeze(-2), features.scalars)

"""How do jet observables become the features of a model?"""

from __future__ import annotations

import typing
from collections.abc import Sequence

from torch import Tensor

from lorentzoo import Features, Layout, Symmetry
from lorentzoo.plugins.substructure.measured import MeasuredEvents
from lorentzoo.plugins.substructure.observables import JetObservable, kept_by, kept_exactly, measure

__all__ = ["Substructure"]


class Substructure(MeasuredEvents):
    """Observables of each jet, and the pT-weighted means of the particles' scalars; nothing here is learned.

    Parameters
    ----------
    observables
        Which ones, in this order; see `lorentzoo.plugins.substructure.observables`.
    standardise
        Subtract the mean and divide by the standard deviation of the training events; trees do not need it.
    """

    exportable = (
        "clustering takes as many steps as the jet has particles, a number that an exported graph would fix"
    )

    def __init__(
        self,
        observables: Sequence[JetObservable] = typing.get_args(JetObservable),
        standardise: bool = True,
        *,
        in_scalars: int,
        in_vectors: int = 0,
    ) -> None:
        super().__init__(standardise, in_vectors)
        if not observables or len(set(observables)) != len(observables):
            raise ValueError(f"observables needs at least one, none twice, not {list(observables)}")
        self.observables: tuple[str, ...] = tuple(observables)
        self.weights_scalars = in_scalars > 0
        self.exact = self.weights_scalars or kept_exactly(self.observables)
        self.set_width(len(self.observables) + in_scalars)

    @property
    def symmetry(self) -> Symmetry:
        """Beam boosts and rotations about the beam, of which observables see only differences; masses see nothing.

        Means of scalars are weighted by transverse momenta, which see the beam.
        """
        return kept_by((*self.observables, "width") if self.weights_scalars else self.observables)

    def measure(self, features: Features, layout: Layout) -> Tensor:
        """Observables and means of scalars, in float64, shape (B, width)."""
        return measure(self.observables, layout, features.vectors.squeeze(-2), features.scalars)

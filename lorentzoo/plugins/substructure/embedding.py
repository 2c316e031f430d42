"""How do jet observables stand beside the features of every particle?"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from lorentzoo import Batch, Embedding, Features, Frames, Layout, ParticleCloud, Symmetry
from lorentzoo.nn import Standardised
from lorentzoo.plugins.substructure.observables import JetObservable, kept_by, kept_exactly, measure

__all__ = ["SubstructureScalars"]


class SubstructureScalars(Standardised, Embedding):
    """Standardised observables of the jet as scalars of each of its particles: what a physicist knows, for any network.

    They are measured in the lab, whatever the frames of the particles. Nothing here is learned.

    Parameters
    ----------
    observables
        Which ones, in this order; see `lorentzoo.plugins.substructure.observables`.
    """

    exportable = (
        "clustering takes as many steps as the jet has particles, a number that an exported graph would fix"
    )

    def __init__(self, observables: Sequence[JetObservable] = typing.get_args(JetObservable)) -> None:
        super().__init__()
        if not observables or len(set(observables)) != len(observables):
            raise ValueError(f"observables needs at least one, none twice, not {list(observables)}")
        self.observables: tuple[str, ...] = tuple(observables)
        self.exact = kept_exactly(self.observables)
        self.register_standardisation(len(self.observables))

    @property
    def scalar_names(self) -> tuple[str, ...]:
        return tuple(f"jet_{name}" for name in self.observables)

    @property
    def vector_names(self) -> tuple[str, ...]:
        return ()

    @property
    def scalar_symmetry(self) -> Symmetry:
        """Everything: the observables are no functions of frames."""
        return Symmetry.full()

    @property
    def fixed_symmetry(self) -> Symmetry:
        """Beam boosts and rotations about the beam, of which observables see only differences; masses see nothing."""
        return kept_by(self.observables)

    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        """Take mean and standard deviation of the observables."""
        batches = list(batches)
        values = torch.cat([self._measure(batch.cloud)[0] for batch in batches])
        weight = torch.cat([batch.weight for batch in batches])
        self.fit_standardisation(values, weight)

    def forward(self, cloud: ParticleCloud, frames: Frames) -> Features:
        """Scalar channels, shape (*lead, observables)."""
        values, layout = self._measure(cloud)
        return Features.of_scalars(layout.spread(self.standardise_values(values)), self.scalar_names)

    def _measure(self, cloud: ParticleCloud) -> tuple[Tensor, Layout]:
        """Observables of each jet (B, observables), without its spurions, and the layout of everything."""
        momenta, particles = cloud.momenta, cloud.layout
        if cloud.particles_layout is not None and cloud.tokens:
            particles = cloud.particles_layout
            _, momenta = particles.append(cloud.tokens).split(momenta)
        return measure(self.observables, particles, momenta), cloud.layout

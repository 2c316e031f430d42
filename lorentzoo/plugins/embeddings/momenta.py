"""How do four-momenta enter a network as vectors?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar, Final, Literal

import torch
from torch import Tensor

from lorentzoo import Batch, Embedding, Features, Frames, ParticleCloud, Symmetry
from lorentzoo.nn import EventSteps, ExportError

__all__ = ["Momenta"]

_SMALLEST: Final = 1e-6
"""Momenta of 1e10 GeV in this unit have squares that float32 still holds."""
_LARGEST: Final = 1e12
_USUAL: Final = 20.0
"""GeV, as in arXiv:2411.00446."""


class Momenta(Embedding):
    """Four-momenta, and the particles' further vectors, as vector channels.

    Parameters
    ----------
    scale
        Particle momenta are divided by this many GeV (spurions are not). By default, backbones that take vectors as
        inputs get the root mean square energy of the training set's particles, in the coordinates in which the network
        sees them, and 20 as long as no statistics were fitted: GeV themselves are no good numbers for products and
        squares in float32. Backbones that read vectors through functions of pairs get GeV.
    in_vectors
        Further vectors of each particle (order-2 spurions, given ones).
    matrix_names
        Their names.
    reads_vectors
        How the backbone uses vectors.
    """

    older_buffers: ClassVar = {"fitted": True, "fitted_scale": 1.0}
    fitted_scale: Tensor

    def __init__(
        self,
        scale: float | None = None,
        *,
        in_vectors: int = 0,
        matrix_names: Sequence[str] = (),
        reads_vectors: Literal["inputs", "pairs"] | None = "inputs",
    ) -> None:
        super().__init__()
        if scale is not None and not _SMALLEST <= scale <= _LARGEST:
            raise ValueError(
                f"scale must be positive, not {scale}, and from {_SMALLEST:g} to {_LARGEST:g} GeV"
            )
        self.scale = scale
        if scale is None and reads_vectors == "inputs":
            self.register_statistics(fitted_scale=torch.tensor(_USUAL, dtype=torch.float64))
        elif scale is None:
            self.scale = 1.0
        self.in_vectors = in_vectors
        self._names = tuple(matrix_names) if matrix_names else tuple(f"vector_{v}" for v in range(in_vectors))

    @property
    def scalar_names(self) -> tuple[str, ...]:
        return ()

    @property
    def vector_names(self) -> tuple[str, ...]:
        return ("momentum", *self._names)

    @property
    def scalar_symmetry(self) -> Symmetry:
        """There are no scalars."""
        return Symmetry.full()

    @property
    def reads_matrices(self) -> bool:
        return self.in_vectors > 0

    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        """Take the scale, if it is not given: √(Σ |w| E² / Σ |w|) over particles, with the weights w of their events."""
        if self.scale is not None:
            return
        squares, weights = 0.0, 0.0
        for batch in batches:
            layout, weight = batch.cloud.layout, batch.weight.to(torch.float64).abs()
            energies = layout.pool(batch.cloud.momenta[..., :1].to(torch.float64).square(), "sum").squeeze(-1)
            squares += float((weight * energies).sum())
            weights += float((weight * layout.counts()).sum())
        if squares > 0:
            self.fitted_scale.fill_(min(max((squares / weights) ** 0.5, _SMALLEST), _LARGEST))
        self.mark_fitted()

    def write_steps(self, event: EventSteps) -> EventSteps:
        """Momenta in units of the scale."""
        if self.in_vectors:
            raise ExportError("source code has no form of further vectors of the particles")
        scale = float(self.fitted_scale) if self.scale is None else self.scale
        if scale == 1.0:
            return event
        ones = torch.ones(len(event.momenta), dtype=torch.float64)
        return replace(event, momenta=event.standardise(event.momenta, 0 * ones, scale * ones))

    def forward(self, cloud: ParticleCloud, frames: Frames) -> Features:
        """Vector channels in the global frame, shape (*lead, 1 + in_vectors, 4)."""
        vectors = torch.cat([cloud.momenta.unsqueeze(-2), cloud.vectors], dim=-2)
        scaled = vectors / (self.fitted_scale.to(vectors) if self.scale is None else self.scale)
        particle = cloud.is_particle
        if particle is not None and self.scale != 1.0:
            scaled = torch.where(particle[..., None, None], scaled, vectors)
        return Features(scaled.new_zeros(*scaled.shape[:-2], 0), scaled, (), self.vector_names)

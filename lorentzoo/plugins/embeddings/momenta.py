"""How do four-momenta enter a network as vectors?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch

from lorentzoo import Embedding, Features, Frames, ParticleCloud, Symmetry

__all__ = ["Momenta"]

_SMALLEST: Final = 1e-6
"""Momenta of 1e10 GeV in this unit have squares that float32 still holds."""
_LARGEST: Final = 1e12


class Momenta(Embedding):
    """Four-momenta, and the particles' further vectors, as vector channels.

    Parameters
    ----------
    scale
        Particle momenta are divided by this many GeV (spurions are not), as in arXiv:2411.00446 with 20.
    in_vectors
        Further vectors of each particle (order-2 spurions, given ones).
    matrix_names
        Their names.
    """

    def __init__(self, scale: float = 1.0, *, in_vectors: int = 0, matrix_names: Sequence[str] = ()) -> None:
        super().__init__()
        if not _SMALLEST <= scale <= _LARGEST:
            raise ValueError(
                f"scale must be positive, not {scale}, and from {_SMALLEST:g} to {_LARGEST:g} GeV"
            )
        self.scale = scale
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

    def forward(self, cloud: ParticleCloud, frames: Frames) -> Features:
        """Vector channels in the global frame, shape (*lead, 1 + in_vectors, 4)."""
        vectors = torch.cat([cloud.momenta.unsqueeze(-2), cloud.vectors], dim=-2)
        scaled = vectors / self.scale
        particle = cloud.is_particle
        if particle is not None and self.scale != 1.0:
            scaled = torch.where(particle[..., None, None], scaled, vectors)
        return Features(scaled.new_zeros(*scaled.shape[:-2], 0), scaled, (), self.vector_names)

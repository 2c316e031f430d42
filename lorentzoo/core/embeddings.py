"""How do several embeddings stand side by side?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from lorentzoo.core.cloud import Batch, ParticleCloud
from lorentzoo.core.errors import CompositionError
from lorentzoo.core.features import Features
from lorentzoo.core.frames import Frames
from lorentzoo.core.interfaces import Embedding
from lorentzoo.core.symmetry import Symmetry, intersection

__all__ = ["EmbeddingList"]


class EmbeddingList(Embedding):
    """Several embeddings, their channels side by side.

    Parameters
    ----------
    parts
        The embeddings, possibly none; channel names must not repeat.
    """

    def __init__(self, parts: Sequence[Embedding]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.exact = all(part.exact for part in parts)
        self.permutation_symmetric = all(part.permutation_symmetric for part in parts)  # type: ignore[misc]
        names = [name for part in parts for name in (*part.scalar_names, *part.vector_names)]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise CompositionError(
                f"the embeddings (or spurions of one name) give the channels {repeated} twice"
            )

    @property
    def _embeddings(self) -> list[Embedding]:
        return [part for part in self.parts if isinstance(part, Embedding)]

    @property
    def scalar_names(self) -> tuple[str, ...]:
        return tuple(name for part in self._embeddings for name in part.scalar_names)

    @property
    def vector_names(self) -> tuple[str, ...]:
        return tuple(name for part in self._embeddings for name in part.vector_names)

    @property
    def scalar_symmetry(self) -> Symmetry:
        return intersection([part.scalar_symmetry for part in self._embeddings])

    @property
    def fixed_symmetry(self) -> Symmetry:
        return intersection([part.fixed_symmetry for part in self._embeddings])

    @property
    def reads_spurions(self) -> bool:
        return any(part.reads_spurions for part in self._embeddings)

    @property
    def reads_matrices(self) -> bool:
        return any(part.reads_matrices for part in self._embeddings)

    @property
    def places_scalars(self) -> bool:
        return any(part.places_scalars for part in self._embeddings)

    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        batches = list(batches)
        for part in self._embeddings:
            part.fit_statistics(batches)

    def forward(self, cloud: ParticleCloud, frames: Frames) -> Features:
        """Channels of all parts, in their order."""
        # Without any part there are no channels but the cloud's own scalars.
        joined = Features.of_scalars(cloud.momenta[..., :0])
        for part in self._embeddings:
            joined = joined.join(part(cloud, frames))
        return joined

"""Which reference vectors and maps break the symmetry on purpose?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.interfaces import Part
from lorentzoo.core.symmetry import Symmetry

__all__ = ["Spurions"]

_LARGEST: Final = 1e10
"""As of momenta in GeV: squares of larger numbers overflow in float32."""


class Spurions(Part):
    """Reference vectors and linear maps that break the symmetry on purpose.

    Parameters
    ----------
    vectors
        Four-vectors that join every event as tokens or channels, shape (k, 4).
    matrices
        Linear maps that act on every particle's momentum and give it further vectors, shape (m, 4, 4).
    names
        One name a vector, then one a matrix.
    """

    def __init__(self, vectors: ArrayLike = (), matrices: ArrayLike = (), names: Sequence[str] = ()) -> None:
        super().__init__()
        self._vectors = np.array(vectors, dtype=np.float64).reshape(-1, 4)
        self._matrices = np.array(matrices, dtype=np.float64).reshape(-1, 4, 4)
        if not (np.isfinite(self._vectors).all() and np.isfinite(self._matrices).all()):
            raise ValueError("spurions must be finite")
        if max(np.abs(self._vectors).max(initial=0.0), np.abs(self._matrices).max(initial=0.0)) > _LARGEST:
            raise ValueError(f"components of spurions are at most {_LARGEST:g}")
        count = len(self._vectors) + len(self._matrices)
        self.names = tuple(names) if names else tuple(f"spurion_{i}" for i in range(count))
        if len(self.names) != count:
            raise ValueError(f"{count} spurions but {len(self.names)} names {list(self.names)}")
        self._on_device: dict[torch.device, tuple[Tensor, Tensor]] = {}

    @property
    def num_vectors(self) -> int:
        """Number of reference vectors."""
        return len(self._vectors)

    @property
    def are_causal(self) -> bool:
        """Whether every reference vector is future time-like or light-like, as a momentum is."""
        energy, size = self._vectors[:, 0], np.linalg.norm(self._vectors[:, 1:], axis=-1)
        return bool(((energy > 0) & (energy >= size * (1 - 1e-9))).all())

    @property
    def num_matrices(self) -> int:
        """Number of linear maps."""
        return len(self._matrices)

    @property
    def vector_names(self) -> tuple[str, ...]:
        """Names of the reference vectors."""
        return self.names[: self.num_vectors]

    @property
    def matrix_names(self) -> tuple[str, ...]:
        """Names of the linear maps."""
        return self.names[self.num_vectors :]

    @property
    def vector_symmetry(self) -> Symmetry:
        """What leaves every reference vector fixed."""
        return Symmetry.stabiliser(self._vectors)

    @property
    def matrix_symmetry(self) -> Symmetry:
        """What commutes with every linear map."""
        return Symmetry.commutant(self._matrices)

    @property
    def symmetry(self) -> Symmetry:
        """What is left of the Lorentz group: stabiliser of the vectors ∩ commutant of the matrices."""
        return self.vector_symmetry & self.matrix_symmetry

    @staticmethod
    def merge(parts: Sequence[Spurions]) -> Spurions:
        """Several spurions as one, in the given order."""
        return Spurions(
            np.concatenate([part._vectors for part in parts]) if parts else (),
            np.concatenate([part._matrices for part in parts]) if parts else (),
            [name for part in parts for name in part.vector_names]
            + [name for part in parts for name in part.matrix_names],
        )

    def tensors(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Vectors (k, 4) and matrices (m, 4, 4) in float64: kept out of the buffers, which follow the network's dtype."""
        if device not in self._on_device:
            pair = torch.from_numpy(self._vectors).to(device), torch.from_numpy(self._matrices).to(device)
            if torch.compiler.is_compiling():
                return pair
            self._on_device[device] = pair
        return self._on_device[device]

    def forward(self, cloud: ParticleCloud) -> ParticleCloud:
        """Give every particle its further vectors and put the reference vectors in front of every event."""
        vectors, matrices = self.tensors(cloud.device)
        if self.num_matrices:
            # (m, 4, 4) acting on (*lead, 1, 4): one more vector of each particle for each map.
            further = (matrices @ cloud.momenta[..., None, :, None]).squeeze(-1)
            cloud = replace(
                cloud,
                vectors=torch.cat([cloud.vectors, further], dim=-2),
                vector_names=_padded_names(cloud) + self.matrix_names,
            )
        if self.num_vectors:
            cloud = cloud.with_tokens(vectors.expand(cloud.num_events, -1, 4))
        return cloud

    def __deepcopy__(self, memo: dict[int, object]) -> Spurions:
        return Spurions(self._vectors, self._matrices, self.names)

    def __reduce__(self) -> tuple[object, ...]:
        return Spurions, (self._vectors, self._matrices, self.names)


def _padded_names(cloud: ParticleCloud) -> tuple[str, ...]:
    missing = cloud.vectors.shape[-2] - len(cloud.vector_names)
    return cloud.vector_names + tuple(f"vector_{i}" for i in range(missing))

"""What flows through a network between its slots?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Features"]


@dataclass(frozen=True)
class Features:
    """Scalars and four-vectors of each particle, with named channels.

    Parameters
    ----------
    scalars
        Shape (*lead, S).
    vectors
        Shape (*lead, V, 4).
    scalar_names, vector_names
        Names of the channels, as the embedding gives them; empty inside a network.
    """

    scalars: Tensor
    vectors: Tensor
    scalar_names: tuple[str, ...] = ()
    vector_names: tuple[str, ...] = ()

    @classmethod
    def of_scalars(cls, scalars: Tensor, names: tuple[str, ...] = ()) -> Features:
        """Features without vectors."""
        return cls(scalars, scalars.new_zeros(*scalars.shape[:-1], 0, 4), names)

    @property
    def in_scalars(self) -> int:
        """Number of scalar channels S."""
        return self.scalars.shape[-1]

    @property
    def in_vectors(self) -> int:
        """Number of vector channels V."""
        return self.vectors.shape[-2]

    def scalar(self, name: str) -> Tensor:
        """The scalar channel of this name, shape (*lead,).

        Raises
        ------
        KeyError
            If no channel has this name.
        """
        if name not in self.scalar_names:
            raise KeyError(f"no scalar channel {name!r}; the embedding gives {list(self.scalar_names)}")
        return self.scalars[..., self.scalar_names.index(name)]

    def to(self, dtype: torch.dtype) -> Features:
        """The same features in another floating-point type."""
        return replace(self, scalars=self.scalars.to(dtype), vectors=self.vectors.to(dtype))

    def join(self, other: Features) -> Features:
        """The channels of both, side by side."""
        return Features(
            torch.cat([self.scalars, other.scalars], dim=-1),
            torch.cat([self.vectors, other.vectors], dim=-2),
            self.scalar_names + other.scalar_names,
            self.vector_names + other.vector_names,
        )

"""What does the closed form of a published network's arithmetic need to know?

A backbone, or a frames-net, names a function of a `FlopsSetting` in its component,
``Component(..., published_flops="package.module:function")``; `lorentzoo.studies.published_flops` calls it. Matrix
products and convolutions count, two operations a multiply-add, everything else nothing: as torch's counter sees the
forward pass of one event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from lorentzoo.core.errors import NoClosedFormError
from lorentzoo.core.reps import Reps

__all__ = [
    "MATMUL",
    "MATVEC",
    "FlopsSetting",
    "count_attention",
    "count_linear",
    "count_pair_network",
    "count_vectors",
]

MATVEC: Final = 2 * 4 * 4
"""A Lorentz matrix on a vector."""
MATMUL: Final = 2 * 4 * 4 * 4
"""A Lorentz matrix on another."""


@dataclass(frozen=True)
class FlopsSetting:
    """A composition, as far as closed forms depend on it.

    Attributes
    ----------
    particles, tokens
        Particles, and particles with reference vectors.
    scalars
        Scalars of each particle that reach the backbone.
    auxiliary
        Those of them that are the cloud's own; the others are kinematics.
    vectors
        Vector channels of the embedding.
    outputs
        Numbers wanted of the event.
    parameters, head, frames
        Of the backbone, the head and the frames-net, defaults included.
    pooling
        How the head makes an event of particles.
    local
        Whether every particle has a frame of its own.
    learned
        Whether frames are learned.
    all_attention
        Whether every product of attention counts, or only those that the published counter saw.
    """

    particles: int
    tokens: int
    scalars: int
    auxiliary: int
    vectors: int
    outputs: int
    parameters: Mapping[str, Any]
    head: Mapping[str, Any]
    frames: Mapping[str, Any]
    pooling: str | None
    local: bool
    learned: bool
    all_attention: bool

    @property
    def complete(self) -> int:
        """Ordered pairs of different tokens."""
        return self.tokens * (self.tokens - 1)

    @property
    def top_boost(self) -> int:
        """The boost of a top jet to rest, which the script behind the figures of arXiv:2508.14898 counts."""
        return MATVEC * self.tokens if self.outputs == 1 else 0

    @property
    def read_out(self) -> Sequence[int]:
        """Widths of the head's linear maps after the backbone's."""
        return (*self.head.get("hidden", ()), self.outputs)

    def require(self, **parameters: Any) -> None:
        """Refuse a backbone whose parameters differ from those that the closed form is of.

        Raises
        ------
        NoClosedFormError
            Naming the parameter, what was given and what is wanted.
        """
        for name, value in parameters.items():
            if self.parameters[name] != value:
                raise NoClosedFormError(
                    f"the closed form holds for {name}={value!r}, not {name}={self.parameters[name]!r}"
                )

    def require_vectors(self, count: int) -> None:
        """Refuse an embedding with another number of vectors than the published network reads.

        Raises
        ------
        NoClosedFormError
            Naming both numbers.
        """
        if self.vectors != count:
            raise NoClosedFormError(
                f"the published network reads {count} vectors of each particle, but the embedding gives {self.vectors}"
            )

    def require_no_kinematics(self) -> None:
        """Refuse kinematic scalars where the published network has none.

        Raises
        ------
        NoClosedFormError
            Saying how many there are.
        """
        if self.scalars != self.auxiliary:
            raise NoClosedFormError(
                f"the published network reads no kinematic scalars, but the embedding gives "
                f"{self.scalars - self.auxiliary}"
            )

    def require_pooling(self, pooling: str) -> None:
        """Refuse a head that reads the event otherwise than the published network does.

        Raises
        ------
        NoClosedFormError
            Naming both ways.
        """
        if self.pooling != pooling:
            raise NoClosedFormError(
                f"the closed form is of the published tagger with pooling={pooling!r}, not {self.pooling!r} "
                "(amplitudes and other forms have none here)"
            )


def count_linear(widths: Sequence[int]) -> int:
    """A perceptron of these widths on one row."""
    return 2 * sum(a * b for a, b in pairwise(widths))


def count_attention(queries: int, keys: int, width: int) -> int:
    """Both products of attention."""
    return 2 * 2 * queries * keys * width


def count_vectors(reps: str) -> int:
    """Vectors in a representation."""
    return sum(term.multiplicity for term in Reps.parse(reps) if term.order == 1)


def count_pair_network(pairs: int, scalars: int, hidden: int, inside: int, blocks: int) -> int:
    """PELICAN up to its last map: 15 maps of pairs to pairs, 5 of particles to pairs, each evaluated on all pairs."""
    embed = 2 * pairs * (5 * scalars * scalars + 15 * (1 + scalars) * hidden)
    return embed + 2 * pairs * blocks * (hidden * inside + 15 * inside * hidden)

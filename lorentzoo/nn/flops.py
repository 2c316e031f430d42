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
    "MULTIVECTOR_NORM",
    "FlopsSetting",
    "count_attention",
    "count_linear",
    "count_multivector_network",
    "count_pair_network",
    "count_vectors",
]

MATVEC: Final = 2 * 4 * 4
"""A Lorentz matrix on a vector."""
MATMUL: Final = 2 * 4 * 4 * 4
"""A Lorentz matrix on another."""
MULTIVECTOR_NORM: Final = 2 * 5 * 16
"""Squares of the five grades of a multivector."""
_GEOMETRIC_PRODUCT: Final = 2 * 16**3
"""An outer product of 16 x 16 components, contracted to 16."""
_EQUIVARIANT_MAPS: Final = 10


@dataclass(frozen=True)
class FlopsSetting:
    """A composition, as far as closed forms depend on it.

    Attributes
    ----------
    particles, tokens
        Particles, and particles with reference vectors.
    scalars
        Numbers of each particle that reach the backbone: scalars, and components of vectors where it reads them so.
    auxiliary
        Those of them that are the cloud's own scalars; the others are kinematics.
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
    def tagger(self) -> bool:
        """Whether it tells classes apart: published taggers look at the jet besides each particle."""
        return "num_classes" in self.head

    @property
    def complete(self) -> int:
        """Ordered pairs of different tokens."""
        return self.tokens * (self.tokens - 1)

    @property
    def top_boost(self) -> int:
        """The boost of a top jet to rest, which the script behind the figures of arXiv:2508.14898 counts."""
        return MATVEC * self.tokens if self.tagger and self.outputs == 1 else 0

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
                "(other forms have none here)"
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


def count_multivector_network(
    tokens: int,
    hidden: tuple[int, int],
    heads: tuple[int, int, int],
    mlp_ratio: int,
    blocks: int,
    scalars: int,
    outputs: tuple[int, int],
    *,
    all_attention: bool = True,
) -> int:
    """L-GATr on one multivector and some scalars of each token (arXiv:2411.00446).

    Parameters
    ----------
    tokens
        How many there are.
    hidden, outputs
        Multivectors and scalars inside and at the end.
    heads
        How many, and multivectors and scalars of each.
    mlp_ratio, blocks
        Expansion of the MLP, and number of blocks.
    scalars
        Of each token.
    all_attention
        Whether the products of attention count.
    """
    (mv, s), (count, mv_head, s_head), n = hidden, heads, tokens
    attended, attended_s = count * mv_head, count * s_head
    inner, inner_s = mlp_ratio * mv, mlp_ratio * s

    def linear(a: int, b: int, given: int, wanted: int) -> int:
        """The basis is contracted with the weights once, then applied as a full matrix on 16 components."""
        contraction = 2 * a * b * _EQUIVARIANT_MAPS * 256
        mixed = 2 * (given * 2 * b + 2 * a * wanted + given * wanted)
        return contraction + n * (2 * a * b * 256 + mixed)

    block = linear(mv, 3 * attended, s, 3 * attended_s) + linear(attended, mv, attended_s, s)
    block += 2 * linear(mv, inner, s, 0) + linear(inner, inner, s, inner_s) + linear(inner, mv, inner_s, s)
    block += n * inner * _GEOMETRIC_PRODUCT
    block += n * (2 * mv + 3 * attended + inner) * MULTIVECTOR_NORM
    block += count_attention(n, n, count * (16 * mv_head + s_head)) if all_attention else 0
    return linear(1, mv, scalars, s) + linear(mv, outputs[0], s, outputs[1]) + blocks * block

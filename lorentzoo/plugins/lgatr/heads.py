r"""From streams to heads of attention and back.

A head holds its share of a token as D numbers: invariants, the four components of each vector, the three of each
bivector, scalars. Where channels lead in memory (see :mod:`~lorentzoo.plugins.lgatr.columns`) each of these four blocks
is one piece of the stream and one piece of the head, for all tokens: heads are joined by a few large copies, and stay
as they lie for attention.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["HeadWidths", "from_heads", "metric", "share_queries", "to_heads"]


class HeadWidths(NamedTuple):
    """How many numbers a head takes from each plane of a stream.

    Attributes
    ----------
    invariants
        From the plane of scalars and pseudoscalars.
    vectors, bivectors
        From each of the four, and of the three, planes of components.
    scalars
        Auxiliary scalars.
    """

    invariants: int
    vectors: int
    bivectors: int
    scalars: int

    @staticmethod
    def of_multivectors(channels: int, scalars: int) -> HeadWidths:
        """Heads of a :class:`~lorentzoo.plugins.lgatr.paired.Paired` stream, D = 16 c + s."""
        return HeadWidths(2 * channels, 2 * channels, 2 * channels, scalars)

    @staticmethod
    def of_vectors(channels: int, scalars: int) -> HeadWidths:
        """Heads of a stream of scalars and four-vectors, D = 4 c + s."""
        return HeadWidths(0, channels, 0, scalars)

    @property
    def numbers(self) -> int:
        """D, the numbers of a head."""
        return self.invariants + 4 * self.vectors + 3 * self.bivectors + self.scalars

    @property
    def blocks(self) -> list[int]:
        """Numbers of a head in the order in which they lie: invariants, vectors, bivectors, scalars."""
        return [self.invariants, 4 * self.vectors, 3 * self.bivectors, self.scalars]


def to_heads(
    scalars: Tensor,
    vectors: Tensor,
    bivectors: Tensor,
    widths: HeadWidths,
    sets: int = 1,
    *,
    query: bool = False,
) -> tuple[Tensor, ...]:
    """Write a stream as heads: ``sets`` tensors (..., H, D).

    Parameters
    ----------
    scalars, vectors, bivectors
        Shapes (..., W (a + s)), (4, ..., W v) and (3, ..., W t) for W = sets x H heads of the given widths; all the
        invariants come before all the scalars.
    sets
        How many groups of heads there are (queries, keys, values).
    query
        Multiply the first set with the metric.
    """
    count = vectors.shape[-1] // widths.vectors // sets
    share = sets * [count * widths.invariants], sets * [count * widths.scalars]
    rows = scalars.movedim(-1, 0).split([*share[0], *share[1]])
    columns = (
        rows[:sets],
        vectors.movedim(-1, 0).flatten(0, 1).split(4 * count * widths.vectors),
        bivectors.movedim(-1, 0).flatten(0, 1).split(max(3 * count * widths.bivectors, 1)),
        rows[sets:],
    )
    heads = []
    for place in range(sets):
        blocks = [
            column[place].unflatten(0, (count, width))
            for column, width in zip(columns, widths.blocks, strict=True)
            if width
        ]
        head = torch.cat(blocks, dim=1).movedim((0, 1), (-2, -1))
        heads.append(head * metric(widths, head) if query and not place else head)
    return tuple(heads)


def from_heads(heads: Tensor, widths: HeadWidths) -> tuple[Tensor, Tensor, Tensor]:
    """Read the three parts of a stream back from one set of heads (..., H, D): the inverse of :func:`to_heads`."""
    blocks = heads.movedim((-2, -1), (0, 1)).split(widths.blocks, dim=1)
    invariants, vectors, bivectors, scalars = (block.flatten(0, 1) for block in blocks)
    joined = torch.cat([invariants, scalars]) if widths.invariants else scalars
    count = heads.shape[-2]
    fours = vectors.unflatten(0, (count * widths.vectors, 4))
    threes = bivectors.unflatten(0, (count * widths.bivectors, 3))
    return joined.movedim(0, -1), fours.movedim(0, -1), threes.movedim(0, -1)


def metric(widths: HeadWidths, like: Tensor) -> Tensor:
    """Signs of the inner product over the numbers of a head, shape (D,)."""
    invariants, vectors, bivectors = (_signs(width, widths, like) for width in widths[:3])
    time, space = vectors.unsqueeze(-1), -vectors.unsqueeze(-1).expand(-1, 3)
    components, planes = torch.cat([time, space], dim=-1), -bivectors.unsqueeze(-1).expand(-1, 3)
    return torch.cat([invariants, components.flatten(), planes.flatten(), like.new_ones(widths.scalars)])


def share_queries(width: int, queries: int) -> int:
    """Channels of all queries and keys, that share so many inside; at least one each where there are any."""
    return 2 * queries * max(width // (2 * queries), 1) if width else 0


def _signs(width: int, widths: HeadWidths, like: Tensor) -> Tensor:
    """Signs within a plane: where there are pairs, those of a real and an imaginary part."""
    if not widths.invariants:
        return like.new_ones(width)
    ones = like.new_ones(width // 2)
    return torch.stack([ones, -ones], dim=-1).flatten()

"""How are values on all pairs of particles kept?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lorentzoo.core.errors import ShapeError
from lorentzoo.core.layout.blocks import Blocks
from lorentzoo.core.layout.grouping import Groups
from lorentzoo.core.layout.masks import attention_mask
from lorentzoo.core.layout.rows import mirror_rows

__all__ = ["PairValues", "Triangle"]


@dataclass(frozen=True)
class PairValues:
    """Values on all pairs of particles of each event, dense per block of events, [(b, n, n, C)]."""

    layout: Blocks
    groups: Groups
    blocks: tuple[Tensor, ...]
    _additive: list[Tensor] | None = field(default=None, repr=False)
    _weights: list[Tensor] | None = field(default=None, repr=False)

    def map(self, fn: Callable[[Tensor], Tensor]) -> PairValues:
        """Apply a function to every block, e.g. a network on the last dimension."""
        return PairValues(self.layout, self.groups, tuple(fn(block) for block in self.blocks))

    def transpose(self) -> PairValues:
        """Exchange i and j."""
        return self.map(lambda block: block.transpose(1, 2))

    def diagonal(self) -> Tensor:
        """The values at i = j, shape (*lead, C)."""
        diagonals = [block.diagonal(dim1=1, dim2=2).transpose(1, 2) for block in self.blocks]
        return self.layout.merge_blocks(diagonals, self.groups)

    def masks(self) -> list[Tensor | None]:
        """Which particles of each block are real, [(b, n)] or None."""
        return self.layout.block_masks(self.groups)

    def additive(self, dtype: torch.dtype) -> list[Tensor]:
        """Attention biases with padding masked, [(b, C, n, n)]: made once for all layers that share them."""
        if self._additive is None or self._additive[0].dtype != dtype or torch.compiler.is_compiling():
            object.__setattr__(self, "_additive", self._masked(dtype))
        assert self._additive is not None
        return self._additive

    def average(self, x: Tensor) -> Tensor:
        """Mean over the partners of each particle, with the softmax of these values over them for weights.

        Parameters
        ----------
        x
            What is averaged, with one part for each of the C values, shape (*lead, C, D).

        Returns
        -------
        Shape (*lead, C, D). The weights are made once for all layers that share them.
        """
        if self._weights is None or self._weights[0].dtype != x.dtype or torch.compiler.is_compiling():
            weights = [torch.softmax(logits, dim=-1) for logits in self._masked(x.dtype)]
            object.__setattr__(self, "_weights", [weight.to(x.dtype) for weight in weights])
        assert self._weights is not None
        columns = self.layout.split_blocks(x, self.groups)
        means = [
            (weight @ column.transpose(1, 2)).transpose(1, 2)
            for weight, column in zip(self._weights, columns, strict=True)
        ]
        return self.layout.merge_blocks(means, self.groups)

    def _masked(self, dtype: torch.dtype) -> list[Tensor]:
        """Values with padded partners at the lowest number, [(b, C, n, n)]."""
        biases = []
        for block, mask in zip(self.blocks, self.masks(), strict=True):
            bias = block.permute(0, 3, 1, 2).to(dtype).contiguous()
            masked = attention_mask(mask, dtype)
            biases.append(bias if masked is None else bias + masked)
        return biases


@dataclass(frozen=True)
class Triangle:
    """All unordered pairs of particles of each event, as rows, and the way to dense pair values.

    Attributes
    ----------
    first, second
        Rows of the two particles in the flattened leading shape, shape (E,).
    mask
        Which pairs are real, shape (E,); None where all are.
    """

    layout: Blocks
    groups: Groups
    sizes: tuple[tuple[int, int], ...]
    first: Tensor
    second: Tensor
    _index: Tensor
    _lower: Tensor
    _upper: Tensor
    mask: Tensor | None

    def to_pairs(self, values: Tensor) -> PairValues:
        """Symmetric dense pair values from one row a pair. Shape (E, C) -> [(b, n, n, C)].

        Raises
        ------
        ShapeError
            If there is not one row a pair.
        """
        if values.shape[0] != self.first.shape[0] and not torch.compiler.is_compiling():
            raise ShapeError(
                f"to_pairs takes a row for each of {self.first.shape[0]} pairs, not shape {tuple(values.shape)}"
            )
        dense = mirror_rows(values, self._index, self._lower, self._upper)
        parts = dense.split([b * n * n for b, n in self.sizes])
        blocks = tuple(
            part.reshape(b, n, n, part.shape[-1]) for part, (b, n) in zip(parts, self.sizes, strict=True)
        )
        return PairValues(self.layout, self.groups, blocks)

"""The layout of static shapes: every event in a row of fixed length, with a mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lorentzoo.core.elementary import stable_argsort
from lorentzoo.core.errors import InputError
from lorentzoo.core.layout.base import Extended, Layout
from lorentzoo.core.layout.blocks import Blocks
from lorentzoo.core.layout.grouping import MAX_BLOCK_PAIRS, Groups
from lorentzoo.core.layout.pairs import Triangle

__all__ = ["Padded"]


class Padded(Layout):
    """Every event in a row of N places, of which the mask says which hold a particle.

    Parameters
    ----------
    mask
        Shape (B, N), bool. Real particles may stand anywhere in the row.
    """

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        if mask.ndim != 2 or mask.dtype != torch.bool:
            raise InputError(
                f"mask must be bool of shape (B, N), not {mask.dtype} of shape {tuple(mask.shape)}"
            )
        self._mask = mask

    def __repr__(self) -> str:
        return f"Padded(events={self.num_events}, places={self._mask.shape[1]})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Padded, (self._mask,)

    @property
    def num_events(self) -> int:
        return self._mask.shape[0]

    @property
    def lead(self) -> tuple[int, ...]:
        return self._mask.shape[0], self._mask.shape[1]

    @property
    def device(self) -> torch.device:
        return self._mask.device

    @property
    def mask(self) -> Tensor:
        return self._mask

    def to(self, device: torch.device | str) -> Padded:
        return self if self._mask.device == torch.device(device) else Padded(self._mask.to(device))

    def counts(self) -> Tensor:
        return self._cached("counts", lambda: self._mask.sum(1))

    def spread(self, per_event: Tensor) -> Tensor:
        self.require_events(per_event, "spread")
        expanded = per_event.unsqueeze(1)
        return expanded.expand(-1, self._mask.shape[1], *per_event.shape[1:])

    def _shaped_mask(self, x: Tensor) -> Tensor:
        return self._mask.reshape(self._mask.shape + (1,) * (x.ndim - 2))

    def _sum(self, x: Tensor) -> Tensor:
        return torch.where(self._shaped_mask(x), x, torch.zeros_like(x)).sum(1)

    def _max(self, x: Tensor) -> Tensor:
        return torch.where(self._shaped_mask(x), x, torch.finfo(x.dtype).min).amax(1)

    def pad(self, x: Tensor, fill: float = 0.0) -> Tensor:
        self.require_rows(x, "pad")
        return torch.where(self._shaped_mask(x), x, torch.full((), fill, dtype=x.dtype, device=x.device))

    def unpad(self, x: Tensor) -> Tensor:
        self.require_rows(x, "unpad")
        return x

    def has_events_of(self, other: Blocks) -> bool:
        if other is self or not isinstance(other, Padded) or other.lead != self.lead:
            return other is self
        # Looking at masks on another device would wait for it.
        known = self._mask.device.type == other._mask.device.type == "cpu"
        return not known or torch.equal(self._mask, other._mask)

    def uniform(self, count: int) -> Padded:
        self.require_count(count, "uniform")
        return Padded(torch.ones((self._mask.shape[0], count), dtype=torch.bool, device=self._mask.device))

    def from_events(self, x: Tensor) -> Tensor:
        self.require_rows(x, "from_events")
        return x

    def to_events(self, x: Tensor) -> Tensor:
        self.require_rows(x, "to_events")
        return x

    def _in_order(self, x: Tensor) -> Tensor:
        order = stable_argsort((~self._mask).long(), dim=1)
        order = order.reshape(order.shape + (1,) * (x.ndim - 2)).expand(-1, -1, *x.shape[2:])
        return self.pad(x).gather(1, order)

    def append(self, count: int) -> Extended:
        self.require_count(count, "append")
        return self._cached(("append", count), lambda: self._extend(count))

    def _extend(self, count: int) -> Extended:
        ones = torch.ones((self._mask.shape[0], count), dtype=torch.bool, device=self._mask.device)
        return Extended(self, Padded(torch.cat([ones, self._mask], dim=1)), count, None, None)

    def groups(self, max_pairs: int = MAX_BLOCK_PAIRS, together: bool = False) -> Groups:
        return ((),)

    def merge_events(self, blocks: Sequence[Tensor], groups: Groups) -> Tensor:
        self.require_events(blocks[0], "merge_events")
        return blocks[0]

    def split_blocks(self, x: Tensor, groups: Groups) -> list[Tensor]:
        self.require_rows(x, "split_blocks")
        return [x]

    def merge_blocks(self, blocks: Sequence[Tensor], groups: Groups) -> Tensor:
        self.require_rows(blocks[0], "merge_blocks")
        return blocks[0]

    def block_masks(self, groups: Groups) -> list[Tensor | None]:
        return [self._mask]

    def edges(self) -> Tensor:
        return self._cached("edges", self._make_edges)

    def _make_edges(self) -> Tensor:
        n = self._mask.shape[1]
        both = self._mask.unsqueeze(1) & self._mask.unsqueeze(2)
        both = both & ~torch.eye(n, dtype=torch.bool, device=self._mask.device)
        event, target, source = both.nonzero(as_tuple=True)
        return torch.stack([event * n + source, event * n + target])

    def triangle(self) -> Triangle:
        return self._cached("triangle", self._make_triangle)

    def _make_triangle(self) -> Triangle:
        b, n = self._mask.shape
        device = self._mask.device
        count = n * (n + 1) // 2
        high, low = _rows_and_columns(count, device)
        events = torch.arange(b, device=device).unsqueeze(1)
        first, second = (events * n + high).reshape(-1), (events * n + low).reshape(-1)
        i, j = torch.meshgrid(torch.arange(n, device=device), torch.arange(n, device=device), indexing="ij")
        top, bottom = torch.maximum(i, j).reshape(-1), torch.minimum(i, j).reshape(-1)
        index = (events * count + top * (top + 1) // 2 + bottom).reshape(-1)
        lower = (events * n * n + high * n + low).reshape(-1)
        upper = (events * n * n + low * n + high).reshape(-1)
        flat = self._mask.reshape(-1)
        return Triangle(
            self, self.groups(), ((b, n),), first, second, index, lower, upper, flat[first] & flat[second]
        )

    def _row_numbers(self) -> Tensor:
        b, n = self._mask.shape
        return torch.arange(b * n, device=self._mask.device).reshape(b, n)


def _rows_and_columns(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Row and column of each place of a lower triangle, row after row: ``torch.tril_indices`` of a number of rows that
    may be a symbol. The row of place e is ⌊(√(8e + 1) - 1)/2⌋, exactly, since roots of squares are exact.
    """
    place = torch.arange(count, device=device)
    row = ((8 * place + 1).to(torch.float64).sqrt() - 1).div(2).floor().to(torch.int64)
    return row, place - row * (row + 1) // 2

"""The layout without padding: particles of all events one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lorentzoo.core.errors import InputError, ShapeError
from lorentzoo.core.layout.alone import LONGEST_EVENT, attend_alone, attends_alone
from lorentzoo.core.layout.base import Extended, Layout
from lorentzoo.core.layout.blocks import Blocks
from lorentzoo.core.layout.grouping import (
    MAX_BLOCK_PAIRS,
    Groups,
    group_by_length,
    group_together,
    pair_places,
)
from lorentzoo.core.layout.pairs import PairValues, Triangle
from lorentzoo.core.layout.rows import drop_rows, gather_rows, segment_sum, spread_rows
from lorentzoo.core.layout.varlen import varlen_attention, varlen_supported

__all__ = ["Packed"]


class Packed(Layout):
    """Particles of all events one after the other, without padding.

    Parameters
    ----------
    ptr
        Where each event begins, shape (B+1,), int64, from 0 to P, not decreasing.
    """

    def __init__(self, ptr: Tensor) -> None:
        super().__init__()
        if ptr.device.type == "meta":
            raise InputError(
                "a packed layout needs its multiplicities on the host; use a padded layout on the meta device"
            )
        offsets = ptr.detach().cpu().numpy()
        if ptr.ndim != 1 or ptr.shape[0] < 1 or ptr.dtype != torch.int64:
            raise InputError(
                f"ptr must be int64 of shape (B+1,), not {ptr.dtype} of shape {tuple(ptr.shape)}"
            )
        if offsets[0] != 0 or np.any(np.diff(offsets) < 0):
            where = int(np.argmax(np.diff(offsets) < 0)) if offsets[0] == 0 else 0
            raise InputError(
                f"ptr must begin at 0 and never decrease; it is unsorted at event {where} "
                f"({offsets[:6].tolist()} ...). Pass the running sum of the events' multiplicities."
            )
        self.ptr = ptr
        self.lengths: tuple[int, ...] = tuple(int(n) for n in np.diff(offsets))
        self.num_rows = int(offsets[-1])

    def __repr__(self) -> str:
        return f"Packed(events={self.num_events}, particles={self.num_rows})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Packed, (self.ptr,)

    @classmethod
    def from_lengths(cls, lengths: Sequence[int], device: torch.device | str | None = None) -> Packed:
        """The layout of events with the given multiplicities."""
        ptr = np.concatenate([[0], np.cumsum(np.asarray(lengths, dtype=np.int64))])
        return cls(torch.as_tensor(ptr, dtype=torch.int64, device=device))

    @property
    def num_events(self) -> int:
        return len(self.lengths)

    @property
    def lead(self) -> tuple[int, ...]:
        return (self.num_rows,)

    @property
    def device(self) -> torch.device:
        return self.ptr.device

    @property
    def mask(self) -> Tensor | None:
        return None

    def to(self, device: torch.device | str) -> Packed:
        return self if self.ptr.device == torch.device(device) else Packed(self.ptr.to(device))

    def counts(self) -> Tensor:
        return self._cached("counts", lambda: self.ptr.diff())

    @property
    def event(self) -> Tensor:
        """Event of each particle, shape (P,), int64."""
        return self._cached(
            "event", lambda: self._constant(np.repeat(np.arange(self.num_events), self.lengths))
        )

    def spread(self, per_event: Tensor) -> Tensor:
        self.require_events(per_event, "spread")
        return spread_rows(per_event, self.ptr, self.event)

    def _sum(self, x: Tensor) -> Tensor:
        return segment_sum(x, self.ptr, self.event)

    def _max(self, x: Tensor) -> Tensor:
        return self.pad(x, fill=torch.finfo(x.dtype).min).amax(1)

    @property
    def _everything(self) -> Groups:
        return (tuple(range(self.num_events)),)

    def pad(self, x: Tensor, fill: float = 0.0) -> Tensor:
        self.require_rows(x, "pad")
        if self.num_events == 0 or max(self.lengths) == 0:
            return x.new_zeros(self.num_events, 0, *x.shape[1:])
        (dense,) = self.split_blocks(x, self._everything)
        (mask,) = self.block_masks(self._everything)
        if mask is None:
            return dense
        mask = mask.reshape(mask.shape + (1,) * (x.ndim - 1))
        return torch.where(mask, dense, torch.full((), fill, dtype=x.dtype, device=x.device))

    def unpad(self, x: Tensor) -> Tensor:
        self._require(x, (self.num_events, max(self.lengths, default=0)), "unpad", "a row for each event")
        if self.num_rows == 0:
            return x.new_zeros(0, *x.shape[2:])
        return self.merge_blocks([x], self._everything)

    def uniform(self, count: int) -> Packed:
        self.require_count(count, "uniform")
        lengths = [count] * self.num_events
        return self._cached(("uniform", count), lambda: Packed.from_lengths(lengths, device=self.device))

    def from_events(self, x: Tensor) -> Tensor:
        self.require_events(x, "from_events")
        self._require_uniform(x.shape[1], "from_events")
        return x.flatten(0, 1)

    def to_events(self, x: Tensor) -> Tensor:
        self.require_rows(x, "to_events")
        count = x.shape[0] // max(self.num_events, 1)
        self._require_uniform(count, "to_events")
        return x.reshape(self.num_events, count, *x.shape[1:])

    def _require_uniform(self, count: int, verb: str) -> None:
        """Refuse events that have not `count` rows each: rows would go over to the next event."""
        if not torch.compiler.is_compiling() and any(length != count for length in self.lengths):
            raise ShapeError(
                f"{verb} of {self!r} takes {count} rows of each event, and these have {min(self.lengths)} to "
                f"{max(self.lengths)}; it belongs to a layout made by `uniform`"
            )

    def has_events_of(self, other: Blocks) -> bool:
        if other is self:
            return True
        return isinstance(other, Packed) and other.lengths == self.lengths

    def _in_order(self, x: Tensor) -> Tensor:
        return self.pad(x)

    def append(self, count: int) -> Extended:
        self.require_count(count, "append")
        return self._cached(("append", count), lambda: self._extend(count))

    def _extend(self, count: int) -> Extended:
        lengths = np.asarray(self.lengths, dtype=np.int64)
        layout = Packed.from_lengths([n + count for n in self.lengths], device=self.device)
        starts = np.concatenate([[0], np.cumsum(lengths + count)])[:-1]
        token_places = (starts[:, None] + np.arange(count)[None, :]).reshape(-1)
        shift = count * (np.repeat(np.arange(len(lengths)), lengths) + 1)
        inverse = np.concatenate([token_places, np.arange(self.num_rows) + shift])
        index = np.empty_like(inverse)
        index[inverse] = np.arange(len(inverse))
        return Extended(self, layout, count, self._constant(index), self._constant(inverse))

    def groups(self, max_pairs: int = MAX_BLOCK_PAIRS, together: bool = False) -> Groups:
        grouped = group_together if together else group_by_length
        return self._cached(("groups", max_pairs, together), lambda: grouped(self.lengths, max_pairs))

    def merge_events(self, blocks: Sequence[Tensor], groups: Groups) -> Tensor:
        joined = torch.cat(list(blocks))
        self.require_events(joined, "merge_events")
        order = np.asarray([event for group in groups for event in group], dtype=np.int64)
        if np.array_equal(order, np.arange(self.num_events)):
            return joined
        return joined[self._cached(("events", groups), lambda: self._constant(np.argsort(order)))]

    def _index(self, groups: Groups) -> tuple[Tensor | None, Tensor | None, list[tuple[int, int]]]:
        return self._cached(("index", groups), lambda: self._make_index(groups))

    def _make_index(self, groups: Groups) -> tuple[Tensor | None, Tensor | None, list[tuple[int, int]]]:
        """Row of the packed tensor for each place of the blocks, and the place of each row."""
        lengths, starts = np.asarray(self.lengths), np.concatenate([[0], np.cumsum(self.lengths)])[:-1]
        pieces, sizes = [], []
        for group in groups:
            members = np.asarray(group, dtype=np.int64)
            n = int(lengths[members].max(initial=0))
            place = np.arange(n)[None, :]
            real = place < lengths[members, None]
            pieces.append(np.where(real, starts[members, None] + place, -1).reshape(-1))
            sizes.append((len(group), n))
        index = np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int64)
        if index.shape[0] == self.num_rows and np.array_equal(index, np.arange(self.num_rows)):
            return None, None, sizes
        inverse = np.empty(self.num_rows, dtype=np.int64)
        inverse[index[index >= 0]] = np.flatnonzero(index >= 0)
        return self._constant(np.maximum(index, 0)), self._constant(inverse), sizes

    def split_blocks(self, x: Tensor, groups: Groups) -> list[Tensor]:
        self.require_rows(x, "split_blocks")
        index, inverse, sizes = self._index(groups)
        flat = x if index is None or inverse is None else gather_rows(x, index, inverse)
        parts = flat.split([b * n for b, n in sizes])
        return [part.unflatten(0, size) for part, size in zip(parts, sizes, strict=True)]

    def merge_blocks(self, blocks: Sequence[Tensor], groups: Groups) -> Tensor:
        index, inverse, sizes = self._index(groups)
        given = [tuple(block.shape[:2]) for block in blocks]
        if given != sizes and not torch.compiler.is_compiling():
            raise ShapeError(f"blocks of {self!r} must begin with the shapes {sizes}, not {given}")
        flat = [block.flatten(0, 1) for block in blocks]
        joined = flat[0] if len(flat) == 1 else torch.cat(flat)
        return joined if index is None or inverse is None else drop_rows(joined, index, inverse)

    def block_masks(self, groups: Groups) -> list[Tensor | None]:
        return self._cached(("masks", groups), lambda: self._make_masks(groups))

    def _make_masks(self, groups: Groups) -> list[Tensor | None]:
        lengths = np.asarray(self.lengths)
        masks: list[Tensor | None] = []
        for group in groups:
            members = lengths[np.asarray(group, dtype=np.int64)]
            real = np.arange(members.max(initial=0))[None, :] < members[:, None]
            masks.append(None if real.all() else self._constant(real))
        return masks

    def _row_numbers(self) -> Tensor:
        return self._cached("rows", lambda: self._constant(np.arange(self.num_rows)))

    def edges(self) -> Tensor:
        return self._cached("edges", self._make_edges)

    def _make_edges(self) -> Tensor:
        lengths = np.asarray(self.lengths, dtype=np.int64)
        targets = np.repeat(np.arange(self.num_rows), np.repeat(lengths, lengths))
        first = np.repeat(np.concatenate([[0], np.cumsum(lengths)])[:-1], lengths * lengths)
        begin = np.repeat(np.concatenate([[0], np.cumsum(lengths * lengths)])[:-1], lengths * lengths)
        place = np.arange(len(targets)) - begin
        sources = first + place % np.maximum(np.repeat(lengths, lengths * lengths), 1)
        keep = sources != targets
        return self._constant(np.stack([sources[keep], targets[keep]]))

    def triangle(self) -> Triangle:
        return self._cached("triangle", self._make_triangle)

    def _make_triangle(self) -> Triangle:
        groups, lengths = self.groups(), np.asarray(self.lengths, dtype=np.int64)
        counts = lengths * (lengths + 1) // 2
        offsets = np.concatenate([[0], np.cumsum(counts)])
        number = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)
        high = ((np.sqrt(8 * number + 1) - 1) // 2).astype(np.int64)
        low = number - high * (high + 1) // 2
        starts = np.repeat(np.concatenate([[0], np.cumsum(lengths)])[:-1], counts)
        places = []
        for group in groups:
            members = np.asarray(group, dtype=np.int64)
            n = int(lengths[members].max(initial=0))
            i, j = np.maximum(*np.indices((n, n))), np.minimum(*np.indices((n, n)))
            pair = offsets[members, None, None] + (i * (i + 1) // 2 + j)[None]
            places.append(np.where(i[None] < lengths[members, None, None], pair, -1).reshape(-1))
        index = np.concatenate(places) if places else np.zeros(0, dtype=np.int64)
        sizes = tuple((len(group), int(lengths[list(group)].max(initial=0))) for group in groups)
        upper, lower = pair_places(index, sizes, int(offsets[-1]))
        rows = [self._constant(x) for x in (starts + high, starts + low, np.maximum(index, 0), lower, upper)]
        return Triangle(self, groups, sizes, rows[0], rows[1], rows[2], rows[3], rows[4], mask=None)

    def _constant(self, values: np.ndarray[Any, Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.ptr.device)

    def _attend_in_rows(
        self, q: Tensor, k: Tensor, v: Tensor, keys: Layout, scale: float | None, bias: PairValues | None
    ) -> Tensor | None:
        assert isinstance(keys, Packed)
        if bias is None and varlen_supported(q, v):
            longest = max(self.lengths, default=0), max(keys.lengths, default=0)
            return varlen_attention(q, k, v, self.ptr, keys.ptr, longest, scale)
        if self._fills_blocks(keys) and attends_alone(q, k, v):
            if bias is None:
                return attend_alone(q, k, v, self.lengths, keys.lengths, scale)
            if bias.groups == self.groups() and bias.blocks[0].shape[-1] == q.shape[-2]:
                return attend_alone(q, k, v, self.lengths, keys.lengths, scale, bias.additive(q.dtype))
        return None

    def _fills_blocks(self, keys: Packed) -> bool:
        """Whether every event is a block of its own, in order, and has keys."""
        return self._cached(
            ("alone", keys.lengths),
            lambda: (
                self.groups() == tuple((event,) for event in range(self.num_events))
                and min(self.lengths) > 0
                and min(keys.lengths) > 0
                and max(self.lengths) <= LONGEST_EVENT
                and max(keys.lengths) <= LONGEST_EVENT
            ),
        )

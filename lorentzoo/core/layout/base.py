"""Which particle belongs to which event?

Raggedness lives here alone, with `blocks`, `grouping` and `masks` beside it. `Packed` concatenates the
particles of all events without padding; `Padded` holds every event in a row of fixed length with a mask.
Networks call the verbs of `Layout` and so run on both from one source: packed in training, padded for export.

Where events must stand side by side (attention, pairs, neighbours), the layout forms *blocks*:
groups of events of similar length, each a dense (b, n, ...) tensor with a mask. A padded layout is
one such block. What a block holds in its padded places is real data of some other particle, so that
nothing computed there is ever infinite; it is masked out of every sum and dropped at the end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from lorentzoo.core.layout.blocks import Extended, PairValues, Triangle
from lorentzoo.core.layout.grouping import (
    MAX_BLOCK_PAIRS,
    Groups,
    group_by_length,
    group_together,
    pair_places,
)
from lorentzoo.core.layout.lone import LONGEST_EVENT, attend_alone, attends_alone
from lorentzoo.core.layout.masks import allowed_pairs, attention_mask, masked_softmax
from lorentzoo.core.layout.rows import drop_rows, gather_rows, segment_sum, spread_rows

__all__ = ["Extended", "Layout", "Packed", "Padded", "PairValues", "Reduce", "Triangle"]

Reduce = Literal["sum", "mean", "max"]
T = TypeVar("T")


class Layout(ABC):
    """The assignment of particles to events, and every operation that depends on it.

    Tensors of particles have the leading shape `lead`: (P,) when packed, (B, N) when padded.
    """

    def __init__(self) -> None:
        self._cache: dict[Hashable, Any] = {}

    # ---- what it is -----------------------------------------------------------------------

    @property
    @abstractmethod
    def num_events(self) -> int:
        """Number of events B."""

    @property
    @abstractmethod
    def lead(self) -> tuple[int, ...]:
        """Leading shape of particle tensors."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the layout's tensors live."""

    @property
    @abstractmethod
    def mask(self) -> Tensor | None:
        """Which places hold a particle, shape (B, N); None where every place does."""

    @abstractmethod
    def to(self, device: torch.device | str) -> Layout:
        """The same layout on another device."""

    @abstractmethod
    def counts(self) -> Tensor:
        """Particles in each event, shape (B,), int64."""

    # ---- per event and back ---------------------------------------------------------------

    @abstractmethod
    def spread(self, per_event: Tensor) -> Tensor:
        """Give every particle its event's value. Shape (B, ...) -> (*lead, ...)."""

    @abstractmethod
    def _sum(self, x: Tensor) -> Tensor: ...

    @abstractmethod
    def _max(self, x: Tensor) -> Tensor: ...

    def pool(self, x: Tensor, reduce: Reduce = "sum", where: Tensor | None = None) -> Tensor:
        """Reduce over the particles of each event; an event without any gives zero.

        Parameters
        ----------
        x
            Shape (*lead, C...).
        reduce
            ``"sum"``, ``"mean"`` or ``"max"``.
        where
            Which particles take part, shape (*lead,), bool; all of them by default.

        Returns
        -------
        Shape (B, C...).
        """
        extra = x.ndim - len(self.lead)
        if where is not None:
            chosen = where.reshape(where.shape + (1,) * extra)
        if reduce == "max":
            lowest = torch.finfo(x.dtype).min
            if 0 in x.shape[: len(self.lead)]:
                return x.new_zeros(self.num_events, *x.shape[len(self.lead) :])
            maximum = self._max(x if where is None else torch.where(chosen, x, lowest))
            return torch.where(maximum > lowest, maximum, torch.zeros_like(maximum))
        total = self._sum(x if where is None else torch.where(chosen, x, torch.zeros_like(x)))
        if reduce == "sum":
            return total
        if reduce != "mean":
            raise ValueError(f"reduce is 'sum', 'mean' or 'max', not {reduce!r}")
        number = self.counts() if where is None else self._sum(where.to(x.dtype))
        number = number.to(x.dtype).clamp(min=1)
        return total / number.reshape(number.shape + (1,) * extra)

    @abstractmethod
    def pad(self, x: Tensor, fill: float = 0.0) -> Tensor:
        """One row an event. Shape (*lead, ...) -> (B, N, ...), `fill` where there is no particle."""

    @abstractmethod
    def unpad(self, x: Tensor) -> Tensor:
        """Undo `pad`. Shape (B, N, ...) -> (*lead, ...)."""

    def take(self, x: Tensor, count: int) -> Tensor:
        """The first `count` particles of each event, zero where there are fewer. (*lead, ...) -> (B, count, ...)."""
        dense = self._in_order(x)[:, :count]
        missing = count - dense.shape[1]
        if missing > 0:
            dense = torch.cat([dense, dense.new_zeros(dense.shape[0], missing, *dense.shape[2:])], dim=1)
        return dense

    @abstractmethod
    def _in_order(self, x: Tensor) -> Tensor: ...

    @abstractmethod
    def uniform(self, count: int) -> Layout:
        """The layout of the same events with `count` rows each, e.g. for queries of each event."""

    @abstractmethod
    def from_events(self, x: Tensor) -> Tensor:
        """Rows of a uniform layout from one row of tokens an event. Shape (B, count, ...) -> (*lead, ...)."""

    @abstractmethod
    def to_events(self, x: Tensor) -> Tensor:
        """Undo `from_events`. Shape (*lead, ...) -> (B, count, ...)."""

    @abstractmethod
    def append(self, count: int) -> Extended:
        """The layout with `count` further tokens in front of every event (global tokens, spurions)."""

    # ---- blocks ---------------------------------------------------------------------------

    @abstractmethod
    def groups(self, max_pairs: int = MAX_BLOCK_PAIRS, together: bool = False) -> Groups:
        """Which events share a block: those of similar length, or as many as fit `together`."""

    @abstractmethod
    def split_blocks(self, x: Tensor, groups: Groups) -> list[Tensor]:
        """Dense blocks of particles. Shape (*lead, ...) -> [(b, n, ...)]."""

    @abstractmethod
    def merge_blocks(self, blocks: Sequence[Tensor], groups: Groups) -> Tensor:
        """Undo `split_blocks`. Shape [(b, n, ...)] -> (*lead, ...)."""

    @abstractmethod
    def block_masks(self, groups: Groups) -> list[Tensor | None]:
        """Which places of each block hold a particle, [(b, n)]; None where all do."""

    @abstractmethod
    def merge_events(self, blocks: Sequence[Tensor], groups: Groups) -> Tensor:
        """One row an event from those of each block. Shape [(b, ...)] -> (B, ...)."""

    def map_events(
        self, fn: Callable[..., Tensor], *inputs: Tensor, max_pairs: int = MAX_BLOCK_PAIRS
    ) -> Tensor:
        """Evaluate a function of whole events on dense blocks of many of them.

        Parameters
        ----------
        fn
            ``fn(mask, *dense) -> (b, ...)`` with a mask (b, n) or None and the inputs as (b, n, ...).
        inputs
            Tensors of particles, (*lead, ...).
        max_pairs
            Upper bound on b·n² in a block of several events. As many as fit share one, however much is padded:
            this is for functions that cost by the call.

        Returns
        -------
        Shape (B, ...).
        """
        groups = self.groups(max_pairs, together=True)
        columns = [self.split_blocks(x, groups) for x in inputs]
        masks = self.block_masks(groups)
        outputs = [fn(mask, *[column[b] for column in columns]) for b, mask in enumerate(masks)]
        return self.merge_events(outputs, groups)

    def map_blocks(
        self,
        fn: Callable[..., Tensor],
        *inputs: Tensor,
        recompute: bool = False,
        max_pairs: int = MAX_BLOCK_PAIRS,
    ) -> Tensor:
        """Evaluate a function on dense blocks of events.

        Parameters
        ----------
        fn
            ``fn(mask, *dense) -> (b, n, ...)`` with a mask (b, n) or None and the inputs as
            (b, n, ...). It must keep padded places out of what it gives to real ones.
        inputs
            Tensors of particles, (*lead, ...).
        recompute
            Evaluate again in the backward pass instead of storing intermediate results, so that
            memory follows the largest block and not the sum of all pairs.
        max_pairs
            Upper bound on b·n² in a block of several events.

        Returns
        -------
        Shape (*lead, ...).
        """
        groups = self.groups(max_pairs)
        columns = [self.split_blocks(x, groups) for x in inputs]
        masks = self.block_masks(groups)
        recompute = recompute and torch.is_grad_enabled() and not torch.compiler.is_compiling()
        outputs = []
        for b, mask in enumerate(masks):
            dense = [column[b] for column in columns]
            if recompute:
                outputs.append(checkpoint(fn, mask, *dense, use_reentrant=False, preserve_rng_state=False))
            else:
                outputs.append(fn(mask, *dense))
        return self.merge_blocks(outputs, groups)

    def pairs(
        self,
        fn: Callable[..., Any],
        *inputs: Tensor,
        reduce: Literal["sum", "mean", "softmax"] = "sum",
        self_pairs: bool = False,
        recompute: bool = True,
    ) -> Tensor:
        """Evaluate a function on all pairs (i, j) of particles of an event and reduce over j.

        Parameters
        ----------
        fn
            Takes each input twice, as (b, n, 1, ...) for i and (b, 1, n, ...) for j, in the order
            ``fn(x_i, x_j, y_i, y_j, ...)``. Returns values (b, n, n, C); for ``"softmax"`` a tuple
            of logits (b, n, n, K) and values (b, n, n, K, D) or broadcastable.
        inputs
            Tensors of particles, (*lead, ...).
        reduce
            ``"sum"``, ``"mean"`` (over the partners that exist) or ``"softmax"``: Σ_j softmax_j(logits) values.
        self_pairs
            Whether i = j takes part.
        recompute
            See `map_blocks`.

        Returns
        -------
        Shape (*lead, C), or (*lead, K, D) for ``"softmax"``; zero for a particle without a partner.
        """

        def evaluate(mask: Tensor | None, *dense: Tensor) -> Tensor:
            result: Any = fn(*[side for x in dense for side in (x.unsqueeze(2), x.unsqueeze(1))])
            allowed = allowed_pairs(mask, dense[0], self_pairs).unsqueeze(-1)
            if reduce == "softmax":
                logits, values = result
                weights = masked_softmax(logits, allowed, dim=2)
                return torch.sum(weights.unsqueeze(-1) * values, 2)
            total: Tensor = torch.where(allowed, result, torch.zeros_like(result)).sum(2)
            if reduce == "mean":
                total = total / allowed.sum(2).clamp(min=1).to(total.dtype)
            return total

        return self.map_blocks(evaluate, *inputs, recompute=recompute)

    def pair_values(self, fn: Callable[..., Tensor], *inputs: Tensor) -> PairValues:
        """Evaluate a function on all pairs and keep the values, dense per block.

        `fn` is called as in `pairs` and returns (b, n, n, C); the result serves as an attention bias
        or for networks on pairs. Values at padded places are meaningless.
        """
        groups = self.groups()
        columns = [self.split_blocks(x, groups) for x in inputs]
        values = tuple(
            fn(*[side for x in dense for side in (x.unsqueeze(2), x.unsqueeze(1))])
            for dense in zip(*columns, strict=True)
        )
        return PairValues(self, groups, values)

    # ---- attention and neighbours ---------------------------------------------------------

    def attend(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        bias: PairValues | None = None,
        keys_layout: Layout | None = None,
        scale: float | None = None,
    ) -> Tensor:
        """Scaled-dot-product attention of the particles of each event.

        Parameters
        ----------
        q, k
            Queries (*lead, H, D) and keys (*keys_lead, H, D).
        v
            Values (*keys_lead, H, Dv).
        bias
            One additive bias a head for each pair, from `pair_values` with C = H.
        keys_layout
            Layout of keys and values where they belong to another cloud with the same events.
        scale
            Factor of the inner product, 1/√D by default.

        Returns
        -------
        Shape (*lead, H, Dv). A query without any key gets zero.
        """
        keys = self if keys_layout is None else keys_layout
        if keys.num_events != self.num_events or isinstance(keys, Packed) != isinstance(self, Packed):
            raise ValueError(
                f"queries of {self!r} cannot attend to keys of {keys!r}: both need the same events, both packed or padded"
            )
        if q.is_cuda and bias is None and isinstance(self, Packed) and isinstance(keys, Packed):
            from lorentzoo.core.layout.varlen import varlen_attention, varlen_supported

            if varlen_supported(q, v):
                return varlen_attention(q, k, v, self, keys, scale)
        groups = self.groups() if bias is None else bias.groups
        if bias is None and self._alone(keys, groups) and attends_alone(q, k, v):
            return attend_alone(q, k, v, self.lengths, keys.lengths, scale)  # type: ignore[attr-defined]
        masks = keys.block_masks(groups)
        columns = [self.split_blocks(q, groups), keys.split_blocks(k, groups), keys.split_blocks(v, groups)]
        outputs = []
        for b, (qb, kb, vb) in enumerate(zip(*columns, strict=True)):
            if kb.shape[1] == 0 and not torch.compiler.is_compiling():
                outputs.append(qb.new_zeros(*qb.shape[:-1], vb.shape[-1]) + 0.0 * qb.sum())
                continue
            additive = attention_mask(masks[b], qb.dtype) if bias is None else bias.additive(qb.dtype)[b]
            out = F.scaled_dot_product_attention(
                qb.transpose(1, 2), kb.transpose(1, 2), vb.transpose(1, 2), attn_mask=additive, scale=scale
            ).transpose(1, 2)
            if keys is not self and masks[b] is not None:
                out = torch.where(masks[b].any(1)[:, None, None, None], out, torch.zeros_like(out))  # type: ignore[union-attr]
            outputs.append(out)
        return self.merge_blocks(outputs, groups)

    def _alone(self, keys: Layout, groups: Groups) -> bool:
        """Whether every event is a block of its own, in order, and has keys."""
        if not isinstance(self, Packed) or not isinstance(keys, Packed) or len(groups) != self.num_events:
            return False
        return self._cached(
            ("alone", keys.lengths),
            lambda: (
                groups == tuple((event,) for event in range(self.num_events))
                and min(self.lengths) > 0
                and min(keys.lengths) > 0
                and max(self.lengths) <= LONGEST_EVENT
                and max(keys.lengths) <= LONGEST_EVENT
            ),
        )

    def neighbours(self, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k nearest other particles of the same event, in Euclidean distance.

        Parameters
        ----------
        points
            Coordinates, (*lead, D).
        k
            Number of neighbours; places beyond the particles that exist are masked.

        Returns
        -------
        index
            Rows of the neighbours in ``x.flatten(0, len(lead) - 1)``, shape (*lead, k). Nearest first, ties
            by input order. Masked places repeat the particle itself.
        mask
            Which neighbours exist, shape (*lead, k).
        """
        rows = self._row_numbers()

        def nearest(mask: Tensor | None, x: Tensor, row: Tensor) -> Tensor:
            n = x.shape[1]
            distance = (x.unsqueeze(2) - x.unsqueeze(1)).square().sum(-1)
            allowed = allowed_pairs(mask, x, self_pairs=False)
            distance = torch.where(allowed, distance, torch.inf)
            order = distance.sort(dim=2, stable=True).indices[:, :, :k]
            found = allowed.gather(2, order)
            candidates = row.reshape(row.shape[0], 1, n).expand(-1, n, -1)
            index = torch.where(found, candidates.gather(2, order), row.reshape(row.shape[0], n, 1))
            missing = k - min(k, n)
            if missing:
                index = torch.cat([index, row.reshape(row.shape[0], n, 1).expand(-1, -1, missing)], dim=2)
                found = F.pad(found, (0, missing), value=False)
            return torch.stack([index, found.long()], dim=-1)

        result = self.map_blocks(nearest, points.detach(), rows)
        return result[..., 0], result[..., 1].bool()

    @abstractmethod
    def _row_numbers(self) -> Tensor: ...

    @abstractmethod
    def edges(self) -> Tensor:
        """Complete graph of each event without self-loops, rows (source, target), shape (2, E)."""

    @abstractmethod
    def triangle(self) -> Triangle:
        """All unordered pairs of particles of the same event, i = j included."""

    def _cached(self, key: Hashable, make: Callable[[], T]) -> T:
        if torch.compiler.is_compiling():
            return make()
        if key not in self._cache:
            self._cache[key] = make()
        return self._cache[key]  # type: ignore[no-any-return]


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
            raise ValueError(
                "a packed layout needs its multiplicities on the host; use a padded layout on the meta device"
            )
        offsets = ptr.detach().cpu().numpy()
        if ptr.ndim != 1 or ptr.shape[0] < 1 or ptr.dtype != torch.int64:
            raise ValueError(
                f"ptr must be int64 of shape (B+1,), not {ptr.dtype} of shape {tuple(ptr.shape)}"
            )
        if offsets[0] != 0 or np.any(np.diff(offsets) < 0):
            where = int(np.argmax(np.diff(offsets) < 0)) if offsets[0] == 0 else 0
            raise ValueError(
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
        return spread_rows(per_event, self.ptr, self.event)

    def _sum(self, x: Tensor) -> Tensor:
        return segment_sum(x, self.ptr, self.event)

    def _max(self, x: Tensor) -> Tensor:
        return self.pad(x, fill=torch.finfo(x.dtype).min).amax(1)

    @property
    def _everything(self) -> Groups:
        return (tuple(range(self.num_events)),)

    def pad(self, x: Tensor, fill: float = 0.0) -> Tensor:
        if self.num_events == 0 or max(self.lengths) == 0:
            return x.new_zeros(self.num_events, 0, *x.shape[1:])
        (dense,) = self.split_blocks(x, self._everything)
        (mask,) = self.block_masks(self._everything)
        if mask is None:
            return dense
        mask = mask.reshape(mask.shape + (1,) * (x.ndim - 1))
        return torch.where(mask, dense, torch.full((), fill, dtype=x.dtype, device=x.device))

    def unpad(self, x: Tensor) -> Tensor:
        if self.num_rows == 0:
            return x.new_zeros(0, *x.shape[2:])
        return self.merge_blocks([x], self._everything)

    def uniform(self, count: int) -> Packed:
        lengths = [count] * self.num_events
        return self._cached(("uniform", count), lambda: Packed.from_lengths(lengths, device=self.device))

    def from_events(self, x: Tensor) -> Tensor:
        return x.flatten(0, 1)

    def to_events(self, x: Tensor) -> Tensor:
        return x.reshape(self.num_events, x.shape[0] // max(self.num_events, 1), *x.shape[1:])

    def _in_order(self, x: Tensor) -> Tensor:
        return self.pad(x)

    def append(self, count: int) -> Extended:
        return self._cached(("append", count), lambda: _extend_packed(self, count))

    def groups(self, max_pairs: int = MAX_BLOCK_PAIRS, together: bool = False) -> Groups:
        grouped = group_together if together else group_by_length
        return self._cached(("groups", max_pairs, together), lambda: grouped(self.lengths, max_pairs))

    def merge_events(self, blocks: Sequence[Tensor], groups: Groups) -> Tensor:
        joined = torch.cat(list(blocks))
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
        index, inverse, sizes = self._index(groups)
        flat = x if index is None or inverse is None else gather_rows(x, index, inverse)
        parts = flat.split([b * n for b, n in sizes])
        return [part.unflatten(0, size) for part, size in zip(parts, sizes, strict=True)]

    def merge_blocks(self, blocks: Sequence[Tensor], groups: Groups) -> Tensor:
        index, inverse, _ = self._index(groups)
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
            raise ValueError(
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
        expanded = per_event.unsqueeze(1)
        return expanded.expand(-1, self._mask.shape[1], *per_event.shape[1:])

    def _shaped_mask(self, x: Tensor) -> Tensor:
        return self._mask.reshape(self._mask.shape + (1,) * (x.ndim - 2))

    def _sum(self, x: Tensor) -> Tensor:
        return torch.where(self._shaped_mask(x), x, torch.zeros_like(x)).sum(1)

    def _max(self, x: Tensor) -> Tensor:
        return torch.where(self._shaped_mask(x), x, torch.finfo(x.dtype).min).amax(1)

    def pad(self, x: Tensor, fill: float = 0.0) -> Tensor:
        return torch.where(self._shaped_mask(x), x, torch.full((), fill, dtype=x.dtype, device=x.device))

    def unpad(self, x: Tensor) -> Tensor:
        return x

    def uniform(self, count: int) -> Padded:
        return Padded(torch.ones((self._mask.shape[0], count), dtype=torch.bool, device=self._mask.device))

    def from_events(self, x: Tensor) -> Tensor:
        return x

    def to_events(self, x: Tensor) -> Tensor:
        return x

    def _in_order(self, x: Tensor) -> Tensor:
        order = (~self._mask).long().argsort(dim=1, stable=True)
        order = order.reshape(order.shape + (1,) * (x.ndim - 2)).expand(-1, -1, *x.shape[2:])
        return self.pad(x).gather(1, order)

    def append(self, count: int) -> Extended:
        return self._cached(("append", count), lambda: _extend_padded(self, count))

    def groups(self, max_pairs: int = MAX_BLOCK_PAIRS, together: bool = False) -> Groups:
        return ((),)

    def merge_events(self, blocks: Sequence[Tensor], groups: Groups) -> Tensor:
        return blocks[0]

    def split_blocks(self, x: Tensor, groups: Groups) -> list[Tensor]:
        return [x]

    def merge_blocks(self, blocks: Sequence[Tensor], groups: Groups) -> Tensor:
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
        high, low = torch.tril_indices(n, n, device=device).unbind(0)
        count = high.shape[0]
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


# ---- tokens in front --------------------------------------------------------------------------


def _extend_packed(base: Packed, count: int) -> Extended:
    lengths = np.asarray(base.lengths, dtype=np.int64)
    layout = Packed.from_lengths([n + count for n in base.lengths], device=base.device)
    starts = np.concatenate([[0], np.cumsum(lengths + count)])[:-1]
    token_places = (starts[:, None] + np.arange(count)[None, :]).reshape(-1)
    shift = count * (np.repeat(np.arange(len(lengths)), lengths) + 1)
    inverse = np.concatenate([token_places, np.arange(base.num_rows) + shift])
    index = np.empty_like(inverse)
    index[inverse] = np.arange(len(inverse))
    return Extended(base, layout, count, base._constant(index), base._constant(inverse))


def _extend_padded(base: Padded, count: int) -> Extended:
    ones = torch.ones((base.mask.shape[0], count), dtype=torch.bool, device=base.mask.device)
    return Extended(base, Padded(torch.cat([ones, base.mask], dim=1)), count, None, None)

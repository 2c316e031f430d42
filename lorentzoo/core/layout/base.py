"""Which particle belongs to which event, and what depends on it?

Raggedness lives in this folder alone. `Packed` concatenates the particles of all events without padding; `Padded` holds
every event in a row of fixed length with a mask. Networks call the verbs of `Layout` and so run on both from one
source: packed in training, padded for export.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from lorentzoo.core.errors import InputError, ShapeError
from lorentzoo.core.layout.blocks import Blocks
from lorentzoo.core.layout.masks import allowed_pairs, attend_block, attention_mask, masked_softmax
from lorentzoo.core.layout.neighbours import find_nearest
from lorentzoo.core.layout.pairs import PairValues, Triangle
from lorentzoo.core.layout.rows import drop_rows, gather_rows

__all__ = ["Extended", "Layout", "Reduce"]

Reduce = Literal["sum", "mean", "max"]


class Layout(Blocks):
    """The assignment of particles to events, and every operation that depends on it.

    Tensors of particles have the leading shape `lead`: (P,) when packed, (B, N) when padded. Every verb raises
    `ShapeError` for a tensor that has not, before it reads a row.
    """

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
        if reduce not in get_args(Reduce):
            raise InputError(f"reduce is 'sum', 'mean' or 'max', not {reduce!r}")
        self.require_rows(x, "pool")
        extra = x.ndim - len(self.lead)
        if where is not None:
            self.require_rows(where, "pool, `where`")
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
        self.require_rows(x, "take")
        self.require_count(count, "take")
        dense = self._in_order(x)
        # In an export the number of particles is a symbol, which must not be compared.
        missing = count if torch.compiler.is_exporting() else count - dense.shape[1]
        if missing > 0:
            dense = torch.cat([dense, dense.new_zeros(dense.shape[0], missing, *dense.shape[2:])], dim=1)
        return dense[:, :count]

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

    # ---- pairs ----------------------------------------------------------------------------

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
                self.require_pairs(logits, dense[0], "pairs")
                weights = masked_softmax(logits, allowed, dim=2)
                return torch.sum(weights.unsqueeze(-1) * values, 2)
            self.require_pairs(result, dense[0], "pairs")
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
        for value, dense in zip(values, columns[0], strict=True):
            self.require_pairs(value, dense, "pair_values")
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
        if keys.num_events != self.num_events or len(keys.lead) != len(self.lead):
            raise ShapeError(
                f"queries of {self!r} cannot attend to keys of {keys!r}: both need the same events, both packed or padded"
            )
        self.require_rows(q, "attend, `q`")
        keys.require_rows(k, "attend, `k`")
        keys.require_rows(v, "attend, `v`")
        if bias is not None and not (torch.compiler.is_compiling() or self.has_events_of(bias.layout)):
            raise ShapeError(f"attend of {self!r} cannot use a bias that was made for {bias.layout!r}")
        if not torch.compiler.is_compiling():
            _require_heads(q, k, v, bias)
        whole = self._attend_in_rows(q, k, v, keys, scale, bias)
        if whole is not None:
            return whole
        groups = self.groups() if bias is None else bias.groups
        columns = [self.split_blocks(q, groups), keys.split_blocks(k, groups), keys.split_blocks(v, groups)]
        biases = None if bias is None else bias.additive(q.dtype)
        outputs = []
        for b, (mask, qb, kb, vb) in enumerate(zip(keys.block_masks(groups), *columns, strict=True)):
            additive = attention_mask(mask, q.dtype) if biases is None else biases[b]
            outputs.append(attend_block(qb, kb, vb, additive, mask if keys is not self else None, scale))
        return self.merge_blocks(outputs, groups)

    def _attend_in_rows(
        self, q: Tensor, k: Tensor, v: Tensor, keys: Layout, scale: float | None, bias: PairValues | None
    ) -> Tensor | None:
        """Attention without blocks, where there is a faster way; None where there is not."""
        return None

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
        self.require_count(k, "neighbours")
        if points.ndim != len(self.lead) + 1:
            raise ShapeError(
                f"neighbours takes coordinates (*lead, D) of each particle, not {tuple(points.shape)}"
            )
        result = self.map_blocks(
            lambda mask, x, rows: find_nearest(mask, x, rows, k), points.detach(), self._row_numbers()
        )
        return result[..., 0], result[..., 1].bool()

    @abstractmethod
    def _row_numbers(self) -> Tensor: ...

    @abstractmethod
    def edges(self) -> Tensor:
        """Complete graph of each event without self-loops, rows (source, target), shape (2, E)."""

    @abstractmethod
    def triangle(self) -> Triangle:
        """All unordered pairs of particles of the same event, i = j included."""


@dataclass(frozen=True)
class Extended:
    """A layout with further tokens in front of every event, and the way there and back."""

    base: Layout
    layout: Layout
    count: int
    _index: Tensor | None
    _inverse: Tensor | None

    def join(self, tokens: Tensor, x: Tensor) -> Tensor:
        """Put tokens in front. Shapes (B, count, ...), (*base.lead, ...) -> (*layout.lead, ...)."""
        self.base.require_events(tokens, "join, `tokens`")
        self.base.require_rows(x, "join")
        wanted = (self.base.num_events, self.count, *x.shape[len(self.base.lead) :])
        # Other numbers of tokens would shift the rows of all events behind.
        if not torch.compiler.is_compiling() and self.base.num_events and tuple(tokens.shape) != wanted:
            raise ShapeError(
                f"join takes tokens of shape {wanted} beside such particles, not {tuple(tokens.shape)}"
            )
        if self._index is None or self._inverse is None:
            return torch.cat([tokens, x], dim=1)
        return gather_rows(torch.cat([tokens.flatten(0, 1), x]), self._index, self._inverse)

    def join_pairs(self, values: PairValues) -> PairValues:
        """Values on pairs of particles, with zeros for pairs with the tokens."""
        count = self.count
        blocks = tuple(F.pad(block, (0, 0, count, 0, count, 0)) for block in values.blocks)
        return PairValues(self.layout, values.groups, blocks)

    @property
    def tokens_layout(self) -> Layout:
        """The layout of the tokens alone: `count` in every event."""
        return self.base.uniform(self.count)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Take tokens and particles apart again: the inverse of `join`."""
        self.layout.require_rows(x, "split")
        if self._index is None or self._inverse is None:
            return x[:, : self.count], x[:, self.count :]
        rows = drop_rows(x, self._index, self._inverse)
        number = self.base.num_events * self.count
        return rows[:number].unflatten(0, (self.base.num_events, self.count)), rows[number:]


def _require_heads(q: Tensor, k: Tensor, v: Tensor, bias: PairValues | None) -> None:
    """Refuse queries, keys, values and biases of heads that do not belong together; one head may serve all."""
    heads = [x.shape[-2] for x in (q, k, v)] + [block.shape[-1] for block in (bias.blocks if bias else ())]
    if q.shape[-1] != k.shape[-1] or not set(heads) <= {1, q.shape[-2]}:
        raise ShapeError(
            f"attend takes queries and keys (..., H, D), values (..., H, Dv) and biases of H values, not queries "
            f"{tuple(q.shape)}, keys {tuple(k.shape)}, values {tuple(v.shape)}"
            + (f" and biases of {heads[-1]}" if bias else "")
        )

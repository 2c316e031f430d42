"""How are all pairs of a batch gone through, and what of them is kept?

Everything on pairs stands as planes with pairs innermost, in chunks that stay in the cache. In training the batch norm of
the network on pairs needs the invariants of all messages first, so that there are two passes forward and two backward.
What is made of pairs is saved for the backward pass up to a bound; of the others, messages are kept between two passes up
to a bound of their own, and made again in the backward pass.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor

from lorentzoo import Layout
from lorentzoo.nn import EdgeSums, MaskedBatchNorm, PairTerms, allowed_pairs, normalise_pairs
from lorentzoo.plugins.cgenn.chunks import (
    Measures,
    Reading,
    Tables,
    by_pairs,
    form_messages,
    form_operators,
    measure,
    read,
)
from lorentzoo.plugins.cgenn.product import product_table

__all__ = ["LAYERS", "Chunk", "PairTensors", "Passes"]

BLOCK_PAIRS: Final = 2**12
"""Pairs that are worked on at a time: as many as stay in the cache."""
SAVED_BYTES: Final = 2**28
"""What a round of messages may keep of pairs from forward to backward; what is more is made again."""
KEPT_PAIRS: Final = 2**18
"""Pairs of a batch whose messages are kept between two passes; those of more are made twice."""


class PairTensors(NamedTuple):
    """What the network on pairs reads. Rows of particles first, then parameters.

    Attributes
    ----------
    x
        Multivectors, (*lead, D, inputs), see `ProductTable`.
    receive, send
        Shares of the two particles in messages, (*lead, O, results).
    to_receive, to_send
        Shares of the two particles in the first layer of the network on pairs, (*lead, H).
    operators
        See `operator_weights`, (results inputs, D, D O).
    gain
        Of messages, (O,).
    edge
        Weights of the invariants of messages in that first layer, grade by grade, (H, G O).
    second, second_bias
        Its second layer.
    gate, gate_bias, factors, factors_bias
        Two layers that give a factor for each grade, grade by grade, (G O).
    """

    x: Tensor
    receive: Tensor
    send: Tensor
    to_receive: Tensor
    to_send: Tensor
    operators: Tensor
    gain: Tensor
    edge: Tensor
    second: Tensor
    second_bias: Tensor
    gate: Tensor
    gate_bias: Tensor
    factors: Tensor
    factors_bias: Tensor


LAYERS: Final = slice(8, None)
"""Where in `PairTensors` the layers stand that come after the norm."""


@dataclass
class Chunk:
    """Some rows of a block of events, and all their partners.

    Attributes
    ----------
    block
        Number of the block.
    rows
        Which places of its events.
    keep
        Which pairs exist, (b, n, m), in the dtype of the features.
    saved
        Whether what is made of these pairs stays until the backward pass.
    """

    block: int
    rows: slice
    keep: Tensor
    saved: bool = False
    message: Tensor | None = None
    measures: Measures | None = None
    reading: Reading | None = None
    carried: tuple[Tensor, ...] = ()


class Passes:
    """All pairs of a batch, in chunks.

    Parameters
    ----------
    norm
        Of the first layer of the network on pairs.
    layout
        Which particles exchange messages.
    tensors
        See `PairTensors`.
    by_hand
        Whether nothing is recorded: derivatives come from the adjoints below.
    saving
        Whether these will be asked for, of what is saved of the first `SAVED_BYTES`.
    """

    def __init__(
        self,
        norm: MaskedBatchNorm,
        layout: Layout,
        tensors: PairTensors,
        by_hand: bool = False,
        saving: bool = False,
    ) -> None:
        self.norm, self.layout, self.tensors = norm, layout, tensors
        self.groups = layout.groups(BLOCK_PAIRS)
        self.x, self.receive, self.send = (self.split(x) for x in tensors[:3])
        self.table = product_table(tensors.x.shape[-1])
        self.tables = Tables.like(tensors.x, self.table)
        self.by_hand = by_hand
        self._workspace: Tensor | None = None
        self.chunks = list(self._cut())
        self.kept = (
            torch.compiler.is_compiling() or sum(chunk.keep.numel() for chunk in self.chunks) <= KEPT_PAIRS
        )
        if saving:
            self._choose_saved()

    def split(self, x: Tensor) -> list[Tensor]:
        """Rows (*lead, ..., K) as planes of each block, [(K, ..., b, n)]."""
        blocks = self.layout.split_blocks(x, self.groups)
        last = range(2, x.ndim - len(self.layout.lead) + 2)
        return [block.permute(*reversed(last), 0, 1).contiguous() for block in blocks]

    def merge(self, planes: Sequence[Tensor]) -> Tensor:
        """Undo `split`."""
        last = range(planes[0].ndim - 2)
        blocks = [block.permute(-2, -1, *reversed(last)) for block in planes]
        return self.layout.merge_blocks(blocks, self.groups)

    def _cut(self) -> Iterator[Chunk]:
        for number, (mask, x) in enumerate(zip(self.layout.block_masks(self.groups), self.x, strict=True)):
            b, n = x.shape[2:]
            keep = allowed_pairs(mask, x.permute(2, 3, 0, 1), self_pairs=False)
            if mask is not None:
                keep = keep & mask.unsqueeze(2)
            keep = keep.to(x.dtype)
            if torch.compiler.is_compiling():
                # How many there are may be known later only.
                yield Chunk(number, slice(None), keep)
                continue
            # Of a lone event some rows are taken at a time.
            parts = -(-n * n // BLOCK_PAIRS) if b == 1 else 1
            step = max(1, -(-n // max(parts, 1)))
            for start in range(0, max(n, 1), step):
                rows = slice(start, min(start + step, n))
                yield Chunk(number, rows, keep[..., rows].contiguous())

    def _choose_saved(self) -> None:
        """As many chunks as `SAVED_BYTES` hold, in their order."""
        outputs, hidden = self.tensors.receive.shape[-2], self.tensors.to_receive.shape[-1]
        # Messages; invariants, squares, scale, norms and base; hidden layers and factors.
        numbers = (self.table.results + 3 * self.table.result_grades + 2) * outputs + 1 + 3 * hidden
        left = SAVED_BYTES
        for chunk in self.chunks:
            left -= chunk.keep.numel() * numbers * chunk.keep.element_size()
            chunk.saved = left >= 0

    def saved(self) -> list[Tensor]:
        """What was made of the chunks that are saved."""
        found: list[Tensor] = []
        for chunk in self.chunks:
            if chunk.saved:
                assert chunk.message is not None
                assert chunk.measures is not None
                assert chunk.reading is not None
                found += [chunk.message, *chunk.measures, *chunk.reading]
        return found

    def restore(self, saved: Sequence[Tensor]) -> None:
        """Undo `saved`."""
        rest = iter(saved)
        for chunk in self.chunks:
            if chunk.saved:
                chunk.message = next(rest)
                chunk.measures = Measures(*itertools.islice(rest, len(Measures._fields)))
                chunk.reading = Reading(*itertools.islice(rest, len(Reading._fields)))

    def operators(self, chunk: Chunk) -> tuple[Tensor, Tensor]:
        """The factors of a chunk's rows, gathered, and their matrices, which stand in one place for all chunks."""
        own, weights = self.x[chunk.block][..., chunk.rows], self.tensors.operators
        gathered = self.table.gather(own.flatten(2), 0)
        out = None
        if self.by_hand:
            count = gathered.shape[-1] * weights.shape[-1] * len(weights)
            if self._workspace is None or self._workspace.numel() < count:
                self._workspace = own.new_empty(count)
            out = self._workspace[:count].view(len(weights), weights.shape[-1], gathered.shape[-1])
        return gathered, form_operators(gathered, weights, self.table, (own.shape[2], own.shape[3]), out)

    def message(self, chunk: Chunk) -> Tensor:
        if chunk.message is not None:
            return chunk.message
        block, rows = chunk.block, chunk.rows
        _, operators = self.operators(chunk)
        receive, send = self.receive[block][..., rows], self.send[block]
        made = form_messages(operators, self.x[block], receive, send, in_place=self.by_hand)
        if self.kept or chunk.saved:
            chunk.message = made
        return made

    def measure(self, chunk: Chunk, message: Tensor) -> Measures:
        if chunk.measures is not None:
            return chunk.measures
        made = measure(message, self.tensors.gain, chunk.keep, self.tables)
        if chunk.saved:
            chunk.measures = made
        return made

    def read(
        self, chunk: Chunk, measures: Measures, receive: Tensor, send: Tensor, layers: Sequence[Tensor]
    ) -> Reading:
        if chunk.reading is not None:
            return chunk.reading
        made = read(measures.invariants, receive[..., chunk.rows], send, chunk.keep, layers)
        if chunk.saved:
            chunk.reading = made
        return made

    def sums(self) -> EdgeSums:
        """Of the invariants of messages over partners, as batch norm needs them."""
        rows: list[list[Tensor]] = [[] for _ in self.x]
        columns: list[Tensor | None] = [None for _ in self.x]
        second = None
        for chunk in self.chunks:
            flat = self.measure(chunk, self.message(chunk)).invariants
            invariants = flat.unflatten(1, chunk.keep.shape)
            rows[chunk.block].append(invariants.sum(-2))
            columns[chunk.block] = _plus(columns[chunk.block], invariants.sum(-1))
            second = _plus(second, flat @ flat.T)
        assert second is not None
        return EdgeSums(
            self.merge([torch.cat(parts, dim=-1) for parts in rows]),
            self.merge([part for part in columns if part is not None]),
            second,
        )

    def run(self) -> Tensor:
        """Sums over partners of scalars and of gated messages, (*lead, H + results O)."""
        tensors = self.tensors
        return self.collect(
            normalise_pairs(
                self.norm,
                PairTerms(tensors.to_receive, tensors.to_send, tensors.edge),
                self.layout,
                self.sums,
            )
        )

    def collect(self, terms: PairTerms) -> Tensor:
        """Sums over partners, with the first layer of the network on pairs as it is after its norm."""
        receive, send = self.split(terms.receive), self.split(terms.send)
        layers = (terms.weight, *self.tensors[LAYERS])
        found: list[list[Tensor]] = [[] for _ in self.x]
        for chunk in self.chunks:
            block, message, pairs = chunk.block, self.message(chunk), chunk.keep.shape
            if not chunk.saved:
                chunk.message = None
            measures = self.measure(chunk, message)
            reading = self.read(chunk, measures, receive[block], send[block], layers)
            weights = by_pairs(reading.factors, measures.scale) * measures.scale
            heard = (message * weights.index_select(0, self.tables.grades)).sum(2)
            sums = reading.scalars.unflatten(1, pairs).sum(-2)
            found[block].append(torch.cat([sums, heard.transpose(1, 2).flatten(0, 1)]))
        return self.merge([torch.cat(parts, dim=-1) for parts in found])


def _plus(total: Tensor | None, part: Tensor) -> Tensor:
    return part if total is None else total + part

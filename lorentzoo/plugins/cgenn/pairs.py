"""What do particles of CGENN say to each other, and what does each make of it?

The message of a pair, before it is normalised, is one matrix product for each event: a particle's channels become
matrices by which it multiplies its partners. Everything on pairs stands as planes with pairs innermost. In training the
batch norm of the network on pairs needs the invariants of all messages first, so that there are two passes forward and
two backward; what they share of messages is kept between them up to a bound, and nothing from forward to backward.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from lorentzoo import Layout
from lorentzoo.nn import EdgeSums, MaskedBatchNorm, PairTerms, allowed_pairs, in_transform, normalise_pairs
from lorentzoo.plugins.cgenn.chunks import (
    Measures,
    Tables,
    adjoint_of_measure,
    adjoint_of_read,
    form_messages,
    form_operators,
    measure,
    partner_matrix,
    read,
)

__all__ = ["PairTensors", "exchange"]

BLOCK_PAIRS: Final = 2**12
"""Pairs that are worked on at a time: as many as stay in the cache."""
KEPT_PAIRS: Final = 2**18
"""Pairs of a batch whose messages are kept between two passes; those of more are made twice."""


class PairTensors(NamedTuple):
    """What the network on pairs reads. Rows of particles first, then parameters.

    Attributes
    ----------
    x
        Multivectors, (*lead, D, 16).
    receive, send
        Shares of the two particles in messages, (*lead, O, 16).
    to_receive, to_send
        Shares of the two particles in the first layer of the network on pairs, (*lead, H).
    operators
        See `operator_weights`, (256, D, D O).
    gain
        Of messages, (O,).
    edge
        Weights of the invariants of messages in that first layer, grade by grade, (H, 5 O).
    second, second_bias
        Its second layer.
    gate, gate_bias, factors, factors_bias
        Two layers that give a factor for each grade, grade by grade, (5 O).
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


def exchange(norm: MaskedBatchNorm, layout: Layout, tensors: PairTensors) -> Tensor:
    """Sums over partners of scalars μ_ij and of gated messages.

    Parameters
    ----------
    norm
        Of the first layer of the network on pairs.
    layout
        Which particles exchange messages.
    tensors
        See `PairTensors`.

    Returns
    -------
    Shape (*lead, H + 16 O): scalars, and multivectors component by component.
    """
    traced = torch.compiler.is_compiling() or in_transform()
    if traced or not torch.is_grad_enabled():
        return _Passes(norm, layout, tensors, by_hand=not traced).run()
    return _Exchange.apply(norm, layout, *tensors, norm.weight, norm.bias)


@dataclass
class _Chunk:
    """Some rows of a block of events, and all their partners.

    Attributes
    ----------
    block
        Number of the block.
    rows
        Which places of its events.
    keep
        Which pairs exist, (b, m, n), in the dtype of the features.
    """

    block: int
    rows: slice
    keep: Tensor
    message: Tensor | None = None
    carried: tuple[Tensor, ...] = ()


class _Passes:
    """All pairs of a batch, in chunks.

    Parameters
    ----------
    norm, layout, tensors
        See `exchange`.
    by_hand
        Whether nothing is recorded: derivatives come from the adjoints below.
    """

    def __init__(
        self, norm: MaskedBatchNorm, layout: Layout, tensors: PairTensors, by_hand: bool = False
    ) -> None:
        self.norm, self.layout, self.tensors = norm, layout, tensors
        self.groups = layout.groups(BLOCK_PAIRS)
        self.x, self.receive, self.send = (self.split(x) for x in tensors[:3])
        self.tables = Tables.like(tensors.x)
        self.by_hand = by_hand
        self._workspace: Tensor | None = None
        self.chunks = list(self._cut())
        self.kept = (
            torch.compiler.is_compiling() or sum(chunk.keep.numel() for chunk in self.chunks) <= KEPT_PAIRS
        )

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

    def _cut(self) -> Iterator[_Chunk]:
        for number, (mask, x) in enumerate(zip(self.layout.block_masks(self.groups), self.x, strict=True)):
            b, n = x.shape[2:]
            keep = allowed_pairs(mask, x.permute(2, 3, 0, 1), self_pairs=False)
            if mask is not None:
                keep = keep & mask.unsqueeze(2)
            keep = keep.to(x.dtype)
            if torch.compiler.is_compiling():
                # How many there are may be known later only.
                yield _Chunk(number, slice(None), keep)
                continue
            # Of a lone event some rows are taken at a time.
            parts = -(-n * n // BLOCK_PAIRS) if b == 1 else 1
            step = max(1, -(-n // max(parts, 1)))
            for start in range(0, max(n, 1), step):
                rows = slice(start, min(start + step, n))
                yield _Chunk(number, rows, keep[:, rows])

    def operators(self, chunk: _Chunk) -> tuple[Tensor, Tensor]:
        """The factors of a chunk's rows, gathered, and their matrices, which stand in one place for all chunks."""
        own, weights = self.x[chunk.block][..., chunk.rows], self.tensors.operators
        gathered = own.flatten(2).index_select(0, self.tables.factors)
        out = None
        if self.by_hand:
            count = gathered.shape[-1] * weights.shape[-1] * len(weights)
            if self._workspace is None or self._workspace.numel() < count:
                self._workspace = own.new_empty(count)
            out = self._workspace[:count].view(len(weights), weights.shape[-1], gathered.shape[-1])
        return gathered, form_operators(gathered, weights, (own.shape[2], own.shape[3]), out)

    def message(self, chunk: _Chunk) -> Tensor:
        if chunk.message is not None:
            return chunk.message
        block, rows = chunk.block, chunk.rows
        _, operators = self.operators(chunk)
        receive, send = self.receive[block][..., rows], self.send[block]
        made = form_messages(operators, self.x[block], receive, send, in_place=self.by_hand)
        if self.kept:
            chunk.message = made
        return made

    def measure(self, chunk: _Chunk, message: Tensor) -> Measures:
        return measure(message, self.tensors.gain, chunk.keep, self.tables)

    def sums(self) -> EdgeSums:
        """Of the invariants of messages over partners, as batch norm needs them."""
        rows: list[list[Tensor]] = [[] for _ in self.x]
        columns: list[Tensor | None] = [None for _ in self.x]
        second = None
        for chunk in self.chunks:
            invariants = self.measure(chunk, self.message(chunk)).invariants.flatten(0, 1)
            rows[chunk.block].append(invariants.sum(-1))
            columns[chunk.block] = _plus(columns[chunk.block], invariants.sum(-2))
            flat = invariants.flatten(1)
            second = _plus(second, flat @ flat.T)
        assert second is not None
        return EdgeSums(
            self.merge([torch.cat(parts, dim=-1) for parts in rows]),
            self.merge([part for part in columns if part is not None]),
            second,
        )

    def run(self) -> Tensor:
        """What `exchange` returns."""
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
            chunk.message = None
            measures = self.measure(chunk, message)
            invariants = measures.invariants.flatten(0, 1).flatten(1)
            reading = read(invariants, receive[block][..., chunk.rows], send[block], chunk.keep, layers)
            weights = reading.factors.reshape(measures.squares.shape) * measures.scale
            heard = (message * weights.index_select(0, self.tables.grades)).sum(-1)
            sums = reading.scalars.unflatten(1, pairs).sum(-1)
            found[block].append(torch.cat([sums, heard.flatten(0, 1)]))
        return self.merge([torch.cat(parts, dim=-1) for parts in found])

    # ---- and their adjoints -----------------------------------------------------------------

    def adjoint_of_collect(self, terms: PairTerms, gradient: Tensor) -> tuple[PairTerms, list[Tensor]]:
        """Gradients of the terms and of further layers; those of messages are carried in the chunks."""
        receive, send = self.split(terms.receive), self.split(terms.send)
        given, width = self.split(gradient), terms.receive.shape[-1]
        layers = (terms.weight, *self.tensors[LAYERS])
        to_layers = [torch.zeros_like(layer) for layer in layers]
        to_receive, to_send = ([torch.zeros_like(x) for x in side] for side in (receive, send))
        for chunk in self.chunks:
            block, rows, message, pairs = chunk.block, chunk.rows, self.message(chunk), chunk.keep.shape
            measures = self.measure(chunk, message)
            invariants = measures.invariants.flatten(0, 1).flatten(1)
            reading = read(invariants, receive[block][..., rows], send[block], chunk.keep, layers)
            heard = (_heard(given[block], width, rows) * message).flatten(1)
            factors = reading.factors.view(measures.squares.shape)
            to_weights = (self.tables.members @ heard).view(factors.shape)
            to_invariants, to_first = adjoint_of_read(
                invariants,
                reading,
                layers,
                given[block][:width, ..., rows].unsqueeze(-1).expand(width, *pairs),
                (to_weights * measures.scale).flatten(0, 1).flatten(1),
                to_layers,
            )
            chunk.carried = (
                to_invariants.view(to_weights.shape),
                (to_weights * factors).sum(0),
                factors * measures.scale,
            )
            to_first = to_first.unflatten(1, pairs)
            to_receive[block][..., rows] += to_first.sum(-1)
            to_send[block] += to_first.sum(-2)
        return PairTerms(self.merge(to_receive), self.merge(to_send), to_layers[0]), to_layers[1:]

    def adjoint_of_messages(self, sums: Sequence[Tensor], gradient: Tensor) -> list[Tensor]:
        """Gradients of x, of the shares of messages, and of operators and gains.

        Parameters
        ----------
        sums
            Gradients of rows, columns and second moments of `EdgeSums`; none in evaluation.
        gradient
            Of what `collect` returned.
        """
        given, width = self.split(gradient), self.tensors.to_receive.shape[-1]
        of_rows, of_columns = (self.split(x) for x in sums[:2]) if sums else (None, None)
        to_x, to_receive, to_send = (
            [torch.zeros_like(x) for x in side] for side in (self.x, self.receive, self.send)
        )
        gain = self.tensors.gain
        to_operators, to_gain = torch.zeros_like(self.tensors.operators), torch.zeros_like(gain)
        for chunk in self.chunks:
            block, rows, message = chunk.block, chunk.rows, self.message(chunk)
            chunk.message = None
            to_invariants, to_scale, weights = chunk.carried
            chunk.carried = ()
            measures = self.measure(chunk, message)
            if of_rows is not None and of_columns is not None:
                whole = to_invariants.flatten(0, 1)
                whole += of_rows[block][..., rows].unsqueeze(-1)
                whole += of_columns[block].unsqueeze(-2)
                whole.flatten(1).addmm_(sums[2] + sums[2].T, measures.invariants.flatten(0, 1).flatten(1))
            weights = weights.index_select(0, self.tables.grades)
            to_message = weights.mul_(_heard(given[block], width, rows))
            adjoint_of_measure(
                message, gain, measures, to_invariants, to_scale, self.tables, to_message, to_gain
            )
            to_receive[block][..., rows] += to_message.sum(-1)
            to_send[block] += to_message.sum(-2)
            self._adjoint_of_product(chunk, to_message, to_x[block], to_operators)
        return [*(self.merge(side) for side in (to_x, to_receive, to_send)), to_operators, to_gain]

    def _adjoint_of_product(self, chunk: _Chunk, given: Tensor, to_x: Tensor, to_operators: Tensor) -> None:
        """Add the gradients of both factors of the product in `form_messages`."""
        x, weights = self.x[chunk.block], self.tensors.operators
        _, channels, b, n = x.shape
        flat = given.transpose(1, 2).flatten(0, 1).flatten(1, 2)
        gathered, operators = self.operators(chunk)
        to_x += torch.bmm(operators, flat).view(16, b, 16, channels, n).sum(0).permute(1, 2, 0, 3)
        made = torch.bmm(partner_matrix(x), flat.transpose(1, 2), out=operators if b == 1 else None)
        made = made.view(16, b, 16 * channels, *given.shape[1:4:2]).permute(0, 2, 3, 1, 4)
        made = made.reshape(len(weights), weights.shape[-1], gathered.shape[-1])
        to_operators.baddbmm_(gathered, made.transpose(1, 2))
        uses = torch.bmm(weights, made).index_select(0, self.tables.uses).unflatten(0, (16, 16)).sum(1)
        to_x[..., chunk.rows] += uses.unflatten(-1, (b, given.shape[3]))


class _Exchange(torch.autograd.Function):
    """`_Passes.run`, of which the graph of the norm's folding is all that is kept beside the inputs."""

    @staticmethod
    def forward(ctx: Any, norm: MaskedBatchNorm, layout: Layout, *given: Tensor) -> Tensor:
        tensors = PairTensors(*given[:-2])
        passes = _Passes(norm, layout, tensors, by_hand=True)
        sums = passes.sums() if norm.training else None
        leaves = [
            x.detach().requires_grad_()
            for x in (tensors.to_receive, tensors.to_send, tensors.edge)
            + (() if sums is None else (sums.rows, sums.columns, sums.second))
        ]
        with torch.enable_grad():
            terms = normalise_pairs(norm, PairTerms(*leaves[:3]), layout, lambda: EdgeSums(*leaves[3:]))
        ctx.norm, ctx.layout, ctx.leaves, ctx.terms = norm, layout, leaves, terms
        ctx.save_for_backward(*given)
        return passes.collect(_detached(terms))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        with torch.autocast(gradient.device.type, enabled=False):
            return _Exchange._gradients(ctx, gradient)

    @staticmethod
    def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        given = ctx.saved_tensors
        tensors = PairTensors(*given[:-2])
        if torch.is_grad_enabled():
            # Second derivatives are wanted: the same gradients by operations that have their own.
            wanted = [x for x in given if x.requires_grad]
            with _statistics_kept(ctx.norm):
                out = _Passes(ctx.norm, ctx.layout, tensors).run()
            slopes = iter(torch.autograd.grad(out, wanted, gradient, create_graph=True, allow_unused=True))
            return None, None, *(next(slopes) if x.requires_grad else None for x in given)
        passes = _Passes(ctx.norm, ctx.layout, tensors, by_hand=True)
        to_terms, to_layers = passes.adjoint_of_collect(_detached(ctx.terms), gradient)
        parameters = [x for x in given[-2:] if x.requires_grad]
        found = torch.autograd.grad(
            [ctx.terms.receive, ctx.terms.send, ctx.terms.weight],
            [*ctx.leaves, *parameters],
            [to_terms.receive, to_terms.send, to_terms.weight],
            retain_graph=True,
        )
        leaves, of_parameters = found[: len(ctx.leaves)], iter(found[len(ctx.leaves) :])
        to_x, to_receive, to_send, to_operators, to_gain = passes.adjoint_of_messages(leaves[3:], gradient)
        of_norm = [next(of_parameters) if x.requires_grad else None for x in given[-2:]]
        return (
            *(None, None, to_x, to_receive, to_send, leaves[0], leaves[1]),
            *(to_operators, to_gain, leaves[2], *to_layers, *of_norm),
        )


def _detached(terms: PairTerms) -> PairTerms:
    return PairTerms(terms.receive.detach(), terms.send.detach(), terms.weight.detach())


def _plus(total: Tensor | None, part: Tensor) -> Tensor:
    return part if total is None else total + part


def _heard(gradient: Tensor, width: int, rows: slice) -> Tensor:
    """The part of a gradient of sums (H + 16 O, b, n) that belongs to messages, (16, O, b, m, 1)."""
    return gradient[width:, ..., rows].unflatten(0, (16, -1)).unsqueeze(-1)


@contextmanager
def _statistics_kept(norm: MaskedBatchNorm) -> Iterator[None]:
    """Inside the block running statistics may move, afterwards they are what they were."""
    # In evaluation they are read instead, and must not look as if they had been written.
    before = [buffer.clone() for buffer in norm.buffers()] if norm.training else []
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(norm.buffers(), before, strict=False):
                buffer.copy_(value)

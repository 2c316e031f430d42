"""What do particles of CGENN say to each other, and what does each make of it?

The message of a pair, before it is normalised, is one matrix product for each event: a particle's channels become
matrices by which it multiplies its partners. Gradients are written by hand, in passes like those forward.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from lorentzoo import Layout
from lorentzoo.nn import EdgeSums, MaskedBatchNorm, PairTerms, in_transform, normalise_pairs
from lorentzoo.plugins.cgenn.chunks import (
    adjoint_of_measure,
    adjoint_of_read,
    by_channels,
    by_pairs,
    partner_matrix,
)
from lorentzoo.plugins.cgenn.passes import LAYERS, Chunk, PairTensors, Passes

__all__ = ["exchange"]


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
    Shape (*lead, H + results O): scalars, and multivectors component by component.
    """
    traced = torch.compiler.is_compiling() or in_transform()
    if traced or not torch.is_grad_enabled():
        return Passes(norm, layout, tensors, by_hand=not traced).run()
    return _Exchange.apply(norm, layout, *tensors, norm.weight, norm.bias)


class _Adjoints(Passes):
    """The adjoints of `Passes`, of which the last pass comes first."""

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
            reading = self.read(chunk, measures, receive[block], send[block], layers)
            heard = (self._heard(given[block], width, rows) * message).flatten(1)
            factors = by_pairs(reading.factors, measures.scale)
            to_weights = (self.tables.members @ heard).view(factors.shape)
            to_invariants, to_first = adjoint_of_read(
                measures.invariants,
                reading,
                layers,
                given[block][:width, ..., rows].unsqueeze(-2).expand(width, *pairs),
                by_channels(to_weights * measures.scale),
                to_layers,
            )
            chunk.carried = (to_invariants, (to_weights * factors).sum(0), factors * measures.scale)
            to_first = to_first.unflatten(1, pairs)
            to_receive[block][..., rows] += to_first.sum(-2)
            to_send[block] += to_first.sum(-1)
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
            to_invariants, to_scale, weights = chunk.carried
            measures = self.measure(chunk, message)
            chunk.message, chunk.measures, chunk.reading, chunk.carried = None, None, None, ()
            if of_rows is not None and of_columns is not None:
                whole = to_invariants.unflatten(1, chunk.keep.shape)
                whole += of_rows[block][..., rows].unsqueeze(-2)
                whole += of_columns[block].unsqueeze(-1)
                to_invariants.addmm_(sums[2] + sums[2].T, measures.invariants)
            weights = weights.index_select(0, self.tables.grades)
            to_message = weights.mul_(self._heard(given[block], width, rows))
            to_invariants = by_pairs(to_invariants, to_scale)
            adjoint_of_measure(
                message, gain, measures, to_invariants, to_scale, self.tables, to_message, to_gain
            )
            to_receive[block][..., rows] += to_message.sum(2).transpose(1, 2)
            to_send[block] += to_message.sum(-1).permute(0, 3, 1, 2)
            self._adjoint_of_product(chunk, to_message, to_x[block], to_operators)
        return [*(self.merge(side) for side in (to_x, to_receive, to_send)), to_operators, to_gain]

    def _adjoint_of_product(self, chunk: Chunk, given: Tensor, to_x: Tensor, to_operators: Tensor) -> None:
        """Add the gradients of both factors of the product in `form_messages`."""
        x, weights = self.x[chunk.block], self.tensors.operators
        inputs, channels, b, n = x.shape
        flat = given.flatten(3).flatten(0, 1)
        gathered, operators = self.operators(chunk)
        back = torch.bmm(flat, operators.transpose(1, 2)).view(self.table.results, b, n, inputs, channels)
        to_x += back.sum(0).permute(2, 3, 0, 1)
        partners = partner_matrix(x, self.table.results).transpose(1, 2)
        made = torch.bmm(partners, flat, out=operators if b == 1 else None)
        made = made.view(self.table.results, b, inputs * channels, *given.shape[3:]).permute(0, 2, 3, 1, 4)
        made = made.reshape(len(weights), weights.shape[-1], gathered.shape[-1])
        to_operators.baddbmm_(gathered, made.transpose(1, 2))
        uses = torch.bmm(weights, made).index_select(0, self.tables.uses)
        uses = uses.unflatten(0, (inputs, inputs)).sum(1)
        to_x[..., chunk.rows] += uses.unflatten(-1, (b, given.shape[-1]))

    def _heard(self, gradient: Tensor, width: int, rows: slice) -> Tensor:
        """The part of a gradient of sums (H + results O, b, n) that belongs to messages, (results, b, 1, O, m)."""
        heard = gradient[width:, ..., rows].unflatten(0, (self.table.results, -1))
        return heard.transpose(1, 2).contiguous().unsqueeze(2)


class _Exchange(torch.autograd.Function):
    """`Passes.run`, of which the graph of the norm's folding is all that is kept beside the inputs."""

    @staticmethod
    def forward(ctx: Any, norm: MaskedBatchNorm, layout: Layout, *given: Tensor) -> Tensor:
        tensors = PairTensors(*given[:-2])
        passes = Passes(norm, layout, tensors, by_hand=True, saving=True)
        sums = passes.sums() if norm.training else None
        leaves = [
            x.detach().requires_grad_()
            for x in (tensors.to_receive, tensors.to_send, tensors.edge)
            + (() if sums is None else (sums.rows, sums.columns, sums.second))
        ]
        with torch.enable_grad():
            terms = normalise_pairs(norm, PairTerms(*leaves[:3]), layout, lambda: EdgeSums(*leaves[3:]))
        ctx.norm, ctx.layout, ctx.leaves, ctx.terms = norm, layout, leaves, terms
        found = passes.collect(_detached(terms))
        ctx.save_for_backward(*given, *passes.saved())
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        with torch.autocast(gradient.device.type, enabled=False):
            return _Exchange._gradients(ctx, gradient)

    @staticmethod
    def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        count = len(PairTensors._fields) + 2
        given, saved = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        tensors = PairTensors(*given[:-2])
        if torch.is_grad_enabled():
            # Second derivatives are wanted: the same gradients by operations that have their own.
            wanted = [x for x in given if x.requires_grad]
            with _statistics_kept(ctx.norm):
                out = Passes(ctx.norm, ctx.layout, tensors).run()
            slopes = iter(torch.autograd.grad(out, wanted, gradient, create_graph=True, allow_unused=True))
            return None, None, *(next(slopes) if x.requires_grad else None for x in given)
        passes = _Adjoints(ctx.norm, ctx.layout, tensors, by_hand=True, saving=True)
        passes.restore(saved)
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

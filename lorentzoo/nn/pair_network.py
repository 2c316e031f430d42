"""How does a small network run on all pairs of particles without keeping its hidden layers?

Pairs outnumber particles by two orders of magnitude, so what a network on pairs keeps for its backward
pass decides the memory of the whole model. Here the first layer is linear in the two particles and the edge
and is made again from them; of the others only the sums before the activation are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from lorentzoo.core.modes import in_transform

__all__ = ["pair_hidden"]

_GELU = torch.ops.aten.gelu.out
_Terms: TypeAlias = tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None]
"""Receive, send, edge, edge_weight, left and right of `pair_hidden`."""


def pair_hidden(
    receive: Tensor,
    send: Tensor,
    edge: Tensor | None,
    edge_weight: Tensor | None,
    left: Tensor | None,
    right: Tensor | None,
    layers: Sequence[tuple[Tensor, Tensor]],
) -> Tensor:
    """Last hidden layer of a GELU network on pairs.

    The first layer's sum is ``receive_i + send_j + edge_ij edge_weight + Σ_k left_ik right_kj``.

    Parameters
    ----------
    receive, send
        Shares of the two particles, shape (b, n, C).
    edge
        One number a pair, shape (b, n, n), or None.
    edge_weight
        Its weights, shape (C,), or None.
    left, right
        Numbers of the receiver, shape (b, n, K), and what the sender makes of each, shape (b, K, n, C); or None.
    layers
        Weights (C, C) and biases (C,) of the layers between hidden ones.

    Returns
    -------
    Shape (b, n, n, C), after the activation.
    """
    terms: _Terms = (receive, send, edge, edge_weight, left, right)
    flat = [tensor for layer in layers for tensor in layer]
    device = receive.device.type
    if torch.is_autocast_enabled(device):
        # One precision for the whole network: its own backward pass does not know of autocast.
        lower = torch.get_autocast_dtype(device)
        cast = [None if x is None else x.to(lower) for x in terms]
        pairs = [(weight.to(lower), bias.to(lower)) for weight, bias in layers]
        with torch.autocast(device, enabled=False):
            return pair_hidden(*cast, pairs)  # type: ignore[arg-type, call-arg]
    if not torch.is_grad_enabled() or torch.compiler.is_compiling() or in_transform():
        return _plain(terms, flat)
    return _PairHidden.apply(*terms, *flat)


def _with_send(send: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """The sender's share as one more product, (b, n, K + 1) and (b, K + 1, n C)."""
    return F.pad(left, (0, 1), value=1.0), torch.cat([right, send.unsqueeze(1)], dim=1).flatten(2)


def _first(terms: _Terms) -> Tensor:
    """The first layer's sum, of new tensors throughout: transforms do not know those that are written to."""
    receive, send, edge, edge_weight, left, right = terms
    if left is None or right is None:
        total = receive.unsqueeze(2) + send.unsqueeze(1)
    else:
        one, two = _with_send(send, left, right)
        total = (one @ two).unflatten(-1, send.shape[1:]) + receive.unsqueeze(2)
    if edge is not None and edge_weight is not None:
        total = torch.addcmul(total, edge.unsqueeze(-1), edge_weight)
    return total


def _first_in_place(terms: _Terms) -> Tensor:
    """The same without a new tensor for each term."""
    receive, send, edge, edge_weight, left, right = terms
    if left is None or right is None:
        total = receive.unsqueeze(2) + send.unsqueeze(1)
    else:
        one, two = _with_send(send, left, right)
        total = torch.bmm(one, two).unflatten(-1, send.shape[1:])
        total += receive.unsqueeze(2)
    if edge is not None and edge_weight is not None:
        total.addcmul_(edge.unsqueeze(-1), edge_weight)
    return total


def _plain(terms: _Terms, flat: Sequence[Tensor]) -> Tensor:
    x = F.gelu(_first(terms))
    for weight, bias in zip(flat[::2], flat[1::2], strict=True):
        x = F.gelu(F.linear(x, weight, bias))
    return x


class _PairHidden(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        terms: _Terms = given[:6]
        flat: tuple[Tensor, ...] = given[6:]
        total = _first_in_place(terms)
        sums: list[Tensor] = []
        for weight, bias in zip(flat[::2], flat[1::2], strict=True):
            # The first sum is not kept, so that its place is free.
            total = F.linear(F.gelu(total) if sums else _GELU(total, out=total), weight, bias)
            sums.append(total)
        ctx.save_for_backward(*given, *sums)
        ctx.layers = len(sums)
        return F.gelu(total)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        terms, rest = ctx.saved_tensors[:6], ctx.saved_tensors[6:]
        _, send, edge, edge_weight, left, right = terms
        flat, sums = rest[: 2 * ctx.layers], rest[2 * ctx.layers :]
        if torch.is_grad_enabled():
            # Second derivatives are wanted: the same gradients by operations that have their own.
            inputs = (*terms, *flat)
            wanted = [x for x in inputs if x is not None and x.requires_grad]
            out = _plain(terms, flat)
            found = iter(torch.autograd.grad(out, wanted, grad, create_graph=True))
            return tuple(next(found) if x is not None and x.requires_grad else None for x in inputs)
        first = _first_in_place(terms)
        gradients: list[Tensor] = []
        width = grad.shape[-1]
        before = [first, *sums]
        grad = torch.ops.aten.gelu_backward(grad, before[-1])
        for number in reversed(range(ctx.layers)):
            below = F.gelu(before[number])
            rows, place = grad.reshape(-1, width), below.reshape(-1, width)
            gradients[:0] = [rows.t() @ place, rows.sum(0)]
            # What was read last is in the cache, and takes what comes next.
            torch.mm(rows, flat[2 * number], out=place)
            grad = torch.ops.aten.gelu_backward.grad_input(below, before[number], grad_input=below)
        grad_edge = grad_weight = None
        if edge is not None and edge_weight is not None:
            rows = grad.reshape(-1, width)
            if ctx.needs_input_grad[2]:
                grad_edge = (rows @ edge_weight).reshape(edge.shape)
            grad_weight = rows.t() @ edge.reshape(-1)
        shares: tuple[Tensor | None, ...]
        if left is None or right is None:
            shares = (grad.sum(1), grad_edge, grad_weight, None, None)
        else:
            one, two = _with_send(send, left, right)
            rows = grad.flatten(2)
            to_right = torch.bmm(one.transpose(1, 2), rows).unflatten(-1, send.shape[1:])
            to_left = torch.bmm(rows, two.transpose(1, 2))[..., :-1]
            shares = (to_right[:, -1], grad_edge, grad_weight, to_left, to_right[:, :-1])
        return grad.sum(2), *shares, *gradients

"""How does a small network run on all pairs of particles without keeping its hidden layers?

Pairs outnumber particles by two orders of magnitude, so what a network on pairs keeps for its backward
pass decides the memory of the whole model. Here the first layer is linear in the two particles and the edge
and is made again from them; of the others only the sums before the activation are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lorentzoo.core.modes import in_transform

__all__ = ["pair_hidden"]


def pair_hidden(
    receive: Tensor,
    send: Tensor,
    edge: Tensor | None,
    edge_weight: Tensor | None,
    further: Tensor | None,
    layers: Sequence[tuple[Tensor, Tensor]],
) -> Tensor:
    """Last hidden layer of a GELU network on pairs.

    The first layer's sum is ``receive_i + send_j + edge_ij edge_weight + further_ij``.

    Parameters
    ----------
    receive, send
        Shares of the two particles, shape (b, n, C).
    edge
        One number a pair, shape (b, n, n), or None.
    edge_weight
        Its weights, shape (C,), or None.
    further
        More of the first layer's sum, shape (b, n, n, C), or None.
    layers
        Weights (C, C) and biases (C,) of the layers between hidden ones.

    Returns
    -------
    Shape (b, n, n, C), after the activation.
    """
    flat = [tensor for layer in layers for tensor in layer]
    device = receive.device.type
    if torch.is_autocast_enabled(device):
        # One precision for the whole network: its own backward pass does not know of autocast.
        lower = torch.get_autocast_dtype(device)
        cast = [None if x is None else x.to(lower) for x in (receive, send, edge, edge_weight, further)]
        pairs = [(weight.to(lower), bias.to(lower)) for weight, bias in layers]
        with torch.autocast(device, enabled=False):
            return pair_hidden(cast[0], cast[1], cast[2], cast[3], cast[4], pairs)  # type: ignore[arg-type]
    if not torch.is_grad_enabled() or torch.compiler.is_compiling() or in_transform():
        return _plain(receive, send, edge, edge_weight, further, flat)
    return _PairHidden.apply(receive, send, edge, edge_weight, further, *flat)


def _first(
    receive: Tensor, send: Tensor, edge: Tensor | None, edge_weight: Tensor | None, further: Tensor | None
) -> Tensor:
    total = receive.unsqueeze(2) + send.unsqueeze(1)
    if further is not None:
        total = total + further
    if edge is not None and edge_weight is not None:
        total = torch.addcmul(total, edge.unsqueeze(-1), edge_weight)
    return total


def _first_in_place(
    receive: Tensor, send: Tensor, edge: Tensor | None, edge_weight: Tensor | None, further: Tensor | None
) -> Tensor:
    """The same without a new tensor for each term."""
    total = receive.unsqueeze(2) + send.unsqueeze(1)
    if further is not None:
        total += further
    if edge is not None and edge_weight is not None:
        total.addcmul_(edge.unsqueeze(-1), edge_weight)
    return total


def _plain(
    receive: Tensor,
    send: Tensor,
    edge: Tensor | None,
    edge_weight: Tensor | None,
    further: Tensor | None,
    flat: Sequence[Tensor],
) -> Tensor:
    x = F.gelu(_first(receive, send, edge, edge_weight, further))
    for weight, bias in zip(flat[::2], flat[1::2], strict=True):
        x = F.gelu(F.linear(x, weight, bias))
    return x


class _PairHidden(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        receive: Tensor,
        send: Tensor,
        edge: Tensor | None,
        edge_weight: Tensor | None,
        further: Tensor | None,
        *flat: Tensor,
    ) -> Tensor:
        total = _first_in_place(receive, send, edge, edge_weight, further)
        sums = []
        for weight, bias in zip(flat[::2], flat[1::2], strict=True):
            total = F.linear(F.gelu(total), weight, bias)
            sums.append(total)
        ctx.save_for_backward(receive, send, edge, edge_weight, further, *flat, *sums)
        ctx.layers = len(sums)
        return F.gelu(total)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        receive, send, edge, edge_weight, further, *rest = ctx.saved_tensors
        flat, sums = rest[: 2 * ctx.layers], rest[2 * ctx.layers :]
        if torch.is_grad_enabled():
            # Second derivatives are wanted: the same gradients by operations that have their own.
            inputs = (receive, send, edge, edge_weight, further, *flat)
            wanted = [x for x in inputs if x is not None and x.requires_grad]
            out = _plain(receive, send, edge, edge_weight, further, flat)
            found = iter(torch.autograd.grad(out, wanted, grad, create_graph=True))
            return tuple(next(found) if x is not None and x.requires_grad else None for x in inputs)
        first = _first_in_place(receive, send, edge, edge_weight, further)
        gradients: list[Tensor] = []
        width = grad.shape[-1]
        for number in reversed(range(ctx.layers)):
            grad = torch.ops.aten.gelu_backward(grad, sums[number])
            below = F.gelu(first if number == 0 else sums[number - 1])
            rows = grad.reshape(-1, width)
            gradients[:0] = [rows.t() @ below.reshape(-1, below.shape[-1]), rows.sum(0)]
            grad = (rows @ flat[2 * number]).reshape(below.shape)
        grad = torch.ops.aten.gelu_backward(grad, first)
        grad_edge = grad_weight = None
        if edge is not None and edge_weight is not None:
            rows = grad.reshape(-1, width)
            if ctx.needs_input_grad[2]:
                grad_edge = (rows @ edge_weight).reshape(edge.shape)
            grad_weight = rows.t() @ edge.reshape(-1)
        return (
            grad.sum(2),
            grad.sum(1),
            grad_edge,
            grad_weight,
            grad if further is not None else None,
            *gradients,
        )

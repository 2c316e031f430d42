r"""Gated linear units of L-GATr-slim: scalars gated by scalars, vectors by inner products of vectors.

    s' = s act(t),    v' = v act(λ ⟨w, u⟩),

with all five read from one linear map. The gradient is written in place of these five, instead of being summed from
padded pieces, and nothing is kept but the map's output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lorentzoo.nn import in_transform
from lorentzoo.plugins.lgatr.gate import Activation, activate, activation_adjoint

__all__ = ["SlimGate", "gate_slim", "inner_products"]


class SlimGate(NamedTuple):
    """Activation of the scalars, of the vectors, and the factor λ of inner products."""

    activation: Activation
    vector_activation: Activation
    scale: float


def gate_slim(scalars: Tensor, vectors: Tensor, gate: SlimGate) -> tuple[Tensor, Tensor]:
    """Apply the gates.

    Parameters
    ----------
    scalars
        Values s, then arguments t: (..., 2S).
    vectors
        Values v, then the factors w and u: (4, ..., 3C).

    Returns
    -------
    Shapes (..., S) and (4, ..., C).
    """
    function = _GateSlim.forward if torch.compiler.is_compiling() else _GateSlim.apply
    gated: tuple[Tensor, ...] = function(scalars, vectors, gate)
    return gated[0], gated[1]


class _GateSlim(torch.autograd.Function):
    """Saves its inputs only."""

    generate_vmap_rule = True

    @staticmethod
    def forward(scalars: Tensor, vectors: Tensor, gate: SlimGate) -> tuple[Tensor, ...]:
        (values, arguments), (carried, first, second) = _parts(scalars, vectors)
        gates = activate(gate.scale * inner_products(first, second), gate.vector_activation)
        return values * activate(arguments, gate.activation), carried * gates

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        scalars, vectors, ctx.gate = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(scalars, vectors)
        ctx.save_for_forward(scalars, vectors)

    @staticmethod
    def backward(ctx: Any, to_scalars: Tensor | None, to_vectors: Tensor | None) -> tuple[Tensor | None, ...]:
        gate: SlimGate = ctx.gate
        scalars, vectors = ctx.saved_tensors
        (values, arguments), (carried, first, second) = _parts(scalars, vectors)
        to_both: list[Tensor | None] = [None, None]
        if to_scalars is not None:
            slope = activation_adjoint(to_scalars, arguments, gate.activation)
            pairs = [(to_scalars, activate(arguments, gate.activation)), (values, slope)]
            to_both[0] = _products(pairs, scalars)
        if to_vectors is None:
            return *to_both, None
        product = gate.scale * inner_products(first, second)
        along = to_vectors[0] * carried[0]
        for component in (1, 2, 3):
            along = along.addcmul(to_vectors[component], carried[component])
        along = gate.scale * activation_adjoint(along, product, gate.vector_activation)
        time = along.unsqueeze(0)
        signed = torch.cat([time, -time.expand(3, *along.shape)])
        gates = activate(product, gate.vector_activation)
        to_both[1] = _products([(to_vectors, gates), (second, signed), (first, signed)], vectors)
        return *to_both, None

    @staticmethod
    def jvp(ctx: Any, scalars: Tensor | None, vectors: Tensor | None, _: None) -> tuple[Tensor, ...]:
        gate: SlimGate = ctx.gate
        saved = ctx.saved_tensors
        (values, arguments), (carried, first, second) = _parts(*saved)
        given = (scalars, vectors)
        moving = [torch.zeros_like(x) if t is None else t for t, x in zip(given, saved, strict=True)]
        (to_values, to_arguments), (to_carried, to_first, to_second) = _parts(*moving)
        product = gate.scale * inner_products(first, second)
        change = gate.scale * (inner_products(to_first, second) + inner_products(first, to_second))
        slope = activation_adjoint(change, product, gate.vector_activation)
        return (
            to_values * activate(arguments, gate.activation)
            + values * activation_adjoint(to_arguments, arguments, gate.activation),
            to_carried * activate(product, gate.vector_activation) + carried * slope,
        )


def _parts(scalars: Tensor, vectors: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    return scalars.chunk(2, dim=-1), vectors.chunk(3, dim=-1)


def inner_products(first: Tensor, second: Tensor) -> Tensor:
    """Inner products of vectors (4, ...), shape (...)."""
    product = first[0] * second[0]
    for component in (1, 2, 3):
        product = product.addcmul(first[component], second[component], value=-1)
    return product


def _products(pairs: Sequence[tuple[Tensor, Tensor]], like: Tensor) -> Tensor:
    """Products side by side, written where they belong unless derivatives of them are wanted."""
    if torch.is_grad_enabled() or in_transform():
        return torch.cat([left * right for left, right in pairs], dim=-1)
    result = torch.empty_like(like)
    for (left, right), piece in zip(pairs, result.chunk(len(pairs), dim=-1), strict=True):
        torch.mul(left, right, out=piece)
    return result

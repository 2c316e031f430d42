"""Activations by name, and the gate that makes them equivariant: multivectors times a function of their scalar part."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from lorentzoo.plugins.lgatr.columns import join_channels
from lorentzoo.plugins.lgatr.paired import Paired

__all__ = [
    "Activation",
    "activate",
    "activate_with_slope",
    "activate_without_graph",
    "activation_adjoint",
    "gate",
]

GELU_SLOPE, GELU_CUBIC = math.sqrt(2 / math.pi), 0.044715
"""Numbers of the usual approximation x (1 + tanh u) / 2 of the GELU, u = slope (x + cubic x³) (arXiv:1606.08415)."""

Activation = Literal["gelu", "gelu-exact", "relu", "sigmoid", "silu", "tanh"]


def gate(x: Paired, activation: Activation, scalar_activation: Activation | None = None) -> Paired:
    """Multiply each multivector with the activation of its scalar part; activate the auxiliary scalars.

    Parameters
    ----------
    x
        C channels and S scalars.
    activation, scalar_activation
        Of the gates, and of the auxiliary scalars (the same if None).
    """
    scalar_activation = scalar_activation or activation
    if torch.compiler.is_compiling():
        return Paired(*_Gate.forward(*x, activation, scalar_activation))
    return Paired(*_Gate.apply(*x, activation, scalar_activation))


def activate(x: Tensor, activation: Activation) -> Tensor:
    """A pointwise function by name; ``"gelu"`` is the usual approximation by a hyperbolic tangent."""
    if activation == "gelu":
        return F.gelu(x, approximate="tanh")
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "gelu-exact": F.gelu, "relu": F.relu, "sigmoid": F.sigmoid, "silu": F.silu, "tanh": F.tanh
    }  # fmt: skip
    if activation not in functions:
        raise ValueError(f"activation must be one of {['gelu', *functions]}, not {activation!r}")
    return functions[activation](x)


def activate_without_graph(x: Tensor, activation: Activation) -> Tensor:
    """:func:`activate` where no derivative is recorded; the approximate GELU as x σ(2u), cheaper than by tanh u."""
    return x * _gelu_sigmoid(x, x * x) if activation == "gelu" else activate(x, activation)


def activate_with_slope(x: Tensor, activation: Activation) -> tuple[Tensor, Tensor]:
    """:func:`activate_without_graph`, and the derivative."""
    if activation == "gelu":
        square = x * x
        sigmoid = _gelu_sigmoid(x, square)
        value = x * sigmoid
        rest = torch.addcmul(value, value, sigmoid, value=-1)
        slope = torch.add(sigmoid, rest, alpha=2 * GELU_SLOPE)
        return value, slope.addcmul_(rest, square, value=6 * GELU_SLOPE * GELU_CUBIC)
    value = activate(x, activation)
    if activation == "sigmoid":
        return value, torch.addcmul(value, value, value, value=-1)
    return value, activation_adjoint(torch.ones_like(x), x, activation)


def _gelu_sigmoid(x: Tensor, square: Tensor) -> Tensor:
    return torch.addcmul(x, x, square, value=GELU_CUBIC).mul_(2 * GELU_SLOPE).sigmoid_()


class _Gate(torch.autograd.Function):
    """``(A, V, T)`` to the gated stream. Saves its inputs only, which a norm before it has saved already."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        scalars: Tensor,
        vectors: Tensor,
        bivectors: Tensor,
        activation: Activation,
        scalar_activation: Activation,
    ) -> tuple[Tensor, ...]:
        width = vectors.shape[-1]
        gates = _doubled(activate(scalars[..., :width:2], activation))
        rest = activate(scalars[..., width:], scalar_activation)
        return join_channels([scalars[..., :width] * gates, rest]), vectors * gates, bivectors * gates

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        *stream, ctx.activation, ctx.scalar_activation = inputs
        ctx.save_for_backward(*stream)
        ctx.save_for_forward(*stream)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, g = Paired(*ctx.saved_tensors), Paired(*gradients)
        width = x.vectors.shape[-1]
        head, head_gradient = x.scalars[..., :width], g.scalars[..., :width]
        argument = head[..., ::2]
        gates = _doubled(activate(argument, ctx.activation))
        along = head_gradient * head
        for given, planes in ((g.vectors, x.vectors), (g.bivectors, x.bivectors)):
            for left, right in zip(given, planes, strict=True):
                along = along.addcmul(left, right)
        along = activation_adjoint(along.unflatten(-1, (-1, 2)).sum(-1), argument, ctx.activation)
        rest = activation_adjoint(g.auxiliary, x.auxiliary, ctx.scalar_activation)
        invariants = head_gradient * gates
        invariants[..., ::2].add_(along)
        scalars = join_channels([invariants, rest])
        return scalars, g.vectors * gates, g.bivectors * gates, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> tuple[Tensor, ...]:
        x, t = Paired(*ctx.saved_tensors), Paired(*tangents[:3])
        width = x.vectors.shape[-1]
        head, head_tangent = x.scalars[..., :width], t.scalars[..., :width]
        gates = _doubled(activate(head[..., ::2], ctx.activation))
        change = _doubled(activation_adjoint(head_tangent[..., ::2], head[..., ::2], ctx.activation))
        rest = activation_adjoint(t.auxiliary, x.auxiliary, ctx.scalar_activation)
        return (
            join_channels([head_tangent * gates + head * change, rest]),
            t.vectors * gates + x.vectors * change,
            t.bivectors * gates + x.bivectors * change,
        )


def _doubled(x: Tensor) -> Tensor:
    """Each number twice, for real and imaginary part: (..., C) to (..., 2C)."""
    columns = x.movedim(-1, 0)
    return columns.unsqueeze(1).expand(-1, 2, *columns.shape[1:]).flatten(0, 1).movedim(0, -1)


def activation_adjoint(given: Tensor, x: Tensor, activation: Activation) -> Tensor:
    """A gradient, or a tangent, times the derivative of :func:`activate` at x."""
    if activation in ("gelu", "gelu-exact"):
        approximate = "tanh" if activation == "gelu" else "none"
        return torch.ops.aten.gelu_backward(given, x, approximate=approximate)
    if activation == "relu":
        return given * (x > 0)
    if activation == "tanh":
        return given * (1 - torch.tanh(x).square())
    sigmoid = torch.sigmoid(x)
    slope = sigmoid * (1 - sigmoid)
    return given * (slope if activation == "sigmoid" else sigmoid + x * slope)

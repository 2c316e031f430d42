"""What are messages of pairs, and what does the network on pairs read in them, with the gradients written by hand?

Everything stands as planes with pairs (b events, m particles, n partners) innermost: products of matrices make and read
messages, and what lies between them passes over contiguous memory. The functions are plain formulas, so that they can be
recorded and traced as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lorentzoo.plugins.cgenn.product import GRADE_SIGNS, GRADES, NUM_GRADES, PARTNERS, USES

__all__ = [
    "Measures",
    "Reading",
    "Tables",
    "adjoint_of_measure",
    "adjoint_of_read",
    "form_messages",
    "form_operators",
    "measure",
    "partner_matrix",
    "read",
]


class Tables(NamedTuple):
    """Constants of the algebra where the features are.

    Attributes
    ----------
    signs
        ⟨x, x⟩ of each grade from squares of components, (5, 16).
    members
        Which components each grade has, (5, 16).
    grades, factors, uses
        Indices: grade of each component, `PARTNERS` and `USES`.
    """

    signs: Tensor
    members: Tensor
    grades: Tensor
    factors: Tensor
    uses: Tensor

    @classmethod
    def like(cls, x: Tensor) -> Tables:
        """Tables in the dtype and on the device of x."""
        signs = GRADE_SIGNS.to(x)
        return cls(signs, signs.abs(), *(index.to(x.device) for index in (GRADES, PARTNERS, USES)))


def form_operators(gathered: Tensor, weights: Tensor, rows: tuple[int, int], out: Tensor | None) -> Tensor:
    """The matrices by which b m particles multiply their partners, (256, D, b m) -> (16 b, 16 D, O m)."""
    _, channels, width = weights.shape
    made = torch.bmm(weights.transpose(1, 2), gathered, out=out)
    made = made.reshape(16, 16 * channels, width // channels, *rows)
    return made.permute(0, 3, 1, 2, 4).flatten(0, 1).flatten(2)


def partner_matrix(partners: Tensor) -> Tensor:
    """Components and channels of partners in one dimension, for each component of the result, (16 b, 16 D, n)."""
    rows = partners.permute(2, 0, 1, 3).flatten(1, 2)
    return rows.expand(16, *rows.shape).flatten(0, 1)


def form_messages(
    operators: Tensor, partners: Tensor, receive: Tensor, send: Tensor, in_place: bool
) -> Tensor:
    """Messages before they are normalised, (16, O, b, m, n)."""
    _, outputs, b, m = receive.shape
    n = send.shape[-1]
    shares = (receive.unsqueeze(-1) + send.unsqueeze(-2)).transpose(1, 2).reshape(16 * b, outputs * m, n)
    product = (operators.transpose(1, 2), partner_matrix(partners))
    made = shares.baddbmm_(*product) if in_place else shares.baddbmm(*product)
    return made.reshape(16, b, outputs, m, n).transpose(1, 2).contiguous()


class Measures(NamedTuple):
    """What is measured of messages; pairs that are not kept have no scale and no invariants.

    Attributes
    ----------
    invariants
        Of each grade of normalised messages, (5, O, b, m, n).
    scale, base
        What normalises them, with gains, (O, b, m, n), and without, (b, m, n).
    squares, norms
        Of messages as they are, for each grade, (5, O, b, m, n), and of all of them over two, (O, b, m, n).
    """

    invariants: Tensor
    scale: Tensor
    base: Tensor
    squares: Tensor
    norms: Tensor


def measure(message: Tensor, gain: Tensor, keep: Tensor, tables: Tables) -> Measures:
    """Normalise messages by their channels' mean norm √|⟨x, x⟩|, without writing them again."""
    squares = (tables.signs @ message.square().flatten(1)).reshape(NUM_GRADES, *message.shape[1:])
    # The root of two is that of a sum of two; (q² + ε)^¼ has a finite gradient at null multivectors.
    norms = (squares.sum(0).square() * 0.25 + 1e-16).sqrt().sqrt()
    base = keep * math.sqrt(0.5) / (norms.mean(0) + 1e-6)
    scale = gain[:, None, None, None] * base
    invariants = torch.cat([message[:1] * scale, squares[1:] * scale.square()])
    return Measures(invariants, scale, base, squares, norms)


def adjoint_of_measure(
    message: Tensor,
    gain: Tensor,
    measures: Measures,
    to_invariants: Tensor,
    to_scale: Tensor,
    tables: Tables,
    to_message: Tensor,
    to_gain: Tensor,
) -> None:
    """Add the gradients of messages and gains; those of invariants and scales are overwritten."""
    _, scale, base, squares, norms = measures
    to_message[0].addcmul_(to_invariants[0], scale)
    to_scale.addcmul_(to_invariants[0], message[0])
    to_scale.addcmul_((to_invariants[1:] * squares[1:]).sum(0), scale, value=2)
    to_gain += (to_scale * base).flatten(1).sum(1)
    to_norms = torch.einsum("o,o...->...", gain, to_scale) * base.square() * (-math.sqrt(2) / len(gain))
    to_invariants[1:] *= scale.square()
    to_invariants[0] = 0.0
    to_invariants += squares.sum(0) * to_norms / (8 * norms.pow(3))
    signed = (tables.signs.T @ to_invariants.flatten(1)).view(message.shape)
    to_message.addcmul_(message, signed, value=2)


class Reading(NamedTuple):
    """What the network on pairs makes of invariants, flat over pairs.

    Attributes
    ----------
    first, scalars, hidden
        Its hidden layers, (H, R); the second are the scalars μ, zero where no pair is kept.
    factors
        Of each grade, (5 O, R).
    """

    first: Tensor
    scalars: Tensor
    hidden: Tensor
    factors: Tensor


def read(
    invariants: Tensor, receive: Tensor, send: Tensor, keep: Tensor, layers: Sequence[Tensor]
) -> Reading:
    """Evaluate the network on pairs. Shapes (5 O, R), (H, b, m), (H, b, n), (b, m, n)."""
    edge, second, second_bias, gate, gate_bias, factors, factors_bias = layers
    shares = (receive.unsqueeze(-1) + send.unsqueeze(-2)).flatten(1)
    first = torch.relu(torch.addmm(shares, edge, invariants))
    scalars = torch.relu(torch.addmm(second_bias.unsqueeze(-1), second, first)) * keep.flatten()
    hidden = torch.relu(torch.addmm(gate_bias.unsqueeze(-1), gate, scalars))
    return Reading(
        first, scalars, hidden, torch.sigmoid(torch.addmm(factors_bias.unsqueeze(-1), factors, hidden))
    )


def adjoint_of_read(
    invariants: Tensor,
    reading: Reading,
    layers: Sequence[Tensor],
    to_scalars: Tensor,
    to_factors: Tensor,
    to_layers: Sequence[Tensor],
) -> tuple[Tensor, Tensor]:
    """Gradients of invariants and of the first layer's sum; those of layers are added.

    That of the scalars stands for all pairs (H, b, m, n) of each row.
    """
    edge, second, _, gate, _, factors, _ = layers
    given = torch.ops.aten.sigmoid_backward(to_factors, reading.factors)

    def back(given: Tensor, weight: Tensor, below: Tensor, place: int) -> Tensor:
        to_layers[place].addmm_(given, below.T)
        to_layers[place + 1].add_(given.sum(1))
        return weight.T @ given

    given = _where_positive(back(given, factors, reading.hidden, 5), reading.hidden)
    given = back(given, gate, reading.scalars, 3)
    given.view(to_scalars.shape).add_(to_scalars)
    given = _where_positive(given, reading.scalars)
    given = _where_positive(back(given, second, reading.first, 1), reading.first)
    to_layers[0].addmm_(given, invariants.T)
    return edge.T @ given, given


def _where_positive(gradient: Tensor, output: Tensor) -> Tensor:
    """Gradient of a ReLU, from its output."""
    found: Tensor = torch.ops.aten.threshold_backward(gradient, output, 0)
    return found

"""What are messages of pairs, and what does the network on pairs read in them, with the gradients written by hand?

Everything stands as planes with pairs (b events, n partners, m particles) innermost, and the channels of messages beside
the particle: products of matrices make and read messages, and what lies between them passes over contiguous memory. The
functions are plain formulas, so that they can be recorded and traced as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lorentzoo.plugins.cgenn.product import GRADE_SIGNS, GRADES, ProductTable

__all__ = [
    "Measures",
    "Reading",
    "Tables",
    "adjoint_of_measure",
    "adjoint_of_read",
    "by_channels",
    "by_pairs",
    "form_messages",
    "form_operators",
    "measure",
    "partner_matrix",
    "read",
]


class Tables(NamedTuple):
    """Constants of the algebra where the features are, for messages of G grades.

    Attributes
    ----------
    signs
        ⟨x, x⟩ of each grade from squares of components, (G, results).
    members
        Which components each grade has, (G, results).
    grades, uses
        Indices: grade of each component, and `ProductTable.uses`.
    """

    signs: Tensor
    members: Tensor
    grades: Tensor
    uses: Tensor

    @classmethod
    def like(cls, x: Tensor, table: ProductTable) -> Tables:
        """Tables in the dtype and on the device of x."""
        signs = GRADE_SIGNS[: table.result_grades, : table.results].to(x)
        return cls(signs, signs.abs(), GRADES[: table.results].to(x.device), table.uses.to(x.device))


def form_operators(
    gathered: Tensor, weights: Tensor, table: ProductTable, rows: tuple[int, int], out: Tensor | None
) -> Tensor:
    """The matrices by which b m particles multiply their partners.

    Shape (results inputs, D, b m) -> (results b, inputs D, O m).
    """
    _, channels, width = weights.shape
    made = torch.bmm(weights.transpose(1, 2), gathered, out=out)
    made = made.reshape(table.results, table.inputs * channels, width // channels, *rows)
    return made.permute(0, 3, 1, 2, 4).flatten(0, 1).flatten(2)


def partner_matrix(partners: Tensor, results: int) -> Tensor:
    """Components and channels of partners in one dimension, for each component of the result.

    Shape (inputs, D, b, n) -> (results b, n, inputs D).
    """
    rows = partners.permute(2, 3, 0, 1).flatten(2)
    return rows.expand(results, *rows.shape).flatten(0, 1)


def form_messages(
    operators: Tensor, partners: Tensor, receive: Tensor, send: Tensor, in_place: bool
) -> Tensor:
    """Messages before they are normalised, (results, b, n, O, m)."""
    results, outputs, b, m = receive.shape
    own, other = receive.transpose(1, 2).contiguous(), send.permute(0, 2, 3, 1).contiguous()
    shares = (own.unsqueeze(2) + other.unsqueeze(-1)).flatten(3).flatten(0, 1)
    product = (partner_matrix(partners, results), operators)
    made = shares.baddbmm_(*product) if in_place else shares.baddbmm(*product)
    return made.reshape(results, b, send.shape[-1], outputs, m)


def by_channels(x: Tensor) -> Tensor:
    """Pairs of (K, b, n, O, m) as what the network on pairs reads, (K O, b n m)."""
    return x.permute(0, 3, 1, 2, 4).flatten(0, 1).flatten(1)


def by_pairs(x: Tensor, like: Tensor) -> Tensor:
    """Undo `by_channels` for pairs like those of (b, n, O, m)."""
    b, n, outputs, m = like.shape
    return x.view(len(x) // outputs, outputs, b, n, m).permute(0, 2, 3, 1, 4).contiguous()


class Measures(NamedTuple):
    """What is measured of messages; pairs that are not kept have no scale and no invariants.

    Attributes
    ----------
    invariants
        Of each grade of normalised messages, (G O, b n m).
    scale, base
        What normalises them, with gains, (b, n, O, m), and without, (b, n, m).
    squares, norms
        Of messages as they are, for each grade, (G, b, n, O, m), and of all of them over two, (b, n, O, m).
    """

    invariants: Tensor
    scale: Tensor
    base: Tensor
    squares: Tensor
    norms: Tensor


def measure(message: Tensor, gain: Tensor, keep: Tensor, tables: Tables) -> Measures:
    """Normalise messages by their channels' mean norm √|⟨x, x⟩|, without writing them again."""
    squares = (tables.signs @ message.square().flatten(1)).reshape(len(tables.signs), *message.shape[1:])
    # The root of two is that of a sum of two; (q² + ε)^¼ has a finite gradient at null multivectors.
    norms = (squares.sum(0).square() * 0.25 + 1e-16).sqrt().sqrt()
    base = keep * math.sqrt(0.5) / (norms.mean(2) + 1e-6)
    scale = gain.unsqueeze(-1) * base.unsqueeze(2)
    invariants = torch.cat([message[:1] * scale, squares[1:] * scale.square()])
    return Measures(by_channels(invariants), scale, base, squares, norms)


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
    """Add the gradients of messages and gains; those of invariants, (G, b, n, O, m), and scales are overwritten."""
    _, scale, base, squares, norms = measures
    to_message[0].addcmul_(to_invariants[0], scale)
    to_scale.addcmul_(to_invariants[0], message[0])
    to_scale.addcmul_((to_invariants[1:] * squares[1:]).sum(0), scale, value=2)
    to_gain += (to_scale * base.unsqueeze(2)).sum((0, 1, 3))
    to_norms = torch.einsum("o,bnom->bnm", gain, to_scale) * base.square() * (-math.sqrt(2) / len(gain))
    to_invariants[1:] *= scale.square()
    to_invariants[0] = 0.0
    to_invariants += squares.sum(0) * to_norms.unsqueeze(2) / (8 * norms.pow(3))
    signed = (tables.signs.T @ to_invariants.flatten(1)).view(message.shape)
    to_message.addcmul_(message, signed, value=2)


class Reading(NamedTuple):
    """What the network on pairs makes of invariants, flat over pairs.

    Attributes
    ----------
    first, scalars, hidden
        Its hidden layers, (H, R); the second are the scalars μ, zero where no pair is kept.
    factors
        Of each grade, (G O, R).
    """

    first: Tensor
    scalars: Tensor
    hidden: Tensor
    factors: Tensor


def read(
    invariants: Tensor, receive: Tensor, send: Tensor, keep: Tensor, layers: Sequence[Tensor]
) -> Reading:
    """Evaluate the network on pairs. Shapes (G O, R), (H, b, m), (H, b, n), (b, n, m)."""
    edge, second, second_bias, gate, gate_bias, factors, factors_bias = layers
    shares = (receive.unsqueeze(-2) + send.unsqueeze(-1)).flatten(1)
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

    That of the scalars stands for all pairs (H, b, n, m) of each row.
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

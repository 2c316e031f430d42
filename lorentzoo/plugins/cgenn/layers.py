"""What happens in one round of messages of CGENN?"""

from __future__ import annotations

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorentzoo import Layout
from lorentzoo.nn import MaskedBatchNorm, PairTerms, allowed_pairs, edge_sums, normalise_pairs
from lorentzoo.plugins.cgenn.product import (
    GRADES,
    NUM_GRADES,
    NUM_PATHS,
    grade_linear,
    grade_squares,
    norms,
    pair_operators,
    path_grades,
    weighted_product,
)

__all__ = ["CliffordBlock"]

_BLOCK_PAIRS: Final = 2**12


class _Product(nn.Module):
    """A linear map plus a weighted geometric product with another linear map of the same, then a layer norm.

    Parameters
    ----------
    in_channels, out_channels
        Multivectors.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.left = nn.Parameter(torch.empty(out_channels, in_channels, NUM_GRADES))
        self.bias = nn.Parameter(torch.empty(out_channels))
        self.right = nn.Parameter(torch.empty(in_channels, in_channels, NUM_GRADES))
        self.paths = nn.Parameter(torch.empty(out_channels, in_channels, NUM_PATHS))
        self.gain = nn.Parameter(torch.empty(out_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Normal of unit variance at the output, as published."""
        channels = self.right.shape[0]
        nn.init.normal_(self.left, std=1 / math.sqrt(channels))
        nn.init.normal_(self.right, std=1 / math.sqrt(channels))
        nn.init.normal_(self.paths, std=1 / math.sqrt(channels * NUM_GRADES))
        nn.init.zeros_(self.bias)
        nn.init.ones_(self.gain)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (..., in_channels, 16) -> (..., out_channels, 16)."""
        product = weighted_product(x, grade_linear(x, self.right), self.paths)
        return self.normalise(self.add_bias(grade_linear(x, self.left)) + product)

    def add_bias(self, x: Tensor) -> Tensor:
        """A constant on scalar parts: nothing else is invariant."""
        return x + F.pad(self.bias.unsqueeze(-1), (0, 15))

    def normalise(self, x: Tensor) -> Tensor:
        """Divide by the channels' mean norm; the root of two of the sum before it cancels."""
        x = x / math.sqrt(2)
        return x * (self.gain.unsqueeze(-1) / (norms(x).mean(-1)[..., None, None] + 1e-6))


class _PairProduct(_Product):
    """The same for pairs, of the channels [x_i, x_j, x_i - x_j].

    The product is bilinear, so it falls into a share of i alone, a share of j alone, and one of both that is a
    product of matrices: no channel of a pair is ever formed.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__(3 * channels, out_channels)

    def pairs(self, x: Tensor) -> Tensor:
        """Shape (b, n, C, 16) -> (b, n, n, O, 16)."""
        own, other, both = self.paths.chunk(3, dim=1)
        # Columns of the right factor's map that x_i meets, and x_j, for each of the three kinds of channels.
        first, second, third = self.right.chunk(3, dim=1)
        to_i, to_j = (first + third).chunk(3), (second - third).chunk(3)
        grades = path_grades(x.device)

        def weights(paths: Tensor, right: Tensor) -> Tensor:
            """Weights of left channel c and right channel d, (O, C, C, 35)."""
            return paths.unsqueeze(2) * right[..., grades]

        left_i_right_j = weights(own, to_j[0]) + weights(both, to_j[2])
        left_j_right_i = weights(other, to_i[1]) - weights(both, to_i[2])
        operators = pair_operators(x, mine_left=left_j_right_i.transpose(1, 2), mine_right=left_i_right_j)
        # Rows are components of all channels of i, one matrix for each j.
        crossed = (x.flatten(2).unsqueeze(1) @ operators).transpose(1, 2).unflatten(-1, (-1, 16))

        linear = self.left.chunk(3, dim=1)
        twice = torch.cat([x, x], dim=2)
        receive = weighted_product(
            twice, grade_linear(x, torch.cat([to_i[0], to_i[2]])), torch.cat([own, both], dim=1)
        )
        send = weighted_product(
            twice, grade_linear(x, torch.cat([to_j[1], to_j[2]])), torch.cat([other, -both], dim=1)
        )
        receive = self.add_bias(receive + grade_linear(x, linear[0] + linear[2]))
        send = send + grade_linear(x, linear[1] - linear[2])
        return self.normalise(crossed + receive.unsqueeze(2) + send.unsqueeze(1))


class CliffordBlock(nn.Module):
    """One round of messages between multivectors x and scalars h (arXiv:2305.11141, app. D).

    m_ij = φ_x(x_i, x_j, x_i - x_j, p_i, p_j, p_i - p_j), μ_ij = φ_h(invariants of m_ij, h_i, h_j, h_i - h_j);
    x_i <- θ_x(x_i, mean_j σ(ψ μ_ij) m_ij, p_i), h_i <- θ_h(h_i, mean_j μ_ij, invariants of x_i, s_i), and
    x_i <- σ(χ h_i) x_i, with gates σ for each grade.

    Parameters
    ----------
    channels, hidden
        Multivectors and scalars.
    in_vectors, in_scalars
        Vectors p and scalars s of the input.
    """

    def __init__(self, channels: int, hidden: int, in_vectors: int, in_scalars: int) -> None:
        super().__init__()
        self.channels, self.hidden = channels, hidden
        invariants = channels * NUM_GRADES
        self.message = _PairProduct(channels + in_vectors, channels)
        self.update = _Product(2 * channels + in_vectors, channels)
        self.edge_first = nn.Linear(invariants + 3 * hidden, hidden, bias=False)
        self.edge_norm = MaskedBatchNorm(hidden)
        self.edge_second = nn.Linear(hidden, hidden)
        self.node_first = nn.Linear(2 * hidden + invariants + in_scalars, hidden)
        self.node_norm = MaskedBatchNorm(hidden)
        self.node_second = nn.Linear(hidden, hidden)
        self.message_gate, self.update_gate = (
            nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, invariants))
            for _ in range(2)
        )

    def forward(
        self, h: Tensor, x: Tensor, p: Tensor, scalars: Tensor, layout: Layout
    ) -> tuple[Tensor, Tensor]:
        """Shapes (*lead, hidden), (*lead, channels, 16), (*lead, V, 16), (*lead, S) -> the first two."""
        invariants = self.channels * NUM_GRADES
        weight, mine, theirs, difference = self.edge_first.weight.split(
            [invariants, self.hidden, self.hidden, self.hidden], dim=1
        )
        terms = PairTerms(F.linear(h, mine + difference), F.linear(h, theirs - difference), weight)
        both = torch.cat([x, p], dim=-2)
        terms = normalise_pairs(
            self.edge_norm,
            terms,
            layout,
            lambda: edge_sums(
                lambda x: grade_squares(self.message.pairs(x)).flatten(-2),
                invariants,
                layout,
                both,
                max_pairs=_BLOCK_PAIRS,
            ),
        )

        def rows(mask: Tensor | None, receive: Tensor, send: Tensor, x: Tensor) -> Tensor:
            return self._rows(mask, receive, send, x, terms.weight)

        out = layout.map_blocks(rows, terms.receive, terms.send, both, recompute=True, max_pairs=_BLOCK_PAIRS)
        messages, updated = out.split([self.hidden, 16 * self.channels], dim=-1)
        node = torch.cat([h, messages, grade_squares(x).flatten(-2), scalars], dim=-1)
        h = self.node_second(torch.relu(self.node_norm(self.node_first(node), layout.mask)))
        return h, self._gated(self.update_gate, h, updated.unflatten(-1, (self.channels, 16)))

    def _rows(self, mask: Tensor | None, receive: Tensor, send: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        """mean_j μ_ij and the multivectors updated by mean_j σ m_ij, side by side, (b, n, hidden + 16 channels)."""
        m = self.message.pairs(x)
        first = receive.unsqueeze(2) + send.unsqueeze(1) + F.linear(grade_squares(m).flatten(-2), weight)
        mu = torch.relu(self.edge_second(torch.relu(first)))
        m = self._gated(self.message_gate, mu, m).flatten(-2)
        allowed = allowed_pairs(mask, receive, self_pairs=False).unsqueeze(-1)
        partners = allowed.sum(2).clamp(min=1)
        mean_mu, mean_m = (
            torch.where(allowed, value, torch.zeros_like(value)).sum(2) / partners.to(value.dtype)
            for value in (mu, m)
        )
        old, p = x[..., : self.channels, :], x[..., self.channels :, :]
        mean_m = mean_m.unflatten(-1, (self.channels, 16)).to(x.dtype)
        updated = self.update(torch.cat([old, mean_m, p], dim=-2))
        return torch.cat([mean_mu.to(updated.dtype), updated.flatten(-2)], dim=-1)

    def _gated(self, gate: nn.Module, scalars: Tensor, x: Tensor) -> Tensor:
        factors = torch.sigmoid(gate(scalars)).unflatten(-1, (self.channels, NUM_GRADES))
        return x * factors[..., GRADES.to(x.device)]

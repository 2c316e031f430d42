"""What happens in one round of messages of LorentzNet?"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorentzoo import Layout
from lorentzoo.nn import MaskedBatchNorm, PairTerms, allowed_pairs, edge_sums, inner, normalise_pairs

__all__ = ["LorentzBlock", "signed_log"]

_BLOCK_PAIRS: Final = 2**12
"""Pairs evaluated together: their hidden layers stay in the second-level cache."""
_WEIGHT_LIMIT: Final = 100.0
"""Largest weight of a difference of vectors. The published limit of 100 acts on components, which are not invariant."""


class LorentzBlock(nn.Module):
    """A Lorentz group equivariant block (arXiv:2201.08187, eqs. 3.2-3.5).

    m_ij = w φ_e(h_i, h_j, ψ|x_i-x_j|², ψ⟨x_i,x_j⟩) with a gate w = sigmoid φ_m;
    x_i <- x_i + c mean_j φ_x(m_ij) (x_i - x_j);  h_i <- h_i + φ_h(h_i, Σ_j m_ij, s_i).

    Parameters
    ----------
    hidden
        Channels of h.
    in_scalars, in_vectors
        Channels of the inputs s and of x.
    moves_vectors
        Whether x is updated; the last block of a network that emits no vectors leaves them.
    step
        The constant c.
    """

    def __init__(
        self, hidden: int, in_scalars: int, in_vectors: int, moves_vectors: bool, step: float
    ) -> None:
        super().__init__()
        self.hidden, self.in_vectors, self.step = hidden, in_vectors, step
        self.edge_first = nn.Linear(2 * (hidden + in_vectors), hidden, bias=False)
        self.edge_norm = MaskedBatchNorm(hidden)
        self.edge_second = nn.Linear(hidden, hidden)
        self.gate = nn.Linear(hidden, 1)
        self.node_first = nn.Linear(2 * hidden + in_scalars, hidden)
        self.node_norm = MaskedBatchNorm(hidden)
        self.node_second = nn.Linear(hidden, hidden)
        self.weigh: nn.Sequential | None = None
        if moves_vectors:
            last = nn.Linear(hidden, in_vectors, bias=False)
            nn.init.xavier_uniform_(last.weight, gain=0.001)
            self.weigh = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), last)

    def forward(self, h: Tensor, x: Tensor, scalars: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
        """Shapes (*lead, hidden), (*lead, V, 4), (*lead, S) -> (*lead, hidden), (*lead, V, 4)."""
        receive, send, weight = self.edge_first.weight.split(
            [self.hidden, self.hidden, 2 * self.in_vectors], dim=1
        )
        terms = PairTerms(F.linear(h, receive), F.linear(h, send), weight)
        terms = normalise_pairs(
            self.edge_norm,
            terms,
            layout,
            lambda: edge_sums(_invariants, 2 * self.in_vectors, layout, x, max_pairs=_BLOCK_PAIRS),
        )

        def messages(mask: Tensor | None, receive: Tensor, send: Tensor, x: Tensor) -> Tensor:
            return self._messages(mask, receive, send, x, terms.weight)

        summed = layout.map_blocks(
            messages, terms.receive, terms.send, x, recompute=True, max_pairs=_BLOCK_PAIRS
        )
        node = torch.cat([h, summed[..., : self.hidden], scalars], dim=-1)
        node = torch.relu(self.node_norm(self.node_first(node), layout.mask))
        if self.weigh is not None:
            x = x + self.step * summed[..., self.hidden :].unflatten(-1, (self.in_vectors, 4))
        return h + self.node_second(node), x

    def _messages(
        self, mask: Tensor | None, receive: Tensor, send: Tensor, x: Tensor, weight: Tensor
    ) -> Tensor:
        """Σ_j m_ij and mean_j φ_x(m_ij) (x_i - x_j) of a block, side by side, (b, n, hidden + 4V)."""
        first = receive.unsqueeze(2) + send.unsqueeze(1) + F.linear(_invariants(x), weight)
        message = torch.relu(self.edge_second(torch.relu(first)))
        message = message * torch.sigmoid(self.gate(message))
        allowed = allowed_pairs(mask, receive, self_pairs=False).unsqueeze(-1)
        message = torch.where(allowed, message, torch.zeros_like(message))
        if self.weigh is None:
            return message.sum(2)
        weights = self.weigh(message).clamp(-_WEIGHT_LIMIT, _WEIGHT_LIMIT)
        weights = torch.where(allowed, weights, torch.zeros_like(weights)).to(x.dtype)
        moved = x * weights.sum(2).unsqueeze(-1)
        moved = moved - (weights.permute(0, 3, 1, 2) @ x.transpose(1, 2)).transpose(1, 2)
        partners = allowed.sum(2).clamp(min=1).to(x.dtype)
        return torch.cat([message.sum(2).to(x.dtype), moved.flatten(2) / partners], dim=-1)


def signed_log(x: Tensor) -> Tensor:
    """ψ(x) = sign(x) log(1 + |x|), which tames products that span many orders of magnitude."""
    return torch.sign(x) * torch.log1p(x.abs())


def _invariants(x: Tensor) -> Tensor:
    """ψ|x_i-x_j|² and ψ⟨x_i,x_j⟩ of each vector channel, shape (b, n, V, 4) -> (b, n, n, 2V)."""
    difference = x.unsqueeze(2) - x.unsqueeze(1)
    products = inner(x.unsqueeze(2), x.unsqueeze(1))
    return signed_log(torch.cat([inner(difference, difference), products], dim=-1))

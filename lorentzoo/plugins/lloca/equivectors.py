"""Which network predicts vectors that transform as the momenta do?

v_ik = Σ_j softmax_j φ_k(s_i, s_j, log (p_i+p_j)²) (p_i+p_j) / √|(p_i+p_j)²|, with φ a small network on
invariants (arXiv:2505.20280, eq. 8). Pairs are evaluated densely for one block of events at a time
and again in the backward pass, so that memory follows the largest event and not the sum of all pairs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorentzoo import Layout
from lorentzoo.nn import WeightReader, allowed_pairs, lower_index, pair_hidden, pair_masses, pair_statistics

__all__ = ["EdgeInvariant", "EdgeVectors", "partner_sums"]

_BLOCK_PAIRS: Final = 2**12
"""Pairs evaluated together: their hidden layers stay in the second-level cache."""


class EdgeInvariant(nn.Module):
    """The standardised logarithm of pair masses, with floors.

    Parameters
    ----------
    eps
        Floors of (p_i+p_j)², relative to the event's mass squared: of the edge invariant, and of the norm.
    eps_absolute
        The same in GeV² (1e-10 and 1e-12 in the published networks), added to the relative ones.
    """

    older_buffers: ClassVar = {"floors": None}

    edge_mean: Tensor
    edge_std: Tensor
    floors: Tensor

    def __init__(self, eps: tuple[float, float], eps_absolute: tuple[float, float]) -> None:
        super().__init__()
        self.register_buffer("edge_mean", torch.tensor(0.0))
        self.register_buffer("edge_std", torch.tensor(1.0))
        # Kept with the weights: an import brings the floors with which the weights were trained.
        self.register_buffer("floors", torch.tensor([eps, eps_absolute]))

    def fit(self, events: Iterable[tuple[Tensor, Tensor, Layout]]) -> None:
        """Mean and standard deviation of the edge invariant over all pairs, from (momenta, mass², layout)."""
        found = pair_statistics(
            lambda mask, p, mass2: self._logarithm(pair_masses(p), mass2).unsqueeze(-1),
            ((layout, [p, mass2]) for p, mass2, layout in events),
            self_pairs=False,
            smallest=1e-5,
        )
        if found is not None:
            (mean,), (std,) = found
            self.edge_mean.fill_(mean)
            self.edge_std.fill_(std)

    def read_statistics(self, reader: WeightReader, prefix: str) -> None:
        """Published edge statistics; the published floors are absolute, in GeV²."""
        reader.copy(self.edge_mean, f"{prefix}edge_mean")
        reader.copy(self.edge_std, f"{prefix}edge_std")
        reader.assign(self.floors, torch.tensor([[0.0, 0.0], [1e-10, 1e-12]]))

    def invariant(self, square: Tensor, mass2: Tensor) -> Tensor:
        """From (p_i+p_j)² (b, n, n) and the event's mass squared (b, n), shape (b, n, n)."""
        return (self._logarithm(square, mass2) - self.edge_mean) / self.edge_std

    def norm(self, square: Tensor, mass2: Tensor) -> Tensor:
        """√|(p_i+p_j)²| with its floor, shape (b, n, n)."""
        return torch.maximum(square.abs(), self._floor(mass2, 1)).sqrt()

    def _logarithm(self, square: Tensor, mass2: Tensor) -> Tensor:
        return torch.log(torch.maximum(square, self._floor(mass2, 0)))

    def _floor(self, mass2: Tensor, which: int) -> Tensor:
        """Floors of pair masses squared, broadcastable to (b, n, n)."""
        floor = self.floors[0, which] * mass2 + self.floors[1, which]
        return floor.clamp(min=torch.finfo(mass2.dtype).tiny).unsqueeze(2)


class EdgeVectors(EdgeInvariant):
    """Equivariant vectors of each particle from sums with its partners.

    Parameters
    ----------
    num_vectors
        Vectors of each particle, K.
    in_scalars
        Invariants of each particle, S.
    hidden
        Width of the network on pairs.
    num_layers
        Hidden layers.
    eps, eps_absolute
        Floors, see `EdgeInvariant`.
    """

    def __init__(
        self,
        num_vectors: int,
        in_scalars: int,
        hidden: int = 128,
        num_layers: int = 2,
        eps: tuple[float, float] = (1e-14, 1e-16),
        eps_absolute: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        super().__init__(eps, eps_absolute)
        if min(num_layers, hidden) < 1:
            raise ValueError(f"num_layers and hidden must be at least 1, not {num_layers} and {hidden}")
        self.in_scalars = in_scalars
        self.first = nn.Linear(2 * in_scalars + 1, hidden)
        self.layers = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(num_layers - 1))
        self.last = nn.Linear(hidden, num_vectors)

    def read_published(self, reader: WeightReader) -> None:
        """Weights and edge statistics of the published edge network; its floors are absolute, in GeV²."""
        prefix = (
            "equivectors.block" if any(key.startswith("equivectors.") for key in reader.state) else "block"
        )
        layers = [self.first, *self.layers, self.last]
        for layer, place in zip(layers, reader.layers(f"{prefix}.mlp.mlp.", len(layers), 0, 2), strict=True):
            reader.copy_module(layer, place)
        self.read_statistics(reader, f"{prefix}.")

    def forward(self, p: Tensor, scalars: Tensor, causal: Tensor, mass2: Tensor, layout: Layout) -> Tensor:
        """Vectors of each particle.

        Parameters
        ----------
        p
            Momenta (*lead, 4), float64.
        scalars
            Invariants (*lead, S) in the network's dtype.
        causal
            One where the row may enter the first (time-like) vector, else zero, (*lead,) float64.
        mass2
            The event's mass squared at each row, (*lead,), float64; sets the scale of the floors.
        layout
            Which row belongs to which event.

        Returns
        -------
        Shape (*lead, K, 4), float64, normalised by √|Σ_k v_k²|.
        """
        weight = self.first.weight
        s = self.in_scalars
        receive = F.linear(scalars, weight[:, :s], self.first.bias)
        send = F.linear(scalars, weight[:, s : 2 * s])
        return layout.map_blocks(self._block, p, receive, send, causal, mass2, max_pairs=_BLOCK_PAIRS)

    def _block(
        self, mask: Tensor | None, p: Tensor, receive: Tensor, send: Tensor, causal: Tensor, mass2: Tensor
    ) -> Tensor:
        square = pair_masses(p)
        invariant = self.invariant(square, mass2).to(receive.dtype)
        hidden = [(layer.weight, layer.bias) for layer in self.layers if isinstance(layer, nn.Linear)]
        x = pair_hidden(receive, send, invariant, self.first.weight[:, -1], None, None, hidden)
        logits = self.last(x).permute(0, 3, 1, 2)
        allowed = allowed_pairs(mask, square, self_pairs=False).unsqueeze(1).repeat(1, logits.shape[1], 1, 1)
        allowed[:, 0] = allowed[:, 0] & (causal > 0).unsqueeze(1)
        logits = torch.where(allowed, logits, torch.finfo(logits.dtype).min / 2)
        weights = torch.where(allowed, torch.softmax(logits.to(p.dtype), dim=-1), 0.0)
        return partner_sums(weights / self.norm(square, mass2).unsqueeze(1), causal, p)


_TINY: Final = 1e-10
"""Sum of squares below which normalised sums are rounding: a particle without partners."""


def partner_sums(weights: Tensor, causal: Tensor, p: Tensor) -> Tensor:
    """Σ_j w_ijk (p_i + p_j), normalised over k. Shapes (b, K, n, n), (b, n), (b, n, 4) -> (b, n, K, 4)."""
    own = weights.sum(-1)
    # A space-like spurion takes no part in its own time-like vector either.
    own = torch.cat([own[:, :1] * causal.unsqueeze(1), own[:, 1:]], dim=1)
    vectors = weights @ p.unsqueeze(1) + own.unsqueeze(-1) * p.unsqueeze(1)
    size = (vectors * lower_index(vectors)).sum(-1).sum(1).abs()
    size = torch.where(size > _TINY, size, torch.ones_like(size)).sqrt()
    return (vectors / size[:, None, :, None]).transpose(1, 2)

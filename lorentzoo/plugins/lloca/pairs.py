"""How does a network on pairs predict the vectors from which frames are made?

v_ik = Σ_j softmax_j(f_ijk) (p_i + p_j) / √|(p_i + p_j)²|, with f a permutation-equivariant network on the invariants
of all pairs (arXiv:2508.14898): unlike one that sees each pair on its own, it weighs a pair by the whole event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

from lorentzoo import Backbone, Layout
from lorentzoo.nn import PairBackbone, WeightReader, allowed_pairs, find_class, make_part, pair_masses
from lorentzoo.plugins.lloca.equivectors import EdgeInvariant, partner_sums

__all__ = ["PairVectors", "is_pair_network"]

_BLOCK_PAIRS: Final = 2**12
_OWN_FLOOR: Final = 1e-8
"""Floor of a particle's own mass squared, relative to the event's: of massless particles it is rounding."""
_PACKAGE: Final = "pelican-lite-1.1"
"""What the published frames-net is made of."""


def is_pair_network(backbone: str | Mapping[str, Any]) -> bool:
    """Whether a backbone, by name, gives numbers of pairs."""
    target = find_class("backbone", backbone)
    return isinstance(target, type) and issubclass(target, PairBackbone)


class PairVectors(EdgeInvariant):
    """Equivariant vectors from a network on pairs.

    Parameters
    ----------
    num_vectors
        Vectors of each particle, K.
    in_scalars
        Invariants of each particle.
    backbone
        Name, inline text or mapping of a `PairBackbone`, e.g. ``"pelican:num_blocks=2,hidden_channels=16"``.
    eps, eps_absolute
        Floors, see `EdgeInvariant`.

    Notes
    -----
    The published network (``lloca`` 1.3 and 2.0) sums over j = i too, whose normalised momentum is unbounded for
    massless particles, and lets the weights sum to one over receivers i instead of partners j. Networks with its
    imported weights do the same.
    """

    published_sums: Tensor

    def __init__(
        self,
        num_vectors: int,
        in_scalars: int,
        backbone: str | Mapping[str, Any],
        eps: tuple[float, float] = (1e-14, 1e-16),
        eps_absolute: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        super().__init__(eps, eps_absolute)
        network: Backbone = make_part(
            "backbone",
            backbone,
            PairBackbone,
            in_scalars=in_scalars,
            in_vectors=1,
            in_context=0,
            out_scalars=0,
            out_vectors=0,
            out_pairs=num_vectors,
        )
        assert isinstance(network, PairBackbone)
        self.network = network
        self.register_buffer("published_sums", torch.tensor(False))

    def read_published(self, reader: WeightReader) -> None:
        """Weights and edge statistics of ``lloca.equivectors.pelican.PELICANVectors``."""
        prefix = "equivectors." if any(key.startswith("equivectors.") for key in reader.state) else ""
        with reader.under(f"{prefix}net."):
            self.network.read_published(reader, _PACKAGE)
        self.read_statistics(reader, prefix)
        reader.assign(self.published_sums, torch.tensor(True))

    def forward(self, p: Tensor, scalars: Tensor, causal: Tensor, mass2: Tensor, layout: Layout) -> Tensor:
        """Vectors of each particle; arguments and result as in `EdgeVectors`."""
        return layout.map_blocks(
            self._block, p, scalars, causal, mass2, recompute=True, max_pairs=_BLOCK_PAIRS
        )

    def _block(
        self, mask: Tensor | None, p: Tensor, scalars: Tensor, causal: Tensor, mass2: Tensor
    ) -> Tensor:
        square = pair_masses(p)
        own = torch.eye(p.shape[1], dtype=torch.bool, device=p.device)
        floor = torch.where(own & ~self.published_sums, _OWN_FLOOR * mass2.unsqueeze(2), square)
        invariant = self.invariant(torch.maximum(square, floor), mass2).unsqueeze(-1)
        numbers = self.network.pair_numbers(mask, invariant.to(scalars.dtype), scalars)
        logits = numbers.permute(0, 3, 1, 2)
        allowed = allowed_pairs(mask, square, self_pairs=True) & (~own | self.published_sums)
        allowed = allowed.unsqueeze(1).repeat(1, logits.shape[1], 1, 1)
        allowed[:, 0] = allowed[:, 0] & (causal > 0).unsqueeze(1)
        logits = torch.where(allowed, logits, torch.finfo(logits.dtype).min / 2)
        weights = torch.softmax(logits.to(p.dtype), dim=-1)
        weights = torch.where(self.published_sums, weights.transpose(-1, -2), weights)
        weights = torch.where(allowed, weights, 0.0)
        return partner_sums(weights / self.norm(square, mass2).unsqueeze(1), causal, p)

"""How does an equivariant network of the zoo predict the vectors from which frames are made?

A backbone gives every particle queries and keys, by a method of its own (a `QueryBackbone`: multivectors and scalars of
L-GATr) or out of its scalars and vectors; their invariant products weight the sums with the partners:
v_ik = Σ_j softmax_j(⟨q_ik, k_jk⟩) (p_i + p_j) (arXiv:2508.14898). The published network asks the other way round, with
weights softmax_i(⟨q_jk, k_ik⟩) that sum to one over receivers, and momenta in GeV; imported weights bring that along.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import torch
from torch import Tensor, nn

from lorentzoo import Backbone, Features, Frames, Layout
from lorentzoo.nn import (
    CheckpointError,
    QueryBackbone,
    WeightReader,
    find_class,
    lower_index,
    make_part,
    require_package,
)
from lorentzoo.plugins.lloca.equivectors import partner_sums

__all__ = ["AttentiveVectors"]

_BLOCK_PAIRS: Final = 2**12
_PACKAGE: Final = "lgatr-2.0"
"""What the published frames-nets of lloca 2.0 are made of."""


class AttentiveVectors(nn.Module):
    """Equivariant vectors from an equivariant backbone.

    Parameters
    ----------
    num_vectors
        Vectors of each particle, K.
    in_scalars
        Invariants of each particle.
    backbone
        Name, inline text or mapping of an equivariant backbone, e.g. ``"lgatr:num_blocks=1"``.
    channels
        Vector and scalar channels of each query, of backbones that have no queries of their own.

    Raises
    ------
    ValueError
        If the backbone is not equivariant by its layers: its vectors would make no covariant frames.
    """

    older_buffers: ClassVar = {"published_sums": None}
    published_sums: Tensor

    def __init__(
        self,
        num_vectors: int,
        in_scalars: int,
        backbone: str | Mapping[str, Any],
        channels: tuple[int, int] = (4, 4),
    ) -> None:
        super().__init__()
        self.num_vectors, self.channels = num_vectors, channels
        vectors, scalars = channels
        target = find_class("backbone", backbone)
        own = isinstance(target, type) and issubclass(target, QueryBackbone)
        outputs = {
            "out_scalars": 2 * num_vectors * scalars,
            "out_vectors": 2 * num_vectors * vectors,
        }
        if own:
            outputs = {"out_scalars": 0, "out_vectors": 0, "out_queries": num_vectors}
        self.network: Backbone = make_part(
            "backbone",
            backbone,
            QueryBackbone if own else Backbone,
            in_scalars=in_scalars,
            in_vectors=1,
            in_context=0,
            **outputs,
        )
        if not (self.network.equivariant and self.network.projects) or self.network.pools:
            raise ValueError(
                f"equivectors need a backbone that is equivariant by its layers, not {backbone!r}"
            )

        self.register_buffer("published_sums", torch.tensor(False))

    def read_published(self, reader: WeightReader, package: str) -> None:
        """Weights of ``LGATrVectors`` and ``LGATrSlimVectors`` in ``lloca.equivectors.lgatr``.

        Raises
        ------
        CheckpointError
            If the package is another one, or the backbone has no queries of its own.
        """
        require_package(package, "lloca-2.0")
        if not isinstance(self.network, QueryBackbone):
            raise CheckpointError(
                f"published frames-nets are an L-GATr or an L-GATr-slim, not a {type(self.network).__name__}"
            )
        prefix = "equivectors." if any(key.startswith("equivectors.") for key in reader.state) else ""
        with reader.under(f"{prefix}net."):
            self.network.read_published(reader, _PACKAGE)
        reader.assign(self.published_sums, torch.tensor(True))

    def fit(self, events: object) -> None:
        """There are no statistics."""

    def forward(self, p: Tensor, scalars: Tensor, causal: Tensor, mass2: Tensor, layout: Layout) -> Tensor:
        """Vectors of each particle; arguments and result as in `EdgeVectors`."""
        # In units of the event's own mass the network sees the same numbers at every scale.
        unit = torch.where(self.published_sums, torch.ones_like(mass2), mass2.sqrt())
        scaled = (p / unit.unsqueeze(-1)).to(scalars.dtype).unsqueeze(-2)
        query, key = self._queries_and_keys(Features(scalars, scaled), layout)
        query = query / math.sqrt(query.shape[-1])
        return layout.map_blocks(self._block, p, query, key, causal, recompute=True, max_pairs=_BLOCK_PAIRS)

    def _queries_and_keys(self, features: Features, layout: Layout) -> tuple[Tensor, Tensor]:
        """Twice (*lead, K, D), queries with the metric in them."""
        if isinstance(self.network, QueryBackbone):
            return self.network.queries_and_keys(features, layout)
        context = features.scalars.new_zeros(layout.num_events, 0)
        out = self.network(features, Frames.identity(layout), layout, context)
        vectors = out.vectors.unflatten(-2, (2, self.num_vectors, self.channels[0]))
        numbers = out.scalars.unflatten(-1, (2, self.num_vectors, self.channels[1]))
        joined = torch.cat([vectors.flatten(-2), numbers], dim=-1)
        query, key = joined.unbind(-3)
        width = 4 * self.channels[0]
        lowered = lower_index(query[..., :width].unflatten(-1, (-1, 4))).flatten(-2)
        return torch.cat([lowered, query[..., width:]], dim=-1), key

    def _block(self, mask: Tensor | None, p: Tensor, query: Tensor, key: Tensor, causal: Tensor) -> Tensor:
        logits = query.transpose(1, 2) @ key.permute(0, 2, 3, 1)
        allowed = torch.ones_like(logits[:, :, :1], dtype=torch.bool).expand_as(logits).clone()
        allowed[:, 0] &= (causal > 0).unsqueeze(1)
        if mask is not None:
            allowed &= mask[:, None, None]
        logits = torch.where(allowed, logits, torch.finfo(logits.dtype).min / 2).to(p.dtype)
        shares = torch.softmax(logits, dim=-1)
        shares = torch.where(self.published_sums, shares.transpose(-1, -2), shares)
        weights = torch.where(allowed, shares, 0.0)
        return partner_sums(weights, causal, p)

"""The transformer of the published tables: attention between particles, in local frames where there are any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorentzoo import Backbone, Features, Frames, Layout, Reps
from lorentzoo.nn import (
    FeedForward,
    PublishedOption,
    RMSNorm,
    WeightReader,
    attend_between_frames,
    make_published_frames,
    require_package,
)
from lorentzoo.plugins.transformers.published import PRESERVE_VARIANCE, adopt_variance

__all__ = ["Transformer"]


class Transformer(Backbone):
    """Pre-norm transformer encoder without a final norm (arXiv:2508.14898).

    By default with layer norms without parameters and feed-forward layers of one GELU. The second form of lloca 2.0 has
    ``norm="rms", norm_gains=True, gated=True, mlp_ratio=2``.

    Parameters
    ----------
    num_blocks
        Number of blocks.
    num_heads
        Attention heads.
    head_reps
        Lorentz representation of each head, e.g. ``"8x0n+2x1n"``; only scalars and vectors. The width is
        ``num_heads`` times its dimension, over ``attention_ratio``.
    mlp_ratio
        Width of the feed-forward layer relative to the network's.
    dropout
        After attention and feed-forward layers.
    preserve_variance
        Divide vectors by γ of their frame against the event's rest frame before and after attention, so that
        strongly boosted frames do not blow up the features (lloca 2.0).
    variance_eps
        0 takes that γ as it is in the event's rest frame; lloca 2.0 has 0.01 (GeV), (L P)^0 / √(ε² + P²) with the
        event's total P.
    norm, norm_gains
        Norms, ``"layer"`` or ``"rms"`` (arXiv:1910.07467), and whether they have learned gains.
    gated
        Feed-forward layers GELU(G x) ⊙ W x (arXiv:2002.05202) in the place of GELU(W x).
    attention_ratio
        Width of queries, keys and values relative to the network's.
    """

    projects = False
    published_ignored = ("parity_odd",)

    def __init__(
        self,
        num_blocks: int = 10,
        num_heads: int = 8,
        head_reps: str = "8x0n+2x1n",
        mlp_ratio: int = 4,
        dropout: float = 0.0,
        preserve_variance: bool = False,
        variance_eps: float = 0.0,
        norm: Literal["layer", "rms"] = "layer",
        norm_gains: bool = False,
        gated: bool = False,
        attention_ratio: int = 1,
        *,
        in_scalars: int,
        in_vectors: int = 0,
        out_vectors: int = 0,
    ) -> None:
        super().__init__()
        reps = Reps.parse(head_reps)
        if num_blocks < 0 or num_heads < 1 or mlp_ratio < 1 or reps.dim < 1:
            raise ValueError(
                f"a transformer needs at least one head of at least one channel and a positive mlp_ratio, not "
                f"num_blocks={num_blocks}, num_heads={num_heads}, head_reps={head_reps!r}, mlp_ratio={mlp_ratio}"
            )
        inner = num_heads * reps.dim
        if attention_ratio < 1 or inner % attention_ratio:
            raise ValueError(
                f"attention_ratio must divide the {inner} channels of the heads, which {attention_ratio} does not"
            )
        self.width = inner // attention_ratio
        self.in_layer = nn.Linear(in_scalars + 4 * in_vectors, self.width)
        self.blocks = nn.ModuleList(
            _Block(
                FrameAttention(self.width, num_heads, reps, preserve_variance, variance_eps),
                _GatedLayer(self.width, mlp_ratio) if gated else _FeedForward(self.width, mlp_ratio),
                _make_norms(norm, self.width, norm_gains),
                dropout,
            )
            for _ in range(num_blocks)
        )
        self.reads_totals = preserve_variance and variance_eps > 0
        self.out_vectors = out_vectors
        if out_vectors:
            self.vector_layer = nn.Linear(self.width, 4 * out_vectors)
        self._exchanges = not reps.is_invariant

    @property
    def exchanges_vectors(self) -> bool:
        return self._exchanges

    def read_published(self, reader: WeightReader, package: str) -> list[str]:
        """Weights of ``lloca.backbone.transformer.Transformer`` (1.3, 2.0), and of that of ``transformer_v2`` (2.0)."""
        require_package(package, "lloca-1.3", "lloca-2.0")
        reader.copy_module(self.in_layer, "linear_in")
        for number, block in enumerate(self.blocks):
            assert isinstance(block, _Block)
            block.read_published(reader, f"blocks.{number}")
        return ["linear_out"]

    def published_options(self, package: str) -> Mapping[str, PublishedOption]:
        """Those of the variance, which lloca 2.0 introduced."""
        return PRESERVE_VARIANCE if package == "lloca-2.0" else {}

    def adopt(self, package: str, options: Mapping[str, Any]) -> Mapping[str, object]:
        """Whether and how features of boosted frames are divided by γ."""
        attentions = [block.attention for block in self.blocks if isinstance(block, _Block)]
        adopted = adopt_variance(attentions, options)
        self.reads_totals = adopted["preserve_variance"] is True and adopted["variance_eps"] != 0
        return adopted

    def run_published(
        self, network: nn.Module, package: str, features: Features, frames: Frames, context: Tensor
    ) -> Tensor:
        inputs = torch.cat([features.scalars, features.vectors.flatten(-2)], dim=-1)
        totals = {} if package == "lloca-1.3" else {"p_ref": frames.totals}
        rows: Tensor = network(inputs, make_published_frames(frames), **totals)
        return rows

    def forward(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Scalars (*lead, width); vectors (*lead, out_vectors, 4) in local frames."""
        x = self.in_layer(torch.cat([features.scalars, features.vectors.flatten(-2)], dim=-1))
        for block in self.blocks:
            x = block(x, frames, layout)
        if not self.out_vectors:
            return Features.of_scalars(x)
        return Features(x, self.vector_layer(x).unflatten(-1, (self.out_vectors, 4)))


class _FeedForward(FeedForward):
    """With the names of lloca."""

    def read_published(self, reader: WeightReader, prefix: str) -> None:
        places = reader.layers(f"{prefix}.mlp.", 2, first=0, stride=3)
        reader.copy_module(self[0], places[0])
        reader.copy_module(self[2], places[1])


class _GatedLayer(nn.Module):
    """W' (GELU(G x) ⊙ W x), G and W one map."""

    def __init__(self, width: int, ratio: int) -> None:
        super().__init__()
        self.enter = nn.Linear(width, 2 * ratio * width)
        self.leave = nn.Linear(ratio * width, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, hidden = self.enter(x).chunk(2, dim=-1)
        out: Tensor = self.leave(F.gelu(gate) * hidden)
        return out

    def read_published(self, reader: WeightReader, prefix: str) -> None:
        reader.copy_module(self.enter, f"{prefix}.mlp_in.0")
        reader.copy_module(self.leave, f"{prefix}.mlp_out.0")


def _make_norms(name: Literal["layer", "rms"], width: int, gains: bool) -> nn.ModuleList:
    """Before attention and before the feed-forward layer."""
    if name == "rms":
        return nn.ModuleList(RMSNorm(width, gains) for _ in range(2))
    return nn.ModuleList(nn.LayerNorm(width, elementwise_affine=gains) for _ in range(2))


class _Block(nn.Module):
    def __init__(
        self,
        attention: FrameAttention,
        mlp: _FeedForward | _GatedLayer,
        norms: nn.ModuleList,
        dropout: float,
    ) -> None:
        super().__init__()
        self.attention, self.mlp, self.norms = attention, mlp, norms
        self.dropout = nn.Dropout(dropout)

    def read_published(self, reader: WeightReader, prefix: str) -> None:
        """Weights of one published block."""
        self.attention.read_published(reader, f"{prefix}.attention")
        self.mlp.read_published(reader, prefix)
        for number, norm in enumerate(self.norms, start=1):
            reader.copy_module(norm, f"{prefix}.norm{number}")

    def forward(self, x: Tensor, frames: Frames, layout: Layout) -> Tensor:
        before, between = self.norms
        x = x + self.dropout(self.attention(before(x), frames, layout))
        return x + self.dropout(self.mlp(between(x)))


class FrameAttention(nn.Module):
    """Multi-head self-attention between local frames.

    Channels are ordered [scalars of all heads | vectors of all heads], for each of q, k, v, so that all
    vectors of a particle are one matrix product with its frame.

    Parameters
    ----------
    width
        Channels in and out; inside there are ``num_heads · reps.dim``.
    num_heads
        Number of heads.
    reps
        Representation of each head: scalars and vectors.
    preserve_variance, variance_eps
        See `Transformer`.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        reps: Reps,
        preserve_variance: bool = False,
        variance_eps: float = 0.0,
    ) -> None:
        super().__init__()
        if any(term.order > 1 or term.parity != "n" for term in reps):
            raise ValueError(f"head_reps may hold scalars (0n) and vectors (1n), not {str(reps)!r}")
        self.num_heads = num_heads
        self.preserve_variance = preserve_variance
        self.variance_eps = variance_eps
        self.head_scalars = sum(term.multiplicity for term in reps if term.order == 0)
        self.head_vectors = sum(term.multiplicity for term in reps if term.order == 1)
        inner = num_heads * reps.dim
        self.qkv = nn.Linear(width, 3 * inner)
        self.out = nn.Linear(inner, width)

    def read_published(self, reader: WeightReader, prefix: str) -> None:
        """The published channels are (q|k|v, channel, head) with the head fastest; those of a head [scalars|vectors]."""
        width, inner = self.out.out_features, self.out.in_features
        heads, s = self.num_heads, self.head_scalars
        head = inner // heads

        def ours(x: Tensor) -> Tensor:
            """Rows (3, channel, head) -> (3, head, channel), scalars of all heads first."""
            x = x.unflatten(0, (3, head, heads)).transpose(1, 2)
            return torch.cat([x[:, :, :s].flatten(0, 2), x[:, :, s:].flatten(0, 2)])

        weight = reader.take(f"{prefix}.qkv_linear.linear.weight", 3 * inner, width)
        bias = reader.take(f"{prefix}.qkv_linear.linear.bias", 3 * inner)
        reader.assign(self.qkv.weight, ours(weight))
        reader.assign(self.qkv.bias, ours(bias))
        columns = reader.take(f"{prefix}.out_linear.weight", width, inner).unflatten(1, (heads, head))
        reader.assign(
            self.out.weight, torch.cat([columns[:, :, :s].flatten(1), columns[:, :, s:].flatten(1)], dim=1)
        )
        reader.copy(self.out.bias, f"{prefix}.out_linear.bias")

    def forward(self, x: Tensor, frames: Frames, layout: Layout) -> Tensor:
        """Shape (*lead, width) -> (*lead, width)."""
        heads = self.num_heads
        qkv = self.qkv(x)
        scalars, vectors = qkv.split([3 * heads * self.head_scalars, 12 * heads * self.head_vectors], dim=-1)
        scalars, vectors = attend_between_frames(
            scalars.unflatten(-1, (3, heads, self.head_scalars)),
            vectors.unflatten(-1, (3, heads, self.head_vectors, 4)),
            frames,
            layout,
            preserve_variance=self.preserve_variance,
            mass_floor=self.variance_eps,
        )
        return self.out(torch.cat([scalars.flatten(-2), vectors.flatten(-3)], dim=-1))

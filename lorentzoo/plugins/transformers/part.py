"""How does the Particle Transformer attend?

Pairwise features of the momenta are embedded once and bias the attention of every block; two class
blocks then read the particles with a class token (arXiv:2202.03772; in local frames arXiv:2508.14898).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorentzoo import Backbone, Features, Frames, Layout, Reps, Symmetry
from lorentzoo.core.blocks import Extended, PairValues
from lorentzoo.core.foreign import WeightReader, require_package
from lorentzoo.core.minkowski import inverse, mass_squared, phi, pt, rapidity
from lorentzoo.core.norms import MaskedBatchNorm

__all__ = ["PairEmbedding", "ParT", "pair_features"]

_EPS: Final = 1e-8
"""Floor of the pairwise quantities before their logarithm, in GeV units (arXiv:2202.03772)."""


class ParT(Backbone):
    """Particle Transformer.

    Parameters
    ----------
    num_blocks, num_class_blocks
        Particle attention blocks and class attention blocks.
    embed_dims
        Widths of the particle embedding; the last one is the network's.
    pair_dims
        Hidden widths of the pair embedding.
    num_heads
        Attention heads.
    head_reps
        Lorentz representation of each head in learned frames: scalars and vectors.
    mlp_ratio
        Width of the feed-forward layer relative to the network's.
    dropout
        In particle blocks.
    pair_frames
        In which frames the pair features see the two momenta: ``"own"``, each in its own as published, or
        ``"centre"``, both in the first one's.
    """

    pools = True
    reads_vectors = "pairs"
    published_ignored = ("parity_odd",)

    def __init__(
        self,
        num_blocks: int = 8,
        num_class_blocks: int = 2,
        embed_dims: tuple[int, ...] = (128, 512, 128),
        pair_dims: tuple[int, ...] = (64, 64, 64),
        num_heads: int = 8,
        head_reps: str = "8x0n+2x1n",
        mlp_ratio: int = 4,
        dropout: float = 0.1,
        pair_frames: Literal["own", "centre"] = "own",
        *,
        in_scalars: int,
        in_vectors: int = 0,
    ) -> None:
        super().__init__()
        if in_vectors != 1:
            raise ValueError(
                "pair features need the momenta, and nothing else, as vectors: embedding ['...', 'momenta']"
            )
        reps = Reps.parse(head_reps)
        width = embed_dims[-1]
        if reps.dim * num_heads != width:
            raise ValueError(
                f"{num_heads} heads of {head_reps!r} make {reps.dim * num_heads} channels, not {width}"
            )
        self.width = width
        self.pair_frames = pair_frames
        self._exchanges = not reps.is_invariant
        self.norm = MaskedBatchNorm(in_scalars)
        layers: list[nn.Module] = []
        for a, b in zip([in_scalars, *embed_dims[:-1]], embed_dims, strict=True):
            layers += [nn.LayerNorm(a), nn.Linear(a, b), nn.GELU()]
        self.embedding = nn.Sequential(*layers)
        self.pairs = PairEmbedding([*pair_dims, num_heads])
        self.blocks = nn.ModuleList(
            _Block(width, num_heads, reps, mlp_ratio, dropout, depth) for depth in range(1, num_blocks + 1)
        )
        self.class_blocks = nn.ModuleList(
            _Block(width, num_heads, None, mlp_ratio, 0.0, depth) for depth in range(1, num_class_blocks + 1)
        )
        self.class_token = nn.Parameter(torch.empty(1, 1, width))
        nn.init.trunc_normal_(self.class_token, std=0.02)
        self.last_norm = nn.LayerNorm(width)

    @property
    def vector_symmetry(self) -> Symmetry:
        """log m², log kT, log z and log Δ keep beam boosts (they take rapidity) and rotations about the beam."""
        return Symmetry.spanned_by("Kz", "Jz", discrete=("P", "z-flip"))

    @property
    def exchanges_vectors(self) -> bool:
        return self._exchanges

    def forward(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Scalars of each event, (B, width)."""
        x = self.embedding(self.norm(features.scalars, layout.mask))
        bias = self.pairs(self._pair_features(features, frames, layout), layout)
        for block in self.blocks:
            x = block(x, frames, layout, bias)
        with_token = layout.append(1)
        token = self.class_token.expand(layout.num_events, -1, -1)
        for block in self.class_blocks:
            assert isinstance(block, _Block)
            token = block.read(token, x, with_token)
        return Features.of_scalars(self.last_norm(token.squeeze(1)))

    def read_published(self, reader: WeightReader, package: str) -> list[str]:
        """Weights of ParticleTransformer in ``lloca`` (1.3, 2.0) and ``weaver-core``."""
        require_package(package, "lloca-1.3", "lloca-2.0", "weaver")
        reader.copy(self.class_token, "cls_token")
        reader.copy_module(self.norm, "embed.input_bn")
        for place, layer in enumerate(self.embedding):
            if not isinstance(layer, nn.GELU):
                reader.copy_module(layer, f"embed.embed.{place}")
        # lloca puts the pair's mass first, weaver and the zoo last.
        order = [0, 1, 2, 3] if package == "weaver" else [1, 2, 3, 0]
        self.pairs.read_published(reader, "pair_embed.embed", order)
        for name, blocks in (("blocks", self.blocks), ("cls_blocks", self.class_blocks)):
            for number, block in enumerate(blocks):
                assert isinstance(block, _Block)
                block.read_published(reader, f"{name}.{number}")
        reader.copy_module(self.last_norm, "norm")
        return ["fc.0"]

    def _pair_features(self, features: Features, frames: Frames, layout: Layout) -> Tensor:
        """Shape (E, 4), in the network's dtype, one row an unordered pair."""
        triangle = layout.triangle()
        momenta = features.vectors.squeeze(-2).reshape(-1, 4)
        first, second = momenta[triangle.first], momenta[triangle.second]
        if self.pair_frames == "centre":
            relative = frames.relative(triangle.first, triangle.second, dtype=momenta.dtype)
            if relative is not None:
                second = (relative @ second.unsqueeze(-1)).squeeze(-1)
        return pair_features(first, second).to(features.scalars.dtype)


def pair_features(a: Tensor, b: Tensor) -> Tensor:
    """log kT, log z, log Δ and log m² of two momenta. Shapes (..., 4), (..., 4) -> (..., 4).

    kT = min(pT) Δ, z = min(pT)/Σ pT, Δ² = Δy² + Δφ² (arXiv:2202.03772, eq. 3).
    """
    pt_a, pt_b = pt(a), pt(b)
    smaller = torch.minimum(pt_a, pt_b)
    difference = torch.remainder(phi(a) - phi(b) + torch.pi, 2 * torch.pi) - torch.pi
    squared = (rapidity(a) - rapidity(b)).square() + difference.square()
    distance = torch.where(squared > 0, torch.where(squared > 0, squared, 1.0).sqrt(), 0.0)
    z = smaller / (pt_a + pt_b).clamp(min=_EPS)
    quantities = [smaller * distance, z, distance, mass_squared(a + b)]
    return torch.stack([torch.log(x.clamp(min=_EPS)) for x in quantities], dim=-1)


class PairEmbedding(nn.Module):
    """Pointwise network on unordered pairs: BN, then (linear, BN, GELU) for each width.

    Parameters
    ----------
    dims
        Widths; the last one is the number of heads.
    """

    def __init__(self, dims: list[int]) -> None:
        super().__init__()
        widths = [4, *dims]
        self.norm = MaskedBatchNorm(4)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(MaskedBatchNorm(b) for b in dims)

    def read_published(self, reader: WeightReader, prefix: str, order: list[int]) -> None:
        """A sequence of BN, then (convolution, BN, GELU) for each width; `order` finds our features among theirs."""
        for name, target in self.norm.state_dict(keep_vars=True).items():
            value = reader.take(f"{prefix}.0.{name}", *target.shape)
            reader.assign(target, value[order] if value.ndim else value)
        for number, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            assert isinstance(layer, nn.Linear)
            place = f"{prefix}.{3 * number + 1}"
            if number == 0:
                weight = reader.take(f"{place}.weight", *layer.weight.shape, 1)
                reader.assign(layer.weight, weight.squeeze(-1)[:, order])
                reader.copy(layer.bias, f"{place}.bias")
            else:
                reader.copy_pointwise(layer, place, kernel=1)
            reader.copy_module(norm, f"{prefix}.{3 * number + 2}")

    def forward(self, features: Tensor, layout: Layout) -> PairValues:
        """Shape (E, 4) -> dense biases of each head."""
        triangle = layout.triangle()
        x = self.norm(features, triangle.mask)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = F.gelu(norm(layer(x), triangle.mask))
        return triangle.to_pairs(x)


class _Block(nn.Module):
    """Attention and feed-forward with inner norms, head scales and a scaled residual (NormFormer)."""

    def __init__(
        self, width: int, num_heads: int, reps: Reps | None, mlp_ratio: int, dropout: float, depth: int
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.head_width = width // num_heads
        self.head_scalars = (
            self.head_width if reps is None else sum(t.multiplicity for t in reps if t.order == 0)
        )
        self.head_vectors = 0 if reps is None else sum(t.multiplicity for t in reps if t.order == 1)
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.head_scale = nn.Parameter(torch.ones(num_heads))
        self.attention_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp_in = nn.Linear(width, mlp_ratio * width)
        self.mlp_inner_norm = nn.LayerNorm(mlp_ratio * width)
        self.mlp_out = nn.Linear(mlp_ratio * width, width)
        self.residual_scale = nn.Parameter(torch.ones(width))
        self._initialise(depth)

    def _initialise(self, depth: int) -> None:
        for weight in self.qkv.weight.chunk(3):
            nn.init.xavier_uniform_(weight)
        for layer in (self.out, self.mlp_in, self.mlp_out):
            nn.init.xavier_uniform_(layer.weight)
        for layer in (self.qkv, self.out, self.mlp_in, self.mlp_out):
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            self.out.weight.div_(math.sqrt(2.0 * depth))
            self.mlp_out.weight.div_(math.sqrt(2.0 * depth))

    def forward(self, x: Tensor, frames: Frames, layout: Layout, bias: PairValues) -> Tensor:
        """Particle attention with pair biases. Shape (*lead, width)."""
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, self.num_heads, self.head_width)).unbind(-3)
        local = self.head_vectors > 0 and not (frames.is_identity or frames.is_global)
        if local:
            matrices = frames.per_particle(dtype=q.dtype)
            back = inverse(matrices)
            q, k, v = (self._turn(t, back) for t in (q, k, v))
            q = torch.cat([q[..., : self.head_scalars], self._lower(q[..., self.head_scalars :])], dim=-1)
        attended = layout.attend(q, k, v, bias=bias)
        if local:
            attended = self._turn(attended, matrices)
        return self._after(self.out(attended.flatten(-2)), x)

    def read(self, token: Tensor, x: Tensor, with_token: Extended) -> Tensor:
        """Class attention: the token, as it is, queries itself and all particles. Shape (B, 1, width)."""
        keys = self.norm(with_token.join(token, x))
        width = token.shape[-1]
        query = F.linear(token, self.qkv.weight[:width], self.qkv.bias[:width])
        k, v = F.linear(keys, self.qkv.weight[width:], self.qkv.bias[width:]).chunk(2, dim=-1)
        heads = (self.num_heads, self.head_width)
        layout = with_token.layout
        single = with_token.tokens_layout
        q = single.from_events(query)
        attended = single.attend(
            q.unflatten(-1, heads), k.unflatten(-1, heads), v.unflatten(-1, heads), keys_layout=layout
        )
        attended = single.to_events(attended.flatten(-2))
        return self._after(self.out(attended), token)

    def read_published(self, reader: WeightReader, prefix: str) -> None:
        """Weights of one published block; older versions name the fused projection without a dot."""
        dotted = f"{prefix}.attn.in_proj.weight" in reader.state
        join = "." if dotted else "_"
        reader.copy(self.qkv.weight, f"{prefix}.attn.in_proj{join}weight")
        reader.copy(self.qkv.bias, f"{prefix}.attn.in_proj{join}bias")
        reader.copy(self.head_scale, f"{prefix}.c_attn")
        reader.copy(self.residual_scale, f"{prefix}.w_resid")
        for module, name in (
            (self.out, "attn.out_proj"),
            (self.norm, "pre_attn_norm"),
            (self.attention_norm, "post_attn_norm"),
            (self.mlp_norm, "pre_fc_norm"),
            (self.mlp_in, "fc1"),
            (self.mlp_inner_norm, "post_fc_norm"),
            (self.mlp_out, "fc2"),
        ):
            reader.copy_module(module, f"{prefix}.{name}")

    def _after(self, attended: Tensor, residual: Tensor) -> Tensor:
        scaled = attended.unflatten(-1, (self.num_heads, self.head_width)) * self.head_scale.unsqueeze(-1)
        x = residual + self.dropout(self.attention_norm(scaled.flatten(-2)))
        hidden = self.dropout(F.gelu(self.mlp_in(self.mlp_norm(x))))
        out = self.dropout(self.mlp_out(self.mlp_inner_norm(hidden)))
        return out + self.residual_scale * x

    def _turn(self, x: Tensor, matrices: Tensor) -> Tensor:
        """Apply one matrix a particle to the vector channels of all heads. Shape (*lead, H, D)."""
        scalars, vectors = x.split([self.head_scalars, 4 * self.head_vectors], dim=-1)
        shape = vectors.shape
        turned = vectors.reshape(*shape[:-2], -1, 4) @ matrices.transpose(-1, -2)
        return torch.cat([scalars, turned.reshape(shape)], dim=-1)

    @staticmethod
    def _lower(x: Tensor) -> Tensor:
        vectors = x.unflatten(-1, (-1, 4))
        return torch.cat([vectors[..., :1], -vectors[..., 1:]], dim=-1).flatten(-2)

"""How are the Particle Transformers put together?

Pairwise features of the momenta are embedded once and bias the attention of every block; two class
blocks then read the particles with a class token (arXiv:2202.03772; in local frames arXiv:2508.14898).
MIParT puts blocks in front that attend by the pairs alone (arXiv:2407.08682). The later versions of weaver-core differ
in their blocks, and the last of them has a token among the particles in the place of class blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lorentzoo import Backbone, Features, Frames, Layout, Reps, Symmetry
from lorentzoo.nn import (
    CheckpointError,
    MaskedBatchNorm,
    PairValues,
    PublishedOption,
    Triangle,
    WeightReader,
    make_published_frames,
    require_package,
)
from lorentzoo.plugins.transformers.normformer import (
    SCALES,
    AttentionBlock,
    BlockOptions,
    Gate,
    InteractionBlock,
    NormName,
    Scale,
    make_norm,
)
from lorentzoo.plugins.transformers.pairs import (
    DEFAULT_FEATURES,
    PairEmbedding,
    PairFeature,
    find_published_order,
    pair_features,
    pair_symmetry,
)
from lorentzoo.plugins.transformers.published import PAIRS, PRESERVE_VARIANCE, adopt_variance

__all__ = ["ParT"]


class ParT(Backbone):
    """Particle Transformer, and with interaction blocks MIParT.

    Parameters
    ----------
    num_blocks, num_class_blocks
        Particle attention blocks and class attention blocks; without the latter events are the mean over their
        particles, or what a `global_token` has seen.
    num_interaction_blocks
        Blocks before them whose attention is the softmax of the last hidden layer of the pair embedding, with a head
        for each of its channels. Between local frames their messages are scalars.
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
    pair_activation
        Whether the pair embedding ends with a GELU; none is there in networks that were published with
        ``use_pre_activation_pair=True``.
    preserve_variance, variance_eps
        Divide vectors by γ of their frame in attention, see `Transformer` (lloca 2.0).
    norm
        Norms of the blocks and the last one: ``"layer"`` or ``"rms"`` (arXiv:1910.07467).
    bias
        Whether linear maps of the blocks and of pairs have biases.
    swiglu
        Feed-forward layers SiLU(G x) ⊙ W x in the place of GELU(W x) (arXiv:2002.05202).
    scales
        What of NormFormer (arXiv:2110.09456) blocks have: scales of ``"heads"``, a norm after ``"attention"``, one inside
        the ``"mlp"``, and a scaled ``"residual"``.
    query_norm
        Whether queries and keys are normalised, head by head (arXiv:2010.04245).
    attention_gate
        Whether what attention gives is multiplied by a sigmoid of the particle that asks, one number for each of its
        ``"heads"`` or ``"channels"`` (arXiv:2505.06708).
    layer_scale
        First value of a learned gain of each channel at the end of both branches; 0 for none (arXiv:2103.17239).
    drop_path
        Probability of leaving a branch out of an event in training (arXiv:1603.09382).
    bias_scale
        Whether every block scales the biases of pairs by a number of its own.
    global_token
        A token among the particles, which attends and is attended to without biases, reads the event in the place of
        class blocks. It has no frame: messages between local frames are then scalars.
    pair_features
        Which functions of two momenta there are, see `lorentzoo.plugins.transformers.pairs.pair_features`. Those that
        are kept as symmetries follow from them.
    self_pairs
        Whether a particle is a pair with itself; otherwise the bias of these is zero.
    """

    pools = True
    reads_vectors = "pairs"
    published_ignored = ("parity_odd",)

    def __init__(
        self,
        num_blocks: int = 8,
        num_class_blocks: int = 2,
        num_interaction_blocks: int = 0,
        embed_dims: tuple[int, ...] = (128, 512, 128),
        pair_dims: tuple[int, ...] = (64, 64, 64),
        num_heads: int = 8,
        head_reps: str = "8x0n+2x1n",
        mlp_ratio: int = 4,
        dropout: float = 0.1,
        pair_frames: Literal["own", "centre"] = "own",
        pair_activation: bool = True,
        preserve_variance: bool = False,
        variance_eps: float = 0.0,
        norm: NormName = "layer",
        bias: bool = True,
        swiglu: bool = False,
        scales: tuple[Scale, ...] = SCALES,
        query_norm: bool = False,
        attention_gate: Gate = "none",
        layer_scale: float = 0.0,
        drop_path: float = 0.0,
        bias_scale: bool = False,
        global_token: bool = False,
        pair_features: tuple[PairFeature, ...] = DEFAULT_FEATURES,
        self_pairs: bool = True,
        *,
        in_scalars: int,
        in_vectors: int = 0,
    ) -> None:
        super().__init__()
        if in_vectors != 1:
            raise ValueError(
                "pair features need the momenta, and nothing else, as vectors: embedding ['...', 'momenta']"
            )
        if min(embed_dims, default=0) < 1 or min(pair_dims, default=0) < 1:
            raise ValueError(
                "embed_dims and pair_dims need at least one layer each, none of them empty, not "
                f"{list(embed_dims)} and {list(pair_dims)}"
            )
        if global_token and num_class_blocks:
            raise ValueError("a global_token stands in the place of class blocks: give num_class_blocks=0")
        if not pair_features or len(set(pair_features)) < len(pair_features):
            raise ValueError(f"pair_features names functions, each once, not {list(pair_features)}")
        reps = Reps.parse(head_reps)
        width = embed_dims[-1]
        if reps.dim * num_heads != width:
            raise ValueError(
                f"{num_heads} heads of {head_reps!r} make {reps.dim * num_heads} channels, not {width}"
            )
        if num_interaction_blocks and width % pair_dims[-1]:
            raise ValueError(
                f"interaction blocks have a head for each of the last pair_dims: width {width} is not a multiple of "
                f"{pair_dims[-1]}"
            )
        options = BlockOptions(
            mlp_ratio,
            dropout,
            norm,
            bias,
            swiglu,
            scales,
            query_norm,
            attention_gate,
            layer_scale,
            drop_path,
            bias_scale,
        )
        self.width = width
        self.pair_frames = pair_frames
        self.pair_features, self.self_pairs, self.global_token = (
            tuple(pair_features),
            self_pairs,
            global_token,
        )
        self._exchanges = not (reps.is_invariant or global_token)
        self.norm = MaskedBatchNorm(in_scalars)
        layers: list[nn.Module] = []
        for a, b in zip([in_scalars, *embed_dims[:-1]], embed_dims, strict=True):
            layers += [nn.LayerNorm(a), nn.Linear(a, b), nn.GELU()]
        self.embedding = nn.Sequential(*layers)
        self.pairs = PairEmbedding([*pair_dims, num_heads], pair_activation, len(pair_features), bias)
        self.interaction_blocks = nn.ModuleList(
            InteractionBlock(width, pair_dims[-1], depth, options)
            for depth in range(1, num_interaction_blocks + 1)
        )
        self.blocks = nn.ModuleList(
            AttentionBlock(
                width,
                num_heads,
                None if global_token else reps,
                num_interaction_blocks + depth,
                options,
                preserve_variance,
                variance_eps,
            )
            for depth in range(1, num_blocks + 1)
        )
        self.reads_totals = preserve_variance and variance_eps > 0
        of_token = replace(options, dropout=0.0, bias_scale=False)
        self.class_blocks = nn.ModuleList(
            AttentionBlock(width, num_heads, None, depth, of_token)
            for depth in range(1, num_class_blocks + 1)
        )
        self.class_token = (
            nn.Parameter(torch.empty(1, 1, width)) if num_class_blocks or global_token else None
        )
        if self.class_token is not None:
            nn.init.trunc_normal_(self.class_token, std=0.02)
        self.last_norm = make_norm(norm, width)

    @property
    def vector_symmetry(self) -> Symmetry:
        """What the functions of pairs keep: those of arXiv:2202.03772 boosts along and rotations about the beam."""
        return pair_symmetry(self.pair_features)

    @property
    def stages(self) -> dict[str, nn.Module]:
        """Blocks of particles; those of the class token, and those with a token, have no rows of particles."""
        named = {"interaction_blocks": self.interaction_blocks}
        if not self.global_token:
            named["blocks"] = self.blocks
        return {
            f"{name}.{number}": block for name, blocks in named.items() for number, block in enumerate(blocks)
        }

    @property
    def exchanges_vectors(self) -> bool:
        return self._exchanges

    def forward(self, features: Features, frames: Frames, layout: Layout, context: Tensor) -> Features:
        """Scalars of each event, (B, width)."""
        x = self.embedding(self.norm(features.scalars, layout.mask))
        triangle = layout.triangle()
        hidden, biases = self._embed_pairs(self._pair_features(features, frames, triangle), triangle)
        if self.interaction_blocks:
            logits = triangle.to_pairs(hidden)
            for block in self.interaction_blocks:
                x = block(x, logits)
        bias = triangle.to_pairs(biases)
        token = None if self.class_token is None else self.class_token.expand(layout.num_events, -1, -1)
        if self.global_token:
            assert token is not None
            with_token = layout.append(1)
            x = self._run_blocks(
                with_token.join(token, x), frames, with_token.layout, with_token.join_pairs(bias)
            )
            token = with_token.split(x)[0]
        else:
            x = self._run_blocks(x, frames, layout, bias)
        if token is None:
            return Features.of_scalars(self.last_norm(layout.pool(x, "mean")))
        for block in self.class_blocks:
            assert isinstance(block, AttentionBlock)
            token = block.read(token, x, layout.append(1))
        return Features.of_scalars(self.last_norm(token.squeeze(1)))

    def _run_blocks(self, x: Tensor, frames: Frames, layout: Layout, bias: PairValues) -> Tensor:
        for block in self.blocks:
            x = block(x, frames, layout, bias)
        return x

    def read_published(self, reader: WeightReader, package: str) -> list[str]:
        """Weights of ParticleTransformer in ``lloca`` (1.3, 2.0) and ``weaver-core`` (0.4, 0.5)."""
        require_package(package, "lloca-1.3", "lloca-2.0", "weaver-0.4", "weaver-0.5")
        if self.interaction_blocks:
            raise CheckpointError(
                f"{package!r} has no interaction blocks: weights of MIParT are in no package that is known here"
            )
        order = find_published_order(self.pair_features, package)
        # The newer versions put the heads back together in another order than those before, under the same names.
        older = package in ("lloca-1.3", "weaver-0.4")
        if older and self._is_later_version:
            raise CheckpointError(
                f"of {package!r} the first version of the Particle Transformer is known here; later ones are read from "
                "lloca-2.0 and weaver-0.5"
            )
        if self.class_token is not None:
            reader.copy(self.class_token, "cls_token")
        reader.copy_module(self.norm, "embed.input_bn")
        for place, layer in enumerate(self.embedding):
            if not isinstance(layer, nn.GELU):
                reader.copy_module(layer, f"embed.embed.{place}")
        self.pairs.read_published(reader, "pair_embed.embed", order)
        for name, blocks in (("blocks", self.blocks), ("cls_blocks", self.class_blocks)):
            for number, block in enumerate(blocks):
                assert isinstance(block, AttentionBlock)
                block.read_published(reader, f"{name}.{number}", head_fastest=older)
        reader.copy_module(self.last_norm, "norm")
        return reader.list_last_layers("fc")

    def published_options(self, package: str) -> Mapping[str, PublishedOption]:
        """Those of the pairs and, in lloca 2.0, of the variance."""
        return PAIRS | PRESERVE_VARIANCE if package == "lloca-2.0" else PAIRS

    def adopt(self, package: str, options: Mapping[str, Any]) -> Mapping[str, object]:
        """The end of the pair embedding, and whether features of boosted frames are divided by γ."""
        self.pairs.last_activation = not options["use_pre_activation_pair"]
        self.self_pairs = not options["remove_self_pair"]
        attentions = [block for block in self.blocks if isinstance(block, AttentionBlock)]
        adopted = adopt_variance(attentions, options)
        self.reads_totals = adopted["preserve_variance"] is True and adopted["variance_eps"] != 0
        return {"pair_activation": self.pairs.last_activation, "self_pairs": self.self_pairs, **adopted}

    def run_published(
        self, network: nn.Module, package: str, features: Features, frames: Frames, context: Tensor
    ) -> Tensor:
        scalars = features.scalars.transpose(1, 2)
        momenta = features.vectors.squeeze(-2)[..., [1, 2, 3, 0]].transpose(1, 2)
        given: dict[str, Any] = {"v": momenta, "mask": torch.ones_like(scalars[:, :1])}
        if package == "lloca-2.0":
            given["p_ref"] = frames.totals
        local = () if package.startswith("weaver") else (make_published_frames(frames),)
        events: Tensor = network(scalars, *local, **given)
        return events

    def _pair_features(self, features: Features, frames: Frames, triangle: Triangle) -> Tensor:
        """Shape (E, 4), in the network's dtype, one row an unordered pair."""
        momenta = features.vectors.squeeze(-2).reshape(-1, 4)
        first, second = momenta[triangle.first], momenta[triangle.second]
        if self.pair_frames == "centre":
            relative = frames.relative(triangle.first, triangle.second, dtype=momenta.dtype)
            if relative is not None:
                second = (relative @ second.unsqueeze(-1)).squeeze(-1)
        return pair_features(first, second, self.pair_features).to(features.scalars.dtype)

    def _embed_pairs(self, features: Tensor, triangle: Triangle) -> tuple[Tensor, Tensor]:
        """Last hidden layer and biases of the pairs, (E, C) and (E, H)."""
        if self.self_pairs:
            return self.pairs(features, triangle.mask)
        others = triangle.first != triangle.second
        hidden, biases = self.pairs(features, others if triangle.mask is None else others & triangle.mask)
        kept = others.unsqueeze(-1)
        return torch.where(kept, hidden, 0.0), torch.where(kept, biases, 0.0)

    @property
    def _is_later_version(self) -> bool:
        block = next((block for block in (*self.blocks, *self.class_blocks)), None)
        first = BlockOptions()
        return (
            isinstance(block, AttentionBlock)
            and replace(block.options, mlp_ratio=first.mlp_ratio, dropout=first.dropout) != first
        )

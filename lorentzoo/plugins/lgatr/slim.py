"""L-GATr-slim as a backbone: scalars and vectors only, encoder, decoder and axial form by its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import torch
from torch import Tensor, nn

from lorentzoo import Features, Frames, Layout
from lorentzoo.nn import PublishedOption, QueryBackbone, WeightReader
from lorentzoo.plugins.lgatr.backbone import StreamBackbone
from lorentzoo.plugins.lgatr.gate import Activation
from lorentzoo.plugins.lgatr.heads import HeadWidths, share_queries, to_heads
from lorentzoo.plugins.lgatr.norm import normalize_jointly
from lorentzoo.plugins.lgatr.positions import Positions
from lorentzoo.plugins.lgatr.slim_layers import SlimOptions, SlimStream
from lorentzoo.plugins.lgatr.slim_transformer import SlimTransformer
from lorentzoo.plugins.lgatr.slim_weights import adopt_slim, read_slim
from lorentzoo.plugins.lgatr.stream import Widths

__all__ = ["LGATrSlim"]


class LGATrSlim(StreamBackbone, QueryBackbone):
    """Equivariant transformer on scalars and four-vectors (arXiv:2512.17011).

    Parameters
    ----------
    num_blocks
        Number of blocks.
    hidden_vectors, hidden_scalars
        Vector and scalar channels inside.
    num_heads, attention_ratio, qkv_bias
        Attention: heads, expansion, biases of scalar queries, keys and values.
    head_vectors, head_scalars
        Widths of a head, where they are not the channels shared by the heads.
    mlp_ratio, mlp_layers, activation, vector_activation, gate_scale
        MLP: expansion, depth, gate of scalars, gate of vectors (the same if None) and the factor of its argument.
    norm_gains, eps_norm
        Norms: learned gains, regularization.
    dropout
        Probability of dropping a vector, or a scalar.
    positions, num_places
        Where tokens have an order: ``"rotary"``, or ``"learned"`` with a table of that many places.
    time_features
        Fourier features of the first number of the context; 0 takes the context as it is.
    condition_vectors, condition_scalars, condition_blocks
        Channels of a second cloud that every block attends to, and blocks of an encoder for it.
    checkpoint_blocks
        Recompute blocks in the backward pass instead of storing their inside.
    out_queries
        Queries and keys of each particle instead of scalars and vectors, see `QueryBackbone`; together they share the
        channels inside.
    """

    def __init__(
        self,
        num_blocks: int = 12,
        hidden_vectors: int = 32,
        hidden_scalars: int = 96,
        num_heads: int = 8,
        attention_ratio: int = 1,
        head_vectors: int | None = None,
        head_scalars: int | None = None,
        qkv_bias: bool = True,
        mlp_ratio: int = 4,
        mlp_layers: int = 2,
        activation: Activation = "gelu-exact",
        vector_activation: Activation | None = None,
        gate_scale: float = 1.0,
        norm_gains: bool = False,
        eps_norm: float = 0.01,
        dropout: float = 0.0,
        positions: Positions = "none",
        num_places: int = 128,
        time_features: int = 0,
        condition_vectors: int = 0,
        condition_scalars: int = 0,
        condition_blocks: int = 0,
        checkpoint_blocks: bool = False,
        *,
        in_scalars: int = 0,
        in_vectors: int = 1,
        in_context: int = 0,
        out_scalars: int = 1,
        out_vectors: int = 0,
        out_queries: int = 0,
    ) -> None:
        super().__init__(in_context, time_features, positions)
        options = SlimOptions(
            num_heads=num_heads,
            attention_ratio=attention_ratio,
            head_vectors=head_vectors,
            head_scalars=head_scalars,
            qkv_bias=qkv_bias,
            mlp_ratio=mlp_ratio,
            mlp_layers=mlp_layers,
            activation=activation,
            vector_activation=vector_activation,
            gate_scale=gate_scale,
            norm_gains=norm_gains,
            eps_norm=eps_norm,
            dropout=dropout,
        )
        hidden = Widths(hidden_vectors, hidden_scalars)
        inputs = Widths(in_vectors, in_scalars + self.context.width)
        outputs = Widths(out_vectors, out_scalars)
        if out_queries:
            outputs = Widths(*(share_queries(width, out_queries) for width in hidden))
        self.options, self.out_queries = options, out_queries

        def make_network(condition: Widths | None) -> SlimTransformer:
            return SlimTransformer(
                num_blocks,
                inputs,
                hidden,
                outputs,
                options,
                condition=condition,
                checkpoint_blocks=checkpoint_blocks,
            )

        def make_encoder(cloud: Widths) -> SlimTransformer:
            return SlimTransformer(condition_blocks, cloud, hidden, hidden, options)

        second = Widths(condition_vectors, condition_scalars)
        self.make_networks(
            make_network, make_encoder if condition_blocks > 0 else None, second, hidden, num_places
        )
        if not outputs.channels:
            # Behind the last attention no one reads vectors.
            last = f"network.blocks.{num_blocks - 1}"
            self.without_gradient = (f"{last}.mlp.units.*.vector_weight", f"{last}.mlp.output.vector_weight")

    def lift(self, vectors: Tensor, scalars: Tensor) -> SlimStream:
        """Components of the vectors come first."""
        return SlimStream(scalars, vectors.movedim(-1, 0))

    def join_stream(self, features: Features) -> SlimStream:
        """Components of the vectors come first."""
        return SlimStream(features.scalars, features.vectors.movedim(-1, 0))

    def read(self, stream: SlimStream) -> Features:
        """Scalars and vectors, as many as were asked for."""
        return Features(stream.scalars, stream.vectors.movedim(0, -1))

    def queries_and_keys(self, features: Features, layout: Layout) -> tuple[Tensor, Tensor]:
        """Scalars and vectors of unit size together, the metric in the queries; (*lead, out_queries, D) each."""
        lifted = self.lift(features.vectors, features.scalars)
        stream: SlimStream = self.run(self.network, lifted, layout, None, None, None)
        scalars, vectors = normalize_jointly(*stream, self.options.eps_norm)
        shares = (width // (2 * self.out_queries) for width in self._slim.outputs)
        none = vectors.new_empty(3, *scalars.shape[:-1], 0)
        query, key = to_heads(scalars, vectors, none, HeadWidths.of_vectors(*shares), 2, query=True)
        return query, key

    def read_published(self, reader: WeightReader, package: str) -> list[str]:
        """Weights of the published network of the same hyperparameters; the last layer is part of it."""
        read_slim(self._slim, reader, package)
        return []

    def published_options(self, package: str) -> Mapping[str, PublishedOption]:
        """The gate of vectors, which 2.0 introduced."""
        if package != "lgatr-2.0":
            return {}
        published = tuple(name for name in get_args(Activation) if name != "gelu-exact")
        return {"nonlinearity_v": PublishedOption("sigmoid", (None, *published))}

    def run_published(
        self, network: nn.Module, package: str, features: Features, frames: Frames, context: Tensor
    ) -> Tensor:
        vectors, scalars = network(
            features.vectors, self.with_context(features.scalars, frames.layout, context)
        )
        return torch.cat([scalars, vectors.flatten(-2)], dim=-1)

    def adopt(self, package: str, options: Mapping[str, Any]) -> Mapping[str, object]:
        """Activations and epsilons of the published version."""
        adopted = adopt_slim(self._slim, package, options.get("nonlinearity_v"))
        return {
            name: getattr(adopted, name)
            for name in ("activation", "vector_activation", "gate_scale", "eps_norm")
        }

    @property
    def _slim(self) -> SlimTransformer:
        assert isinstance(self.network, SlimTransformer)
        return self.network

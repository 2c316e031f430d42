"""L-GATr as a backbone: encoder, decoder with a condition, axial attention, by its parameters.

Vectors become multivectors inside, scalars stay scalars, and what is asked for comes back out. Tokens for spurions
and for a class token are rows like others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorentzoo import Features, Frames, Layout, Symmetry
from lorentzoo.nn import QueryBackbone, WeightReader
from lorentzoo.plugins.lgatr.backbone import StreamBackbone
from lorentzoo.plugins.lgatr.gate import Activation
from lorentzoo.plugins.lgatr.grid import Grid
from lorentzoo.plugins.lgatr.heads import HeadWidths, share_queries, to_heads
from lorentzoo.plugins.lgatr.linear import Group
from lorentzoo.plugins.lgatr.norm import EpsilonMode, normalize
from lorentzoo.plugins.lgatr.options import Options, check_sizes
from lorentzoo.plugins.lgatr.paired import Paired
from lorentzoo.plugins.lgatr.positions import Positions
from lorentzoo.plugins.lgatr.stream import Condition, Widths
from lorentzoo.plugins.lgatr.transformer import MultivectorTransformer
from lorentzoo.plugins.lgatr.weights import adopt_multivector, read_multivector

__all__ = ["LGATr"]


class LGATr(StreamBackbone, QueryBackbone):
    """Equivariant transformer on multivectors (arXiv:2405.14806, 2411.00446).

    Parameters
    ----------
    num_blocks
        Number of blocks.
    hidden_channels, hidden_scalars
        Multivector channels and auxiliary scalars inside.
    num_heads, attention_ratio, multi_query, head_scale, qkv_bias
        Attention: heads, expansion, one key and value for all heads, a learned factor for each head, biases.
    head_channels, head_scalars
        Widths of a head, where they are not the channels shared by the heads.
    mlp_ratio, mlp_layers, activation, scalar_activation
        MLP: expansion, depth (the first layer is the geometric product), gates, scalar functions.
    group
        ``"connected"`` for SO⁺(1,3), ``"full"`` with parity.
    norm_gains, eps_norm, eps_mode, eps_scalars
        Norms: learned gains, regularization of the multivectors and of the scalars.
    dropout
        Probability of dropping a multivector, or a scalar.
    read_out
        Where output scalars come from: the scalar part of as many multivectors, or auxiliary scalars; ``"auto"`` is
        the former if no vectors are asked for, as published.
    reinsert_vectors, reinsert_scalars
        Input channels that join queries and keys of every block again.
    positions, num_places
        Where tokens have an order: ``"rotary"``, or ``"learned"`` with a table of that many places.
    time_features
        Fourier features of the first number of the context; 0 takes the context as it is.
    bivectors, geometric_product
        Switches to explore what higher representations are good for.
    condition_vectors, condition_scalars
        Channels of a second cloud that every block attends to; none without it.
    condition_blocks
        Blocks of an encoder for the second cloud; 0 lets it in as it is.
    cross_norm
        Whether queries, keys and values of the cross-attention are normalized.
    grid
        Rows and columns in which the tokens of an event stand; attention goes along rows, then along columns.
    checkpoint_blocks
        Recompute blocks in the backward pass instead of storing their inside.
    out_queries
        Queries and keys of each particle instead of scalars and vectors, see `QueryBackbone`; together they share the
        channels inside.
    """

    def __init__(
        self,
        num_blocks: int = 12,
        hidden_channels: int = 16,
        hidden_scalars: int = 32,
        num_heads: int = 8,
        attention_ratio: int = 2,
        mlp_ratio: int = 2,
        mlp_layers: int = 2,
        head_channels: int | None = None,
        head_scalars: int | None = None,
        multi_query: bool = False,
        head_scale: bool = True,
        qkv_bias: bool = True,
        group: Group = "connected",
        activation: Activation = "gelu",
        scalar_activation: Activation | None = None,
        norm_gains: bool = False,
        eps_norm: float = 0.01,
        eps_mode: EpsilonMode = "clamp",
        eps_scalars: float = 1e-5,
        dropout: float = 0.0,
        read_out: Literal["auto", "multivectors", "scalars"] = "auto",
        reinsert_vectors: Sequence[int] = (),
        reinsert_scalars: Sequence[int] = (),
        positions: Positions = "none",
        num_places: int = 128,
        time_features: int = 0,
        bivectors: bool = True,
        geometric_product: bool = True,
        condition_vectors: int = 0,
        condition_scalars: int = 0,
        condition_blocks: int = 0,
        cross_norm: bool = True,
        grid: tuple[int, int] | None = None,
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
        check_sizes(hidden_channels=hidden_channels)
        options = Options(
            group=group,
            num_heads=num_heads,
            attention_ratio=attention_ratio,
            head_channels=head_channels,
            head_scalars=head_scalars,
            multi_query=multi_query,
            head_scale=head_scale,
            qkv_bias=qkv_bias,
            cross_norm=cross_norm,
            mlp_ratio=mlp_ratio,
            mlp_layers=mlp_layers,
            activation=activation,
            scalar_activation=scalar_activation,
            norm_gains=norm_gains,
            eps_norm=eps_norm,
            eps_mode=eps_mode,
            eps_scalars=eps_scalars,
            dropout=dropout,
            bivectors=bivectors,
            geometric_product=geometric_product,
        )
        self.out_scalars, self.out_vectors = out_scalars, out_vectors
        self.from_multivectors = read_out == "multivectors" or (read_out == "auto" and not out_vectors)
        self.options, self.out_queries = options, out_queries
        hidden = Widths(hidden_channels, hidden_scalars)
        if out_queries:
            outputs = Widths(*(share_queries(width, out_queries) for width in hidden))
        elif self.from_multivectors:
            outputs = Widths(max(out_scalars, out_vectors), 0)
        else:
            outputs = Widths(out_vectors, out_scalars)
        second = Widths(condition_vectors, condition_scalars)
        self.grid = None if grid is None else Grid(*grid)
        inputs = Widths(in_vectors, in_scalars + self.context.width)

        def make_network(condition: Widths | None) -> MultivectorTransformer:
            return MultivectorTransformer(
                num_blocks,
                inputs,
                hidden,
                outputs,
                options,
                axes=1 if grid is None else 2,
                condition=condition,
                reinsert_channels=reinsert_vectors,
                reinsert_scalars=reinsert_scalars,
                checkpoint_blocks=checkpoint_blocks,
            )

        def make_encoder(cloud: Widths) -> MultivectorTransformer:
            return MultivectorTransformer(condition_blocks, cloud, hidden, hidden, options)

        self.make_networks(
            make_network, make_encoder if condition_blocks > 0 else None, second, hidden, num_places
        )
        self.group = group
        if num_blocks < 2:
            # With one product not every spurion is seen: such a network may be more symmetric than its parts say.
            self.exact = False
        self.without_gradient = _list_idle(
            num_blocks,
            options,
            out_vectors > 0,
            out_queries > 0,
            self.takes_condition and self.encoder is None,
        )
        if self.grid is not None:
            self.permutation_symmetric = False  # type: ignore[misc]
            self.num_particles = self.grid.size

    @property
    def symmetry(self) -> Symmetry:
        """The maps of the connected group mix even and odd parts: of the discrete symmetries only PT stays."""
        return (
            Symmetry.full()
            if self.group == "full"
            else Symmetry(Symmetry.full().generators, frozenset({"PT"}))
        )

    def lift(self, vectors: Tensor, scalars: Tensor) -> Paired:
        """Vectors become multivectors of grade one."""
        return Paired.from_vectors(vectors, scalars)

    def run(
        self,
        network: Callable[..., Paired],
        x: Paired,
        layout: Layout,
        condition: Condition | None,
        positions: Tensor | None,
        offset: Tensor | None,
    ) -> Paired:
        """Apply the network, along the axes of a grid where tokens stand in one."""
        if self.grid is None:
            return super().run(network, x, layout, condition, positions, offset)
        return self.grid.run(network, x, layout, condition, positions, offset)

    @property
    def stages(self) -> Mapping[str, nn.Module]:
        """The blocks; on a grid their rows are its places, not the particles."""
        return super().stages if self.grid is None else {}

    def join_stream(self, features: Features) -> Paired:
        """Bivectors, which no output sees, are zero."""
        vectors = features.vectors.movedim(-1, 0).to(features.scalars.dtype)
        return Paired(features.scalars, vectors, torch.zeros_like(vectors[1:]))

    def read(self, stream: Paired) -> Features:
        """Vector parts, and scalar parts or auxiliary scalars."""
        out = (
            stream.scalars[..., 0 : 2 * self.out_scalars : 2] if self.from_multivectors else stream.auxiliary
        )
        return Features(out, stream.to_vectors()[..., : self.out_vectors, :])

    def queries_and_keys(self, features: Features, layout: Layout) -> tuple[Tensor, Tensor]:
        """Multivectors and scalars with the algebra's inner product, normalised; (*lead, out_queries, D) each."""
        options = self.options
        stream = self.run(
            self.network, self.lift(features.vectors, features.scalars), layout, None, None, None
        )
        stream = normalize(stream, options.eps_norm, options.eps_mode, options.eps_scalars)
        shares = (width // (2 * self.out_queries) for width in self._multivectors.outputs)
        query, key = to_heads(*stream, HeadWidths.of_multivectors(*shares), 2, query=True)
        return query, key

    def read_published(self, reader: WeightReader, package: str) -> list[str]:
        """Weights of the published network of the same hyperparameters; the last layer is part of it."""
        read_multivector(self._multivectors, reader, package)
        return []

    def run_published(
        self, network: nn.Module, package: str, features: Features, frames: Frames, context: Tensor
    ) -> Tensor:
        """As `read` does, from multivectors in the published order of components."""
        lifted = F.pad(features.vectors, (1, 11))
        scalars = self.with_context(features.scalars, frames.layout, context)
        multivectors, scalars = network(lifted, scalars=scalars if scalars.shape[-1] else None)
        if self.from_multivectors:
            scalars = multivectors[..., : self.out_scalars, 0]
        vectors = multivectors[..., : self.out_vectors, 1:5].flatten(-2)
        return torch.cat([scalars, vectors], dim=-1)

    def adopt(self, package: str, options: Mapping[str, Any]) -> Mapping[str, object]:
        """Activations and epsilons of the published version."""
        adopted = adopt_multivector(self._multivectors, package)
        return {
            name: getattr(adopted, name)
            for name in ("cross_norm", "scalar_activation", "eps_norm", "eps_mode", "eps_scalars")
        }

    @property
    def _multivectors(self) -> MultivectorTransformer:
        assert isinstance(self.network, MultivectorTransformer)
        return self.network


def _list_idle(
    num_blocks: int, options: Options, emits_vectors: bool, emits_queries: bool, reads_condition: bool
) -> tuple[str, ...]:
    """Weights of multivector parts that are always zero or never read, though published networks have them.

    Four-vectors have no bivectors before the first product; behind the last one only what is emitted is read.
    """
    first, last = "network.blocks.0", f"network.blocks.{num_blocks - 1}.mlp"
    read_last = f"{last}.layers.*" if options.geometric_product else f"{last}.*"
    emits_vectors = emits_vectors or emits_queries
    ends = options.mlp_layers > 1 or not options.geometric_product
    idle = [] if emits_vectors else ["network.output.vector_weight"]
    idle += [f"{read_last}.vector_weight"] if ends and not emits_vectors else []
    if not (options.bivectors and options.geometric_product):
        return (*idle, "network.*bivector_weight")
    idle += [
        "network.input.bivector_weight",
        *([] if emits_queries else ["network.output.bivector_weight"]),
        f"{first}.attentions.*.bivector_weight",
        f"{first}.mlp.bilinear.left.bivector_weight",
        f"{first}.mlp.bilinear.right.bivector_weight",
    ]
    idle += [f"{read_last}.bivector_weight"] if ends and not emits_queries else []
    if reads_condition:
        asking = first if options.cross_norm else "network.blocks.*"
        idle += [
            "network.blocks.*.cross_attention.keys_values.bivector_weight",
            "network.blocks.*.cross_attention.output.bivector_weight",
            f"{asking}.cross_attention.queries.bivector_weight",
        ]
    return tuple(idle)

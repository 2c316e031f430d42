r"""Layers of L-GATr-slim: scalars and four-vectors only.

Without axial vectors and bivectors there is nothing to multiply but vectors, ⟨v, w⟩: linear maps mix vectors among
themselves and scalars among themselves, and the two meet in the norm, in attention and in the gates
(arXiv:2512.17011). Vectors lead with their four components, so that every map is one matrix product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lorentzoo import Layout
from lorentzoo.nn import asks_first_derivatives, has_hooks
from lorentzoo.plugins.lgatr.columns import map_channels
from lorentzoo.plugins.lgatr.gate import Activation
from lorentzoo.plugins.lgatr.head_norm import normalize_to_heads
from lorentzoo.plugins.lgatr.heads import HeadWidths, from_heads
from lorentzoo.plugins.lgatr.norm import Factors
from lorentzoo.plugins.lgatr.options import check_sizes, share_heads
from lorentzoo.plugins.lgatr.positions import rotate
from lorentzoo.plugins.lgatr.slim_gate import SlimGate, gate_slim
from lorentzoo.plugins.lgatr.slim_unit import unit_of_scalars, unit_of_vectors

__all__ = ["SlimAttention", "SlimGains", "SlimLinear", "SlimMLP", "SlimOptions", "SlimStream", "drop_slim"]


class SlimStream(NamedTuple):
    """Scalars and four-vectors of tokens with any leading shape ``...``.

    Attributes
    ----------
    scalars
        Shape (..., S).
    vectors
        Shape (4, ..., C).
    """

    scalars: Tensor
    vectors: Tensor

    def plus(self, other: SlimStream) -> SlimStream:
        """Sum of two streams of equal shape."""
        return SlimStream(self.scalars + other.scalars, self.vectors + other.vectors)


@dataclass(frozen=True)
class SlimOptions:
    """Choices common to all blocks. Defaults are the published tagger (arXiv:2512.17011).

    Parameters
    ----------
    num_heads, attention_ratio
        Heads, and expansion of the channels that they share.
    head_vectors, head_scalars
        Widths of a head, where they are not the channels shared by the heads.
    qkv_bias
        Whether scalar queries, keys and values have biases.
    mlp_ratio, mlp_layers
        Expansion and number of layers of the MLP.
    activation, vector_activation
        Gate of the scalars; gate of the vectors (the same if None).
    gate_scale
        Factor of the inner product that gates a vector.
    norm_gains
        Whether norms have learned gains.
    eps_norm
        Added to the mean square of a norm.
    dropout
        Probability of dropping a vector, or a scalar.
    """

    num_heads: int = 8
    attention_ratio: int = 1
    head_vectors: int | None = None
    head_scalars: int | None = None
    qkv_bias: bool = True
    mlp_ratio: int = 4
    mlp_layers: int = 2
    activation: Activation = "gelu-exact"
    vector_activation: Activation | None = None
    gate_scale: float = 1.0
    norm_gains: bool = False
    eps_norm: float = 0.01
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_sizes(num_heads=self.num_heads, attention_ratio=self.attention_ratio, mlp_ratio=self.mlp_ratio)


class SlimGains(nn.Module):
    """Learned gains of a norm, folded into the columns of the linear map that follows."""

    def __init__(self, channels: int, scalars: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.ones(channels))
        self.scalars = nn.Parameter(torch.ones(scalars))


class SlimLinear(nn.Module):
    """Linear maps of vectors (without bias) and of scalars, side by side.

    Parameters
    ----------
    in_channels, out_channels, in_scalars, out_scalars
        Widths.
    bias
        Whether the scalars have one.
    scale
        Factor of the initial weights.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        in_scalars: int,
        out_scalars: int,
        *,
        bias: bool = True,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.vector_weight = nn.Parameter(torch.empty(out_channels, in_channels))
        self.scalar_weight = nn.Parameter(torch.empty(out_scalars, in_scalars))
        self.bias = nn.Parameter(torch.zeros(out_scalars)) if bias else None
        for weight in (self.vector_weight, self.scalar_weight):
            bound = scale / math.sqrt(max(weight.shape[1], 1))
            nn.init.uniform_(weight, -bound, bound)

    def forward(self, x: SlimStream, gains: SlimGains | None = None) -> SlimStream:
        """Map a stream; ``gains`` are those of the norm that it comes from."""
        vector_weight, scalar_weight = self.folded_weights(gains)
        scalars = map_channels(x.scalars, scalar_weight, self.bias)
        if not torch.is_autocast_enabled(x.vectors.device.type):
            return SlimStream(scalars, map_channels(x.vectors, vector_weight))
        with torch.autocast(x.vectors.device.type, enabled=False):
            return SlimStream(scalars, map_channels(x.vectors.float(), vector_weight.float()))

    def folded_weights(self, gains: SlimGains | None) -> tuple[Tensor, Tensor]:
        """Weights of vectors and of scalars, their columns times the gains of the norm before."""
        if gains is None:
            return self.vector_weight, self.scalar_weight
        return self.vector_weight * gains.vectors, self.scalar_weight * gains.scalars


class SlimAttention(nn.Module):
    """Self-attention, or cross-attention to a second cloud.

    Parameters
    ----------
    channels, scalars
        Widths of the stream.
    options
        Heads and biases.
    condition
        Widths (channels, scalars) of the second cloud; None for self-attention.

    Raises
    ------
    ValueError
        If the heads do not divide the channels and their widths are not given.
    """

    def __init__(
        self, channels: int, scalars: int, options: SlimOptions, condition: tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        self.heads, self.eps_norm = options.num_heads, options.eps_norm
        self.channels = options.head_vectors or share_heads("vector", channels, options, 1)
        self.scalars = options.head_scalars or share_heads("scalar", scalars, options, 4)
        self.widths = HeadWidths.of_vectors(self.channels, self.scalars)
        heads = self.heads
        inner = heads * self.channels, heads * self.scalars

        def project(sets: int, widths: tuple[int, int]) -> SlimLinear:
            bias = options.qkv_bias
            return SlimLinear(widths[0], sets * inner[0], widths[1], sets * inner[1], bias=bias, scale=0.1)

        if condition is None:
            self.queries_keys_values = project(3, (channels, scalars))
        else:
            self.queries = project(1, (channels, scalars))
            self.keys_values = project(2, condition)
        self.output = SlimLinear(inner[0], channels, inner[1], scalars, scale=0.1)

    def forward(
        self,
        x: SlimStream,
        layout: Layout,
        *,
        gains: SlimGains | None = None,
        condition: SlimStream | None = None,
        condition_layout: Layout | None = None,
        positions: Tensor | None = None,
    ) -> SlimStream:
        """Attend from a normalized stream to itself, or to the condition as it is."""
        if condition is None:
            q, k, v = self._split(self.queries_keys_values(x, gains), 3, query=True)
        else:
            (q,) = self._split(self.queries(x, gains), 1, query=True)
            k, v = self._split(self.keys_values(condition), 2, query=False)
        if positions is not None:
            q, k = (rotate(part, positions, self.scalars) for part in (q, k))
        out = layout.attend(q, k, v, keys_layout=condition_layout)
        scalars, vectors, _ = from_heads(out, self.widths)
        return self.output(SlimStream(scalars, vectors))

    def _split(self, x: SlimStream, sets: int, query: bool) -> tuple[Tensor, ...]:
        """Normalized heads (..., H, D) with D = 4 c + s; the metric is folded into queries."""
        stream = *x, x.vectors.new_empty(3, *x.scalars.shape[:-1], 0)
        factors = Factors.of_both(*x, sets * self.heads, self.eps_norm)
        return normalize_to_heads(stream, self.widths, sets, factors, query=query)


class SlimMLP(nn.Module):
    """Gated linear units, then a linear map: vectors are gated by inner products of vectors.

    Parameters
    ----------
    channels, scalars
        Widths of the stream.
    options
        Expansion, depth and gates.
    """

    def __init__(self, channels: int, scalars: int, options: SlimOptions) -> None:
        super().__init__()
        if options.mlp_layers < 2:
            raise ValueError(f"mlp_layers must be at least 2, not {options.mlp_layers}")
        self.options = options
        ratios = [1, *[options.mlp_ratio] * (options.mlp_layers - 1)]
        self.units = nn.ModuleList(
            SlimLinear(a * channels, 3 * b * channels, a * scalars, 2 * b * scalars)
            for a, b in pairwise(ratios)
        )
        self.output = SlimLinear(ratios[-1] * channels, channels, ratios[-1] * scalars, scalars)

    def forward(self, x: SlimStream, gains: SlimGains | None = None) -> SlimStream:
        """Apply to a normalized stream; ``gains`` are those of its norm."""
        options = self.options
        gate = SlimGate(
            options.activation, options.vector_activation or options.activation, options.gate_scale
        )
        if (
            len(self.units) == 1
            and not (self.training and options.dropout)
            and asks_first_derivatives(x.vectors)
            and not has_hooks(*self.units, self.output)
        ):
            return self._in_tiles(x, gate, gains)
        for unit in self.units:
            wide = unit(x, gains)
            x = SlimStream(*gate_slim(wide.scalars, wide.vectors, gate))
            x = drop_slim(x, self.options.dropout, self.training)
            gains = None
        return self.output(x)

    def _in_tiles(self, x: SlimStream, gate: SlimGate, gains: SlimGains | None) -> SlimStream:
        """The same for one gated unit, where nothing but first derivatives is wanted."""
        unit, output = self.units[0], self.output
        assert isinstance(unit, SlimLinear)
        assert unit.bias is not None
        assert output.bias is not None
        vectors, scalars = unit.folded_weights(gains)
        return SlimStream(
            unit_of_scalars(
                x.scalars, scalars, unit.bias, output.scalar_weight, output.bias, gate.activation
            ),
            unit_of_vectors(x.vectors, vectors, output.vector_weight, gate),
        )


def drop_slim(x: SlimStream, probability: float, training: bool) -> SlimStream:
    """Drop whole vectors, and scalars, with a probability; scale what is left."""
    if not training or probability == 0.0:
        return x
    kept = F.dropout(torch.ones_like(x.vectors[0]), probability)
    return SlimStream(F.dropout(x.scalars, probability), x.vectors * kept)

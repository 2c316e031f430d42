r"""Attention between multivector streams: invariant weights, equivariant values.

Weights are softmax of Σ_c ⟨q_c, k_c⟩ + Σ_s q_s k_s over the root of the total dimension, with the algebra's inner
product (arXiv:2411.00446, eq. 12). The metric is folded into the queries, so that each head is one ordinary
scaled-dot-product attention over 16 c + s numbers, and raggedness is the layout's business alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lorentzoo import Layout
from lorentzoo.plugins.lgatr.head_norm import normalize_to_heads
from lorentzoo.plugins.lgatr.heads import HeadWidths, from_heads, to_heads
from lorentzoo.plugins.lgatr.linear import EquivariantLinear, Maps, apply_maps
from lorentzoo.plugins.lgatr.norm import Factors, NormGains
from lorentzoo.plugins.lgatr.options import Options, share_heads
from lorentzoo.plugins.lgatr.paired import Paired
from lorentzoo.plugins.lgatr.positions import rotate

__all__ = ["CrossAttention", "HeadSizes", "SelfAttention"]


class HeadSizes:
    """Widths of one head: c multivectors and s scalars, D = 16 c + s numbers.

    Parameters
    ----------
    channels, scalars
        Widths of the stream. Without scalars in the stream, heads have none.
    options
        Number of heads and expansion.

    Raises
    ------
    ValueError
        If the heads do not divide the channels and their widths are not given.
    """

    def __init__(self, channels: int, scalars: int, options: Options) -> None:
        self.heads = options.num_heads
        self.channels = options.head_channels or share_heads("multivector", channels, options, 1)
        self.scalars = options.head_scalars or share_heads("scalar", scalars, options, 4) if scalars else 0
        self.widths = HeadWidths.of_multivectors(self.channels, self.scalars)


class _Attention(nn.Module):
    """What self- and cross-attention share: the output map, the scale of each head."""

    def __init__(self, channels: int, scalars: int, options: Options) -> None:
        super().__init__()
        self.options = options
        self.sizes = sizes = HeadSizes(channels, scalars, options)
        self.output = EquivariantLinear(
            sizes.heads * sizes.channels,
            channels,
            sizes.heads * sizes.scalars,
            scalars,
            group=options.group,
            initialization="small",
        )
        self.head_scale = nn.Parameter(torch.ones(sizes.heads)) if options.head_scale else None

    def _heads(self, x: Paired, sets: int, normalized: bool, query: bool) -> tuple[Tensor, ...]:
        """``sets`` tensors of heads (..., H, D), the first with the metric if it is a query."""
        options, widths = self.options, self.sizes.widths
        if not normalized:
            return to_heads(*x, widths, sets, query=query)
        groups = x.channels // self.sizes.channels
        factors = Factors.of_multivectors(x, groups, options.eps_norm, options.eps_mode, options.eps_scalars)
        return normalize_to_heads(x, widths, sets, factors, query=query)

    def _attend(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        layout: Layout,
        keys_layout: Layout | None,
        positions: Tensor | None,
    ) -> Paired:
        if positions is not None:
            q, k = (rotate(x, positions, self.sizes.scalars) for x in (q, k))
        heads = q.shape[-2]
        if k.shape[-2] != heads:  # one key and value for all heads
            k, v = (x.expand(*x.shape[:-2], heads, x.shape[-1]) for x in (k, v))
        out = layout.attend(q, k, v, keys_layout=keys_layout)
        return apply_maps(self._output_maps(), Paired(*from_heads(out, self.sizes.widths)))

    def _output_maps(self) -> Maps:
        maps = self.output.maps()
        if self.head_scale is None:
            return maps
        mixed = self.head_scale.repeat_interleave(2 * self.sizes.channels)
        columns = torch.cat([mixed, self.head_scale.repeat_interleave(self.sizes.scalars)])
        return Maps(maps.scalars * columns, maps.bias, maps.vectors * mixed, maps.bivectors * mixed)


class SelfAttention(_Attention):
    """Attention of the tokens of each event to each other.

    Parameters
    ----------
    channels, scalars
        Widths of the stream.
    options
        Heads, expansion, biases, multi-query form, dropout.
    further_channels, further_scalars
        Input channels of the network that join the queries and keys (and, in one map, values) again.
    """

    def __init__(
        self,
        channels: int,
        scalars: int,
        options: Options,
        further_channels: int = 0,
        further_scalars: int = 0,
    ) -> None:
        super().__init__(channels, scalars, options)
        sizes = self.sizes

        def project(sets: int, heads: int, further: bool) -> EquivariantLinear:
            return EquivariantLinear(
                channels + further * further_channels,
                sets * heads * sizes.channels,
                scalars + further * further_scalars,
                sets * heads * sizes.scalars,
                bias=options.qkv_bias,
                group=options.group,
            )

        if options.multi_query:
            self.queries = project(1, sizes.heads, True)
            self.keys = project(1, 1, True)
            self.values = project(1, 1, False)
        else:
            self.queries_keys_values = project(3, sizes.heads, True)

    def forward(
        self,
        x: Paired,
        layout: Layout,
        *,
        gains: NormGains | None = None,
        further: Paired | None = None,
        positions: Tensor | None = None,
    ) -> Paired:
        """Attend within each event.

        Parameters
        ----------
        x
            Normalized stream.
        gains
            Gains of that norm.
        further
            Channels that join in queries and keys.
        positions
            Place of each token in an order, shape (...), for rotary embedding.
        """

        def project(linear: EquivariantLinear, stream: Paired) -> Paired:
            maps = linear.maps()
            return apply_maps(maps if gains is None else gains.fold(maps), stream)

        wide = x if further is None else _joined_channels(x, further)
        if not self.options.multi_query:
            streams = project(self.queries_keys_values, wide)
            q, k, v = self._heads(streams, 3, True, True)
        else:
            (q,) = self._heads(project(self.queries, wide), 1, True, True)
            (k,) = self._heads(project(self.keys, wide), 1, True, False)
            (v,) = self._heads(project(self.values, x), 1, True, False)
        return self._attend(q, k, v, layout, None, positions)


class CrossAttention(_Attention):
    """Attention of tokens to those of a second cloud with the same events.

    Parameters
    ----------
    channels, scalars
        Widths of the stream.
    condition_channels, condition_scalars
        Widths of the condition.
    options
        As for self-attention, and ``cross_norm``: whether queries, keys and values are normalized.
    """

    def __init__(
        self, channels: int, scalars: int, condition_channels: int, condition_scalars: int, options: Options
    ) -> None:
        super().__init__(channels, scalars, options)
        sizes = self.sizes
        self.key_heads = 1 if options.multi_query else sizes.heads
        self.queries = EquivariantLinear(
            channels,
            sizes.heads * sizes.channels,
            scalars,
            sizes.heads * sizes.scalars,
            bias=options.qkv_bias,
            group=options.group,
        )
        self.keys_values = EquivariantLinear(
            condition_channels,
            2 * self.key_heads * sizes.channels,
            condition_scalars,
            2 * self.key_heads * sizes.scalars,
            bias=options.qkv_bias,
            group=options.group,
        )

    def forward(
        self,
        x: Paired,
        condition: Paired,
        layout: Layout,
        condition_layout: Layout,
        *,
        gains: NormGains | None = None,
        condition_gains: NormGains | None = None,
    ) -> Paired:
        """Attend from a normalized stream to a normalized condition."""
        query_maps, key_maps = self.queries.maps(), self.keys_values.maps()
        if gains is not None and condition_gains is not None:
            query_maps, key_maps = gains.fold(query_maps), condition_gains.fold(key_maps)
        norm = self.options.cross_norm
        (q,) = self._heads(apply_maps(query_maps, x), 1, norm, True)
        k, v = self._heads(apply_maps(key_maps, condition), 2, norm, False)
        return self._attend(q, k, v, layout, condition_layout, None)


def _joined_channels(x: Paired, further: Paired) -> Paired:
    width, extra = x.vectors.shape[-1], further.vectors.shape[-1]
    return Paired(
        torch.cat([x.scalars[..., :width], further.scalars[..., :extra], x.auxiliary, further.auxiliary], -1),
        torch.cat([x.vectors, further.vectors], dim=-1),
        torch.cat([x.bivectors, further.bivectors], dim=-1),
    )

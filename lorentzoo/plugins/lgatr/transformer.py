"""The multivector transformer: blocks of attention and geometric MLPs between two linear maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lorentzoo import Layout
from lorentzoo.plugins.lgatr.attention import CrossAttention, SelfAttention
from lorentzoo.plugins.lgatr.linear import EquivariantLinear
from lorentzoo.plugins.lgatr.mlp import GeometricMLP, drop
from lorentzoo.plugins.lgatr.norm import NormGains, normalize
from lorentzoo.plugins.lgatr.options import Options
from lorentzoo.plugins.lgatr.paired import Paired
from lorentzoo.plugins.lgatr.stream import Condition, StreamBlock, StreamTransformer, Widths

__all__ = ["Block", "MultivectorTransformer"]


class Block(StreamBlock[Paired]):
    """Pre-norm residual block: self-attention per axis, cross-attention, geometric MLP.

    Parameters
    ----------
    width
        Of the stream.
    options
        See :class:`~lorentzoo.plugins.lgatr.options.Options`.
    axes
        Number of token axes that self-attention goes along in turn.
    condition
        Width of the condition; None for a block without cross-attention.
    further
        Width of the input channels that join queries and keys.
    """

    def __init__(
        self,
        width: Widths,
        options: Options,
        *,
        axes: int = 1,
        condition: Widths | None = None,
        further: Widths | None = None,
    ) -> None:
        super().__init__()
        self.options = options
        extra = (0, 0) if further is None else further
        self.attentions = nn.ModuleList(SelfAttention(*width, options, *extra) for _ in range(axes))
        self.cross_attention = None if condition is None else CrossAttention(*width, *condition, options)
        self.mlp = GeometricMLP(*width, options)
        count = axes + 1 + (condition is not None)
        self.gains = nn.ModuleList(NormGains(*width) for _ in range(count if options.norm_gains else 0))
        with_gains = condition is not None and options.norm_gains
        self.condition_gains = NormGains(*condition) if with_gains and condition is not None else None

    def norm(self, x: Paired) -> Paired:
        """Multivectors and auxiliary scalars of unit size, one after the other."""
        options = self.options
        return normalize(x, options.eps_norm, options.eps_mode, options.eps_scalars)

    def add(self, x: Paired, change: Paired) -> Paired:
        """Whole multivectors are dropped."""
        return x.plus(drop(change, self.options.dropout, self.training))

    def attend_across(
        self, x: Paired, layout: Layout, condition: Condition, gains: NormGains | None
    ) -> Paired:
        """The condition is normalized as the stream is."""
        assert self.cross_attention is not None
        change: Paired = self.cross_attention(
            x,
            self.norm(condition.stream),
            layout,
            condition.layout,
            gains=gains,
            condition_gains=self.condition_gains,
        )
        return change


class MultivectorTransformer(StreamTransformer[Paired]):
    """Linear map, blocks, linear map.

    Parameters
    ----------
    num_blocks
        Number of blocks.
    inputs, hidden, outputs
        Widths of the stream before, inside and after.
    options
        Choices common to all blocks.
    axes
        Token axes of self-attention.
    condition
        Width of the condition, for a decoder.
    reinsert_channels, reinsert_scalars
        Input channels that join the queries and keys of every block again.
    checkpoint_blocks
        Recompute blocks in the backward pass instead of storing their inside.
    """

    def __init__(
        self,
        num_blocks: int,
        inputs: Widths,
        hidden: Widths,
        outputs: Widths,
        options: Options,
        *,
        axes: int = 1,
        condition: Widths | None = None,
        reinsert_channels: Sequence[int] = (),
        reinsert_scalars: Sequence[int] = (),
        checkpoint_blocks: bool = False,
    ) -> None:
        super().__init__(condition, checkpoint_blocks=checkpoint_blocks)
        self.inputs, self.outputs = inputs, outputs
        self.reinsert_channels, self.reinsert_scalars = tuple(reinsert_channels), tuple(reinsert_scalars)
        further = Widths(len(self.reinsert_channels), len(self.reinsert_scalars))

        def linear(a: Widths, b: Widths) -> EquivariantLinear:
            return EquivariantLinear(a.channels, b.channels, a.scalars, b.scalars, group=options.group)

        self.input = linear(inputs, hidden)
        self.blocks = nn.ModuleList(
            Block(hidden, options, axes=axes, condition=condition, further=further) for _ in range(num_blocks)
        )
        self.output = linear(hidden, outputs)

    def shift(self, x: Paired, offset: Tensor) -> Paired:
        """Auxiliary scalars stand behind those of the multivectors."""
        width = x.vectors.shape[-1]
        return x._replace(scalars=torch.cat([x.scalars[..., :width], x.auxiliary + offset], dim=-1))

    def choose_reinserted(self, x: Paired) -> Paired | None:
        """The input channels that `reinsert_channels` and `reinsert_scalars` name."""
        if not self.reinsert_channels and not self.reinsert_scalars:
            return None
        pairs = [2 * channel + part for channel in self.reinsert_channels for part in (0, 1)]
        width = x.vectors.shape[-1]
        scalars = [*pairs, *(width + scalar for scalar in self.reinsert_scalars)]
        return Paired(x.scalars[..., scalars], x.vectors[..., pairs], x.bivectors[..., pairs])

"""The multivector transformer: blocks of attention and geometric MLPs between two linear maps.

One block and one network serve the encoder, the decoder with cross-attention, and axial attention over several
token axes: a block has one self-attention for each axis and, where there is a condition, one cross-attention.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lorentzoo import Layout
from lorentzoo.plugins.lgatr.attention import CrossAttention, SelfAttention
from lorentzoo.plugins.lgatr.linear import EquivariantLinear
from lorentzoo.plugins.lgatr.mlp import GeometricMLP, drop
from lorentzoo.plugins.lgatr.norm import NormGains, normalize
from lorentzoo.plugins.lgatr.options import Options
from lorentzoo.plugins.lgatr.paired import Paired

__all__ = ["Block", "Condition", "MultivectorTransformer", "Widths"]


class Widths(NamedTuple):
    """Multivector channels and auxiliary scalars of a stream."""

    channels: int
    scalars: int


class Condition(NamedTuple):
    """A second cloud that a network is conditioned on."""

    stream: Paired
    layout: Layout


class Block(nn.Module):
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

    def forward(
        self,
        x: Paired,
        layouts: Sequence[Layout],
        condition: Condition | None = None,
        further: Paired | None = None,
        positions: Tensor | None = None,
    ) -> Paired:
        """Apply the block to a stream whose tokens are grouped by one layout per axis."""
        gains: list[Any] = list(self.gains) or [None] * (len(self.attentions) + 2)
        for place, (attention, layout) in enumerate(zip(self.attentions, layouts, strict=True)):
            change = attention(
                self._norm(x), layout, gains=gains[place], further=further, positions=positions
            )
            x = self._residual(x, change)
        if self.cross_attention is not None and condition is not None:
            change = self.cross_attention(
                self._norm(x),
                self._norm(condition.stream),
                layouts[0],
                condition.layout,
                gains=gains[len(self.attentions)],
                condition_gains=self.condition_gains,
            )
            x = self._residual(x, change)
        last = gains[-1] if self.gains else None
        return x.plus(self.mlp(self._norm(x), last))

    def _norm(self, x: Paired) -> Paired:
        options = self.options
        return normalize(x, options.eps_norm, options.eps_mode, options.eps_scalars)

    def _residual(self, x: Paired, change: Paired) -> Paired:
        return x.plus(drop(change, self.options.dropout, self.training))


class MultivectorTransformer(nn.Module):
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
        super().__init__()
        self.inputs, self.outputs, self.condition = inputs, outputs, condition
        self.checkpoint_blocks = checkpoint_blocks
        self.reinsert_channels, self.reinsert_scalars = tuple(reinsert_channels), tuple(reinsert_scalars)
        further = Widths(len(self.reinsert_channels), len(self.reinsert_scalars))

        def linear(a: Widths, b: Widths) -> EquivariantLinear:
            return EquivariantLinear(a.channels, b.channels, a.scalars, b.scalars, group=options.group)

        self.input = linear(inputs, hidden)
        self.blocks = nn.ModuleList(
            Block(hidden, options, axes=axes, condition=condition, further=further) for _ in range(num_blocks)
        )
        self.output = linear(hidden, outputs)

    def forward(
        self,
        x: Paired,
        layouts: Sequence[Layout],
        condition: Condition | None = None,
        positions: Tensor | None = None,
        offset: Tensor | None = None,
    ) -> Paired:
        """Map the stream of every token.

        Parameters
        ----------
        x
            Input stream of leading shape ``...``.
        layouts
            Which tokens attend to each other, one per axis.
        condition
            Second cloud, needed exactly if the network was made with one.
        positions
            Place of each token (...), for rotary embedding.
        offset
            Scalars (..., S) added after the first map (learned positions).

        Raises
        ------
        ValueError
            If the condition is missing or not expected, or the dtype is not that of the weights.
        """
        self._check(x, condition)
        further = self._further(x)
        x = self.input(x)
        if offset is not None:
            width = x.vectors.shape[-1]
            x = x._replace(scalars=torch.cat([x.scalars[..., :width], x.auxiliary + offset], dim=-1))
        for block in self.blocks:
            if self.checkpoint_blocks and torch.is_grad_enabled():
                x = checkpoint(block, x, layouts, condition, further, positions, use_reentrant=False)
            else:
                x = block(x, layouts, condition, further, positions)
        return self.output(x)

    def _further(self, x: Paired) -> Paired | None:
        if not self.reinsert_channels and not self.reinsert_scalars:
            return None
        pairs = [2 * channel + part for channel in self.reinsert_channels for part in (0, 1)]
        width = x.vectors.shape[-1]
        scalars = [*pairs, *(width + scalar for scalar in self.reinsert_scalars)]
        return Paired(x.scalars[..., scalars], x.vectors[..., pairs], x.bivectors[..., pairs])

    def _check(self, x: Paired, condition: Condition | None) -> None:
        if (condition is None) != (self.condition is None):
            what = "needs a condition" if condition is None else "was made without a condition"
            raise ValueError(
                f"this network {what}; a conditional one is made with the condition's widths and called with "
                "condition=Condition(stream, layout)"
            )
        weights = self.input.scalar_weight.dtype
        if x.vectors.dtype != weights and not torch.is_autocast_enabled(x.vectors.device.type):
            raise ValueError(
                f"the input is {x.vectors.dtype}, the weights are {weights}; convert one of them, for example with "
                f"network.to({x.vectors.dtype})"
            )

"""The slim transformer: blocks of attention and gated linear units on scalars and vectors.

One block serves encoder, decoder and axial attention, as for the full network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lorentzoo import Layout
from lorentzoo.plugins.lgatr.norm import normalize_jointly
from lorentzoo.plugins.lgatr.slim_layers import (
    SlimAttention,
    SlimGains,
    SlimLinear,
    SlimMLP,
    SlimOptions,
    SlimStream,
    drop_slim,
)
from lorentzoo.plugins.lgatr.transformer import Widths

__all__ = ["SlimBlock", "SlimCondition", "SlimTransformer"]


class SlimCondition(NamedTuple):
    """A second cloud that a network is conditioned on."""

    stream: SlimStream
    layout: Layout


class SlimBlock(nn.Module):
    """Pre-norm residual block: self-attention per axis, cross-attention, MLP.

    Parameters
    ----------
    width
        Of the stream.
    options
        See :class:`~lorentzoo.plugins.lgatr.slim_layers.SlimOptions`.
    axes
        Number of token axes that self-attention goes along in turn.
    condition
        Width of the condition; None for a block without cross-attention.
    """

    def __init__(
        self, width: Widths, options: SlimOptions, *, axes: int = 1, condition: Widths | None = None
    ) -> None:
        super().__init__()
        self.options = options
        self.attentions = nn.ModuleList(SlimAttention(*width, options) for _ in range(axes))
        self.cross_attention = None if condition is None else SlimAttention(*width, options, condition)
        self.mlp = SlimMLP(*width, options)
        count = axes + 1 + (condition is not None)
        self.gains = nn.ModuleList(SlimGains(*width) for _ in range(count if options.norm_gains else 0))

    def forward(
        self,
        x: SlimStream,
        layouts: Sequence[Layout],
        condition: SlimCondition | None = None,
        positions: Tensor | None = None,
    ) -> SlimStream:
        """Apply the block to a stream whose tokens are grouped by one layout per axis."""
        gains: list[Any] = list(self.gains) or [None] * (len(self.attentions) + 2)
        for place, (attention, layout) in enumerate(zip(self.attentions, layouts, strict=True)):
            x = self._residual(x, attention(self._norm(x), layout, gains=gains[place], positions=positions))
        if self.cross_attention is not None and condition is not None:
            change = self.cross_attention(
                self._norm(x),
                layouts[0],
                gains=gains[len(self.attentions)],
                condition=condition.stream,
                condition_layout=condition.layout,
            )
            x = self._residual(x, change)
        return x.plus(self.mlp(self._norm(x), gains[-1] if self.gains else None))

    def _norm(self, x: SlimStream) -> SlimStream:
        return SlimStream(*normalize_jointly(*x, self.options.eps_norm))

    def _residual(self, x: SlimStream, change: SlimStream) -> SlimStream:
        return x.plus(drop_slim(change, self.options.dropout, self.training))


class SlimTransformer(nn.Module):
    """Linear map, blocks, linear map.

    Parameters
    ----------
    num_blocks
        Number of blocks.
    inputs, hidden, outputs
        Widths of the stream before, inside and after. There must be scalars: without them norms and gates of the
        scalars have nothing to act on.
    options
        Choices common to all blocks.
    axes, condition, checkpoint_blocks
        As for :class:`~lorentzoo.plugins.lgatr.transformer.MultivectorTransformer`.
    """

    def __init__(
        self,
        num_blocks: int,
        inputs: Widths,
        hidden: Widths,
        outputs: Widths,
        options: SlimOptions,
        *,
        axes: int = 1,
        condition: Widths | None = None,
        checkpoint_blocks: bool = False,
    ) -> None:
        super().__init__()
        if not hidden.scalars:
            raise ValueError("L-GATr-slim needs scalar channels; give hidden_scalars of at least 1")
        self.inputs, self.outputs, self.condition = inputs, outputs, condition
        self.checkpoint_blocks = checkpoint_blocks
        self.input = SlimLinear(inputs.channels, hidden.channels, inputs.scalars, hidden.scalars)
        self.blocks = nn.ModuleList(
            SlimBlock(hidden, options, axes=axes, condition=condition) for _ in range(num_blocks)
        )
        self.output = SlimLinear(hidden.channels, outputs.channels, hidden.scalars, outputs.scalars)

    def forward(
        self,
        x: SlimStream,
        layouts: Sequence[Layout],
        condition: SlimCondition | None = None,
        positions: Tensor | None = None,
        offset: Tensor | None = None,
    ) -> SlimStream:
        """Map the stream of every token; arguments and errors as for the full network."""
        if (condition is None) != (self.condition is None):
            what = "needs a condition" if condition is None else "was made without a condition"
            raise ValueError(
                f"this network {what}; a conditional one is made with the condition's widths and called with "
                "condition=SlimCondition(stream, layout)"
            )
        weights = self.input.scalar_weight.dtype
        if x.vectors.dtype != weights and not torch.is_autocast_enabled(x.vectors.device.type):
            raise ValueError(
                f"the input is {x.vectors.dtype}, the weights are {weights}; convert one of them, for example with "
                f"network.to({x.vectors.dtype})"
            )
        x = self.input(x)
        if offset is not None:
            x = x._replace(scalars=x.scalars + offset)
        for block in self.blocks:
            if self.checkpoint_blocks and torch.is_grad_enabled():
                x = checkpoint(block, x, layouts, condition, positions, use_reentrant=False)
            else:
                x = block(x, layouts, condition, positions)
        return self.output(x)

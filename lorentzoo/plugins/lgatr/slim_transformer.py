"""The slim transformer: blocks of attention and gated linear units on scalars and vectors."""

from __future__ import annotations

from torch import Tensor, nn

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
from lorentzoo.plugins.lgatr.stream import Condition, StreamBlock, StreamTransformer, Widths

__all__ = ["SlimBlock", "SlimTransformer"]


class SlimBlock(StreamBlock[SlimStream]):
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

    def norm(self, x: SlimStream) -> SlimStream:
        """Scalars and vectors of unit size together."""
        return SlimStream(*normalize_jointly(*x, self.options.eps_norm))

    def add(self, x: SlimStream, change: SlimStream) -> SlimStream:
        """Whole vectors are dropped."""
        return x.plus(drop_slim(change, self.options.dropout, self.training))

    def attend_across(
        self, x: SlimStream, layout: Layout, condition: Condition, gains: SlimGains | None
    ) -> SlimStream:
        """The condition is taken as it is."""
        assert self.cross_attention is not None
        change: SlimStream = self.cross_attention(
            x, layout, gains=gains, condition=condition.stream, condition_layout=condition.layout
        )
        return change


class SlimTransformer(StreamTransformer[SlimStream]):
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
        super().__init__(condition, checkpoint_blocks=checkpoint_blocks)
        if not hidden.scalars:
            raise ValueError("L-GATr-slim needs scalar channels; give hidden_scalars of at least 1")
        self.inputs, self.outputs = inputs, outputs
        self.input = SlimLinear(inputs.channels, hidden.channels, inputs.scalars, hidden.scalars)
        self.blocks = nn.ModuleList(
            SlimBlock(hidden, options, axes=axes, condition=condition) for _ in range(num_blocks)
        )
        self.output = SlimLinear(hidden.channels, outputs.channels, hidden.scalars, outputs.scalars)

    def shift(self, x: SlimStream, offset: Tensor) -> SlimStream:
        """All scalars are auxiliary here."""
        return x._replace(scalars=x.scalars + offset)

"""What is common to transformers on multivectors and on scalars and vectors?

A stream is a tuple of tensors that holds all channels of a token. Blocks are residual: one self-attention for each axis
of tokens, a cross-attention where there is a condition, an MLP. A network is a linear map, blocks, a linear map. One of
each serves the encoder, the decoder and axial attention.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lorentzoo import Layout

__all__ = ["Condition", "Stream", "StreamBlock", "StreamTransformer", "Widths"]


class Stream(Protocol):
    """Scalars, four-vectors and what else a token has."""

    @property
    def scalars(self) -> Tensor:
        """Shape (..., S)."""

    @property
    def vectors(self) -> Tensor:
        """Shape (4, ..., C)."""


S = TypeVar("S", bound=Any)


class Widths(NamedTuple):
    """Multivector (or vector) channels and auxiliary scalars of a stream."""

    channels: int
    scalars: int


class Condition(NamedTuple):
    """A second cloud that a network is conditioned on."""

    stream: Any
    layout: Layout


class StreamBlock(nn.Module, Generic[S]):
    """Pre-norm residual block: self-attention per axis, cross-attention, MLP; subclasses make the layers."""

    attentions: nn.ModuleList
    cross_attention: Any
    mlp: Any
    gains: nn.ModuleList

    def forward(
        self,
        x: S,
        layouts: Sequence[Layout],
        condition: Condition | None = None,
        positions: Tensor | None = None,
        further: S | None = None,
    ) -> S:
        """Apply the block to a stream.

        Parameters
        ----------
        x
            The stream of every token.
        layouts
            Which tokens attend to each other, one for each axis.
        condition
            Second cloud, where the block has a cross-attention.
        positions
            Place of each token (...), for rotary embedding.
        further
            Input channels that join queries and keys.
        """
        gains: list[Any] = list(self.gains) or [None] * (len(self.attentions) + 2)
        for place, (attention, layout) in enumerate(zip(self.attentions, layouts, strict=True)):
            joining = {} if further is None else {"further": further}
            change = attention(self.norm(x), layout, gains=gains[place], positions=positions, **joining)
            x = self.add(x, change)
        if self.cross_attention is not None and condition is not None:
            x = self.add(
                x, self.attend_across(self.norm(x), layouts[0], condition, gains[len(self.attentions)])
            )
        return x.plus(self.mlp(self.norm(x), gains[-1] if self.gains else None))

    @abstractmethod
    def norm(self, x: S) -> S:
        """The stream before a layer."""

    @abstractmethod
    def add(self, x: S, change: S) -> S:
        """The stream after a layer, with dropout."""

    @abstractmethod
    def attend_across(self, x: S, layout: Layout, condition: Condition, gains: Any) -> S:
        """Cross-attention of a normalized stream to the condition."""


class StreamTransformer(nn.Module, Generic[S]):
    """Linear map, blocks, linear map; subclasses make them.

    Parameters
    ----------
    condition
        Width of the condition, for a decoder.
    checkpoint_blocks
        Recompute blocks in the backward pass instead of storing their inside.
    """

    input: Any
    blocks: nn.ModuleList
    output: Any

    def __init__(self, condition: Widths | None, *, checkpoint_blocks: bool) -> None:
        super().__init__()
        self.condition = condition
        self.checkpoint_blocks = checkpoint_blocks

    def forward(
        self,
        x: S,
        layouts: Sequence[Layout],
        condition: Condition | None = None,
        positions: Tensor | None = None,
        offset: Tensor | None = None,
    ) -> S:
        """Map the stream of every token; parameters and errors as for `run_blocks`."""
        return self.output(self.run_blocks(x, layouts, condition, positions, offset))

    def run_blocks(
        self,
        x: S,
        layouts: Sequence[Layout],
        condition: Condition | None = None,
        positions: Tensor | None = None,
        offset: Tensor | None = None,
    ) -> S:
        """The stream of every token before the last linear map.

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
        further = self.choose_reinserted(x)
        x = self.input(x)
        if offset is not None:
            x = self.shift(x, offset)
        for block in self.blocks:
            if self.checkpoint_blocks and torch.is_grad_enabled():
                x = checkpoint(block, x, layouts, condition, positions, further, use_reentrant=False)
            else:
                x = block(x, layouts, condition, positions, further)
        return x

    def choose_reinserted(self, x: S) -> S | None:
        """Input channels that join the queries and keys of every block again; none unless overridden."""
        return None

    @abstractmethod
    def shift(self, x: S, offset: Tensor) -> S:
        """The stream with an offset added to its auxiliary scalars."""

    def _check(self, x: Stream, condition: Condition | None) -> None:
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

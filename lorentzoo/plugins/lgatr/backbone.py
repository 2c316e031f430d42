"""How does a transformer on streams become a backbone: context, positions, and a second cloud?"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lorentzoo import Backbone, Features, Frames, Layout
from lorentzoo.nn import SpurionMode
from lorentzoo.plugins.lgatr.positions import FourierContext, LearnedPositions, Positions, places
from lorentzoo.plugins.lgatr.stream import Condition, StreamTransformer, Widths

__all__ = ["StreamBackbone"]


class StreamBackbone(Backbone):
    """A network on streams with what surrounds it; subclasses say what a stream is and which network maps it.

    Parameters
    ----------
    in_context, time_features
        Numbers of each event, and Fourier features of the first of them; 0 takes it as it is.
    positions
        Where tokens have an order: ``"rotary"`` or ``"learned"``.
    """

    equivariant = True
    projects = True
    reads_context = True
    spurion_mode: SpurionMode = "tokens"  # type: ignore[misc]

    def __init__(self, in_context: int, time_features: int, positions: Positions) -> None:
        super().__init__()
        self.context = FourierContext(in_context, time_features)
        self.positions = positions
        if positions != "none":
            self.permutation_symmetric = False  # type: ignore[misc]

    def make_networks(
        self,
        network: Callable[[Widths | None], StreamTransformer[Any]],
        encoder: Callable[[Widths], StreamTransformer[Any]] | None,
        condition: Widths,
        hidden: Widths,
        num_places: int,
    ) -> None:
        """Make encoder, network and table of positions, in this order.

        Parameters
        ----------
        network
            Makes the network for a condition of a width, or for none.
        encoder
            Makes the encoder of the second cloud; None lets it in as it is.
        condition
            Widths of the second cloud; none without any.
        hidden
            Widths inside, which an encoded cloud has.
        num_places
            Of the table of learned positions.
        """
        self.takes_condition = sum(condition) > 0
        self.encoder = None if encoder is None or not self.takes_condition else encoder(condition)
        second = hidden if self.encoder is not None else condition
        self.network = network(second if self.takes_condition else None)
        self.table = LearnedPositions(num_places, hidden.scalars) if self.positions == "learned" else None

    def forward(
        self,
        features: Features,
        frames: Frames,
        layout: Layout,
        context: Tensor,
        condition: Features | None = None,
        condition_layout: Layout | None = None,
    ) -> Features:
        """Scalars (*lead, out_scalars) and vectors (*lead, out_vectors, 4); frames are ignored.

        Parameters
        ----------
        condition, condition_layout
            Features of the second cloud, and which of its particles belong to which event.

        Raises
        ------
        ValueError
            If the condition is missing or not expected, or the features are not of the weights' dtype.
        """
        return self.read(self._run_all(self.network, features, layout, context, condition, condition_layout))

    @property
    def stages(self) -> Mapping[str, nn.Module]:
        """The blocks."""
        return {f"blocks.{number}": block for number, block in enumerate(self.network.blocks)}

    @property
    def last_map(self) -> nn.Module:
        return self.network.output

    def read_stage(self, output: Any) -> Features:
        """All scalars and vectors of a stream, of multivectors each vector beside its axial vector."""
        return Features(output.scalars, output.vectors.movedim(0, -1))

    def last_features(
        self,
        features: Features,
        frames: Frames,
        layout: Layout,
        context: Tensor,
        condition: Features | None = None,
        condition_layout: Layout | None = None,
    ) -> Features:
        """The stream before the last linear map, as `read_stage` has it."""
        run_blocks = self.network.run_blocks
        return self.read_stage(
            self._run_all(run_blocks, features, layout, context, condition, condition_layout)
        )

    def project(self, features: Features, layout: Layout) -> Features:
        """The last linear map."""
        return self.read(self.network.output(self.join_stream(features)))

    def _run_all(
        self,
        network: Callable[..., Any],
        features: Features,
        layout: Layout,
        context: Tensor,
        condition: Features | None,
        condition_layout: Layout | None,
    ) -> Any:
        """What the network, or a part of it, makes of the features and the second cloud."""
        scalars = self.with_context(features.scalars, layout, context)
        order = None if self.positions == "none" else places(layout, scalars)
        x = self.lift(features.vectors, scalars)
        second = None
        if condition is not None and condition_layout is not None:
            stream = self.lift(condition.vectors, condition.scalars)
            stream = stream if self.encoder is None else self.encoder(stream, [condition_layout])
            second = Condition(stream, condition_layout)
        rotary = order if self.positions == "rotary" else None
        offset = None if self.table is None or order is None else self.table(order)
        return self.run(network, x, layout, second, rotary, offset)

    def with_context(self, scalars: Tensor, layout: Layout, context: Tensor) -> Tensor:
        """Scalars of the rows with the features of the context beside them."""
        if not self.context.width:
            return scalars
        return torch.cat([scalars, layout.spread(self.context(context)).to(scalars.dtype)], dim=-1)

    def run(
        self,
        network: Callable[..., Any],
        x: Any,
        layout: Layout,
        condition: Condition | None,
        positions: Tensor | None,
        offset: Tensor | None,
    ) -> Any:
        """Apply the network, or a part of it; all tokens of an event attend to each other."""
        return network(x, [layout], condition, positions=positions, offset=offset)

    @abstractmethod
    def lift(self, vectors: Tensor, scalars: Tensor) -> Any:
        """The stream of vectors (..., C, 4) and scalars (..., S)."""

    @abstractmethod
    def join_stream(self, features: Features) -> Any:
        """The stream of what `read_stage` gives, as far as the last linear map needs it."""

    @abstractmethod
    def read(self, stream: Any) -> Features:
        """What was asked for, out of the network's last stream."""

"""What do events become on the way through a backbone, and back in their own frame?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lorentzoo.core.anchor import anchor_frames
from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.features import Features
from lorentzoo.core.frames import Frames
from lorentzoo.core.layout import Extended, Layout
from lorentzoo.core.slots import Slots
from lorentzoo.core.spurions import Spurions
from lorentzoo.core.tokens import add_global_token, drop_tokens, leave_anchor, silence_tokens

__all__ = ["Passage", "enter"]


@dataclass(frozen=True)
class Passage:
    """A batch of events as a backbone is given it, with the way back.

    Parameters
    ----------
    cloud
        The events, in GeV.
    matrices
        The anchors of the events (B, 4, 4); None where there are none.
    shown, messages, layout, context, second
        What the backbone is given: features, frames for messages, which row belongs to which event, numbers of each
        event, and the second cloud.
    frames
        Of each row, relative to the anchor.
    spurion_tokens, global_token
        What of the rows are tokens: so many in front of each event, and one in front of these.
    local, pools
        Whether vectors are in the frames of the rows; whether the backbone gives one row an event.
    """

    cloud: ParticleCloud
    matrices: Tensor | None
    shown: Features
    messages: Frames
    layout: Layout
    context: Tensor
    second: Mapping[str, Any]
    frames: Frames
    spurion_tokens: int
    global_token: Extended | None
    local: bool
    pools: bool

    def run(self, network: Callable[..., Features]) -> Features:
        """What a function with the inputs of a backbone gives."""
        return network(self.shown, self.messages, self.layout, self.context, **self.second)

    def for_head(self, given: Features) -> Features:
        """What a head is given of what the backbone gives: events, the global token of each, or particles."""
        if self.pools:
            return self._of_events(given)
        return self.particles(given) if self.global_token is None else self.tokens(given)

    def particles(self, rows: Features) -> Features:
        """Features of the particles alone, (*lead, ...), vectors in the frame of the events."""
        rows = self._returned(rows)
        for extended in (self.global_token, self._with_spurions):
            if extended is not None:
                rows = replace(
                    rows,
                    scalars=extended.split(rows.scalars)[1],
                    vectors=extended.split(rows.vectors)[1],
                )
        if self.matrices is None or not rows.in_vectors:
            return rows
        return leave_anchor(rows, self.matrices, self.cloud.layout, pooled=False)

    def tokens(self, rows: Features) -> Features:
        """Features of the global token of each event, (B, ...)."""
        assert self.global_token is not None
        rows = self._returned(rows)
        scalars, vectors = (self.global_token.split(x)[0].squeeze(1) for x in (rows.scalars, rows.vectors))
        return self._of_events(replace(rows, scalars=scalars, vectors=vectors))

    def axes(self) -> Features:
        """The time axis and the three space axes of each particle's frame, as four vectors in the frame of the events.

        They are the columns of L⁻¹, so that a particle with momentum p has the components L p along them.
        """
        axes = self.frames.inverse().per_particle().transpose(-1, -2)
        rows = Features(axes.new_zeros(*axes.shape[:-2], 0), axes, (), ("time", "x", "y", "z"))
        return replace(self, local=False).particles(rows)

    @property
    def _with_spurions(self) -> Extended | None:
        return self.cloud.layout.append(self.spurion_tokens) if self.spurion_tokens else None

    def _of_events(self, events: Features) -> Features:
        if self.matrices is None or not events.in_vectors:
            return events
        return leave_anchor(events, self.matrices, self.cloud.layout, pooled=True)

    def _returned(self, rows: Features) -> Features:
        """Vectors in one frame for all rows of an event."""
        if not self.local or not rows.in_vectors:
            return rows
        return replace(rows, vectors=self.frames.return_vectors(rows.vectors.to(torch.float64)))


def enter(
    slots: Slots,
    cloud: ParticleCloud,
    anchored: ParticleCloud,
    dtype: torch.dtype,
    *,
    matrices: Tensor | None = None,
    condition: ParticleCloud | None = None,
) -> Passage:
    """Events as the backbone of a model is given them.

    Parameters
    ----------
    slots
        The parts of the model.
    cloud, anchored
        The events in GeV, in their own frame and in the anchor frame.
    dtype
        In which the network runs.
    matrices
        The anchors (B, 4, 4); None where `anchored` is `cloud`.
    condition
        The second cloud in the anchor frame, in GeV.
    """
    seen = slots.spurions(anchored)
    frames = slots.frames_net(seen)
    embedded = slots.embedding(seen, frames)
    embedded = silence_tokens(embedded, seen)
    # Vectors stay in float64 until they are in the frames in which the network sees them.
    features = _with_own_scalars(slots, embedded, seen, dtype)
    layout, context = seen.layout, anchored.context.to(dtype)
    if seen.tokens and slots.spurion_mode != "tokens":
        extended = anchored.layout.append(seen.tokens)
        features, frames = drop_tokens(features, frames, extended)
        layout = anchored.layout
        if slots.spurion_mode == "channels":
            features = _with_channels(slots.spurions, features, layout)
    if slots.in_context and not slots.backbone.reads_context:
        spread = layout.spread(context)
        features = replace(
            features,
            scalars=torch.cat([features.scalars, spread], dim=-1),
            scalar_names=features.scalar_names + tuple(f"context_{c}" for c in range(slots.in_context)),
        )
    if not slots.backbone.equivariant:
        features = replace(features, vectors=frames.take_vectors(features.vectors))
    tokens: Extended | None = None
    if slots.head.pooling == "global-token" and not slots.backbone.pools:
        tokens = layout.append(1)
        features = add_global_token(features, tokens)
        # The token lives in the frame of the event; where every particle has its own, it has none.
        layout = tokens.layout
        frames = Frames(layout, frames.matrices) if frames.is_global else Frames.identity(layout)
    features = replace(features, scalars=features.scalars.to(dtype))
    if slots.backbone.reads_vectors != "pairs":
        features = features.to(dtype)
    return Passage(
        cloud,
        matrices,
        features,
        _for_messages(slots, frames, anchored),
        layout,
        context,
        {} if condition is None else _second(slots, condition, dtype),
        frames,
        seen.tokens if slots.spurion_mode == "tokens" else 0,
        tokens,
        not slots.backbone.equivariant,
        slots.backbone.pools,
    )


def _for_messages(slots: Slots, frames: Frames, cloud: ParticleCloud) -> Frames:
    """The frames relative to one of the event, in which they are moderate."""
    if frames.is_global or slots.backbone.equivariant:
        return frames
    anchor = slots.frames_net.message_anchor
    return anchor_frames(
        frames,
        cloud,
        "none" if slots.anchor == anchor else anchor,
        with_totals=slots.backbone.reads_totals,
    )


def _second(slots: Slots, condition: ParticleCloud, dtype: torch.dtype) -> dict[str, Any]:
    """The second cloud's features, in the global frame, and its layout, for the backbone."""
    if not slots.backbone.takes_condition:
        raise ValueError(f"{type(slots.backbone).__name__} attends to no second cloud; leave `condition` out")
    embedded: Features = slots.embedding(condition, Frames.identity(condition.layout))
    return {
        "condition": _with_own_scalars(slots, embedded, condition, dtype).to(dtype),
        "condition_layout": condition.layout,
    }


def _with_own_scalars(slots: Slots, embedded: Features, cloud: ParticleCloud, dtype: torch.dtype) -> Features:
    """The cloud's own scalars in front of the embedding's channels, unless it has placed them itself."""
    scalars = embedded.scalars.to(dtype)
    if slots.embedding.places_scalars:
        return replace(embedded, scalars=scalars)
    names = cloud.scalar_names or tuple(f"scalar_{number}" for number in range(slots.in_scalars))
    return replace(
        embedded,
        scalars=torch.cat([cloud.scalars.to(dtype), scalars], dim=-1),
        scalar_names=names + embedded.scalar_names,
    )


def _with_channels(spurions: Spurions, features: Features, layout: Layout) -> Features:
    vectors, _ = spurions.tensors(features.vectors.device)
    channels = vectors.to(features.vectors.dtype).expand(*layout.lead, -1, 4)
    return replace(
        features,
        vectors=torch.cat([features.vectors, channels], dim=-2),
        vector_names=features.vector_names + spurions.vector_names,
    )

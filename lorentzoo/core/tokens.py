"""What becomes of tokens, and of the anchor frame, on the way through a model?"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.features import Features
from lorentzoo.core.frames import Frames
from lorentzoo.core.layout import Extended, Layout
from lorentzoo.core.minkowski import inverse

__all__ = ["add_global_token", "drop_tokens", "leave_anchor", "silence_tokens"]


def silence_tokens(features: Features, cloud: ParticleCloud) -> Features:
    """Reference vectors have no kinematics: on the beam axis, an azimuth would say where x points."""
    particle = cloud.is_particle
    if particle is None:
        return features
    scalars = features.scalars
    return replace(features, scalars=torch.where(particle.unsqueeze(-1), scalars, torch.zeros_like(scalars)))


def drop_tokens(features: Features, frames: Frames, extended: Extended) -> tuple[Features, Frames]:
    """Features and frames of particles alone, without the tokens that stand before them."""
    kept = replace(
        features, scalars=extended.split(features.scalars)[1], vectors=extended.split(features.vectors)[1]
    )
    if frames.matrices is None:
        return kept, Frames.identity(extended.base)
    if frames.is_global:
        return kept, Frames.of_events(extended.base, frames.matrices)
    return kept, Frames.of_particles(extended.base, extended.split(frames.matrices)[1])


def add_global_token(features: Features, tokens: Extended) -> Features:
    """A zero row in front of every event, marked by one more scalar channel that is one there."""
    scalars = features.scalars
    scalars = torch.cat([scalars, scalars.new_zeros(*scalars.shape[:-1], 1)], dim=-1)
    b = tokens.base.num_events
    front = scalars.new_zeros(b, 1, scalars.shape[-1])
    front[..., -1] = 1.0
    zero = features.vectors.new_zeros(b, 1, features.in_vectors, 4)
    return Features(
        tokens.join(front, scalars),
        tokens.join(zero, features.vectors),
        (*features.scalar_names, "global_token"),
        features.vector_names,
    )


def leave_anchor(features: Features, matrices: Tensor, layout: Layout, *, pooled: bool) -> Features:
    """Vectors in the frame of the events again, from the anchor frames (B, 4, 4)."""
    back = inverse(matrices)
    back = back if pooled else layout.spread(back)
    return replace(features, vectors=features.vectors.double() @ back.transpose(-1, -2))

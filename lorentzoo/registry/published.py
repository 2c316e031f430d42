"""Does a model with imported weights give the numbers of the published network?"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Final, Literal

import torch
from torch import Tensor, nn

from lorentzoo.core.anchor import anchor_matrices
from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.errors import CheckpointError
from lorentzoo.core.frames import Frames
from lorentzoo.core.minkowski import random_lorentz
from lorentzoo.core.model import Model

__all__ = ["check_published"]

_BOUND: Final = 1e-6
"""Relative difference in float64 that is allowed: edge statistics of published frames-nets are float32 numbers."""
_EVENTS, _PARTICLES = 3, 12
_MAX_RAPIDITY: Final = 1.5
"""Largest rapidity of the drawn frames."""


@torch.no_grad()
def check_published(
    model: Model, published: nn.Module, package: str, part: Literal["network", "frames"] = "network"
) -> float:
    """Run a model and the published network on drawn events, in float64.

    Parameters
    ----------
    model
        With the weights of the published network; a copy of it is run.
    published
        The network of the package; a copy of it is run.
    package
        Package and version.
    part
        ``"network"``: backbone and last layer in drawn frames; ``"frames"``: the frames.

    Returns
    -------
    The largest difference relative to the largest number.

    Raises
    ------
    CheckpointError
        If it is above 1e-6, or the published network cannot be run here.
    """
    model, published = copy.deepcopy(model).double().eval(), copy.deepcopy(published).double().eval()
    for module in model.modules():
        if "fitted" in module._buffers:
            module.get_buffer("fitted").fill_(True)
    rng = torch.Generator().manual_seed(0)
    cloud = _draw_events(model, rng)
    ours, theirs = (
        _run_frames(model, published, cloud)
        if part == "frames"
        else _run_networks(model, published, package, cloud, rng)
    )
    if ours.shape != theirs.shape:
        raise CheckpointError(
            f"the published {type(published).__name__} gives numbers of shape {tuple(theirs.shape)}, the model "
            f"{tuple(ours.shape)}"
        )
    difference = float(
        (ours - theirs).abs().max() / theirs.abs().max().clamp(min=torch.finfo(theirs.dtype).tiny)
    )
    if not difference <= _BOUND:
        raise CheckpointError(
            f"with the weights of {package!r} the model differs from the published {type(published).__name__} by "
            f"{difference:.2g} of the largest number on drawn events (allowed: {_BOUND:g}): some hyperparameter or "
            "option is another one"
        )
    return difference


def _draw_events(model: Model, rng: torch.Generator) -> ParticleCloud:
    """Collimated particles of 140 MeV, as many in each event, with drawn scalars and context."""

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    axis = torch.tensor([300.0, 120.0, 90.0], dtype=torch.float64) / _PARTICLES
    three = axis * draw(_EVENTS, _PARTICLES, 1).abs() + 3.0 * draw(_EVENTS, _PARTICLES, 3)
    energy = (three.square().sum(-1, keepdim=True) + 0.14**2).sqrt()
    return ParticleCloud.from_padded(
        torch.cat([energy, three], dim=-1),
        torch.ones(_EVENTS, _PARTICLES, dtype=torch.bool),
        scalars=draw(_EVENTS, _PARTICLES, model.in_scalars),
        context=draw(_EVENTS, model.in_context),
    )


def _run_frames(model: Model, published: nn.Module, cloud: ParticleCloud) -> tuple[Tensor, Tensor]:
    ours = model.frames_net(cloud).per_particle()
    return ours, model.frames_net.run_published(published, cloud).reshape(ours.shape)


def _run_networks(
    model: Model, published: nn.Module, package: str, cloud: ParticleCloud, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    matrices = anchor_matrices(cloud, model.anchor)
    anchored = cloud if matrices is None else cloud.transform(matrices)
    features, frames, layout = model.show(anchored)
    if not (frames.is_identity or model.backbone.equivariant):
        # Drawn frames, so that nothing depends on how well learned ones are known.
        vectors = frames.return_vectors(features.vectors)
        drawn = random_lorentz(*layout.lead, max_rapidity=_MAX_RAPIDITY, rng=rng)
        frames = replace(Frames.of_particles(layout, drawn), totals=anchored.total())
        features = replace(features, vectors=frames.take_vectors(vectors))
    features = features.to(torch.float64)
    out = model.backbone(features, frames, layout, cloud.context)
    theirs = model.backbone.run_published(published, package, features, frames, cloud.context)
    if model.backbone.projects:
        return torch.cat([out.scalars, out.vectors.flatten(-2)], dim=-1), theirs
    if theirs.ndim > 2:
        # A row a particle: pooling is the experiment's.
        model.head.pooling = None
    return model.head(out, replace(cloud, layout=layout) if layout is not cloud.layout else cloud), theirs

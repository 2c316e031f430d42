"""Which weights and which events does one measure a model with?"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from lorentzoo.core.cloud import Batch, ParticleCloud
from lorentzoo.core.model import Model
from lorentzoo.registry.composition import load_dataset
from lorentzoo.verification.events import random_cloud

__all__ = ["draw_condition", "fit_if_needed", "redraw_weights", "take_shipped_jets"]


def redraw_weights(model: nn.Module, seed: int = 0) -> None:
    """Draw all weights anew at unit scale: standard deviation 1/√(inputs) for maps, near one for gains.

    Fitted statistics and running means are buffers and stay.
    """
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters(), key=lambda item: item[0]):
            if parameter.numel() == 0:
                continue
            noise = torch.randn(parameter.shape, generator=rng, dtype=torch.float64).to(parameter)
            if parameter.ndim >= 2:
                parameter.copy_(noise / math.sqrt(max(parameter[0].numel(), 1)))
            elif name.rpartition(".")[2] == "weight":
                parameter.copy_(1 + 0.2 * noise)
            else:
                parameter.copy_(0.2 * noise)


def fit_if_needed(model: Model, cloud: ParticleCloud) -> None:
    """Fit statistics to the events at hand where a fresh model has not seen any data."""
    if any(name.endswith("fitted") and not bool(flag) for name, flag in model.named_buffers()):
        b = cloud.num_events
        rng = torch.Generator().manual_seed(0)
        width = getattr(model.head, "num_targets", 1)
        target = torch.rand(b, width, generator=rng, dtype=torch.float64) + 0.5
        target = target if width > 1 else target.squeeze(1)
        one = torch.ones(b, dtype=torch.float64)
        batches = [Batch(cloud, target.to(cloud.device), one.to(cloud.device), torch.arange(b))]
        if not model.head.passes_gradients:
            batches = _draw_many(model)
        model.fit_statistics(batches)


def _draw_many(model: Model, events_a_class: int = 40) -> list[Batch]:
    """Drawn events of every class, or with numbers; what learns without gradients needs more than a few."""
    classes = max(getattr(model.head, "num_classes", 2), 2)
    target = torch.arange(classes * events_a_class) % classes
    lengths = (3 + target + torch.arange(len(target)) % 5).tolist()
    cloud = random_cloud(lengths, in_scalars=model.in_scalars, in_context=model.in_context, seed=4)
    if not hasattr(model.head, "num_classes"):
        target = target + 0.5
    return [Batch(cloud, target, torch.ones(len(target), dtype=torch.float64), torch.arange(len(target)))]


def take_shipped_jets(model: Model, count: int = 8) -> ParticleCloud:
    """Shipped jets with drawn scalars and context of the widths that the model wants."""
    cloud = (
        load_dataset("toptag", split="test", num_jets=count, max_constituents=24)
        .batch(np.arange(count))
        .cloud
    )
    rng = torch.Generator().manual_seed(1)
    scalars = torch.randn(*cloud.layout.lead, model.in_scalars, generator=rng, dtype=torch.float64)
    context = torch.randn(cloud.num_events, model.in_context, generator=rng, dtype=torch.float64)
    return replace(cloud, scalars=scalars, context=context, scalar_names=(), context_names=())


def draw_condition(model: Model, num_events: int, seed: int = 11) -> tuple[ParticleCloud, ...]:
    """The second cloud of random events, where a network attends to one; nothing where it does not.

    Events have one to four particles there, whatever their number in the first cloud.
    """
    if not model.backbone.takes_condition:
        return ()
    lengths = [1 + event % 4 for event in range(num_events)]
    return (random_cloud(lengths, in_scalars=model.in_scalars, in_context=model.in_context, seed=seed),)

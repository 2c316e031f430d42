"""A model under test: its weights, its events, its loss."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final

import numpy as np
import torch
from torch import Tensor

from lorentzoo.core.anchor import anchor_matrices
from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.layout import Padded
from lorentzoo.core.minkowski import exp
from lorentzoo.core.model import Model
from lorentzoo.output.task import load_task
from lorentzoo.testing.report import relative_change
from lorentzoo.verification.events import HADRON_MASSES, random_cloud
from lorentzoo.verification.inputs import draw_condition, fit_if_needed, redraw_weights

__all__ = ["Events", "ModelSubject"]

Events = tuple[ParticleCloud, ...]
"""A cloud and, for networks that attend to one, the second cloud of the same events."""

_EXACT: Final = 1e-12
_LEARNED_FRAMES: Final = 1e-9
"""Relative differences allowed in float64: sums in another order, and frames orthonormalised on top."""


class ModelSubject:
    """A model under test: with weights drawn at unit scale, in float64 and evaluation mode."""

    def __init__(self, model: Model) -> None:
        self.original = model
        self.model = copy.deepcopy(model).double().eval()
        fit_if_needed(self.model, self.events()[0])
        redraw_weights(self.model)

    def events(
        self,
        lengths: Sequence[int] = (9, 4, 1, 12, 0, 6),
        seed: int = 0,
        masses: Sequence[float] = HADRON_MASSES,
    ) -> Events:
        """Random events with as many scalars and as much context as the model wants, and its second cloud if any."""
        cloud = random_cloud(
            lengths,
            in_scalars=self.original.in_scalars,
            in_context=self.original.in_context,
            masses=masses,
            seed=seed,
        )
        return cloud, *draw_condition(self.original, cloud.num_events)

    @cached_property
    def tolerance(self) -> float:
        """Relative difference that rounding may make: more where one last digit of the input makes more."""
        if self.model.frames_net.learned and not self.model.backbone.equivariant:
            return _LEARNED_FRAMES
        cloud, *condition = self.events()
        noise = torch.randn(
            cloud.momenta.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64
        )
        rounded = replace(cloud, momenta=cloud.momenta * (1 + 2e-16 * noise))
        response = relative_change(self.output((rounded, *condition)), self.output((cloud, *condition)))
        return min(max(_EXACT, 100 * response), _LEARNED_FRAMES)

    def output(self, events: Events, model: Model | None = None) -> Tensor:
        """What a model gives, this one by default."""
        with torch.no_grad():
            return (self.model if model is None else model)(*events)

    @property
    def per_particle(self) -> bool:
        """Whether the output has a row for each particle."""
        return self.model.head.pooling is None and not self.model.backbone.pools

    def packed_output(self, events: Events, model: Model | None = None) -> Tensor:
        """The output with the rows of padding left out."""
        return self._without_padding(self.output(events, model), events)

    def loss(self, model: Model, events: Events) -> Tensor:
        """The loss of a model on events with drawn targets."""
        output = self._without_padding(model(*events), events)
        b = output.shape[0]
        weight = torch.ones(b, dtype=output.dtype)
        target = None if self.per_particle else load_task(model.task).example_targets(model, b)
        return output.square().mean() if target is None else model.head.loss(output, target, weight)

    def boosted_pions(self, gamma: float) -> Events:
        """Eight events of charged pions of 0.13957 GeV, whose rest frames move with γ in a direction off the beam."""
        direction = torch.tensor([1 / 3, 2 / 3, 2 / 3, 0, 0, 0], dtype=torch.float64)
        element = exp(math.acosh(gamma) * direction)
        cloud, *condition = self.events([8, 5, 12, 6, 9, 7, 10, 4], masses=(0.13957,))
        rest = anchor_matrices(cloud, "rest")
        assert rest is not None
        return tuple(each.transform(element @ rest) for each in (cloud, *condition))

    def awkward_events(self) -> Events:
        """Duplicated, collinear, massless, resting, soft and strongly boosted particles, and events of few."""
        p = np.array([50.0, 30.0, 20.0, np.sqrt(50.0**2 - 30.0**2 - 20.0**2)])
        q = np.array([20.0, -5.0, 12.0, 3.0])
        rest = np.array([0.14, 0, 0, 0])
        soft = 1e-6 * q
        fast = np.array([np.sqrt(1e12 + 0.14**2), 0, 1e6, 0])
        events = [[p, p, q], [p, 2 * p, 3 * p], [rest, q, p], [soft, q, p, fast], [p], [], [q, q]]
        flat = np.array([row for event in events for row in event])
        scalars = np.ones((len(flat), self.original.in_scalars))
        context = np.ones((len(events), self.original.in_context))
        ptr = np.concatenate([[0], np.cumsum([len(event) for event in events])])
        cloud = ParticleCloud.from_packed(flat, torch.from_numpy(ptr.astype(np.int64)), scalars, context)
        return cloud, *draw_condition(self.original, cloud.num_events)

    def _without_padding(self, output: Tensor, events: Events) -> Tensor:
        layout = events[0].layout
        return output[layout.mask] if self.per_particle and isinstance(layout, Padded) else output

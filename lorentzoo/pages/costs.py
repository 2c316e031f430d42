"""What does a network of the zoo cost, on which events?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import torch

from lorentzoo.core.model import Model
from lorentzoo.core.trainable import Trainable
from lorentzoo.data.dataset import JetDataset
from lorentzoo.data.events import EventData
from lorentzoo.output.task import load_task
from lorentzoo.registry.composition import load_dataset
from lorentzoo.training.costs import count_flops, time_per_event
from lorentzoo.verification.events import random_cloud
from lorentzoo.verification.inputs import fit_if_needed

__all__ = ["MULTIPLICITY", "EntryCosts", "find_costs"]

MULTIPLICITY: Final = 50
"""Particles of drawn events."""
_EVENTS: Final = 32
"""A batch for times."""
_SHIPPED: Final = ("ttbar", "amplitudes", "showers")
"""Data sets that need no file, for networks that refuse drawn jets."""


@dataclass(frozen=True)
class EntryCosts:
    """Costs of one network.

    Attributes
    ----------
    flops
        Of the forward pass of one event, see `lorentzoo.training.costs.count_flops`; None where no events fitted it.
    forward_ms, training_ms
        CPU-milliseconds an event; None where they were not measured.
    events
        On which.
    problem
        Why nothing is known.
    """

    flops: float | None = None
    forward_ms: float | None = None
    training_ms: float | None = None
    events: str = ""
    problem: str = ""


def find_costs(make: Callable[[], Trainable], *, measure: bool) -> EntryCosts:
    """Costs on drawn jets of 50 particles, or on the first shipped events that the network takes.

    Parameters
    ----------
    make
        Makes the network anew, since one that was fitted to events may refuse others.
    measure
        Whether times are measured.
    """
    first = None
    for text, open_events in _choices():
        found = _try(make, open_events, text, measure)
        if not found.problem:
            return found
        # What a network says of the first events is what anybody would be told.
        first = first or found
    assert first is not None
    return first


def _try(
    make: Callable[[], Trainable], open_events: Callable[[Trainable], EventData], text: str, measure: bool
) -> EntryCosts:
    try:
        model = make()
        return _costs_on(model, open_events(model), text, measure)
    except Exception as error:  # a network may say in any way that events are not for it
        return EntryCosts(problem=f"{type(error).__name__}: {error}")


def _costs_on(model: Trainable, data: EventData, text: str, measure: bool) -> EntryCosts:
    batch = data.batch(torch.arange(min(_EVENTS, len(data))))
    if isinstance(model, Model):
        fit_if_needed(model, batch.cloud)
    else:
        model.fit_statistics([batch])
    multiplicity = max(int(data.lengths.double().median()), 1)
    flops = count_flops(model, data, multiplicity)
    forward, training = time_per_event(model, batch) if measure else (None, None)
    return EntryCosts(
        flops,
        None if forward is None else 1e3 * forward,
        None if training is None else 1e3 * training,
        f"{text} of {multiplicity} particles",
    )


def _choices() -> Iterator[tuple[str, Callable[[Trainable], EventData]]]:
    yield "drawn jets", _draw_jets
    for name in _SHIPPED:
        yield f"events of {name}", lambda model, name=name: _open(name)  # type: ignore[misc]


def _draw_jets(model: Any) -> EventData:
    cloud = random_cloud([MULTIPLICITY] * _EVENTS, in_scalars=model.in_scalars, in_context=model.in_context)
    target = load_task(model.task).example_targets(model, _EVENTS)
    return JetDataset(
        cloud.momenta,
        torch.arange(_EVENTS + 1) * MULTIPLICITY,
        torch.zeros(_EVENTS, dtype=torch.float64) if target is None else target,
        scalars=cloud.scalars,
        context=cloud.context,
    )


@lru_cache(maxsize=len(_SHIPPED))
def _open(name: str) -> EventData:
    return load_dataset(name).split("train")

"""Which steps, with which numbers, make up a model for events of the same particles?"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.errors import ExportError
from lorentzoo.core.model import Model
from lorentzoo.core.steps import (
    Column,
    Columns,
    EventSteps,
    Step,
    StepsOfBackbone,
    StepsOfEmbedding,
    StepsOfHead,
)

__all__ = ["Program", "find_obstacle", "list_steps"]

_OTHERS = "formats for any network are onnx, torch-export, aoti and sofie"


@dataclass(frozen=True)
class Program:
    """A model for events of the same particles, as steps.

    Attributes
    ----------
    steps
        In order; the first are the momenta (E, px, py, pz of each particle, in GeV) and the context.
    outputs
        Columns of the prediction.
    num_particles, num_context
        Sizes of the inputs.
    offsets
        Where the numbers of a step begin among all, by number of the step and name.
    numbers
        All numbers, float64; weights are in order of inputs, (in, out).
    """

    steps: tuple[Step, ...]
    outputs: Columns
    num_particles: int
    num_context: int
    offsets: dict[tuple[int, str], int]
    numbers: NDArray[np.float64]

    def find_whole(self, columns: Columns, *, exact: bool) -> int | None:
        """The step of which columns are all that it gives, in the type that is wanted; None where there is none."""
        first = columns.items[0]
        if not isinstance(first, Column):
            return None
        step = self.steps[first.step]
        same = len(columns) == step.width == columns.count_adjacent(0) and first.place == 0
        return first.step if same and step.exact == exact else None

    @property
    def layout_sha256(self) -> str:
        """SHA-256 of all but the numbers: parameter files of equal layout and specification can be exchanged."""
        described = [
            [
                step.kind,
                [_plain(columns) for columns in step.inputs],
                step.width,
                step.exact,
                {name: list(value.shape) for name, value in step.numbers.items()},
                step.settings,
            ]
            for step in self.steps
        ]
        text = json.dumps(
            [described, _plain(self.outputs), self.num_particles, self.num_context], sort_keys=True
        )
        return hashlib.sha256(text.encode()).hexdigest()


def find_obstacle(model: Any) -> str | None:
    """Why a model cannot be source code, as far as its parts say so; None where nothing is known against it."""
    if not isinstance(model, Model):
        return f"source code is for models that predict, not {type(model).__name__}: draws of a generator are no function"
    if model.spurions.num_vectors or model.spurions.num_matrices:
        return f"source code is for networks without reference vectors; {_OTHERS}"
    if model.frames_net.learned:
        frames = type(model.frames_net).__name__
        return f"source code is for networks without frames, and this one has {frames}; {_OTHERS}"
    if not model.backbone.pools:
        return (
            f"source code is for networks that give numbers of whole events by dense layers, and the backbone "
            f"{type(model.backbone).__name__} gives numbers of particles; {_OTHERS}"
        )
    for slot, protocol in (
        ("embedding", StepsOfEmbedding),
        ("backbone", StepsOfBackbone),
        ("head", StepsOfHead),
    ):
        part = getattr(model, slot)
        if not isinstance(part, protocol):
            return (
                f"the {slot} {type(part).__name__} does not say of which steps it consists (it has no write_steps); "
                f"{_OTHERS}"
            )
    if model.in_context and not model.backbone.reads_context:
        return f"{type(model.backbone).__name__} gets the context as scalars of particles; {_OTHERS}"
    if model.anchor not in ("none", "rest"):
        return f"source code has no form of the anchor {model.anchor!r}; compose the model with anchor='none'"
    return None


def list_steps(model: Model, cloud: ParticleCloud) -> Program:
    """The steps of a model for events of the particles of a cloud.

    Parameters
    ----------
    model
        In float64, with fitted statistics.
    cloud
        Events of the same particles in the same order, told by their scalars.

    Raises
    ------
    ExportError
        If a part says nothing of its steps, or has none in source code, or the events are of different particles.
    """
    reason = find_obstacle(model)
    if reason is not None:
        raise ExportError(reason)
    if not model.frames_net.eval()(cloud).is_identity:
        raise ExportError(
            f"source code is for networks without frames, and this one has {type(model.frames_net).__name__}"
        )
    scalars = read_particles(model.fitted_inputs.arrange(cloud))
    names = model.fitted_inputs.scalars or cloud.scalar_names
    event = EventSteps.start(scalars, names, model.in_context)
    shown = event
    if model.anchor == "rest":
        shown = replace(event, momenta=event.boost_to_rest(event.momenta))
    with torch.no_grad():
        features = model.backbone.write_steps(model.embedding.write_steps(shown))  # type: ignore[operator]
        outputs = model.head.write_steps(features, event)  # type: ignore[operator]
    return _collect(event.steps, outputs, len(scalars), model.in_context)


def read_particles(cloud: ParticleCloud) -> Tensor:
    """Scalars (N, S) that are the same in all events of a cloud.

    Raises
    ------
    ExportError
        If there are no events, or these are of different particles.
    """
    lengths = cloud.layout.counts()
    if not len(lengths) or int(lengths.min()) != int(lengths.max()) or not int(lengths.max()):
        found = sorted(set(lengths.tolist()))
        raise ExportError(
            "source code is for events of the same number of particles, and these have "
            f"{', '.join(map(str, found)) or 'none'}; give events of one process and multiplicity, e.g. "
            "--dataset amplitudes:multiplicity=2"
        )
    scalars = cloud.layout.pad(cloud.scalars).double()
    other = (scalars != scalars[:1]).flatten(1).any(1)
    if bool(other.any()):
        raise ExportError(
            f"source code is for events of the same particles in the same order, but event {int(other.nonzero()[0])} has "
            "other scalars than the first; give events of one process and multiplicity"
        )
    return scalars[0]


# ---- helpers ----------------------------------------------------------------------------------


def _plain(columns: Columns) -> list[Any]:
    return [[item.step, item.place] if isinstance(item, Column) else item for item in columns.items]


def _collect(steps: list[Step], outputs: Columns, num_particles: int, num_context: int) -> Program:
    """Without steps that nothing reads, and with a place for each number."""
    needed = {0, 1} | _steps_of(outputs)
    for number in range(len(steps) - 1, -1, -1):
        if number in needed:
            needed = needed.union(*(_steps_of(columns) for columns in steps[number].inputs))
    kept = sorted(needed)
    renamed = {old: new for new, old in enumerate(kept)}
    offsets: dict[tuple[int, str], int] = {}
    parts: list[NDArray[np.float64]] = []
    total = 0
    found = []
    for new, old in enumerate(kept):
        step = steps[old]
        found.append(replace(step, inputs=tuple(_rename(columns, renamed) for columns in step.inputs)))
        for name, tensor in step.numbers.items():
            offsets[new, name] = total
            # Weights by inputs, so that outputs stand side by side.
            values = (tensor.T if tensor.ndim == 2 else tensor).cpu().numpy().ravel()
            parts.append(values)
            total += len(values)
    numbers = np.concatenate(parts) if parts else np.zeros(0)
    return Program(tuple(found), _rename(outputs, renamed), num_particles, num_context, offsets, numbers)


def _steps_of(columns: Columns) -> set[int]:
    return {item.step for item in columns.items if isinstance(item, Column)}


def _rename(columns: Columns, names: dict[int, int]) -> Columns:
    return Columns(
        tuple(Column(names[c.step], c.place) if isinstance(c, Column) else float(c) for c in columns.items)
    )

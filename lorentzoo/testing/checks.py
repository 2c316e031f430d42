"""Does a model keep what the package promises of it?"""

from __future__ import annotations

import copy
import fnmatch
import math
import pickle
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from unittest import mock

import torch
from torch import Tensor

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.interfaces import Part
from lorentzoo.core.layout import Packed, Padded
from lorentzoo.registry.checkpoints import load, save
from lorentzoo.registry.composition import build_model
from lorentzoo.registry.specs import Spec
from lorentzoo.testing.report import ConformanceError, relative_change, require
from lorentzoo.testing.subject import Events, ModelSubject
from lorentzoo.verification.events import random_cloud
from lorentzoo.verification.inputs import fit_if_needed
from lorentzoo.verification.verify import verify

__all__ = ["CHECKS"]

_ROUNDING: Final = 1e-12
"""Gradient, relative to the model's largest, that is rounding: of a bias that a normalisation or a softmax takes away."""
_GAMMA: Final = 10.0
_MEDIAN: Final = 1e-4
_LARGEST: Final = 1e-3
"""Change of an event's outputs, relative to the largest output, of a float32 network on eight boosted events of pions.

Measured over the zoo with weights at unit scale: medians of 1e-7 to 1e-6, up to 7e-5 for PELICAN, which averages over
hundreds of pairs; tails of 2e-4 where nearly parallel vectors make a learned frame.
"""


def _outputs_are_finite(s: ModelSubject) -> None:
    output = s.output(s.events())
    require(bool(torch.isfinite(output).all()), "NaN or infinite outputs on ordinary events")
    require(float(output.abs().max()) > 0, "all outputs are zero")


def _permutation(s: ModelSubject) -> None:
    cloud, *condition = s.events()
    rng = torch.Generator().manual_seed(1)
    assert isinstance(cloud.layout, Packed)
    pieces = [
        int(start) + torch.randperm(n, generator=rng)
        for start, n in zip(cloud.layout.ptr, cloud.layout.lengths, strict=False)
    ]
    order = torch.cat(pieces)
    shuffled = replace(
        cloud, momenta=cloud.momenta[order], scalars=cloud.scalars[order], vectors=cloud.vectors[order]
    )
    before, after = s.output((cloud, *condition)), s.output((shuffled, *condition))
    if s.per_particle:
        before = before[order]
    change = relative_change(after, before)
    if s.model.permutation_symmetric:
        require(change <= s.tolerance, f"the order of the particles changes the output by {change:.1e}")
    else:
        require(change > s.tolerance, "permutation_symmetric is False, but the order has no effect")


def _packed_padded(s: ModelSubject) -> None:
    events = s.events()
    change = relative_change(s.packed_output(_pad(events)), s.output(events))
    require(change <= s.tolerance, f"packed and padded outputs differ by {change:.1e}")


def _padding(s: ModelSubject) -> None:
    events = s.events()
    padded = _pad(events, 15)
    clean = s.packed_output(padded)
    change = relative_change(s.packed_output(_pad(events, 19)), clean)
    require(change <= s.tolerance, f"more padding changes the output by {change:.1e}")

    change = relative_change(s.packed_output(tuple(_read_with_nan(cloud) for cloud in padded)), clean)
    require(change == 0, f"NaN in padded places of the input changes the output by {change:.1e}")

    # Behind the constructor, which cleans padding: whatever stands there must not reach a real particle.
    dirty = tuple(_fill_padding(cloud) for cloud in padded)
    change = relative_change(s.packed_output(dirty), clean)
    require(change <= s.tolerance, f"what stands in padded places changes the output by {change:.1e}")

    parameters = [p for p in s.model.parameters() if p.requires_grad]
    wanted = torch.autograd.grad(s.loss(s.model, padded), parameters, allow_unused=True)
    momenta = [cloud.momenta for cloud in dirty]
    found = torch.autograd.grad(s.loss(s.model, dirty), [*momenta, *parameters], allow_unused=True)
    for cloud, gradient in zip(dirty, found, strict=False):
        if gradient is not None:
            leak = float(gradient[~_mask(cloud)].abs().max())
            require(leak == 0, f"gradients reach padded places ({leak:.1e})")
    for (name, _), a, b in zip(s.model.named_parameters(), wanted, found[len(dirty) :], strict=False):
        if a is not None and b is not None:
            change = relative_change(b, a)
            require(change <= 1e3 * s.tolerance, f"padding changes the gradient of {name} by {change:.1e}")


def _events_apart(s: ModelSubject) -> None:
    # A single particle determines neither a learned frame nor its event's rest frame, in which a second cloud is seen:
    # both amplify rounding without bound.
    learned = s.model.frames_net.learned and not s.model.backbone.equivariant
    several = learned or s.model.backbone.takes_condition
    events = s.events([5, 4, 8, 3] if several else [5, 1, 8, 3])
    together = s.output(events)
    layout = events[0].layout
    assert isinstance(layout, Packed)
    ptr = layout.ptr.tolist()
    for b in range(layout.num_events):
        alone = tuple(cloud.select(torch.tensor([b])) for cloud in events)
        wanted = together[ptr[b] : ptr[b + 1]] if s.per_particle else together[b : b + 1]
        change = relative_change(s.output(alone), wanted)
        require(change <= s.tolerance, f"an event's output depends on its batch ({change:.1e})")


def _symmetry(s: ModelSubject) -> None:
    model = copy.deepcopy(s.original).double()
    fit_if_needed(model, s.events()[0])
    events = s.events([9, 7, 12, 5, 8, 10, 6, 11], seed=3)
    result = verify(model, *events, rapidities=())
    require(result.passed, result.verdict)
    lost = sorted(result.predicted.discrete - result.measured.discrete)
    require(not lost, f"the discrete symmetries {lost} are declared, but {_changes(result.discrete, lost)}")


def _gradients(s: ModelSubject) -> None:
    model = copy.deepcopy(s.model).train()
    for events in (s.awkward_events(), s.events()):
        model.zero_grad()
        loss = s.loss(model, events)
        require(bool(torch.isfinite(loss)), "the loss is not finite in training mode")
        loss.backward()
        bad = [
            name
            for name, p in model.named_parameters()
            if p.grad is not None and not bool(torch.isfinite(p.grad).all())
        ]
        require(not bad, f"gradients are not finite: {bad}")
    sizes = {
        name: 0.0 if p.grad is None else float(p.grad.abs().max())
        for name, p in model.named_parameters()
        if p.requires_grad and p.numel()
    }
    parts = [(prefix, part) for prefix, part in model.named_children() if isinstance(part, Part)]
    idle = [f"{prefix}.{pattern}" for prefix, part in parts for pattern in part.without_gradient]
    dead = [
        name
        for name, size in sizes.items()
        if size == 0 and not any(fnmatch.fnmatchcase(name, pattern) for pattern in idle)
    ]
    require(
        not dead,
        f"parameters without a gradient: {dead}; remove them, or name them in `without_gradient` of their part",
    )
    learning = _ROUNDING * max(sizes.values(), default=0.0)
    stale = [
        pattern
        for pattern in idle
        if any(size > learning for name, size in sizes.items() if fnmatch.fnmatchcase(name, pattern))
    ]
    require(not stale, f"`without_gradient` names {stale}, which have one")


def _save_load(s: ModelSubject) -> None:
    if not isinstance(s.original.spec, Spec):
        raise ConformanceError("the model has no specification, so it cannot be saved")
    events = s.events()
    before = s.output(events)
    again = build_model(Spec.from_json(s.original.spec.to_json()))
    require(
        {n: tuple(t.shape) for n, t in again.state_dict().items()}
        == {n: tuple(t.shape) for n, t in s.model.state_dict().items()},
        "the specification does not rebuild the same network",
    )
    with tempfile.TemporaryDirectory() as directory:
        after = load(save(s.model, directory))
    require(after.dtype == torch.float64, "the dtype was not kept")
    require(torch.equal(s.output(events, after), before), "a loaded model gives another output")


def _copies(s: ModelSubject) -> None:
    events = s.events()
    before = s.output(events)
    require(torch.equal(s.output(events, copy.deepcopy(s.model)), before), "a deep copy gives another output")
    pickled = pickle.loads(pickle.dumps(s.model))
    require(torch.equal(s.output(events, pickled), before), "a pickled copy gives another output")
    clone = copy.deepcopy(s.model)
    with torch.no_grad():
        for parameter in clone.parameters():
            parameter.zero_()
    require(torch.equal(s.output(events), before), "a deep copy shares weights with its original")


def _dtypes(s: ModelSubject) -> None:
    events = s.boosted_pions(_GAMMA)
    before = s.output(events)
    require(before.dtype == torch.float64, f"a float64 model gives {before.dtype}")
    single = copy.deepcopy(s.model).float()
    after = s.output(events, single)
    require(after.dtype == torch.float32, f"a float32 model gives {after.dtype}")
    changes = (after.double() - before).abs().flatten(1).amax(1) / before.abs().max()
    for word, change, most in (("median", changes.median(), _MEDIAN), ("largest", changes.max(), _LARGEST)):
        require(
            float(change) < most,
            f"float32 and float64 outputs differ by {float(change):.1e} ({word}) for pions at γ = {_GAMMA:g}, "
            f"more than {most:g}",
        )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = s.output(events, single)
        loss = s.loss(single.train(), events)
    require(bool(torch.isfinite(half).all()), "outputs are not finite under bfloat16 autocast")
    loss.backward()
    finite = all(bool(torch.isfinite(p.grad).all()) for p in single.parameters() if p.grad is not None)
    require(finite, "gradients are not finite under bfloat16 autocast")


def _devices(s: ModelSubject) -> None:
    events = _pad(s.events())
    shape = s.output(events).shape
    moved = copy.deepcopy(s.model).to("meta")
    # Torch has no autocast for the meta device: a part that asks for it there gets the host's.
    with (
        mock.patch.object(torch, "autocast", _of_host(torch.autocast)),
        mock.patch.object(torch, "is_autocast_enabled", _of_host(torch.is_autocast_enabled)),
    ):
        output = s.output(tuple(cloud.to("meta") for cloud in events), moved)
    require(output.device.type == "meta", f"a model on the meta device answers on {output.device}")
    require(output.shape == shape, f"its output has shape {tuple(output.shape)}, not {tuple(shape)}")


def _edge_events(s: ModelSubject) -> None:
    lengths: tuple[list[int], ...] = ([0, 3, 1, 0], [1], [0], [0, 0, 0], [])
    for multiplicities in lengths:
        events = s.events(multiplicities)
        for variant in (events, _pad(events), _pad(events, 4)):
            try:
                output = s.packed_output(variant)
            except Exception as error:
                raise ConformanceError(
                    f"events of {multiplicities} particles, {variant[0].layout!r}: {type(error).__name__}: {error}"
                ) from error
            require(
                bool(torch.isfinite(output).all()),
                f"NaN or infinity for events of {multiplicities} particles",
            )
    output = s.output(s.awkward_events())
    require(
        bool(torch.isfinite(output).all()),
        "NaN or infinity for duplicated, collinear, massless or boosted particles",
    )


def _re_entrant(s: ModelSubject) -> None:
    events, other = s.events(), s.events([2, 5], seed=9)
    state = {name: tensor.clone() for name, tensor in s.model.state_dict().items()}
    before = s.output(events)
    s.output(other)
    require(torch.equal(s.output(events), before), "the same input twice gives two outputs")
    changed = [name for name, tensor in s.model.state_dict().items() if not torch.equal(tensor, state[name])]
    require(not changed, f"evaluation changes {changed}")


def _units(s: ModelSubject) -> None:
    events = s.events()
    before = s.output(events)
    for units in ("MeV", "TeV"):
        change = relative_change(s.output(tuple(cloud.to_units(units) for cloud in events)), before)
        # A last digit of every momentum is rounded on the way, to which boosted masses are sensitive.
        require(change < 1e-7, f"events in {units} change the output by {change:.1e}")


def _declarations(s: ModelSubject) -> None:
    m = s.original
    for part in (m.spurions, m.frames_net, m.embedding, m.backbone, m.head):
        name = type(part).__name__
        require(
            part.exportable is True or (isinstance(part.exportable, str) and bool(part.exportable.strip())),
            f"{name}.exportable is neither True nor a reason, but {part.exportable!r}",
        )
        require(isinstance(part.permutation_symmetric, bool), f"{name}.permutation_symmetric is not a bool")
        require(isinstance(part.exact, bool), f"{name}.exact is not a bool")
    require(m.symmetry.is_closed, f"the declared symmetry {m.symmetry.describe()} is not a Lie algebra")
    if not m.backbone.projects:
        require(
            isinstance(getattr(m.backbone, "width", None), int),
            f"{type(m.backbone).__name__} does not project, but has no width",
        )


CHECKS: Final[dict[str, Callable[[ModelSubject], None]]] = {
    "declarations": _declarations,
    "outputs finite": _outputs_are_finite,
    "permutation symmetry": _permutation,
    "packed equals padded": _packed_padded,
    "padding does not leak": _padding,
    "events do not mix": _events_apart,
    "symmetry as declared": _symmetry,
    "gradients finite": _gradients,
    "save and load": _save_load,
    "copy and pickle": _copies,
    "dtypes": _dtypes,
    "devices": _devices,
    "empty and one-particle events": _edge_events,
    "re-entrant": _re_entrant,
    "units": _units,
}
"""The checks of a model by name, in the order in which they run."""


def _pad(events: Events, length: int | None = None) -> Events:
    return tuple(cloud.to_padded(length) for cloud in events)


def _mask(cloud: ParticleCloud) -> Tensor:
    assert isinstance(cloud.layout, Padded)
    return cloud.layout.mask


def _read_with_nan(cloud: ParticleCloud) -> ParticleCloud:
    """The cloud as a reader would make it that leaves NaN where there is no particle."""
    mask = _mask(cloud)
    nan = torch.full_like(cloud.momenta, math.nan)
    return ParticleCloud.from_padded(
        torch.where(mask.unsqueeze(-1), cloud.momenta, nan),
        mask,
        torch.where(mask.unsqueeze(-1), cloud.scalars, math.nan),
        cloud.context,
    )


def _fill_padding(cloud: ParticleCloud) -> ParticleCloud:
    """The cloud with other particles where there is none, and momenta that take a gradient."""
    mask = _mask(cloud)
    lengths = [mask.shape[1]] * len(mask)
    rubbish = random_cloud(lengths, in_scalars=cloud.scalars.shape[-1], seed=5).to_padded()
    momenta = torch.where(mask.unsqueeze(-1), cloud.momenta, rubbish.momenta).requires_grad_()
    scalars = torch.where(mask.unsqueeze(-1), cloud.scalars, rubbish.scalars)
    return replace(cloud, momenta=momenta, scalars=scalars)


def _changes(discrete: Mapping[str, float], names: Sequence[str]) -> str:
    return ", ".join(f"{name} changes the output by {discrete[name]:.1e}" for name in names)


def _of_host(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a device type that takes the meta device for the host."""
    return lambda device_type="cpu", *args, **kwargs: function(
        "cpu" if device_type == "meta" else device_type, *args, **kwargs
    )

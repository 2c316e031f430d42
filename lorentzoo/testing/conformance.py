"""Does a component keep what the package promises of it?

The kit for authors of components, the very one that this package runs on its own. Each check has a
name; a check that is expected to fail must be named with a reason, and one that then passes is a
failure too, so that no stale excuse stays.

>>> from lorentzoo.testing import check_model
>>> report = check_model("deep-sets", expected_failures={})     # doctest: +SKIP
>>> print(report)                                               # doctest: +SKIP

In a plugin's own tests::

    import pytest
    from lorentzoo.testing import check_plugin, conformance_cases

    def test_plugin():
        check_plugin("my-plugin").raise_if_failed()

    @pytest.mark.parametrize("case", conformance_cases(plugin="my-plugin"))
    def test_conformance(case):
        case.run().raise_if_failed()
"""

from __future__ import annotations

import copy
import inspect
import json
import math
import pickle
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, Literal
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.errors import LorentzooError
from lorentzoo.core.generator import Generator
from lorentzoo.core.interfaces import Backbone
from lorentzoo.core.layout import Packed, Padded
from lorentzoo.core.model import Model
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.checkpoints import load, save
from lorentzoo.registry.components import KINDS, Component
from lorentzoo.registry.composition import build, build_model, model_spec
from lorentzoo.registry.parameters import FILLED, parameters_of
from lorentzoo.registry.specs import NO_BACKBONE, Spec
from lorentzoo.testing.generators import GENERATOR_CHECKS, GeneratorSubject
from lorentzoo.verification.events import random_cloud
from lorentzoo.verification.verify import fit_if_needed, redraw_weights, verify

__all__ = [
    "CHECKS",
    "SMALL",
    "Case",
    "ConformanceError",
    "Outcome",
    "Report",
    "check_component",
    "check_model",
    "check_plugin",
    "conformance_cases",
]

Status = Literal["passed", "failed", "failed as expected", "passed unexpectedly"]

SMALL: Final[dict[str, Any]] = {"num_blocks": 2, "num_layers": 2, "hidden": [16, 16]}
"""Parameters that shrink a backbone for testing, as far as it has them."""

_EXACT: Final = 1e-12
_LEARNED_FRAMES: Final = 1e-9
"""Relative differences allowed in float64: sums in another order, and frames orthonormalised on top."""

_LOADS_WITHIN_MS: Final = 20.0
_OF_NETWORK: Final = "network: "
"""What stands before the checks of a generator's network."""


class ConformanceError(LorentzooError, AssertionError):
    """A component that does not keep what it promises."""


@dataclass(frozen=True)
class Outcome:
    """What one check found.

    Attributes
    ----------
    check
        Its name.
    status
        Whether it passed, and whether that was expected.
    detail
        What was wrong; for an expected failure, the stated reason.
    """

    check: str
    status: Status
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether this is as expected."""
        return self.status in ("passed", "failed as expected")


@dataclass(frozen=True)
class Report:
    """The outcomes of all checks of one subject; print it, or call ``raise_if_failed()``."""

    subject: str
    outcomes: tuple[Outcome, ...]

    @property
    def passed(self) -> bool:
        """Whether every check went as expected."""
        return all(outcome.ok for outcome in self.outcomes)

    def __getitem__(self, check: str) -> Outcome:
        for outcome in self.outcomes:
            if outcome.check == check:
                return outcome
        raise KeyError(f"no check {check!r} was run; checks: {[outcome.check for outcome in self.outcomes]}")

    def __str__(self) -> str:
        width = max((len(outcome.check) for outcome in self.outcomes), default=0)
        lines = [f"{self.subject}: {'conforms' if self.passed else 'DOES NOT CONFORM'}"]
        lines += [
            f"  {outcome.check:<{width}}  {outcome.status}"
            + (f": {outcome.detail}" if outcome.detail else "")
            for outcome in self.outcomes
        ]
        return "\n".join(lines)

    def raise_if_failed(self) -> Report:
        """Return itself, or raise `ConformanceError` with every failed check."""
        if not self.passed:
            raise ConformanceError(str(self))
        return self


def check_model(
    model: str | Mapping[str, Any] | Spec | Model | Generator,
    *,
    expected_failures: Mapping[str, str] | None = None,
    checks: Sequence[str] | None = None,
    subject: str | None = None,
) -> Report:
    """Run the checks on a model.

    Parameters
    ----------
    model
        A model's name (with inline parameters if need be), a composition as a mapping, a specification, or a model; of
        a generator, `lorentzoo.testing.generators` has the checks.
    expected_failures
        ``{check name: reason}`` of the checks that are known to fail; a reason must be stated. Those of a generator's
        network begin with ``"network: "``.
    checks
        Names of the checks to run, all of `CHECKS` by default.
    subject
        What the report calls it.

    Raises
    ------
    ValueError
        On a check that does not exist, or an expected failure without a reason.
    """
    expected = dict(expected_failures or {})
    chosen = list(CHECKS) if checks is None else list(checks)
    known = {**CHECKS, **GENERATOR_CHECKS}
    unknown = [name for name in (*chosen, *expected) if name.removeprefix(_OF_NETWORK) not in known]
    if unknown:
        raise ValueError(f"no checks are called {unknown}; there are {list(CHECKS)}")
    unexplained = [name for name, reason in expected.items() if not reason.strip()]
    if unexplained:
        raise ValueError(f"expected failures need a reason: {unexplained}")
    made = _made(model)
    if isinstance(made, Generator):
        return Report(subject or _title(made), _generator_outcomes(made, expected, checks))
    under_test = _Subject(made)
    outcomes = tuple(_run(name, CHECKS[name], under_test, expected.get(name)) for name in chosen)
    return Report(subject or _title(made), outcomes)


def _generator_outcomes(
    made: Generator, expected: Mapping[str, str], checks: Sequence[str] | None
) -> tuple[Outcome, ...]:
    """Of the generator's own checks, and, where all are run, of those of its network."""
    under_test = GeneratorSubject(made)
    outcomes = [
        _run(name, check, under_test, expected.get(name))
        for name, check in GENERATOR_CHECKS.items()
        if checks is None or name in checks
    ]
    if checks is None and made.network is not None:
        reasons = {
            name.removeprefix(_OF_NETWORK): reason
            for name, reason in expected.items()
            if name.startswith(_OF_NETWORK)
        }
        network = check_model(made.network, expected_failures=reasons)
        outcomes += [replace(outcome, check=_OF_NETWORK + outcome.check) for outcome in network.outcomes]
    return tuple(outcomes)


def check_component(
    kind: str,
    name: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    composition: Mapping[str, Any] | None = None,
    expected_failures: Mapping[str, str] | None = None,
    alone: str = "",
    checks: Sequence[str] | None = None,
    small: Mapping[str, Any] = SMALL,
) -> Report:
    """Run the checks on a component, within a small composition in which it has a part to play.

    Parameters
    ----------
    kind, name
        The component.
    parameters
        Its parameters, where it has some without a default.
    composition
        Slots of the composition around it, instead of those that are found for it.
    expected_failures
        As for `check_model`.
    alone
        Why no composition can hold it, if none can: then only its description is checked.
    checks
        Names of the checks of the composition to run, all of `CHECKS` by default.
    small
        Parameters that shrink a backbone, used as far as it has them; ``{}`` leaves it as it is.
    """
    component = catalogue().find(kind, name)
    outcomes = [_run("description complete", _described, component, None)]
    if alone:
        outcomes.append(Outcome("composition", "failed as expected", alone))
    elif kind in _SLOT_KINDS or kind in ("model", "generator"):
        try:
            spec = _composition(component, dict(parameters or {}), dict(composition or {}), small)
            model = build(spec)
        except LorentzooError as error:
            outcomes.append(Outcome("composition", "failed", str(error)))
            return Report(f"{kind} {component.full_name}", tuple(outcomes))
        outcomes += check_model(model, expected_failures=expected_failures, checks=checks).outcomes
    return Report(f"{kind} {component.full_name}", tuple(outcomes))


def check_plugin(name: str) -> Report:
    """Check how a plugin loads: without error, without torch, in less than 20 ms, and with targets that exist.

    Parameters
    ----------
    name
        The plugin, i.e. its entry point.
    """
    records = [record for record in catalogue().plugins if record.name == name]
    if not records:
        found = [record.name for record in catalogue().plugins]
        raise ValueError(f"no plugin {name!r} is installed; there are {found}")
    record = records[0]

    def loads(_: object) -> None:
        _require(not record.error, record.error)
        _require(bool(record.components), "it offers no component")

    def light(_: object) -> None:
        measured = [_cost_of_loading(name) for _ in range(3)]
        _require(not any(torch_came for _, torch_came in measured), "loading it imports torch")
        best = min(milliseconds for milliseconds, _ in measured)
        _require(best < _LOADS_WITHIN_MS, f"loading it takes {best:.0f} ms, more than {_LOADS_WITHIN_MS:.0f}")

    def targets(_: object) -> None:
        for component in record.components:
            if component.kind != "model":
                component.load()

    outcomes = [_run("loads", loads, None, None)]
    if outcomes[0].ok:
        outcomes += [
            _run("imports no torch, loads quickly", light, None, None),
            _run("targets exist", targets, None, None),
        ]
    return Report(f"plugin {name}", tuple(outcomes))


@dataclass(frozen=True)
class Case:
    """One component to check: an item of a parametrised test."""

    kind: str
    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    composition: Mapping[str, Any] = field(default_factory=dict)
    expected_failures: Mapping[str, str] = field(default_factory=dict)
    alone: str = ""
    checks: Sequence[str] | None = None
    small: Mapping[str, Any] = field(default_factory=lambda: SMALL)

    @property
    def id(self) -> str:
        """``kind/name``."""
        return f"{self.kind}/{self.name}"

    def run(self) -> Report:
        """Run the checks."""
        return check_component(
            self.kind,
            self.name,
            self.parameters,
            composition=self.composition,
            expected_failures=self.expected_failures,
            alone=self.alone,
            checks=self.checks,
            small=self.small,
        )


def conformance_cases(
    *,
    plugin: str | None = None,
    kinds: Sequence[str] = KINDS,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    compositions: Mapping[str, Mapping[str, Any]] | None = None,
    expected_failures: Mapping[str, Mapping[str, str]] | None = None,
    alone: Mapping[str, str] | None = None,
    small: Mapping[str, Any] = SMALL,
) -> list[Any]:
    """Parameters for ``pytest.mark.parametrize``: every registered component, so that what is registered is tested.

    Parameters
    ----------
    plugin
        Only this plugin's components; all by default.
    kinds
        Only these kinds.
    parameters, compositions, expected_failures
        For single components, by ``"kind/name"``, as in `check_component`.
    alone
        ``{"kind/name": reason}`` of components that no composition can hold: only their description is checked.
    small
        Parameters that shrink backbones.
    """
    import pytest

    found = [
        component
        for kind in kinds
        for component in catalogue().components(kind)
        if plugin is None or component.plugin == plugin
    ]
    names = {f"{component.kind}/{component.name}" for component in found}
    for table in (parameters, compositions, expected_failures, alone):
        stale = sorted(set(table or {}) - names)
        if stale:
            raise ValueError(f"no such components: {stale}")
    cases = []
    for component in found:
        key = f"{component.kind}/{component.name}"
        case = Case(
            component.kind,
            component.full_name if component.plugin else component.name,
            (parameters or {}).get(key, {}),
            (compositions or {}).get(key, {}),
            (expected_failures or {}).get(key, {}),
            (alone or {}).get(key, ""),
            small=small,
        )
        cases.append(pytest.param(case, id=f"{component.kind}-{component.full_name}"))
    return cases


# ---- the checks -------------------------------------------------------------------------------


class _Subject:
    """A model under test: with weights drawn at unit scale, in float64 and evaluation mode."""

    def __init__(self, model: Model) -> None:
        self.original = model
        self.model = copy.deepcopy(model).double().eval()
        fit_if_needed(self.model, self.cloud())
        redraw_weights(self.model)

    def cloud(self, lengths: Sequence[int] = (9, 4, 1, 12, 0, 6), seed: int = 0) -> ParticleCloud:
        return random_cloud(
            lengths, in_scalars=self.original.in_scalars, in_context=self.original.in_context, seed=seed
        )

    @cached_property
    def tolerance(self) -> float:
        """Relative difference that rounding may make: more where one last digit of the input makes more."""
        if self.model.frames_net.learned and not self.model.backbone.equivariant:
            return _LEARNED_FRAMES
        cloud = self.cloud()
        noise = torch.randn(
            cloud.momenta.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64
        )
        rounded = replace(cloud, momenta=cloud.momenta * (1 + 2e-16 * noise))
        response = _relative(self.output(rounded), self.output(cloud))
        return min(max(_EXACT, 100 * response), _LEARNED_FRAMES)

    def output(self, cloud: ParticleCloud, model: Model | None = None) -> Tensor:
        with torch.no_grad():
            return (self.model if model is None else model)(cloud)

    def per_particle(self, output: Tensor, cloud: ParticleCloud) -> bool:
        return self.model.head.pooling is None and not self.model.backbone.pools

    def packed_output(self, cloud: ParticleCloud, model: Model | None = None) -> Tensor:
        """The output with the rows of padding left out."""
        output = self.output(cloud, model)
        if self.per_particle(output, cloud) and isinstance(cloud.layout, Padded):
            return output[cloud.layout.mask]
        return output

    def loss(self, model: Model, cloud: ParticleCloud) -> Tensor:
        output = model(cloud)
        if self.per_particle(output, cloud) and isinstance(cloud.layout, Padded):
            output = output[cloud.layout.mask]
        b = output.shape[0]
        weight = torch.ones(b, dtype=output.dtype)
        task = getattr(model.head, "task", None)
        if task == "classification" and not self.per_particle(output, cloud):
            classes = max(output.shape[-1], 2)
            return model.head.loss(output, torch.arange(b) % classes, weight)
        if task == "regression" and not self.per_particle(output, cloud):
            width = getattr(model.head, "num_targets", output.shape[-1])
            return model.head.loss(output, output.new_full((b, width), 1.5), weight)
        return output.square().mean()


def _outputs_are_finite(s: _Subject) -> None:
    output = s.output(s.cloud())
    _require(bool(torch.isfinite(output).all()), "NaN or infinite outputs on ordinary events")
    _require(float(output.abs().max()) > 0, "all outputs are zero")


def _permutation(s: _Subject) -> None:
    cloud = s.cloud()
    generator = torch.Generator().manual_seed(1)
    assert isinstance(cloud.layout, Packed)
    pieces = [
        int(start) + torch.randperm(n, generator=generator)
        for start, n in zip(cloud.layout.ptr, cloud.layout.lengths, strict=False)
    ]
    order = torch.cat(pieces)
    shuffled = replace(
        cloud, momenta=cloud.momenta[order], scalars=cloud.scalars[order], vectors=cloud.vectors[order]
    )
    before, after = s.output(cloud), s.output(shuffled)
    if s.per_particle(before, cloud):
        before = before[order]
    change = _relative(after, before)
    if s.model.permutation_symmetric:
        _require(change <= s.tolerance, f"the order of the particles changes the output by {change:.1e}")
    else:
        _require(change > s.tolerance, "permutation_symmetric is False, but the order has no effect")


def _packed_padded(s: _Subject) -> None:
    cloud = s.cloud()
    change = _relative(s.packed_output(cloud.to_padded()), s.output(cloud))
    _require(change <= s.tolerance, f"packed and padded outputs differ by {change:.1e}")


def _padding(s: _Subject) -> None:
    cloud = s.cloud()
    padded = cloud.to_padded(15)
    assert isinstance(padded.layout, Padded)
    mask = padded.layout.mask
    clean = s.packed_output(padded)
    change = _relative(s.packed_output(cloud.to_padded(19)), clean)
    _require(change <= s.tolerance, f"more padding changes the output by {change:.1e}")

    nan = torch.full_like(padded.momenta, math.nan)
    read = ParticleCloud.from_padded(
        torch.where(mask.unsqueeze(-1), padded.momenta, nan),
        mask,
        torch.where(mask.unsqueeze(-1), padded.scalars, math.nan),
        padded.context,
    )
    change = _relative(s.packed_output(read), clean)
    _require(change == 0, f"NaN in padded places of the input changes the output by {change:.1e}")

    # Behind the constructor, which cleans padding: whatever stands there must not reach a real particle.
    rubbish = random_cloud([15] * len(mask), in_scalars=s.model.in_scalars, seed=5).to_padded()
    momenta = torch.where(mask.unsqueeze(-1), padded.momenta, rubbish.momenta).requires_grad_()
    scalars = torch.where(mask.unsqueeze(-1), padded.scalars, rubbish.scalars)
    dirty = replace(padded, momenta=momenta, scalars=scalars)
    change = _relative(s.packed_output(dirty), clean)
    _require(change <= s.tolerance, f"what stands in padded places changes the output by {change:.1e}")

    parameters = [p for p in s.model.parameters() if p.requires_grad]
    wanted = torch.autograd.grad(s.loss(s.model, padded), parameters, allow_unused=True)
    found = torch.autograd.grad(s.loss(s.model, dirty), [momenta, *parameters], allow_unused=True)
    if found[0] is not None:
        leak = float(found[0][~mask].abs().max())
        _require(leak == 0, f"gradients reach padded places ({leak:.1e})")
    for (name, _), a, b in zip(s.model.named_parameters(), wanted, found[1:], strict=False):
        if a is not None and b is not None:
            change = _relative(b, a)
            _require(change <= 1e3 * s.tolerance, f"padding changes the gradient of {name} by {change:.1e}")


def _events_apart(s: _Subject) -> None:
    # The learned frame of a single particle is not determined: it amplifies rounding without bound.
    learned = s.model.frames_net.learned and not s.model.backbone.equivariant
    cloud = s.cloud([5, 4, 8, 3] if learned else [5, 1, 8, 3])
    together = s.output(cloud)
    assert isinstance(cloud.layout, Packed)
    ptr = cloud.layout.ptr.tolist()
    for b in range(cloud.num_events):
        rows = slice(ptr[b], ptr[b + 1])
        alone = replace(
            cloud,
            momenta=cloud.momenta[rows],
            layout=Packed.from_lengths([ptr[b + 1] - ptr[b]]),
            scalars=cloud.scalars[rows],
            vectors=cloud.vectors[rows],
            context=cloud.context[b : b + 1],
        )
        wanted = together[rows] if s.per_particle(together, cloud) else together[b : b + 1]
        change = _relative(s.output(alone), wanted)
        _require(change <= s.tolerance, f"an event's output depends on its batch ({change:.1e})")


def _symmetry(s: _Subject) -> None:
    model = copy.deepcopy(s.original).double()
    fit_if_needed(model, s.cloud())
    cloud = s.cloud([9, 7, 12, 5, 8, 10, 6, 11], seed=3)
    result = verify(model, cloud, rapidities=())
    _require(result.passed, result.verdict)
    lost = sorted(result.predicted.discrete - result.measured.discrete)
    _require(not lost, f"the discrete symmetries {lost} are declared, but {_changes(result.discrete, lost)}")


def _gradients(s: _Subject) -> None:
    model = copy.deepcopy(s.model).train()
    for cloud in (s.cloud(), _awkward_events(s)):
        model.zero_grad()
        loss = s.loss(model, cloud)
        _require(bool(torch.isfinite(loss)), "the loss is not finite in training mode")
        loss.backward()
        bad = [
            name
            for name, p in model.named_parameters()
            if p.grad is not None and not bool(torch.isfinite(p.grad).all())
        ]
        _require(not bad, f"gradients are not finite: {bad}")
    reached = [
        name
        for name, p in model.named_parameters()
        if p.requires_grad and p.grad is not None and bool(p.grad.any())
    ]
    _require(bool(reached) or not list(model.parameters()), "no parameter has a gradient")


def _save_load(s: _Subject) -> None:
    if not isinstance(s.original.spec, Spec):
        raise ConformanceError("the model has no specification, so it cannot be saved")
    cloud = s.cloud()
    before = s.output(cloud)
    again = build_model(Spec.from_json(s.original.spec.to_json()))
    _require(
        {n: tuple(t.shape) for n, t in again.state_dict().items()}
        == {n: tuple(t.shape) for n, t in s.model.state_dict().items()},
        "the specification does not rebuild the same network",
    )
    with tempfile.TemporaryDirectory() as directory:
        after = load(save(s.model, directory))
    _require(after.dtype == torch.float64, "the dtype was not kept")
    _require(torch.equal(s.output(cloud, after), before), "a loaded model gives another output")


def _copies(s: _Subject) -> None:
    cloud = s.cloud()
    before = s.output(cloud)
    _require(torch.equal(s.output(cloud, copy.deepcopy(s.model)), before), "a deep copy gives another output")
    pickled = pickle.loads(pickle.dumps(s.model))
    _require(torch.equal(s.output(cloud, pickled), before), "a pickled copy gives another output")
    clone = copy.deepcopy(s.model)
    with torch.no_grad():
        for parameter in clone.parameters():
            parameter.zero_()
    _require(torch.equal(s.output(cloud), before), "a deep copy shares weights with its original")


def _dtypes(s: _Subject) -> None:
    cloud = s.cloud()
    before = s.output(cloud)
    _require(before.dtype == torch.float64, f"a float64 model gives {before.dtype}")
    single = copy.deepcopy(s.model).float()
    after = s.output(cloud, single)
    _require(after.dtype == torch.float32, f"a float32 model gives {after.dtype}")
    change = _relative(after.double(), before)
    _require(change < 1e-2, f"float32 and float64 outputs differ by {change:.1e}")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = s.output(cloud, single)
        loss = s.loss(single.train(), cloud)
    _require(bool(torch.isfinite(half).all()), "outputs are not finite under bfloat16 autocast")
    loss.backward()
    finite = all(bool(torch.isfinite(p.grad).all()) for p in single.parameters() if p.grad is not None)
    _require(finite, "gradients are not finite under bfloat16 autocast")


def _devices(s: _Subject) -> None:
    cloud = s.cloud().to_padded()
    shape = s.output(cloud).shape
    moved = copy.deepcopy(s.model).to("meta")
    # Torch has no autocast for the meta device: a part that asks for it there gets the host's.
    with (
        mock.patch.object(torch, "autocast", _of_host(torch.autocast)),
        mock.patch.object(torch, "is_autocast_enabled", _of_host(torch.is_autocast_enabled)),
    ):
        output = s.output(cloud.to("meta"), moved)
    _require(output.device.type == "meta", f"a model on the meta device answers on {output.device}")
    _require(output.shape == shape, f"its output has shape {tuple(output.shape)}, not {tuple(shape)}")


def _edge_events(s: _Subject) -> None:
    lengths: tuple[list[int], ...] = ([0, 3, 1, 0], [1], [0], [0, 0, 0], [])
    for multiplicities in lengths:
        cloud = s.cloud(multiplicities)
        for variant in (cloud, cloud.to_padded(), cloud.to_padded(4)):
            try:
                output = s.packed_output(variant)
            except Exception as error:
                raise ConformanceError(
                    f"events of {multiplicities} particles, {variant.layout!r}: {type(error).__name__}: {error}"
                ) from error
            _require(
                bool(torch.isfinite(output).all()),
                f"NaN or infinity for events of {multiplicities} particles",
            )
    output = s.output(_awkward_events(s))
    _require(
        bool(torch.isfinite(output).all()),
        "NaN or infinity for duplicated, collinear, massless or boosted particles",
    )


def _re_entrant(s: _Subject) -> None:
    cloud, other = s.cloud(), s.cloud([2, 5], seed=9)
    state = {name: tensor.clone() for name, tensor in s.model.state_dict().items()}
    before = s.output(cloud)
    s.output(other)
    _require(torch.equal(s.output(cloud), before), "the same input twice gives two outputs")
    changed = [name for name, tensor in s.model.state_dict().items() if not torch.equal(tensor, state[name])]
    _require(not changed, f"evaluation changes {changed}")


def _units(s: _Subject) -> None:
    cloud = s.cloud()
    before = s.output(cloud)
    for units in ("MeV", "TeV"):
        change = _relative(s.output(cloud.to_units(units)), before)
        # A last digit of every momentum is rounded on the way, to which boosted masses are sensitive.
        _require(change < 1e-7, f"events in {units} change the output by {change:.1e}")


def _declarations(s: _Subject) -> None:
    m = s.original
    for part in (m.spurions, m.frames_net, m.embedding, m.backbone, m.head):
        name = type(part).__name__
        _require(
            part.exportable is True or (isinstance(part.exportable, str) and bool(part.exportable.strip())),
            f"{name}.exportable is neither True nor a reason, but {part.exportable!r}",
        )
        _require(isinstance(part.permutation_symmetric, bool), f"{name}.permutation_symmetric is no bool")
        _require(isinstance(part.exact, bool), f"{name}.exact is no bool")
    _require(m.symmetry.is_closed, f"the declared symmetry {m.symmetry.describe()} is no Lie algebra")
    if not m.backbone.projects:
        _require(
            isinstance(getattr(m.backbone, "width", None), int),
            f"{type(m.backbone).__name__} does not project, but has no width",
        )


CHECKS: Final[dict[str, Callable[[_Subject], None]]] = {
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


def _described(component: Component) -> None:
    label = f"{component.kind} {component.name!r}"
    _require(bool(component.summary.strip()), f"{label} has no summary")
    _require("\n" not in component.summary, f"the summary of {label} is more than one line")
    if component.kind == "model":
        return
    target = catalogue().target(component)
    documentation = _documentation(target)
    _require(bool(documentation.strip()), f"{label} has no docstring")
    own = {name: p for name, p in parameters_of(target).items() if name not in FILLED}
    bare = [name for name, parameter in own.items() if not parameter.type]
    _require(not bare, f"parameters of {label} have no annotation, so they cannot be checked: {bare}")
    silent = [name for name in own if not re.search(rf"\b{name}\b", documentation)]
    _require(not silent, f"the docstring of {label} does not mention {silent}")
    unknown = [name for name in component.defaults if name not in own]
    _require(not unknown, f"{label} sets defaults that it has no parameter for: {unknown}")


# ---- helpers ----------------------------------------------------------------------------------

_SLOT_KINDS: Final = ("spurions", "frames", "embedding", "backbone", "head")


def _run(name: str, check: Callable[[Any], None], subject: Any, reason: str | None) -> Outcome:
    try:
        check(subject)
    except Exception as error:
        what = str(error) if isinstance(error, LorentzooError) else f"{type(error).__name__}: {error}"
        return (
            Outcome(name, "failed", what) if reason is None else Outcome(name, "failed as expected", reason)
        )
    if reason is None:
        return Outcome(name, "passed")
    return Outcome(name, "passed unexpectedly", f"but it was expected to fail: {reason}")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConformanceError(message)


def _relative(a: Tensor, b: Tensor) -> float:
    """Largest difference relative to the largest value; infinite where one is not finite or shapes differ."""
    if a.shape != b.shape:
        return math.inf
    if b.numel() == 0:
        return 0.0
    scale = float(b.detach().abs().max())
    change = float((a.detach() - b.detach()).abs().max())
    if math.isnan(change) or math.isnan(scale):
        return math.inf
    return change / scale if scale > 0 else change


def _changes(discrete: Mapping[str, float], names: Sequence[str]) -> str:
    return ", ".join(f"{name} changes the output by {discrete[name]:.1e}" for name in names)


def _of_host(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a device type that takes the meta device for the host."""
    return lambda device_type="cpu", *args, **kwargs: function(
        "cpu" if device_type == "meta" else device_type, *args, **kwargs
    )


def _awkward_events(s: _Subject) -> ParticleCloud:
    """Duplicated, collinear, massless, resting, soft and strongly boosted particles, and events of few."""
    p = np.array([50.0, 30.0, 20.0, np.sqrt(50.0**2 - 30.0**2 - 20.0**2)])
    q = np.array([20.0, -5.0, 12.0, 3.0])
    rest = np.array([0.14, 0, 0, 0])
    soft = 1e-6 * q
    fast = np.array([np.sqrt(1e12 + 0.14**2), 0, 1e6, 0])
    events = [[p, p, q], [p, 2 * p, 3 * p], [rest, q, p], [soft, q, p, fast], [p], [], [q, q]]
    flat = np.array([row for event in events for row in event])
    scalars = np.ones((len(flat), s.original.in_scalars))
    context = np.ones((len(events), s.original.in_context))
    ptr = np.concatenate([[0], np.cumsum([len(event) for event in events])])
    return ParticleCloud.from_packed(flat, torch.from_numpy(ptr.astype(np.int64)), scalars, context)


def _made(model: str | Mapping[str, Any] | Spec | Model | Generator) -> Model | Generator:
    if isinstance(model, Model | Generator):
        return model
    if isinstance(model, str):
        return build(model_spec(model))
    if isinstance(model, Mapping):
        return build(Spec.from_data(model))
    return build(model)


def _title(model: Model | Generator) -> str:
    if isinstance(model, Generator):
        named = isinstance(model.spec, Spec) and model.spec.model
        return f"model {model.spec.model}" if named else f"generator {type(model).__name__}"
    if not isinstance(model.spec, Spec):
        return type(model.backbone).__name__
    return f"model {model.spec.model}" if model.spec.model else f"backbone {model.spec.backbone.name}"


def _composition(
    component: Component, parameters: dict[str, Any], around: dict[str, Any], small: Mapping[str, Any]
) -> Spec:
    """A composition in which the component has a part to play."""
    if component.kind == "model":
        spec = model_spec(component.full_name if component.plugin else component.name)
        return _small_spec(spec, small)
    name = component.full_name if component.plugin else component.name
    slots: dict[str, Any] = {"backbone": "deep-sets", "embedding": ["kinematics", "momenta"]}
    if component.kind == "spurions":
        slots["spurion_mode"] = "channels"
    if component.kind == "embedding":
        made = catalogue().target(component)(**{**component.defaults, **parameters})
        slots["embedding"] = [{"name": name, **parameters}]
        if not made.scalar_names and not made.vector_names:
            slots["in_scalars"] = 2
    elif component.kind == "backbone":
        target = catalogue().target(component)
        if isinstance(target, type) and issubclass(target, Backbone) and target.equivariant:
            slots["embedding"] = ["momenta", "invariants"]
    elif component.kind == "generator" and not catalogue().target(component).needs_network:
        slots["backbone"] = None
    if component.kind not in ("embedding",):
        slots[component.kind] = {"name": name, **parameters}
    slots |= around
    return _small_spec(Spec.from_data(slots), small, keep=True)


def _small_spec(spec: Spec, small: Mapping[str, Any], keep: bool = False) -> Spec:
    """The specification with a small backbone, and of a generator few steps; `keep` leaves what it states itself."""
    if spec.backbone.name != NO_BACKBONE:
        shrunk = _shrink("backbone", spec.backbone.name, small)
        spec = replace(
            spec, backbone=spec.backbone.merged({**shrunk, **(spec.backbone.parameters if keep else {})})
        )
    if spec.generator is not None:
        fewer = _shrink("generator", spec.generator.name, {"steps": 2})
        spec = replace(spec, generator=spec.generator.merged(fewer))
    return spec


def _documentation(target: Any) -> str:
    """The docstring; of a class with those of its bases, where a family documents its common parameters."""
    if not inspect.isclass(target):
        return inspect.getdoc(target) or ""
    family = [c for c in target.__mro__ if c is not object and c.__module__.partition(".")[0] != "torch"]
    return "\n".join(c.__dict__.get("__doc__") or "" for c in family)


def _shrink(kind: str, name: str, small: Mapping[str, Any]) -> dict[str, Any]:
    known = parameters_of(catalogue().target(catalogue().find(kind, name)))
    return {name: value for name, value in small.items() if name in known}


def _cost_of_loading(name: str) -> tuple[float, bool]:
    """Milliseconds to load a plugin in a process of its own, and whether torch came with it."""
    code = (
        "import json, sys, time, lorentzoo.registry.catalogue as c\n"
        "from importlib.metadata import entry_points\n"
        "from lorentzoo import Component, hookimpl\n"
        f"point = next(p for p in entry_points(group=c.GROUP) if p.name == {name!r})\n"
        "start = time.perf_counter()\n"
        "point.load()\n"
        "print(json.dumps([1e3 * (time.perf_counter() - start), 'torch' in sys.modules]))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    _require(
        ran.returncode == 0, ran.stderr.strip().splitlines()[-1] if ran.stderr.strip() else "it did not load"
    )
    milliseconds, torch_came = json.loads(ran.stdout.strip().splitlines()[-1])
    return float(milliseconds), bool(torch_came)

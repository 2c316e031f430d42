"""What is there to say of each component of the zoo?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import torch

from lorentzoo.core.errors import CompositionError
from lorentzoo.core.exportable import find_refusal
from lorentzoo.core.model import Model
from lorentzoo.core.trainable import Trainable
from lorentzoo.exporting.formats import FORMATS
from lorentzoo.exporting.source.export import SOURCE_ENDINGS
from lorentzoo.exporting.source.program import find_obstacle
from lorentzoo.output.progress import ProgressLine
from lorentzoo.pages.costs import EntryCosts, find_costs
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.components import Component
from lorentzoo.registry.composition import build
from lorentzoo.registry.creation import create_model
from lorentzoo.registry.descriptions import describe
from lorentzoo.registry.parameters import Parameter
from lorentzoo.registry.specs import NO_BACKBONE, SLOTS, PartSpec, Spec
from lorentzoo.studies.report.details import write_composition
from lorentzoo.testing.compositions import compose_around
from lorentzoo.training.train import threads

__all__ = ["Entry", "Slot", "collect_entries", "find_pretrained"]

_NETWORKS: Final = ("model", "generator", "backbone", "frames")
"""Kinds with costs: whole networks, and what most of a network consists of."""
_WITH_SYMMETRY: Final = ("model", "generator", "backbone", "frames")
"""Kinds whose symmetry is that of the composition; others state their own, or have none."""


@dataclass(frozen=True)
class Slot:
    """One slot of a composition: the names in it, and whether the entry itself stands there."""

    name: str
    parts: tuple[str, ...]
    is_own: bool = False


@dataclass(frozen=True)
class Entry:
    """One component, as plain data and texts.

    Attributes
    ----------
    component
        Name, kind, plugin, summary, reference.
    package
        Distribution of its plugin, with the version.
    symmetry, symmetry_text
        Computed: its name, and all of it.
    size
        Trainable parameters: of a part those of its slot.
    parameters
        What can be set.
    facts
        What it declares, by name.
    documentation
        First paragraph of its docstring.
    slots
        The composition that was looked at; of a part one in which it has a part to play.
    composition
        The same as YAML.
    exports
        By formats ``"yes"``, or the reason why not, as far as its parts say so.
    pretrained
        Tags of trained weights.
    costs
        Arithmetic and times.
    problem
        Why less is known.
    """

    component: Component
    package: str = ""
    symmetry: str = ""
    symmetry_text: str = ""
    size: int | None = None
    parameters: tuple[Parameter, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    documentation: str = ""
    slots: tuple[Slot, ...] = ()
    composition: str = ""
    exports: Mapping[str, str] = field(default_factory=dict)
    pretrained: tuple[str, ...] = ()
    costs: EntryCosts = field(default_factory=EntryCosts)
    problem: str = ""


def collect_entries(
    components: Sequence[Component] | None = None, *, measure: bool = False, progress: bool = True
) -> list[Entry]:
    """What is known of each component; of one that cannot be looked at, why.

    Parameters
    ----------
    components
        Which; by default all of all plugins.
    measure
        Whether the time of every network is measured here (minutes), by one thread.
    progress
        Whether to show how it goes.
    """
    chosen = catalogue().components() if components is None else components
    packages = {record.name: f"{record.distribution} {record.version}" for record in catalogue().plugins}
    pretrained = find_pretrained()
    entries = []
    with threads(1), ProgressLine("catalogue", show=progress) as line:
        for number, component in enumerate(chosen):
            line.step(number / len(chosen), f"{component.kind} {component.name}")
            entry = replace(
                Entry(component),
                package=packages.get(component.plugin, ""),
                pretrained=tuple(pretrained.get(component.name, ())) if component.kind == "model" else (),
            )
            try:
                entry = _look_at(_describe(entry), measure)
            except Exception as error:  # a stranger's component may raise anything, and is named all the same
                entry = replace(entry, problem=f"{type(error).__name__}: {error}")
            entries.append(entry)
    return entries


def find_pretrained() -> dict[str, list[str]]:
    """Tags of trained weights by model, of every plugin that brings some."""
    found: dict[str, list[str]] = {}
    for weights in catalogue().weights():
        found.setdefault(weights.model, []).append(weights.tag)
    return found


def _describe(entry: Entry) -> Entry:
    """What the component says without a composition."""
    component = entry.component
    if component.kind == "model":
        return replace(entry, facts=_facts({"recipe": dict(component.recipe)} if component.recipe else {}))
    about = describe(component.kind, component.full_name)
    name, _, _ = about.symmetry.partition(":")
    return replace(
        entry,
        parameters=tuple(about.parameters.values()),
        facts=_facts(about.declared),
        documentation=about.documentation,
        symmetry=name,
        symmetry_text=about.symmetry,
    )


def _look_at(entry: Entry, measure: bool) -> Entry:
    """What a composition with it says."""
    component = entry.component
    if component.kind not in (*SLOTS, "model", "generator"):
        return entry
    try:
        torch.manual_seed(0)
        make = _maker(component)
        model = make()
    except Exception as error:  # as above
        # Of what was described before, all stands.
        return replace(entry, problem=f"{type(error).__name__}: {error}")
    spec = model.spec
    entry = replace(
        entry,
        size=_count(model, component.kind),
        slots=_list_slots(spec, component),
        composition=write_composition(spec),
    )
    if component.kind in _WITH_SYMMETRY:
        entry = replace(entry, symmetry=model.symmetry.name, symmetry_text=model.symmetry.describe())
    if component.kind in ("model", "generator"):
        entry = replace(entry, exports=_list_exports(model))
    if component.kind in _NETWORKS:
        entry = replace(entry, costs=find_costs(make, measure=measure))
    return entry


def _maker(component: Component) -> Callable[[], Trainable]:
    """What makes a model, or a composition in which a part has a part to play."""
    if component.kind == "model":
        return partial(create_model, component.full_name)
    try:
        spec = compose_around(component, {}, {}, {})
        build(spec)
    except CompositionError:
        # Some read no vectors.
        spec = compose_around(component, {}, {"embedding": "kinematics"}, {})
    return partial(build, spec)


def _count(model: Trainable, kind: str) -> int:
    if kind in ("model", "generator"):
        return model.num_parameters
    network = model if isinstance(model, Model) else model.network
    part: Any = getattr(network, "frames_net" if kind == "frames" else kind)
    return sum(p.numel() for p in part.parameters() if p.requires_grad)


def _list_slots(spec: Spec, component: Component) -> tuple[Slot, ...]:
    found = []
    for slot in SLOTS:
        parts = getattr(spec, slot)
        names = tuple(part.name for part in ([parts] if isinstance(parts, PartSpec) else parts))
        found.append(Slot(slot, tuple(name for name in names if name != NO_BACKBONE), component.kind == slot))
    if spec.generator is not None:
        found.append(Slot("generator", (spec.generator.name,), component.kind == "generator"))
    return tuple(found)


def _list_exports(model: Any) -> dict[str, str]:
    graph, source = find_refusal(model), find_obstacle(model)
    found = {", ".join(FORMATS): graph or "yes"}
    # The reason that holds for graphs holds for source code too.
    return found if graph is not None else {**found, ", ".join(SOURCE_ENDINGS): source or "yes"}


def _facts(declared: Mapping[str, Any]) -> dict[str, str]:
    words = {True: "yes", False: "no"}
    found = {}
    for key, value in declared.items():
        if value is None or value == [] or (isinstance(value, str) and not value):
            continue
        if isinstance(value, Mapping):
            text = ", ".join(f"{name} = {item}" for name, item in value.items())
        elif isinstance(value, list | tuple):
            text = ", ".join(map(str, value))
        else:
            text = words[value] if isinstance(value, bool) else str(value)
        found[key.replace("_", " ")] = text
    return found

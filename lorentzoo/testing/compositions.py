"""In which composition has a component a part to play?"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from lorentzoo.core.errors import ParameterError
from lorentzoo.core.interfaces import Backbone
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.components import Component
from lorentzoo.registry.composition import model_spec
from lorentzoo.registry.parameters import check_parameters, parameters_of
from lorentzoo.registry.specs import NO_BACKBONE, Spec

__all__ = ["SMALL", "compose_around"]

SMALL: Final[dict[str, Any]] = {"num_blocks": 2, "num_layers": 2, "hidden": [16, 16]}
"""Parameters that shrink a backbone for testing, as far as it has them under that name and of that type."""


def compose_around(
    component: Component, parameters: dict[str, Any], around: dict[str, Any], small: Mapping[str, Any]
) -> Spec:
    """A composition in which the component has a part to play.

    Parameters
    ----------
    component
        Any part, model or generator.
    parameters
        Its own.
    around
        Slots to use instead of those that are found for it.
    small
        Parameters that shrink a backbone, as far as it has them.
    """
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
        fewer = _shrink("generator", spec.generator.name, {"steps": 2, "acceptance_events": 50})
        spec = replace(spec, generator=spec.generator.merged(fewer))
    return spec


def _shrink(kind: str, name: str, small: Mapping[str, Any]) -> dict[str, Any]:
    """The small values of those parameters that a component has under that name and of that type."""
    target = catalogue().target(catalogue().find(kind, name))
    fitting: dict[str, Any] = {}
    for key, value in small.items():
        if key in parameters_of(target):
            with contextlib.suppress(ParameterError):
                fitting |= check_parameters(f"{kind} {name!r}", target, {key: value})
    return fitting

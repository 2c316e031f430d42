"""To which part of a model does a parameter belong that is given by its bare name?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from lorentzoo.core.errors import ParameterError
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.meaning import find_part
from lorentzoo.registry.parameters import FILLED, parameters_of
from lorentzoo.registry.specs import SLOTS, PartSpec, Spec

__all__ = ["COMPOSITION_KEYS", "override_parameter", "override_slot"]

COMPOSITION_KEYS: Final = ("spurion_mode", "anchor", "in_scalars", "in_context")
"""Keys of a composition beside its slots."""


def _with_slot(spec: Spec, slot: str, value: Any) -> Spec:
    changes: dict[str, Any] = {slot: value}
    return replace(spec, **changes)


def override_slot(spec: Spec, slot: str, value: Any) -> Spec:
    """Another part in a slot, or other parameters of the part that is there."""
    current = getattr(spec, slot)
    if isinstance(value, Mapping) and "name" not in value:
        if isinstance(current, tuple):
            if len(current) != 1:
                raise ParameterError(
                    f"{slot} of this model has {len(current)} parts: give a name with the parameters"
                )
            return _with_slot(spec, slot, (current[0].merged(value),))
        return _with_slot(spec, slot, current.merged(value))
    return Spec.from_data({**spec.to_data(), slot: value})


def override_parameter(spec: Spec, key: str, value: Any, model: str) -> Spec:
    """Give a bare parameter to the one part that has it."""
    owners: list[tuple[str, int | None, PartSpec]] = []
    everything: set[str] = set()
    for slot in spec.slots:
        if slot == "head" and spec.generator is not None:
            continue  # the generator brings it
        current = getattr(spec, slot)
        for index, item in enumerate(current) if isinstance(current, tuple) else ((None, current),):
            component = find_part(spec, slot, item.name)
            names = set(parameters_of(catalogue().target(component))) - FILLED
            everything |= names
            if key in names or key in component.renamed_parameters:
                owners.append((slot, index, item))
    if not owners:
        listing = ", ".join(sorted(everything | set(SLOTS) | set(COMPOSITION_KEYS)))
        raise ParameterError(f"no part of model {model!r} has a parameter {key!r}. Possible: {listing}.")
    if len(owners) > 1:
        places = " and ".join(f"{slot} {item.name!r}" for slot, _, item in owners)
        raise ParameterError(
            f"{key!r} is a parameter of {places}: write e.g. {owners[0][0]}={{'{key}': {value!r}}}"
        )
    slot, index, item = owners[0]
    merged = item.merged({key: value})
    if index is None:
        return _with_slot(spec, slot, merged)
    parts = list(getattr(spec, slot))
    parts[index] = merged
    return _with_slot(spec, slot, tuple(parts))

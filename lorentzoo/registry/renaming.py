"""What were components and their parameters called before, and which defaults did they have?

Components declare it (`Component.renamed_from`, `renamed_parameters`, `older_defaults`). What was saved keeps its
meaning; what is written by hand is told the new name.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from typing import Any, Final

from lorentzoo.core.errors import ParameterError, RenamedWarning
from lorentzoo.registry.components import Component, has_passed
from lorentzoo.registry.meaning import find_part
from lorentzoo.registry.specs import NO_BACKBONE, PartSpec, Spec

__all__ = ["update_part", "update_spec"]

_RECORDED: Final = re.compile(r"\(\S+ (?P<version>[^)]+)\)")
"""Of what a specification records of a part: ``"plugin (distribution version)"``."""


def update_spec(spec: Spec) -> Spec:
    """The composition by today's names of components and parameters, with the defaults that it was made with.

    Raises
    ------
    UnknownNameError, AmbiguousNameError
        If a name means nothing, or several things.
    ParameterError
        If a parameter is named by an old name beside the new one, or by hand after its date.
    """
    plugins = dict(spec.plugins)

    def update(kind: str, part: PartSpec) -> PartSpec:
        component = find_part(spec, kind, part.name)
        key = f"{kind}/{part.name}"
        recorded = plugins.get(key, "")
        new = update_part(component, part, recorded)
        if new.name != part.name and key in plugins:
            plugins[f"{kind}/{new.name}"] = plugins.pop(key)
        return new

    changes: dict[str, Any] = {}
    # The backbone first, which a user looks at first.
    for slot in sorted(spec.slots, key=lambda slot: slot != "backbone"):
        parts = getattr(spec, slot)
        if isinstance(parts, PartSpec):
            changes[slot] = parts if _is_no_part(slot, parts) else update(slot, parts)
        else:
            changes[slot] = tuple(update(slot, part) for part in parts)
    return replace(spec, **changes, plugins=plugins)


def update_part(component: Component, part: PartSpec, recorded: str = "") -> PartSpec:
    """A part by today's names, with the defaults that it was made with.

    Parameters
    ----------
    component
        What its name means.
    part
        Name and parameters.
    recorded
        ``"plugin (distribution version)"`` with which it was made; empty for what is written by hand, which has today's
        defaults.
    """
    name = part.name
    if name.rpartition("/")[2] in component.renamed_from:
        name = component.name
    parameters: dict[str, Any] = {}
    for key, value in part.parameters.items():
        parameters[_rename(component, key, part, recorded)] = value
    found = _RECORDED.search(recorded)
    if found is not None:
        # The oldest change that came after it says what it had.
        for version in sorted(component.older_defaults, key=_read_version, reverse=True):
            if _read_version(found["version"]) < _read_version(version):
                stated = component.older_defaults[version]
                parameters = {
                    **parameters,
                    **{key: value for key, value in stated.items() if key not in part.parameters},
                }
    return part if (name, parameters) == (part.name, dict(part.parameters)) else PartSpec(name, parameters)


def _rename(component: Component, key: str, part: PartSpec, recorded: str) -> str:
    new = component.renamed_parameters.get(key)
    if new is None:
        return key
    what = f"parameter {key!r} of {component.kind} {component.name!r} is now called {new!r}"
    if new in part.parameters:
        raise ParameterError(f"{what}: both are given")
    if not recorded:
        if has_passed(component.deprecated_until):
            raise ParameterError(f"{what}; the old name was read until {component.deprecated_until}")
        warnings.warn(
            f"{what}; the old name is read until {component.deprecated_until}", RenamedWarning, stacklevel=4
        )
    return new


def _read_version(text: str) -> tuple[int, ...]:
    """Numbers of a version's release, e.g. (0, 2) of 0.2.0rc1."""
    release = re.match(r"\d+(\.\d+)*", text.strip())
    numbers = [int(piece) for piece in release[0].split(".")] if release else [0]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _is_no_part(slot: str, part: PartSpec) -> bool:
    return slot == "backbone" and part.name == NO_BACKBONE

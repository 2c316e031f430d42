"""Which component does a specification mean by a name?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lorentzoo.core.errors import UnknownNameError
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.components import Component
from lorentzoo.registry.specs import SLOTS, PartSpec, Spec

__all__ = ["find_part", "record_own_parts", "record_wanted"]


def find_part(spec: Spec, kind: str, name: str) -> Component:
    """The component that a specification means.

    Where several plugins offer the name, it is that of the plugin which the specification recorded, so that a third
    party's equal name breaks neither presets nor saved models.

    Raises
    ------
    UnknownNameError, AmbiguousNameError
        If the name means nothing, naming the plugin that it came from; or several things.
    """
    recorded = spec.plugins.get(f"{kind}/{name}", "")
    plugin = recorded.partition(" (")[0]
    try:
        # A part that a save recorded with its version is one that was saved.
        return catalogue().find(kind, name, (plugin,), saved=recorded != plugin)
    except UnknownNameError as error:
        if not plugin or plugin in {record.name for record in catalogue().plugins if not record.error}:
            raise
        raise UnknownNameError(f"{error} It came from the plugin {recorded}, which is not there.") from None


def record_own_parts(spec: Spec, plugin: str) -> dict[str, str]:
    """For a preset, the plugin of each part that is of the package which brings the preset."""
    ours = catalogue().own_plugins
    if plugin not in ours:
        return {}
    items = [(slot, item) for slot in SLOTS for item in _list_parts(getattr(spec, slot))]
    items += [("generator", spec.generator)] if spec.generator is not None else []
    found: dict[str, str] = {}
    for kind, item in items:
        offers = [c for c in catalogue().components(kind) if c.name == item.name and c.plugin in ours]
        found |= {f"{kind}/{item.name}": offers[0].plugin} if offers else {}
    return found


def record_wanted(spec: Spec, kind: str, name: str, by: Component) -> Spec:
    """The specification with the plugin of a part that one of its components wants by name, unless it records one.

    A component means the parts of its own plugin, or else those that come with ours, whatever others call theirs.
    """
    key = f"{kind}/{name}"
    if key in spec.plugins:
        return spec
    offers = [component for component in catalogue().components(kind) if component.name == name]
    for plugins in ({by.plugin}, catalogue().own_plugins):
        for component in offers:
            if component.plugin in plugins:
                return replace(spec, plugins={**spec.plugins, key: component.plugin})
    return spec


def _list_parts(parts: PartSpec | Sequence[PartSpec]) -> list[PartSpec]:
    return [parts] if isinstance(parts, PartSpec) else list(parts)

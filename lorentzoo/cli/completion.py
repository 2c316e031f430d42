"""Which names does a shell complete? Read from component data alone, so that it answers as fast as one types."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["complete_kinds", "complete_names", "complete_parts", "complete_plugins"]


def complete_kinds(incomplete: str) -> list[str]:
    """Kinds of components."""
    from lorentzoo.registry.components import KINDS

    return [kind for kind in KINDS if kind.startswith(incomplete)]


def complete_names(incomplete: str) -> list[tuple[str, str]]:
    """Names of components of any kind, with their summaries."""
    from lorentzoo.registry.components import KINDS

    found: dict[str, str] = {}
    for kind in KINDS:
        for name, summary in _names_of(kind, incomplete):
            found.setdefault(name, f"{kind}: {summary}")
    return sorted(found.items())


def complete_parts(kind: str) -> Callable[[str], list[tuple[str, str]]]:
    """What completes the names of one kind, with their summaries."""

    def complete(incomplete: str) -> list[tuple[str, str]]:
        return _names_of(kind, incomplete)

    return complete


def complete_plugins(incomplete: str) -> list[tuple[str, str]]:
    """Names of plugins, with the packages that bring them."""
    from lorentzoo.registry.catalogue import catalogue

    return [
        (record.name, f"{record.distribution} {record.version}")
        for record in catalogue().plugins
        if record.name.startswith(incomplete)
    ]


def _names_of(kind: str, incomplete: str) -> list[tuple[str, str]]:
    from lorentzoo.registry.catalogue import catalogue

    known = catalogue()
    summaries = {name: c.summary for c in known.components(kind) for name in (c.name, c.full_name)}
    return [(name, summaries[name]) for name in known.names(kind) if name.startswith(incomplete)]

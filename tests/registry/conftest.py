"""Small models, and plugins written on the spot."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from lorentzoo.registry.catalogue import Catalogue

PluginMaker = Callable[..., EntryPoint]


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PluginMaker:
    """Write a module and return its entry point; modules are gone afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str, body: str) -> EntryPoint:
        module = f"lorentzoo_test_{tmp_path.name.replace('-', '_')}_{name.replace('-', '_')}"
        (tmp_path / f"{module}.py").write_text("from lorentzoo import Component, hookimpl\n" + body)
        return EntryPoint(name, module, "lorentzoo")

    return make


@pytest.fixture
def with_plugins(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Catalogue]:
    """Make a catalogue of the built-in plugins and further ones current."""
    from lorentzoo.registry import catalogue as module

    def make(*points: EntryPoint) -> Catalogue:
        own = list(module.entry_points(group=module.GROUP))
        current = Catalogue([*own, *points])
        monkeypatch.setattr(module, "_current", current)
        return current

    return make


def offers(*components: str) -> str:
    """Source of a plugin that offers the given components."""
    listing = ", ".join(components)
    return f"@hookimpl\ndef lorentzoo_components():\n    return [{listing}]\n"

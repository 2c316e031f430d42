"""Plugins of ours build on what plugins of others may: public packages only, and nothing at all before they are used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lorentzoo
import lorentzoo.densities
import lorentzoo.nn
import lorentzoo.studies
import lorentzoo.testing

ROOT = Path(lorentzoo.__file__).parent / "plugins"
PUBLIC = {"lorentzoo", "lorentzoo.nn", "lorentzoo.densities"}
MODULES = sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT)


def find_imports(path: Path) -> list[tuple[str, str]]:
    """Modules and names of ours that a file imports, anywhere in it."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found += [(node.module or "", alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
    return [(module, name) for module, name in found if module.split(".")[0] == "lorentzoo"]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_plugins_import_public_names_only(path: Path) -> None:
    own = f"lorentzoo.plugins.{path.relative_to(ROOT).parts[0]}"
    for module, name in find_imports(path):
        assert module in PUBLIC or module == own or module.startswith(f"{own}."), f"{path} imports {module}"
        if module in PUBLIC:
            assert name in sys.modules[module].__all__, (
                f"{path} imports {name}, which {module} does not offer"
            )


def test_modules_with_hooks_import_nothing_but_the_package() -> None:
    for path in ROOT.glob("*/__init__.py"):
        assert {module for module, _ in find_imports(path)} <= {"lorentzoo"}, path


@pytest.mark.parametrize(
    "package", ["lorentzoo", "lorentzoo.nn", "lorentzoo.densities", "lorentzoo.studies", "lorentzoo.testing"]
)
def test_names_are_resolved_on_use(package: str) -> None:
    code = (
        f"import sys, {package}; assert 'torch' not in sys.modules; print(len(dir(sys.modules[{package!r}])))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    module = sys.modules[package]
    for name in module.__all__:
        assert getattr(module, name) is not None
        assert name in dir(module)
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'surely_not'"):
        module.surely_not  # noqa: B018

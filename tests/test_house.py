"""Does the house keep its rules: no circle of files, short modules, no task and no metric known outside the tasks?"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from lorentzoo.output.task import load_task
from lorentzoo.registry.catalogue import catalogue

ROOT = Path(__file__).parents[1] / "lorentzoo"
FILES = sorted(ROOT.rglob("*.py"))
LONGEST = 450


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@lru_cache(maxsize=1)
def modules() -> dict[str, Path]:
    return {module_name(path): path for path in FILES}


def own_imports(tree: ast.AST) -> Iterator[ast.ImportFrom | ast.Import]:
    """Imports wherever they stand, but for those that only type checkers read."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom | ast.Import):
            yield node
        yield from own_imports(node)


def imports_of(path: Path) -> set[str]:
    """Modules of ours that a file imports, now or later."""
    found = set()
    for node in own_imports(ast.parse(path.read_text(encoding="utf-8"))):
        names = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        )
        found |= {name for name in names if name in modules()}
    return found - {module_name(path)}


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Strongly connected components of more than one module (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = set()
            while True:
                member = stack.pop()
                component.add(member)
                if member == node:
                    break
            if len(component) > 1:
                found.append(component)

    for node in graph:
        if node not in index:
            visit(node)
    return found


def test_no_circle_of_files() -> None:
    # The top of the package is what plugins import; it reaches down lazily, by text.
    graph = {name: imports_of(path) - {"lorentzoo"} for name, path in modules().items()}
    assert circles(graph) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_short_and_say_what_they_are_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= LONGEST
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), "the first line of a module says which question it answers"


def outside_tasks() -> list[Path]:
    """Files that belong to no task: those of a task are in ``tasks`` or, where a plugin brings it, beside its class."""
    homes = {Path(inspect.getfile(type(load_task(name)))).parent for name in catalogue().names("task")}
    return [path for path in FILES if not ({ROOT / "tasks", *homes} & set(path.parents))]


def test_no_task_is_compared_by_name_outside_the_tasks() -> None:
    names = set(catalogue().names("task"))
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in outside_tasks()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare)
        and any(isinstance(part, ast.Constant) and part.value in names for part in ast.walk(node))
    ]
    assert found == []


def test_no_metric_is_known_outside_the_tasks() -> None:
    names = {metric.name for name in catalogue().names("task") for metric in load_task(name).metrics}
    # What costs are called, and what papers quote of taggers, are not metrics of ours.
    names -= {"auc", "accuracy", "bias", "classes"}
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.value}"
        for path in outside_tasks()
        # Public places of functions list their names.
        if path.relative_to(ROOT) not in (Path("studies/metrics.py"), Path("output/weights.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in names
    ]
    assert found == []


@pytest.mark.parametrize(
    "package", ["lorentzoo", "lorentzoo.nn", "lorentzoo.densities", "lorentzoo.studies", "lorentzoo.testing"]
)
def test_public_names_exist(package: str) -> None:
    """What type checkers see is what there is."""
    module = importlib.import_module(package)
    tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
    seen = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert seen == {name for name in module.__all__ if name != "__version__"}
    for name in module.__all__:
        assert getattr(module, name) is not None

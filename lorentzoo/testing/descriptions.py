"""Is a component described, and does its plugin load as it should?"""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from typing import Any, Final

from lorentzoo.core.text import plain
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.checkpoints import load
from lorentzoo.registry.components import Component
from lorentzoo.registry.details import read_details
from lorentzoo.registry.parameters import FILLED, parameters_of
from lorentzoo.testing.report import Report, require, run_check

__all__ = ["check_description", "check_plugin"]

_LOADS_WITHIN_MS: Final = 20.0


def check_plugin(name: str) -> Report:
    """Check how a plugin loads: without error, without torch, in less than 20 ms, with targets and weights that exist.

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
        require(not record.error, record.error)
        require(bool(record.components or record.weights), "it offers no component and no weights")

    def light(_: object) -> None:
        measured = [_cost_of_loading(name) for _ in range(3)]
        require(not any(torch_came for _, torch_came in measured), "loading it imports torch")
        best = min(milliseconds for milliseconds, _ in measured)
        require(best < _LOADS_WITHIN_MS, f"loading it takes {best:.0f} ms, more than {_LOADS_WITHIN_MS:.0f}")

    def targets(_: object) -> None:
        for component in record.components:
            if component.kind != "model":
                component.load()

    def weights(_: object) -> None:
        for item in record.weights:
            model = load(item.path)
            stated = plain(model.spec.model or "a model without a name")
            require(stated == item.model, f"{item.path} holds {stated}, which it offers as {item.model!r}")
            told = read_details(item.path)
            lacking = [what for what in ("data", "licence", "limits") if not getattr(told, what)]
            require(
                not lacking,
                f"{item.name} does not tell its {', '.join(lacking)}: lorentzoo.save(..., details=...)",
            )

    outcomes = [run_check("loads", loads, None, None)]
    if outcomes[0].ok:
        outcomes += [
            run_check("imports no torch, loads quickly", light, None, None),
            run_check("targets exist", targets, None, None),
        ]
        if record.weights:
            outcomes.append(run_check("weights load and are told of", weights, None, None))
    return Report(f"plugin {name}", tuple(outcomes))


def check_description(component: Component) -> None:
    label = f"{component.kind} {component.name!r}"
    require(bool(component.summary.strip()), f"{label} has no summary")
    require("\n" not in component.summary, f"the summary of {label} is more than one line")
    if component.kind == "model":
        return
    target = catalogue().target(component)
    documentation = _documentation(target)
    require(bool(documentation.strip()), f"{label} has no docstring")
    own = {name: p for name, p in parameters_of(target).items() if name not in FILLED}
    bare = [name for name, parameter in own.items() if not parameter.type]
    require(not bare, f"parameters of {label} have no annotation, so they cannot be checked: {bare}")
    silent = [name for name in own if not re.search(rf"\b{name}\b", documentation)]
    require(not silent, f"the docstring of {label} does not mention {silent}")
    unknown = [name for name in component.defaults if name not in own]
    require(not unknown, f"{label} sets defaults that it has no parameter for: {unknown}")


def _documentation(target: Any) -> str:
    """The docstring; of a class with those of its bases, where a family documents its common parameters."""
    if not inspect.isclass(target):
        return inspect.getdoc(target) or ""
    family = [c for c in target.__mro__ if c is not object and c.__module__.partition(".")[0] != "torch"]
    return "\n".join(c.__dict__.get("__doc__") or "" for c in family)


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
    require(
        ran.returncode == 0, ran.stderr.strip().splitlines()[-1] if ran.stderr.strip() else "it did not load"
    )
    milliseconds, torch_came = json.loads(ran.stdout.strip().splitlines()[-1])
    return float(milliseconds), bool(torch_came)

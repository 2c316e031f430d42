"""What does a user want to know of a component?"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lorentzoo.core.errors import ParameterError
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.components import Component, Kind
from lorentzoo.registry.parameter_texts import allowed_values
from lorentzoo.registry.parameters import FILLED, Parameter, parameters_of
from lorentzoo.registry.specs import Spec

__all__ = ["Description", "describe"]


@dataclass(frozen=True)
class Description:
    """Everything worth knowing of one component.

    Attributes
    ----------
    component
        Name, kind, plugin, summary, reference.
    parameters
        What can be set, with types and defaults; of a task the settings of its test.
    declared
        What the component declares about itself (equivariant, exportable, ...).
    symmetry
        The computed symmetry, where it can be told without a composition; for models, that of the model.
    documentation
        The first paragraph of its docstring.
    spec
        For models, the composition.
    """

    component: Component
    parameters: Mapping[str, Parameter]
    declared: Mapping[str, Any]
    symmetry: str
    documentation: str
    spec: Spec | None = None

    def to_data(self) -> dict[str, Any]:
        """Plain data, e.g. for JSON."""
        c = self.component
        return {
            "kind": c.kind,
            "name": c.name,
            "plugin": c.plugin,
            "summary": c.summary,
            "reference": c.reference,
            "symmetry": self.symmetry,
            "declared": dict(self.declared),
            "parameters": [
                {
                    "name": p.name,
                    "type": p.type,
                    "default": None if p.required else _text(p.default),
                    "required": p.required,
                    "allowed": list(allowed_values(p.annotation)),
                    "text": p.text,
                }
                for p in self.parameters.values()
            ],
            "spec": None if self.spec is None else self.spec.to_data(),
        }

    def __str__(self) -> str:
        c = self.component
        lines = [f"{c.kind} {c.name}  ({c.full_name})", f"  {c.summary}"]
        if c.reference:
            lines.append(f"  reference: {c.reference}")
        if self.symmetry:
            lines.append(f"  symmetry:  {self.symmetry}")
        lines += [f"  {key}: {value}" for key, value in self.declared.items()]
        if self.parameters:
            lines.append("  parameters:")
            for p in self.parameters.values():
                default = "required" if p.required else f"= {_text(p.default)}"
                lines.append(f"    {p.name}: {p.type} {default}")
                lines += textwrap.wrap(p.text, 100, initial_indent=" " * 8, subsequent_indent=" " * 8)
        if self.spec is not None:
            lines.append("  composition:")
            lines += ["    " + line for line in self.spec.to_yaml().splitlines()]
        return "\n".join(lines)


def describe(kind: Kind, name: str) -> Description:
    """Describe a component by kind and name; its code is imported, since parameters are read from it.

    Raises
    ------
    UnknownNameError, AmbiguousNameError
        If the name means nothing, or several things.
    """
    component = catalogue().find(kind, name)
    if component.kind == "model":
        return _describe_model(component)
    target = catalogue().target(component)
    # What is set of a task is how thoroughly it tests.
    settable = getattr(target, "settings", target) if kind == "task" else target
    parameters = {
        key: _with_default(parameter, component.defaults)
        for key, parameter in parameters_of(settable).items()
        if key not in FILLED
    }
    declared = {
        key: getattr(target, key)
        for key in (
            "equivariant",
            "projects",
            "spurion_mode",
            "permutation_symmetric",
            "exportable",
            "exact",
            "learned",
            "task",
        )
        if isinstance(target, type) and hasattr(target, key)
    }
    if kind == "task":
        declared["metrics"] = list(dict.fromkeys(metric.name for metric in getattr(target, "metrics", ())))
        declared["ranking"] = list(getattr(target, "ranking", ()))
    return Description(
        component, parameters, declared, _symmetry_of(component, target), _first_paragraph(target)
    )


def _describe_model(component: Component) -> Description:
    import torch

    from lorentzoo.registry.creation import create_model

    with torch.device("meta"):
        model = create_model(component.full_name)
    declared: dict[str, Any] = {
        "parameters": model.num_parameters,
        "permutation_symmetric": model.permutation_symmetric,
    }
    if component.recipe:
        declared["recipe"] = dict(component.recipe)
    return Description(component, {}, declared, model.symmetry.describe(), component.summary, model.spec)


def _symmetry_of(component: Component, target: Any) -> str:
    """The symmetry that a spurion leaves or an embedding's scalars keep, at the component's default parameters."""
    if component.kind not in ("spurions", "embedding"):
        return ""
    try:
        part = target(**component.defaults)
    except (TypeError, ValueError, ParameterError):
        return ""
    return str(part.symmetry.describe())


def _with_default(parameter: Parameter, defaults: Mapping[str, Any]) -> Parameter:
    if parameter.name not in defaults:
        return parameter
    return replace(parameter, default=defaults[parameter.name])


def _first_paragraph(target: Any) -> str:
    return (getattr(target, "__doc__", None) or "").strip().split("\n\n")[0].replace("\n", " ")


def _text(value: Any) -> str:
    return repr(list(value)) if isinstance(value, tuple) else repr(value)

"""How does a name become a model, with new weights or with trained ones?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lorentzoo.core.errors import CheckpointError, CompositionError
from lorentzoo.core.text import plain
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.checkpoints import load
from lorentzoo.registry.composition import build, model_spec, override
from lorentzoo.registry.replacement import replace_head
from lorentzoo.registry.saved import read_saved_spec
from lorentzoo.registry.specs import SLOTS, PartSpec, Spec, parse_inline

__all__ = ["NamedModel", "create_model", "read_model_name"]


def create_model(name: str, *, pretrained: str | bool | None = None, **overrides: Any) -> Any:
    """A model of the zoo by its name.

    Without further arguments it is the published reference form of that network, with new weights. Any slot
    (``frames="identity"``, ``backbone={"num_blocks": 4}``), any key of a composition (``in_scalars=10``) and any
    parameter of any part (``num_classes=10``) can be overridden; the name may carry all of these inline
    (``"transformer:num_classes=10"``, ``"particlenet-observables:pretrained=jets10-v1"``).

    Parameters
    ----------
    name
        Of the model.
    pretrained
        Tag of trained weights, as `lorentzoo.list_pretrained` lists them; True for the only ones. The model is then
        what they were trained for, in evaluation mode. With another head (``num_classes=2``) that head is new, all else
        is trained, and the model is in training mode.
    overrides
        See above.

    Returns
    -------
    A `Model`, or a `Generator` where the name stands for one.

    Raises
    ------
    UnknownNameError, AmbiguousNameError
        If there is no such model or no such weights, or several plugins offer them.
    ParameterError
        If an override belongs to no part, or to several.
    CompositionError
        If trained weights are asked for with other parts than they were trained for.
    """
    named = read_model_name(name, **({} if pretrained is None else {"pretrained": pretrained}), **overrides)
    if named.source is None:
        return build(named.spec)
    model = load(named.source)
    other = [slot for slot in SLOTS if getattr(model.spec, slot) != getattr(named.spec, slot)]
    if not other and replace(named.spec, plugins=model.spec.plugins) == model.spec:
        return model
    if other != ["head"] or replace(named.spec, head=model.spec.head) != model.spec:
        raise CompositionError(
            f"the weights {named.tag!r} were trained with other parts ({', '.join(other) or 'inputs'}) than are asked "
            "for; with trained weights only the head can be another"
        )
    return replace_head(model, named.spec.head)


@dataclass(frozen=True)
class NamedModel:
    """What a model's name with its parameters stands for.

    Attributes
    ----------
    spec
        The composition.
    source
        Directory of the trained weights that are meant; None for new ones.
    tag
        Of the trained weights.
    name
        That of the trained model with its plugin, whatever else is installed.
    """

    spec: Spec
    source: Path | None = None
    tag: str = ""
    name: str = ""


def read_model_name(name: str, **overrides: Any) -> NamedModel:
    """What `create_model` makes, without making it; parameters and errors are the same."""
    inline = parse_inline(name) if isinstance(name, str) else PartSpec(name)
    parameters = {**inline.parameters, **overrides}
    pretrained = parameters.pop("pretrained", None)
    if pretrained in (None, False):
        return NamedModel(model_spec(inline.name, **parameters))
    component = catalogue().find("model", inline.name, catalogue().own_plugins)
    weights = catalogue().find_weights(component.name, pretrained)
    spec = read_saved_spec(weights.path).spec
    if spec.model != component.name:
        raise CheckpointError(
            f"{weights.path} holds {plain(spec.model or 'a model without a name')!r}, but plugin {weights.plugin!r} "
            f"declares it as weights of {component.name!r}"
        )
    name = f"{component.name}:pretrained={weights.full_tag}"
    return NamedModel(override(spec, parameters, inline.name), weights.path, weights.tag, name)

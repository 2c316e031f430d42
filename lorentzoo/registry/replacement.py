"""How does a model get another head, with all else as it was?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lorentzoo.core.errors import CompositionError
from lorentzoo.core.model import Model
from lorentzoo.registry.composition import build_model
from lorentzoo.registry.specs import PartSpec, Spec, parse_part

__all__ = ["replace_head"]


def replace_head(model: Model, head: str | Mapping[str, Any] | PartSpec) -> Model:
    """A model with another head, whose weights are new; weights and statistics of all other parts are those of the model.

    Parameters
    ----------
    model
        Composed by name; it stays as it is.
    head
        Name, ``"name:key=value"`` or mapping.

    Returns
    -------
    A new model in training mode; its `spec` names the new head, so that it can be saved.

    Raises
    ------
    CompositionError
        If the model has no specification, or the other parts would change, as where a backbone emits what its head wants.
    """
    if not isinstance(model.spec, Spec):
        raise CompositionError(
            "this model has no specification; make it by lorentzoo.compose or create_model"
        )
    made = build_model(replace(model.spec, head=parse_part(head, "head"))).to(model.dtype)
    state = {name: value for name, value in model.state_dict().items() if not name.startswith("head.")}
    own = made.state_dict()
    changed = [
        name
        for name in own
        if not name.startswith("head.") and (name not in state or state[name].shape != own[name].shape)
    ]
    if changed:
        raise CompositionError(
            f"with this head other parts change as well ({', '.join(changed[:3])}): the backbone emits what its head "
            "wants, so it would have to be trained anew; compose the model again"
        )
    made.load_state_dict(state, strict=False)
    made.fitted_inputs = model.fitted_inputs
    return made.to(model.device)

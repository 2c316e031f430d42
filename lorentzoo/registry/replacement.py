"""How does a model get another head, with all else as it was?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lorentzoo.core.adapters import copy_merged
from lorentzoo.core.errors import CompositionError
from lorentzoo.core.freezing import find_part
from lorentzoo.core.model import Model
from lorentzoo.registry.composition import build_model
from lorentzoo.registry.specs import PartSpec, Spec, parse_part

__all__ = ["replace_head"]


def replace_head(
    model: Model, head: str | Mapping[str, Any] | PartSpec | None = None, **parameters: Any
) -> Model:
    """A model with another head, whose weights are new; weights and statistics of all other parts are those of the model.

    The last map of a backbone that projects is new where it is all that the head has, or emits other numbers for it.

    Parameters
    ----------
    model
        Composed by name; it stays as it is.
    head
        Name, ``"name:key=value"`` or mapping; that of the model by default.
    parameters
        Of the head, e.g. ``num_classes=5``, which win.

    Returns
    -------
    A new model in training mode; its `spec` names the new head, so that it can be saved.

    Raises
    ------
    CompositionError
        If the model has no specification, or other parts would change.
    ParameterError
        If the head has no such parameter.

    Examples
    --------
    >>> import lorentzoo as lz
    >>> tagger = lz.create_model("lgatr-slim", num_blocks=1)
    >>> lz.replace_head(tagger, num_classes=5).head.num_classes
    5
    """
    if not isinstance(model.spec, Spec):
        raise CompositionError(
            "this model has no specification; make it by lorentzoo.compose or create_model"
        )
    wanted = (model.spec.head if head is None else parse_part(head, "head")).merged(parameters)
    made = build_model(replace(model.spec, head=wanted)).to(model.dtype)
    own, before = made.state_dict(), copy_merged(model).state_dict()
    fits = {name for name in own if name in before and before[name].shape == own[name].shape}
    of_head = {name for name in own if find_part(made, "head").holds(name)}
    changed = [name for name in own if name not in of_head | fits]
    if changed:
        raise CompositionError(
            f"with this head other parts change as well ({', '.join(changed[:3])}), so they would have to be trained "
            "anew; compose the model again"
        )
    last_map = {name for name in of_head if not name.startswith("head.")}
    if last_map <= fits and any(True for _ in made.head.parameters()):
        of_head -= last_map
    state = {name: before[name] for name in own if name not in of_head}
    made.load_state_dict(state, strict=False)
    made.fitted_inputs = model.fitted_inputs
    return made.to(model.device)

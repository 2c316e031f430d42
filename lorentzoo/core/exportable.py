"""Which models are no graph of tensors, as far as their parts say so?"""

from __future__ import annotations

from typing import Any

from lorentzoo.core.interfaces import Part
from lorentzoo.core.model import Model

__all__ = ["find_refusal", "is_process_specific"]


def find_refusal(model: Any) -> str | None:
    """Why a model cannot be exported, as far as its parts say so; None where nothing is known against it."""
    if not isinstance(model, Model):
        return f"only models that predict are exported, not {type(model).__name__}: draws of a generator are no graph"
    if model.backbone.takes_condition:
        return f"{type(model.backbone).__name__} attends to a second cloud, for which exported files have no input"
    for slot in ("spurions", "frames_net", "embedding", "backbone", "head"):
        # Also parts of parts: one embedding of several, a network inside a frames-net.
        for part in getattr(model, slot).modules():
            if isinstance(part, Part) and part.exportable is not True:
                named = f"the {slot.removesuffix('_net')} {type(part).__name__}"
                return f"{named} cannot be exported: {part.exportable}"
    return None


def is_process_specific(model: Any) -> bool:
    """Whether a part of a model is for events of certain processes alone; it is checked on events that are given."""
    return isinstance(model, Model) and any(
        part.process_specific for part in model.modules() if isinstance(part, Part)
    )

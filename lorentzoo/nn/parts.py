"""How does a part that is made of others find them by name?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.components import Kind
from lorentzoo.registry.composition import make_part
from lorentzoo.registry.specs import PartSpec, parse_part

__all__ = ["find_class", "make_part"]


def find_class(kind: Kind, part: str | Mapping[str, Any] | PartSpec) -> Any:
    """What a part by name would be made by, without making it.

    Parameters
    ----------
    kind
        The slot.
    part
        Name, inline text or mapping, as for `make_part`.

    Raises
    ------
    UnknownNameError, AmbiguousNameError
        If the name means nothing, or more than one thing.
    """
    return catalogue().target(catalogue().find(kind, parse_part(part, kind).name, catalogue().own_plugins))

"""Which models are there, by name and by the symmetry that they keep?"""

from __future__ import annotations

import difflib
import warnings
from typing import TYPE_CHECKING, Final

from lorentzoo.core.errors import UnknownNameError
from lorentzoo.registry.catalogue import catalogue

if TYPE_CHECKING:
    from lorentzoo.core.symmetry import Symmetry

__all__ = ["list_models"]

_GROUPS: Final = (
    "SO⁺(1,3)",
    "SO(3)",
    "SO⁺(1,2)",
    "ISO(2)",
    "SO⁺(1,1)_beam × SO(2)_beam",
    "SO⁺(1,1)_beam",
    "SO(2)_beam",
    "trivial",
)
"""Usual names of symmetries, whether or not a model keeps them."""


def list_models(pattern: str | None = None, *, symmetry: str | Symmetry | None = None) -> list[str]:
    """Names of models, optionally by a glob pattern and by the symmetry that they keep.

    Parameters
    ----------
    pattern
        e.g. ``"lloca-*"``.
    symmetry
        Name of a symmetry, e.g. ``"SO(2)_beam"``; each candidate is built (on the meta device) to compute its own.

    Raises
    ------
    UnknownNameError
        If no symmetry has that name.
    """
    names = catalogue().names("model", pattern)
    if symmetry is None:
        return names
    found = {}
    for name in names:
        try:
            computed = _compute_symmetry(name)
        except Exception as error:
            warnings.warn(f"model {name!r} cannot be built here and is left out: {error}", stacklevel=2)
            continue
        found[name] = computed
    if isinstance(symmetry, str):
        known = sorted({*_GROUPS, *(computed.name for computed in found.values())})
        if symmetry not in known:
            close = difflib.get_close_matches(symmetry, known, n=1, cutoff=0.4)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise UnknownNameError(f"no symmetry is called {symmetry!r}; known are {', '.join(known)}.{hint}")
    return [
        name
        for name, computed in found.items()
        if ((computed.name == symmetry) if isinstance(symmetry, str) else (computed == symmetry))
    ]


def _compute_symmetry(name: str) -> Symmetry:
    """The symmetry of a model, built without memory for its weights, or with it where its parts look at values."""
    import torch

    from lorentzoo.registry.creation import create_model

    try:
        with torch.device("meta"):
            computed: Symmetry = create_model(name).symmetry
    except NotImplementedError:
        computed = create_model(name).symmetry
    return computed

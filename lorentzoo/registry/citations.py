"""Which papers stand behind a composition?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import lorentzoo
from lorentzoo.core.errors import AmbiguousNameError, ParameterError, UnknownNameError
from lorentzoo.core.text import plain
from lorentzoo.core.trainable import Trainable
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.components import Component
from lorentzoo.registry.composition import model_spec
from lorentzoo.registry.hub import is_address
from lorentzoo.registry.meaning import find_part
from lorentzoo.registry.saved import read_saved_spec
from lorentzoo.registry.sources import locate, names_weights
from lorentzoo.registry.specs import NO_BACKBONE, SLOTS, PartSpec, Spec

__all__ = ["cite", "find_references"]

_EPRINT: Final = re.compile(r"\b(?:arXiv:)?(\d{4}\.\d{4,5}|[a-z-]+/\d{7})\b")

_UNUSED: Final = (("backbone", NO_BACKBONE), ("head", "classify"))
"""What stands in the slots of a generator that has no network, and of one that brings its own head."""


def cite(model: str | Path | Mapping[str, Any] | Spec | Trainable) -> str:
    """BibTeX of the papers behind a model: those that its parts and its preset state, and this package.

    Entries are by the number of the eprint, with the parts that it is of; authors and titles are where the comment above
    an entry points to, since parts state numbers alone.

    Parameters
    ----------
    model
        A model's name, the directory of a saved one, a composition, or a model.

    Raises
    ------
    UnknownNameError, AmbiguousNameError
        If a name means nothing, or several things.

    Examples
    --------
    >>> cite("transformer-eventgen").splitlines()[1]
    '@misc{arXiv:2505.20280,'
    """
    papers, others = find_references(model)
    entries = [
        f"% https://inspirehep.net/api/arxiv/{number}?format=bibtex\n@misc{{arXiv:{number},\n"
        f"  eprint = {{{number}}},\n  archivePrefix = {{arXiv}},\n"
        f"  url = {{https://arxiv.org/abs/{number}}},\n  note = {{{', '.join(parts)}}},\n}}"
        for number, parts in papers.items()
    ]
    entries.append(
        "@software{lorentzoo,\n  title = {lorentzoo: a plugin-based zoo of Lorentz-symmetric neural networks},\n"
        "  author = {{The lorentzoo developers}},\n"
        f"  version = {{{lorentzoo.__version__}}},\n}}"
    )
    entries += [f"% {part}: {text}" for part, text in others.items()]
    return "\n\n".join(entries)


def find_references(
    model: str | Path | Mapping[str, Any] | Spec | Trainable,
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Parts of a model by the eprint that they state, and what parts state that is none.

    Returns
    -------
    papers
        Number of each eprint, in the order of the slots, with ``"kind name"`` of its parts.
    others
        Text of each part that names no eprint.
    """
    papers: dict[str, list[str]] = {}
    others: dict[str, str] = {}
    spec = _read_spec(model)
    for component in _components(spec):
        part = f"{component.kind} {component.name}"
        numbers = _EPRINT.findall(component.reference)
        for number in numbers:
            parts = papers.setdefault(number, [])
            parts += [] if part in parts else [part]
        if component.reference and not numbers:
            others[part] = component.reference
    if spec.model is not None and _find_preset(spec.model) is None:
        others[f"model {plain(spec.model)}"] = "not installed here, so that what it states is not known"
    return papers, others


# ---- helpers ----------------------------------------------------------------------------------


def _read_spec(model: str | Path | Mapping[str, Any] | Spec | Trainable) -> Spec:
    if isinstance(model, Spec):
        return model
    if isinstance(model, Trainable):
        if not isinstance(model.spec, Spec):
            raise ParameterError(
                "this model was not made by lorentzoo.compose: nothing is known of its parts"
            )
        return model.spec
    if isinstance(model, Mapping):
        return Spec.from_data(model)
    if is_address(model) or names_weights(model) or Path(model).is_dir():
        return read_saved_spec(locate(model)).spec
    return model_spec(str(model))


def _find_preset(name: str) -> Component | None:
    """The model of which a composition was made, if it is still there: a saved one needs its parts alone."""
    try:
        return catalogue().find("model", name, catalogue().own_plugins, saved=True)
    except (UnknownNameError, AmbiguousNameError):
        return None


def _components(spec: Spec) -> list[Component]:
    """The preset, and the part of every slot."""
    preset = None if spec.model is None else _find_preset(spec.model)
    found = [] if preset is None else [preset]
    if spec.generator is not None:
        found.append(find_part(spec, "generator", spec.generator.name))
    for slot in SLOTS:
        parts = getattr(spec, slot)
        used = [
            part
            for part in ([parts] if isinstance(parts, PartSpec) else parts)
            if spec.generator is None or (slot, part.name) not in _UNUSED
        ]
        found += [find_part(spec, slot, part.name) for part in used]
    return found

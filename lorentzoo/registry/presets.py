"""How does a plugin name the published forms of its networks?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from lorentzoo.registry.components import Component

__all__ = ["LEARNED_FRAMES", "make_taggers"]

LEARNED_FRAMES: Final[Mapping[str, Any]] = {
    "frames": {"name": "lloca-polar", "lab_scalars": "kinematics"},
    "spurions": ["beam-lightlike", "time"],
}
"""The slots that put any network into the learned frames of arXiv:2508.14898."""


def make_taggers(
    name: str,
    spec: Mapping[str, Any],
    *,
    summaries: tuple[str, str],
    references: tuple[str, str],
    recipe: Mapping[str, Any] | None = None,
    sizes: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
) -> list[Component]:
    """The two published forms of a tagger: for top jets, and as ``<name>-jetclass`` for the ten classes of JetClass.

    The first has one logit and kinematics alone, the second ten classes and ten auxiliary scalars of each particle.

    Parameters
    ----------
    name
        Of the first form.
    spec
        The composition without number of classes and scalars; a ``head`` without a name is ``"classify"``.
    summaries, references
        One line and the source of each form.
    recipe
        Training options of both.
    sizes
        Parameters by slot of the smaller sizes, e.g. ``{"tiny": {"backbone": {"num_blocks": 3}}}``. There are then
        ``<name>-tiny`` and so on, and ``<name>-base``, which is the first form.

    Examples
    --------
    >>> [model.name for model in make_taggers("net", {"backbone": "net"}, summaries=("a", "b"), references=("", ""))]
    ['net', 'net-jetclass']
    """
    head = {"name": "classify", **spec.get("head", {})}
    further: tuple[dict[str, Any], ...] = (
        {"head": {**head, "num_classes": 1}},
        {"head": {**head, "num_classes": 10}, "in_scalars": 10},
    )
    forms = [
        Component(
            "model",
            f"{name}{ending}",
            summary=summary,
            reference=reference,
            spec={**spec, **slots},
            recipe=recipe or {},
        )
        for ending, slots, summary, reference in zip(
            ("", "-jetclass"), further, summaries, references, strict=True
        )
    ]
    return forms + [
        replace(
            forms[0],
            name=f"{name}-{size}",
            summary=f"{summaries[0]}, of size {size}",
            spec={
                **forms[0].spec,
                **{slot: _with(forms[0].spec[slot], given) for slot, given in slots.items()},
            },
            size_of=name,
        )
        for size, slots in ({**sizes, "base": {}} if sizes else {}).items()
    ]


def _with(part: str | Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A part by its bare name, or as a mapping, with further parameters."""
    return {**({"name": part} if isinstance(part, str) else part), **parameters}

"""CGENN: message passing on multivectors of spacetime."""

from typing import Any

from lorentzoo import Component, hookimpl

_PAPER = "arXiv:2305.11141"


def _spec(num_classes: int, in_scalars: int) -> dict[str, Any]:
    return {
        "spurions": ["beam-lightlike", "time"],
        "embedding": {"name": "momenta", "scale": 20.0},
        "backbone": {"name": "cgenn", "pool_rows": True},
        "head": {"name": "classify", "num_classes": num_classes, "hidden": [64], "dropout": 0.2},
        "in_scalars": in_scalars,
    }


@hookimpl
def lorentzoo_components() -> list[Component]:
    """The backbone and its published compositions."""
    return [
        Component(
            "backbone",
            "cgenn",
            "lorentzoo.plugins.cgenn.network:CGENN",
            "Multivectors exchange messages on the complete graph through weighted geometric products",
            _PAPER,
        ),
        Component(
            "model",
            "cgenn",
            summary="CGENN on momenta with beam and time spurions, top-tagging form",
            reference=_PAPER,
            spec=_spec(1, 0),
        ),
        Component(
            "model",
            "cgenn-jetclass",
            summary="CGENN with ten auxiliary scalars and ten classes",
            reference="arXiv:2508.14898",
            spec=_spec(10, 10),
        ),
    ]

"""CGENN: message passing on multivectors of spacetime."""

from typing import Any

from lorentzoo import Component, hookimpl, make_taggers

_PAPER = "arXiv:2305.11141"
_TAGGER: dict[str, Any] = {
    "spurions": ["beam-lightlike", "time"],
    "embedding": {"name": "momenta", "scale": 20.0},
    "backbone": {"name": "cgenn", "pool_rows": True},
    "head": {"hidden": [64], "dropout": 0.2},
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
        *make_taggers(
            "cgenn",
            _TAGGER,
            summaries=(
                "CGENN on momenta with beam and time spurions, top-tagging form",
                "CGENN with ten auxiliary scalars and ten classes",
            ),
            references=(_PAPER, "arXiv:2508.14898"),
        ),
    ]

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

_SIZES: dict[str, Any] = {
    "tiny": {
        "backbone": {"num_blocks": 2, "hidden_channels": 3, "hidden_scalars": 14},
        "head": {"hidden": [16]},
    },
    "small": {
        "backbone": {"num_blocks": 3, "hidden_channels": 6, "hidden_scalars": 40},
        "head": {"hidden": [40]},
    },
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
            sizes=_SIZES,
        ),
    ]

"""LorentzNet: message passing on Minkowski products."""

from typing import Any

from lorentzoo import Component, hookimpl, make_taggers

_PAPER = "arXiv:2201.08187"
_RECIPE: dict[str, Any] = {
    "optimiser": "adamw",
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "schedule": "warmup-cosine",
    "batch_size": 32,
}
"""Top tagging in arXiv:2201.08187, whose warm restarts are one cosine here."""
_TAGGER: dict[str, Any] = {
    "spurions": ["beam-lightlike", "time"],
    "embedding": {"name": "momenta", "scale": 20.0},
    "backbone": {"name": "lorentznet", "pool_rows": True},
    "head": {"hidden": [72], "dropout": 0.2},
}

_SIZES: dict[str, Any] = {
    "tiny": {"backbone": {"num_blocks": 3, "hidden_channels": 20}, "head": {"hidden": [20]}},
    "small": {"backbone": {"num_blocks": 5, "hidden_channels": 52}, "head": {"hidden": [52]}},
}


@hookimpl
def lorentzoo_components() -> list[Component]:
    """The backbone and its published compositions."""
    return [
        Component(
            "backbone",
            "lorentznet",
            "lorentzoo.plugins.lorentznet.network:LorentzNet",
            "Scalars and vectors exchange messages on the complete graph, weighted by Minkowski products",
            _PAPER,
            published_flops="lorentzoo.plugins.lorentznet.flops:count_lorentznet",
        ),
        *make_taggers(
            "lorentznet",
            _TAGGER,
            summaries=(
                "LorentzNet on momenta with beam and time spurions, top-tagging form",
                "LorentzNet with ten auxiliary scalars and ten classes",
            ),
            references=(_PAPER, "arXiv:2508.14898"),
            recipe=_RECIPE,
            sizes=_SIZES,
        ),
    ]

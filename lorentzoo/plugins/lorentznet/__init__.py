"""LorentzNet: message passing on Minkowski products."""

from typing import Any

from lorentzoo import Component, hookimpl

_PAPER = "arXiv:2201.08187"
_RECIPE: dict[str, Any] = {
    "optimiser": "adamw",
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "schedule": "warmup-cosine",
    "batch_size": 32,
}
"""Top tagging in arXiv:2201.08187, whose warm restarts are one cosine here."""


def _spec(num_classes: int, in_scalars: int) -> dict[str, Any]:
    return {
        "spurions": ["beam-lightlike", "time"],
        "embedding": {"name": "momenta", "scale": 20.0},
        "backbone": {"name": "lorentznet", "pool_rows": True},
        "head": {"name": "classify", "num_classes": num_classes, "hidden": [72], "dropout": 0.2},
        "in_scalars": in_scalars,
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
        Component(
            "model",
            "lorentznet",
            summary="LorentzNet on momenta with beam and time spurions, top-tagging form",
            reference=_PAPER,
            spec=_spec(1, 0),
            recipe=_RECIPE,
        ),
        Component(
            "model",
            "lorentznet-jetclass",
            summary="LorentzNet with ten auxiliary scalars and ten classes",
            reference="arXiv:2508.14898",
            spec=_spec(10, 10),
            recipe=_RECIPE,
        ),
    ]

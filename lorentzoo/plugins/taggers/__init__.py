"""Jet taggers without attention or edges: particle-flow networks and convolutions along the particles."""

from collections.abc import Mapping
from typing import Any

from lorentzoo import LEARNED_FRAMES, Component, hookimpl

_RECIPE: dict[str, Any] = {
    "optimiser": "ranger",
    "learning_rate": 2e-2,
    "weight_decay": 0.0,
    "schedule": "flat-decay",
    "flat": 0.7,
    "batch_size": 4096,
}
"""RAdam with lookahead, flat for 70 % of the training and then down to 1 % (arXiv:2202.03772)."""
_NETWORKS: dict[str, tuple[str, str, Any, dict[str, Any]]] = {
    "pfn": (
        "Particle-flow network",
        "arXiv:1810.05165",
        {"name": "deep-sets", "hidden": [128, 128, 128]},
        {"pooling": "sum", "hidden": [128, 128, 128]},
    ),
    "pcnn": (
        "Convolutions along 128 particles",
        "arXiv:1902.08570",
        "pcnn",
        {"hidden": [512], "dropout": 0.2},
    ),
}
_FORMS: list[tuple[str, str, str, Mapping[str, Any]]] = [
    ("{}", ", ten classes", "", {}),
    ("{}-jetclass", ", ten classes", "", {}),
    ("lloca-{}", " in learned frames, ten classes", "arXiv:2505.20280", LEARNED_FRAMES),
]
"""Names, words, papers and slots; all have 17 features and ten classes, with and without ``-jetclass``."""


@hookimpl
def lorentzoo_components() -> list[Component]:
    """Backbones, their inputs and their published compositions; with and without ``-jetclass`` they are the same."""
    return [
        Component(
            "embedding",
            "kinematics-weaver",
            "lorentzoo.plugins.taggers.inputs:WeaverInputs",
            "The inputs of weaver's taggers in their order: seven kinematic features around the auxiliary scalars",
            "arXiv:2202.03772",
        ),
        Component(
            "backbone",
            "pcnn",
            "lorentzoo.plugins.taggers.pcnn:PCNN",
            "Residual convolutions along the particles in their order",
            "arXiv:1902.08570",
            published_flops="lorentzoo.plugins.taggers.flops:count_convolutions",
        ),
        *[
            Component(
                "model",
                form.format(name),
                summary=f"{summary}{words}",
                reference=of_form or paper,
                spec={
                    "backbone": backbone,
                    "embedding": "kinematics-weaver",
                    "head": {"name": "classify", "num_classes": 10, **head},
                    "in_scalars": 10,
                    **slots,
                },
                recipe=_RECIPE,
            )
            for form, words, of_form, slots in _FORMS
            for name, (summary, paper, backbone, head) in _NETWORKS.items()
        ],
    ]

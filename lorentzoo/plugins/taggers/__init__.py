"""Jet taggers without attention or edges: particle-flow networks and convolutions along the particles."""

from typing import Any

from lorentzoo import Component, hookimpl

_RECIPE: dict[str, Any] = {
    "optimiser": "ranger",
    "learning_rate": 2e-2,
    "weight_decay": 0.0,
    "schedule": "flat-decay",
    "flat": 0.7,
    "batch_size": 4096,
}
"""RAdam with lookahead, flat for 70 % of the training and then down to 1 % (arXiv:2202.03772)."""
_LEARNED: dict[str, Any] = {
    "frames": {"name": "lloca-polar", "lab_scalars": "kinematics"},
    "spurions": ["beam-lightlike", "time"],
}


def _model(
    name: str, summary: str, reference: str, backbone: Any, head: dict[str, Any], **slots: Any
) -> Component:
    """The published form: 17 features, ten classes."""
    return Component(
        "model",
        name,
        summary=summary,
        reference=reference,
        spec={
            "backbone": backbone,
            "embedding": "kinematics-weaver",
            "head": {"name": "classify", "num_classes": 10, **head},
            "in_scalars": 10,
            **slots,
        },
        recipe=_RECIPE,
    )


@hookimpl
def lorentzoo_components() -> list[Component]:
    """Backbones, their inputs and their published compositions; with and without ``-jetclass`` they are the same."""
    flow: Any = (
        {"name": "deep-sets", "hidden": [128, 128, 128]},
        {"pooling": "sum", "hidden": [128, 128, 128]},
    )
    convolutions: Any = ("pcnn", {"hidden": [512], "dropout": 0.2})
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
            component
            for ending in ("", "-jetclass")
            for component in (
                _model(f"pfn{ending}", "Particle-flow network, ten classes", "arXiv:1810.05165", *flow),
                _model(
                    f"pcnn{ending}",
                    "Convolutions along 128 particles, ten classes",
                    "arXiv:1902.08570",
                    *convolutions,
                ),
            )
        ],
        _model(
            "lloca-pfn",
            "Particle-flow network in learned frames, ten classes",
            "arXiv:2505.20280",
            *flow,
            **_LEARNED,
        ),
        _model(
            "lloca-pcnn",
            "Convolutions along 128 particles in learned frames, ten classes",
            "arXiv:2505.20280",
            *convolutions,
            **_LEARNED,
        ),
    ]

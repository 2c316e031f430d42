"""Transformers over particles, plain or made symmetric by local frames."""

from typing import Any

from lorentzoo import Component, hookimpl

_PAPER = "arXiv:2508.14898"
_PART_RECIPE: dict[str, Any] = {
    "optimiser": "ranger",
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "schedule": "flat-decay",
    "flat": 0.7,
    "batch_size": 512,
}
"""RAdam with lookahead, flat for 70 % of the training and then down to 1 % (arXiv:2202.03772)."""
_LEARNED: dict[str, Any] = {
    "frames": {"name": "lloca-polar", "lab_scalars": "kinematics"},
    "spurions": ["beam-lightlike", "time"],
}


def _model(name: str, summary: str, backbone: Any, **slots: Any) -> list[Component]:
    """The top-tagging and the ten-class form of a network."""
    head = {"name": "classify", "num_classes": 1, **slots.pop("head", {})}
    recipe = _PART_RECIPE if "momenta" in slots.get("embedding", ()) else {}
    spec = {"backbone": backbone, "embedding": slots.pop("embedding", "kinematics"), **slots}
    ten = {**spec, "head": {**head, "num_classes": 10}, "in_scalars": 10}
    return [
        Component(
            "model",
            name,
            summary=f"{summary}, top-tagging form",
            reference=_PAPER,
            spec={**spec, "head": head},
            recipe=recipe,
        ),
        Component(
            "model",
            f"{name}-jetclass",
            summary=f"{summary}, ten classes",
            reference=_PAPER,
            spec=ten,
            recipe=recipe,
        ),
    ]


_BREAKING: dict[str, tuple[str, dict[str, Any]]] = {
    "arch-so2": ("SO(2)_beam by frames", {"frames": {"name": "lloca-so2", "lab_scalars": "kinematics"}}),
    "arch-beam": (
        "SO⁺(1,1)_beam × SO(2)_beam by frames",
        {"frames": {"name": "lloca-beam", "lab_scalars": "kinematics-beam"}},
    ),
    "arch-so3": ("SO(3) by frames", {"frames": {"name": "lloca-so3", "lab_scalars": "kinematics-rotation"}}),
    "full": ("the full group", {"frames": "lloca-polar"}),
    "input-none": (
        "nothing, by spurions",
        {"frames": {"name": "lloca-polar", "lab_scalars": "kinematics"}, "spurions": "all"},
    ),
    "input-so2": ("SO(2)_beam by spurions", _LEARNED),
    "input-beam": (
        "two light-like beams without time (published as SO⁺(1,1) × SO(2); computed: SO(2)_beam)",
        {"frames": {"name": "lloca-polar", "lab_scalars": "kinematics-beam"}, "spurions": "beam-lightlike"},
    ),
    "input-so3": (
        "SO(3) by spurions",
        {"frames": {"name": "lloca-polar", "lab_scalars": "kinematics-rotation"}, "spurions": "time"},
    ),
}
"""The symmetry-breaking table of arXiv:2508.14898: residual group at architecture and at input level."""


@hookimpl
def lorentzoo_components() -> list[Component]:
    """Backbones and their published compositions."""
    return [
        Component(
            "backbone",
            "transformer",
            "lorentzoo.plugins.transformers.transformer:Transformer",
            "Pre-norm transformer encoder; attention between local frames where there are any",
            "arXiv:2505.20280",
            published_flops="lorentzoo.plugins.transformers.flops:count_transformer",
        ),
        Component(
            "backbone",
            "part",
            "lorentzoo.plugins.transformers.part:ParT",
            "Particle Transformer: pairwise features as attention bias, class attention",
            "arXiv:2202.03772",
            published_flops="lorentzoo.plugins.transformers.flops:count_part",
        ),
        Component(
            "backbone",
            "mipart",
            "lorentzoo.plugins.transformers.part:ParT",
            "More-interaction Particle Transformer: blocks that attend by pairs alone, then those of ParT",
            "arXiv:2407.08682",
            defaults={
                "num_interaction_blocks": 5,
                "num_blocks": 5,
                "embed_dims": [128, 512, 64],
                "head_reps": "4x0n+1x1n",
            },
            published_flops="lorentzoo.plugins.transformers.flops:count_part",
        ),
        *_model("transformer", "Transformer", "transformer"),
        *_model("lloca-transformer", "Transformer in learned frames", "transformer", **_LEARNED),
        *_model("part", "Particle Transformer", "part", embedding=["kinematics", "momenta"]),
        *_model(
            "lloca-part",
            "Particle Transformer in learned frames",
            "part",
            embedding=["kinematics", "momenta"],
            **_LEARNED,
        ),
        *_model(
            "mipart", "More-interaction Particle Transformer", "mipart", embedding=["kinematics", "momenta"]
        ),
        *_model(
            "lloca-mipart",
            "More-interaction Particle Transformer in learned frames",
            "mipart",
            embedding=["kinematics", "momenta"],
            **_LEARNED,
        ),
        *_model(
            "mipart-l",
            "MIParT-L (2,292,341 parameters by its code; the 2380k of the tables cannot be reproduced)",
            {"name": "mipart", "embed_dims": [128, 512, 128], "head_reps": "8x0n+2x1n"},
            embedding=["kinematics", "momenta"],
        ),
        *[
            component
            for key, (group, slots) in _BREAKING.items()
            for component in _model(
                f"lloca-transformer-{key}", f"Transformer that keeps {group}", "transformer", **slots
            )
        ],
    ]

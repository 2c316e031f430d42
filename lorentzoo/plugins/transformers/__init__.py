"""Transformers over particles, plain or made symmetric by local frames."""

from lorentzoo import Component, hookimpl

_PUBLISHED = {
    "embedding": "kinematics",
    "head": {"name": "classify", "num_classes": 1, "pooling": "mean"},
}


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
        ),
        Component(
            "model",
            "transformer",
            summary="Transformer on seven kinematic features, top-tagging form",
            reference="arXiv:2508.14898",
            spec={"backbone": "transformer", **_PUBLISHED},
        ),
        Component(
            "model",
            "transformer-jetclass",
            summary="Transformer on ten auxiliary scalars and seven kinematic features, ten classes",
            reference="arXiv:2508.14898",
            spec={
                "backbone": "transformer",
                "embedding": "kinematics",
                "head": {"name": "classify", "num_classes": 10, "pooling": "mean"},
                "in_scalars": 10,
            },
        ),
    ]

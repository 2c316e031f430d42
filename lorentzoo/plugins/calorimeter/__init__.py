"""Calorimeter showers: a transformer over patches, and their density by flow matching in two steps."""

from lorentzoo import Component, hookimpl

_HERE = "lorentzoo.plugins.calorimeter"


@hookimpl
def lorentzoo_components() -> list[Component]:
    """The backbone and the parts around it."""
    return [
        Component(
            "backbone",
            "vit",
            f"{_HERE}.vit:VisionTransformer",
            "Transformer over patches, modulated by conditions and time",
            "arXiv:2212.09748",
        ),
        Component(
            "embedding",
            "places",
            f"{_HERE}.places:Places",
            "Sines and cosines of positions that clouds bring as scalars",
        ),
    ]

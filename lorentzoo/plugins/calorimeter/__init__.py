"""Calorimeter showers: a transformer over patches; flow matching and splines in two steps that conserve energy."""

from lorentzoo import Component, hookimpl

_HERE = "lorentzoo.plugins.calorimeter"
_SLOTS = 24
"""Cells of a patch of the shipped detectors; places add 9 scalars, the incident particle and detector 9 numbers."""


@hookimpl
def lorentzoo_components() -> list[Component]:
    """The generator, its backbone and the parts around it."""
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
        Component(
            "head", "particle-scalars", f"{_HERE}.head:ParticleScalars", "Several numbers of each particle"
        ),
        Component(
            "generator",
            "calorimeter-flow",
            f"{_HERE}.generator:CalorimeterFlow",
            "Showers in two steps of flow matching, layer energies and then cells: energy is conserved",
            "arXiv:2405.09629",
        ),
        Component(
            "generator",
            "calorimeter-rqs-flow",
            f"{_HERE}.splines:CalorimeterSplines",
            "Showers in two steps of spline flows whose knots come from a backbone: one pass, energy is conserved",
            "arXiv:2312.09290",
        ),
        Component(
            "model",
            "vit-showers-rqs-flow",
            summary="Spline flow of calorimeter showers whose knots come from vision transformers",
            reference="arXiv:2312.09290",
            spec={
                "generator": {"name": "calorimeter-rqs-flow", "slots": _SLOTS},
                "in_scalars": _SLOTS + 9,
                "in_context": 9,
            },
        ),
        Component(
            "model",
            "vit-showers",
            summary="Flow matching of calorimeter showers by a vision transformer, of a size for one processor",
            reference="arXiv:2405.09629",
            spec={
                "generator": {"name": "calorimeter-flow", "slots": _SLOTS},
                "backbone": {"name": "vit", "num_blocks": 4, "width": 64, "num_heads": 4, "mlp_ratio": 2},
                "embedding": [],
                # Momenta are not read, so that there is nothing to anchor.
                "anchor": "none",
                "in_scalars": _SLOTS + 9,
                "in_context": 9,
            },
        ),
    ]

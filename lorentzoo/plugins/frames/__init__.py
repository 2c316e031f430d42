"""Frames that are not learned: the laboratory, and random ones for data augmentation."""

from lorentzoo import Component, hookimpl

_MODULE = "lorentzoo.plugins.frames.fixed"


@hookimpl
def lorentzoo_components() -> list[Component]:
    """The fixed frames by name."""
    return [
        Component(
            "frames",
            "identity",
            f"{_MODULE}:Identity",
            "The laboratory frame",
            published_flops="lorentzoo.plugins.frames.flops:count_identity",
        ),
        Component(
            "frames",
            "random-lorentz",
            f"{_MODULE}:RandomLorentz",
            "Augmentation by Lorentz matrices",
            "arXiv:2505.20280",
        ),
        Component(
            "frames",
            "random-rotation",
            f"{_MODULE}:RandomRotation",
            "Augmentation by rotations",
            "arXiv:2505.20280",
        ),
        Component(
            "frames",
            "random-beam",
            f"{_MODULE}:RandomBeam",
            "Augmentation by rotations about and boosts along the beam",
            "arXiv:2505.20280",
        ),
    ]

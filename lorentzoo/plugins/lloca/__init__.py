"""Local canonicalization: a learned frame for every particle makes any network Lorentz-equivariant."""

from lorentzoo import Component, hookimpl

_MODULE = "lorentzoo.plugins.lloca.frames"
_PAPER = "arXiv:2505.20280"


@hookimpl
def lorentzoo_components() -> list[Component]:
    """The learned frames by name."""
    return [
        Component(
            "frames",
            "lloca-polar",
            f"{_MODULE}:Polar",
            "Learned boost and rotation: SO⁺(1,3)",
            _PAPER,
            published_flops="lorentzoo.plugins.lloca.flops:count_three",
        ),
        Component(
            "frames",
            "lloca-gramschmidt",
            f"{_MODULE}:GramSchmidt",
            "Learned tetrad in Minkowski space: SO⁺(1,3)",
            _PAPER,
            published_flops="lorentzoo.plugins.lloca.flops:count_tetrad",
        ),
        Component(
            "frames",
            "lloca-rest",
            f"{_MODULE}:Rest",
            "Each particle's rest frame with a learned rotation: SO⁺(1,3)",
            _PAPER,
            published_flops="lorentzoo.plugins.lloca.flops:count_two",
        ),
        Component(
            "frames",
            "lloca-so3",
            f"{_MODULE}:Rotations",
            "Learned rotations: SO(3)",
            "arXiv:2508.14898",
            published_flops="lorentzoo.plugins.lloca.flops:count_two",
        ),
        Component(
            "frames",
            "lloca-so2",
            f"{_MODULE}:BeamRotations",
            "Learned rotations about the beam: SO(2)_beam",
            "arXiv:2508.14898",
            published_flops="lorentzoo.plugins.lloca.flops:count_one",
        ),
        Component(
            "frames",
            "lloca-beam",
            f"{_MODULE}:Beam",
            "Learned boosts along and rotations about the beam: SO⁺(1,1)_beam × SO(2)_beam",
            "arXiv:2508.14898",
            published_flops="lorentzoo.plugins.lloca.flops:count_two",
        ),
    ]

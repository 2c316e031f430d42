"""A backbone on moments of the event. This module is read by every `lorentzoo list`: it imports nothing heavy."""

from lorentzoo import Component, hookimpl


@hookimpl
def lorentzoo_components() -> list[Component]:
    """What this package offers."""
    return [
        Component(
            "backbone",
            "moments",
            target="lorentzoo_moments.network:Moments",
            summary="Each particle beside the mean and the spread of its event",
            reference="lorentzoo's plugin tutorial",
        ),
        Component(
            "model",
            "moments",
            summary="Moments of the five boost-invariant kinematic features, two classes",
            reference="lorentzoo's plugin tutorial",
            spec={
                "backbone": {"name": "moments", "width": 64, "num_layers": 2},
                "embedding": "kinematics-beam",
                "head": {"name": "classify", "num_classes": 2},
            },
        ),
    ]

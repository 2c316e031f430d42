"""From features to predictions."""

from lorentzoo import Component, hookimpl


@hookimpl
def lorentzoo_components() -> list[Component]:
    """The heads by name."""
    return [
        Component(
            "head",
            "classify",
            "lorentzoo.plugins.heads.classify:Classify",
            "Class probabilities of each event",
        ),
        Component(
            "head", "regress", "lorentzoo.plugins.heads.regress:Regress", "Standardised targets of each event"
        ),
    ]

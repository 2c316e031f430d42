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
        Component(
            "head",
            "density",
            "lorentzoo.plugins.heads.normal_mixture:NormalMixture",
            "Distribution of the targets of each event: a mixture of normal ones",
        ),
        Component(
            "head",
            "likelihood-ratio",
            "lorentzoo.plugins.heads.ratio:LikelihoodRatio",
            "Likelihood ratio p/q of events labelled 1 (p) and 0 (q)",
            "arXiv:1806.02350",
        ),
    ]

"""Jet observables and the forest of boosted trees that any physicist asks for first."""

from typing import Any

from lorentzoo import Component, hookimpl, make_taggers

_EXTRA = "lorentzoo[substructure]"
_BDT: dict[str, Any] = {
    "backbone": {"name": "substructure", "standardise": False},
    "embedding": "momenta",
    "head": {"name": "boosted-trees"},
}


@hookimpl
def lorentzoo_components() -> list[Component]:
    """Observables as a backbone, trees as a head, and both together as the baseline of tagging studies."""
    return [
        Component(
            "backbone",
            "substructure",
            "lorentzoo.plugins.substructure.network:Substructure",
            "Jet observables: mass, multiplicity, N-subjettiness, energy correlators, angular moments",
            "arXiv:1709.04464",
        ),
        Component(
            "embedding",
            "substructure",
            "lorentzoo.plugins.substructure.embedding:SubstructureScalars",
            "The same jet observables, standardised, as scalars of each particle",
            "arXiv:1709.04464",
        ),
        Component(
            "backbone",
            "placed-observables",
            "lorentzoo.plugins.substructure.places:PlacedObservables",
            "Momenta, distances and masses of all groups of up to three particles of events of fixed length and order",
        ),
        Component(
            "head",
            "boosted-trees",
            "lorentzoo.plugins.substructure.trees:BoostedTrees",
            "Gradient-boosted trees (scikit-learn) on features that need no training of their own",
            extra=_EXTRA,
        ),
        Component(
            "head",
            "regression-trees",
            "lorentzoo.plugins.substructure.trees:RegressionTrees",
            "Gradient-boosted trees (scikit-learn) of one number, on features that need no training of their own",
            extra=_EXTRA,
        ),
        *make_taggers(
            "substructure-bdt",
            _BDT,
            summaries=(
                "Boosted trees on eleven jet observables",
                "Boosted trees on eleven jet observables and pT-weighted scalars, ten classes",
            ),
            references=("arXiv:1709.04464", "arXiv:1709.04464"),
        ),
        Component(
            "model",
            "substructure-mlp",
            summary="Perceptron on eleven jet observables",
            reference="arXiv:1709.04464",
            spec={
                "backbone": "substructure",
                "embedding": "momenta",
                "head": {"name": "classify", "num_classes": 1, "hidden": [64, 64, 64]},
            },
        ),
    ]

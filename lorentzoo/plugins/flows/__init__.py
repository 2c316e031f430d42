"""Densities by rational-quadratic spline flows."""

from lorentzoo import Component, hookimpl

_HERE = "lorentzoo.plugins.flows"


@hookimpl
def lorentzoo_components() -> list[Component]:
    """The generator, the head, and the generator of the shipped top pairs by name."""
    return [
        Component(
            "generator",
            "rqs-flow",
            f"{_HERE}.generator:RationalQuadraticFlow",
            "Spline flow of events of fixed multiplicity, physical in coordinates with logarithms of pT and mass",
            "arXiv:1906.04032",
        ),
        Component(
            "generator",
            "decay-chain-flow",
            f"{_HERE}.decays:DecayChainFlow",
            "Spline flow of masses and angles along chains of decays, symmetric under mirrors and exchanges",
            "arXiv:1906.04032",
        ),
        Component(
            "head",
            "spline-density",
            f"{_HERE}.head:SplineDensity",
            "Distribution of the targets of each event: a spline flow given the backbone's features",
            "arXiv:1906.04032",
        ),
        Component(
            "model",
            "rqs-flow-eventgen",
            summary="Spline flow of events of top pairs that sees masses of pairs, invariant about the beam",
            reference="arXiv:1906.04032",
            spec={
                "generator": {
                    "name": "rqs-flow",
                    "num_particles": 6,
                    "pt_min": 22.0,
                    "mass_min": 1.0,
                    "eta_max": 5.0,
                    "momentum_layers": True,
                    "relative_azimuths": True,
                },
                "in_scalars": 6,
            },
        ),
    ]

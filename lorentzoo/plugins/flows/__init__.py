"""Densities by rational-quadratic spline flows."""

from lorentzoo import Component, hookimpl

_HERE = "lorentzoo.plugins.flows"


@hookimpl
def lorentzoo_components() -> list[Component]:
    """The generator."""
    return [
        Component(
            "generator",
            "rqs-flow",
            f"{_HERE}.generator:RationalQuadraticFlow",
            "Rational-quadratic spline flow of events of fixed multiplicity",
            "arXiv:1906.04032",
        ),
    ]

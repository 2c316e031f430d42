"""Densities of events by flow matching, with any network of the zoo as velocity."""

from lorentzoo import Component, hookimpl

_HERE = "lorentzoo.plugins.flow_matching"


@hookimpl
def lorentzoo_components() -> list[Component]:
    """The generator, and the parts that its networks need."""
    return [
        Component(
            "generator",
            "flow-matching",
            f"{_HERE}.generator:FlowMatching",
            "Riemannian conditional flow matching: the velocity is any composition",
            "arXiv:2411.00446",
        ),
        Component(
            "head", "velocity", f"{_HERE}.head:Velocity", "One vector and a few scalars of each particle"
        ),
        Component(
            "embedding",
            "momentum-components",
            f"{_HERE}.components:MomentumComponents",
            "E, px, py, pz in each particle's own frame, as scalars",
        ),
    ]

"""L-GATr: transformers over the spacetime algebra."""

from lorentzoo import Component, hookimpl


@hookimpl
def lorentzoo_components() -> list[Component]:
    """The networks by name."""
    return []

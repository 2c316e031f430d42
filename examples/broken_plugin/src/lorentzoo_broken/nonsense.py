"""Declares a component of no kind."""

from lorentzoo import Component, hookimpl


@hookimpl
def lorentzoo_components() -> list[Component]:
    """Nothing that makes sense."""
    return [Component("backbones", "Not A Name", target="nowhere")]  # type: ignore[arg-type]

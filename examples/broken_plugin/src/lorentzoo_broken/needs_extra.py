"""Loads, but its network needs an optional dependency that is not there."""

from lorentzoo import Component, hookimpl


@hookimpl
def lorentzoo_components() -> list[Component]:
    """One backbone that cannot be made without the extra."""
    return [
        Component(
            "backbone",
            "needs-extra",
            target="a_package_that_is_not_there.network:Network",
            summary="Needs an optional dependency",
            extra="lorentzoo-broken[fast]",
        )
    ]

"""What can a plugin offer?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from lorentzoo.registry.components import Component

__all__ = ["hookimpl", "hookspec", "lorentzoo_components"]

hookspec = pluggy.HookspecMarker("lorentzoo")
hookimpl = pluggy.HookimplMarker("lorentzoo")


@hookspec
def lorentzoo_components() -> list[Component]:
    """The components of this plugin, as data: nothing heavy is imported to answer."""
    raise NotImplementedError

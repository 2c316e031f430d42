"""What can a plugin offer?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from lorentzoo.registry.components import Component
    from lorentzoo.registry.weights import Weights

__all__ = ["hookimpl", "hookspec", "lorentzoo_components", "lorentzoo_weights"]

hookspec = pluggy.HookspecMarker("lorentzoo")
hookimpl = pluggy.HookimplMarker("lorentzoo")


@hookspec
def lorentzoo_components() -> list[Component]:
    """The components of this plugin, as data: nothing heavy is imported to answer."""
    raise NotImplementedError


@hookspec
def lorentzoo_weights() -> list[Weights]:
    """Trained weights that this plugin brings, as data: no file of them is opened to answer."""
    raise NotImplementedError

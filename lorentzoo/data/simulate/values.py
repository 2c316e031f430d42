"""Which values does a simulated sample keep of its events, beside their class?"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.simulate.engine import Events, Jets

__all__ = ["OnlyClasses"]


class OnlyClasses:
    """A recipe whose events have a class and no further values; one with values overrides all three."""

    target_names: ClassVar[tuple[str, ...]] = ()
    target_units: ClassVar[tuple[str, ...]] = ()

    def targets(self, events: Events, jets: Jets) -> NDArray[np.float64]:
        """Values of each stored event, shape (B, D)."""
        return np.zeros((0, 0))

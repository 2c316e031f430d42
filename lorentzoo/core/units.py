"""In which units are momenta given, and are they plausible in them?"""

from __future__ import annotations

import warnings
from typing import Final, Literal

from torch import Tensor

from lorentzoo.core.errors import UnitsWarning
from lorentzoo.core.layout import Layout

__all__ = ["IN_GEV", "LARGEST_ENERGY", "Units", "warn_of_units"]

Units = Literal["MeV", "GeV", "TeV"]

IN_GEV: Final[dict[str, float]] = {"MeV": 1e-3, "GeV": 1.0, "TeV": 1e3}
LARGEST_ENERGY: Final = 1e10
"""GeV of one particle. Networks take fourth powers of momenta, and float32 ends at 3e38; what is above gives infinities
that normalisation layers would keep for good."""
_LARGEST_ACTIVITY: Final = 14_000.0
"""GeV that no collider has put into the transverse momenta of half of its events."""
_SMALLER: Final[dict[str, Units]] = {"TeV": "GeV", "GeV": "MeV"}


def warn_of_units(momenta: Tensor, layout: Layout, units: Units) -> None:
    """Warn where the scalar sum of transverse momenta, Σ pT, is more than colliders have in the median event.

    Small sums are no sign of anything: decays of light particles have them in GeV.

    Parameters
    ----------
    momenta
        (E, px, py, pz), shape (*lead, 4), at rest in padded places.
    layout
        Which particle belongs to which event.
    units
        As which the momenta were given.
    """
    if units not in _SMALLER or not momenta.numel():
        return
    activity = layout.pool(momenta[..., 1:3].norm(dim=-1))
    activity = activity[activity > 0]
    if not len(activity):
        return
    median = float(activity.median()) * IN_GEV[units]
    if median > _LARGEST_ACTIVITY:
        warnings.warn(
            f"read as {units}, the transverse momenta of the median event sum up to {median:.3g} GeV, which looks like "
            f"{_SMALLER[units]}; pass units={_SMALLER[units]!r}, or validate=False if it is right",
            UnitsWarning,
            stacklevel=2,
        )

"""In which units are momenta given, and are they plausible in them?"""

from __future__ import annotations

import warnings
from typing import Final, Literal

import torch
from torch import Tensor

from lorentzoo.core.errors import UnitsWarning
from lorentzoo.core.layout import Layout

__all__ = ["IN_GEV", "LARGEST_ENERGY", "SMALLEST_ENERGY", "Units", "doubt_units", "warn_of_units"]

Units = Literal["MeV", "GeV", "TeV"]

IN_GEV: Final[dict[str, float]] = {"MeV": 1e-3, "GeV": 1.0, "TeV": 1e3}
LARGEST_ENERGY: Final = 1e10
"""GeV of one particle. Networks take fourth powers of momenta, and float32 ends at 3e38; what is above gives infinities
that normalisation layers would keep for good."""
SMALLEST_ENERGY: Final = 1e-60
"""GeV of one particle. Frames take fourth powers in float64, which ends at 2e-308; what is below has no mass left."""
_LARGEST_ACTIVITY: Final = 14_000.0
"""GeV that no collider has put into the transverse momenta of half of its events."""
_SMALLER: Final[dict[str, Units]] = {"TeV": "GeV", "GeV": "MeV"}
_LARGER: Final[dict[str, Units]] = {"MeV": "GeV", "GeV": "TeV"}


def doubt_units(activities: Tensor, units: Units, *, smallest: float = 0.0) -> tuple[str, Units] | None:
    """What speaks against units, and the units that the median event suggests instead; None where nothing does.

    Parameters
    ----------
    activities
        Scalar sum of transverse momenta, Σ pT, of each event, (B,), in these units; events without any are not looked at.
    units
        As which the momenta were read.
    smallest
        GeV that the median event has at least. Jets of hadron colliders have 1; decays of light particles have any.
    """
    seen = activities[torch.isfinite(activities) & (activities > 0)]
    if not len(seen):
        return None
    median = float(seen.median()) * IN_GEV[units]
    if median > _LARGEST_ACTIVITY and units in _SMALLER:
        likelier = _SMALLER[units]
    elif median < smallest and units in _LARGER:
        likelier = _LARGER[units]
    else:
        return None
    reason = f"read as {units}, the transverse momenta of the median event sum up to {median:.3g} GeV"
    return f"{reason}, which looks like {likelier}", likelier


def warn_of_units(momenta: Tensor, layout: Layout, units: Units) -> None:
    """Warn where the scalar sum of transverse momenta, Σ pT, is more than colliders have in the median event.

    Small sums are no sign of anything here: decays of light particles have them in GeV.

    Parameters
    ----------
    momenta
        (E, px, py, pz), shape (*lead, 4), at rest in padded places.
    layout
        Which particle belongs to which event.
    units
        As which the momenta were given.
    """
    doubt = doubt_units(layout.pool(momenta[..., 1:3].norm(dim=-1)), units)
    if doubt is not None:
        reason, likelier = doubt
        warnings.warn(
            f"{reason}; pass units={likelier!r}, or validate=False if it is right", UnitsWarning, stacklevel=2
        )

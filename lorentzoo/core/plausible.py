"""Are the values of a cloud momenta at all?"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from lorentzoo.core.errors import InputError
from lorentzoo.core.layout import Layout, Packed
from lorentzoo.core.units import IN_GEV, LARGEST_ENERGY, SMALLEST_ENERGY, Units

__all__ = ["check_finite", "check_momenta"]

_SPACELIKE_TOLERANCE: Final = 1e-4
"""How far below zero m²/E² may lie by the rounding of float32 momenta."""


def check_momenta(momenta: Tensor, layout: Layout, units: Units) -> None:
    """Check that momenta are finite, of positive energy, not space-like, and have squares that are numbers.

    Parameters
    ----------
    momenta
        (E, px, py, pz), shape (*lead, 4).
    layout
        Which particle belongs to which event; padded places are not looked at.
    units
        Of the momenta.

    Raises
    ------
    InputError
        Naming the first event and particle, the value, and the remedy.
    """
    real = layout.mask

    def report(bad: Tensor, what: str, remedy: str) -> None:
        if real is not None:
            bad = bad & real
        if bool(bad.any()):
            where = bad.nonzero()[0].tolist()
            event, particle = _locate(layout, where)
            value = momenta[tuple(where)].tolist()
            raise InputError(
                f"{what} in event {event}, particle {particle}: (E, px, py, pz) = {value} {units} "
                f"({int(bad.sum())} of {bad.numel()} particles). {remedy}"
            )

    report(
        ~torch.isfinite(momenta).all(-1),
        "NaN or infinite momentum",
        "Remove these events, or set the mask where padding holds NaN.",
    )
    report(
        momenta[..., 0] <= 0,
        "energy that is not positive",
        "Components are ordered (E, px, py, pz); padding goes into the mask, not into zero momenta.",
    )
    report(
        momenta.abs().amax(-1) * IN_GEV[units] > LARGEST_ENERGY,
        f"momentum above {LARGEST_ENERGY:.0e} GeV",
        "Networks would overflow in float32; check the units, or rescale the events.",
    )
    report(
        momenta[..., 0] * IN_GEV[units] < SMALLEST_ENERGY,
        f"energy below {SMALLEST_ENERGY:.0e} GeV",
        "Powers of it vanish in float64; leave such particles out, or check the units.",
    )
    squared = momenta[..., 0].square() - momenta[..., 1:].square().sum(-1)
    report(
        squared < -_SPACELIKE_TOLERANCE * momenta[..., 0].square(),
        "space-like momentum (E < |p|)",
        "Components are ordered (E, px, py, pz); recompute E from the mass if energies were rounded.",
    )


def check_finite(values: Tensor, what: str) -> None:
    """Check further columns.

    Raises
    ------
    InputError
        Naming the first place with NaN or infinity.
    """
    bad = ~torch.isfinite(values)
    if bool(bad.any()):
        raise InputError(f"NaN or infinite value in {what} at index {bad.nonzero()[0].tolist()}")


def _locate(layout: Layout, where: list[int]) -> tuple[int, int]:
    if isinstance(layout, Packed):
        event = int(layout.event[where[0]])
        return event, where[0] - int(layout.ptr[event])
    return where[0], where[1]

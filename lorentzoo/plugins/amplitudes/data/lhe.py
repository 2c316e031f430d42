"""What is in a Les Houches event file?

All of it that bears on amplitudes: momenta, colours and kinds of all particles, known or not, and every weight.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from lorentzoo import EventFileError, LheFile, Packed
from lorentzoo.plugins.amplitudes.errors import AmplitudeError

__all__ = ["LheEvents", "read_lhe"]


@dataclass(frozen=True)
class LheEvents:
    """Events of a file.

    Attributes
    ----------
    momenta
        (E, px, py, pz) in GeV of all particles, shape (P, 4), float64.
    ptr
        Event i owns the rows ``ptr[i]:ptr[i + 1]``, shape (B + 1,).
    pdg, status
        Number of the Particle Data Group; -1 incoming, 1 outgoing, 2 an intermediate resonance, shape (P,).
    mothers, colours
        First and last mother, counted from 1 within the event; colour and anticolour lines, shape (P, 2).
    weight
        Nominal weights of either sign, shape (B,).
    scale, alpha_s
        Scale in GeV and strong coupling of each event, shape (B,).
    weight_names, weights
        Names of further weights and their values, shape (B, W); NaN where an event does not have one.
    """

    momenta: Tensor
    ptr: Tensor
    pdg: Tensor
    status: Tensor
    mothers: Tensor
    colours: Tensor
    weight: Tensor
    scale: Tensor
    alpha_s: Tensor
    weight_names: tuple[str, ...]
    weights: Tensor

    def __len__(self) -> int:
        return len(self.weight)

    @property
    def layout(self) -> Packed:
        """Which particle belongs to which event."""
        return Packed(self.ptr)


def read_lhe(path: str | os.PathLike[str], max_events: int | None = None) -> LheEvents:
    """Read a file of events, packed by gzip or not.

    Parameters
    ----------
    path
        The file.
    max_events
        Only so many events from its beginning.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    AmplitudeError
        If it is damaged or not such a file; the message says how many events came before.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of events {path}")
    file = LheFile(path, max_events)
    try:
        found = file.read(0, file.num_events)
    except EventFileError as cause:
        raise AmplitudeError(str(cause)) from cause
    finally:
        file.close()
    if not len(found):
        raise AmplitudeError(f"{path} has no events")
    names = (item.name for item in fields(LheEvents) if item.name != "weight_names")
    return LheEvents(
        weight_names=found.weight_names, **{name: torch.from_numpy(getattr(found, name)) for name in names}
    )

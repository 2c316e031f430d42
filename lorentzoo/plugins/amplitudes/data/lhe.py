"""What is in a Les Houches event file?

All of it that bears on amplitudes: momenta, colours and kinds of all particles, known or not, and every weight.
"""

from __future__ import annotations

import gzip
import math
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import pylhe
import torch
from torch import Tensor

from lorentzoo import Packed
from lorentzoo.plugins.amplitudes.errors import AmplitudeError

__all__ = ["LheEvents", "read_lhe"]


_GZIP = b"\x1f\x8b"


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
    events = _parse(path, max_events)
    if not events:
        raise AmplitudeError(f"{path} has no events")
    particles = [particle for event in events for particle in event.particles]
    lengths = torch.tensor([len(event.particles) for event in events])
    names = tuple(dict.fromkeys(name for event in events for name in event.weights))
    weights = [[event.weights.get(name, math.nan) for name in names] for event in events]

    def table(*columns: str) -> list[list[float]]:
        return [[getattr(particle, column) for column in columns] for particle in particles]

    def info(name: str) -> Tensor:
        return torch.tensor([getattr(event.eventinfo, name) for event in events], dtype=torch.float64)

    momenta = torch.tensor(table("e", "px", "py", "pz"), dtype=torch.float64)
    if not bool(torch.isfinite(momenta).all()):
        raise AmplitudeError(f"{path} has momenta that are not finite")
    return LheEvents(
        momenta=momenta,
        ptr=torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]),
        pdg=torch.tensor(table("id"), dtype=torch.int64).squeeze(1),
        status=torch.tensor(table("status"), dtype=torch.int64).squeeze(1),
        mothers=torch.tensor(table("mother1", "mother2"), dtype=torch.int64),
        colours=torch.tensor(table("color1", "color2"), dtype=torch.int64),
        weight=info("weight"),
        scale=info("scale"),
        alpha_s=info("aqcd"),
        weight_names=names,
        weights=torch.tensor(weights, dtype=torch.float64).reshape(len(events), len(names)),
    )


def _parse(path: Path, max_events: int | None) -> list[pylhe.LHEEvent]:
    found: list[pylhe.LHEEvent] = []
    try:
        # Opened here: pylhe leaves a file open where it does not like it.
        with path.open("rb") as raw, warnings.catch_warnings():
            # pylhe ends a damaged file with a warning, as if it were complete.
            warnings.simplefilter("error", RuntimeWarning)
            packed = raw.read(2) == _GZIP
            raw.seek(0)
            stream = gzip.GzipFile(fileobj=raw) if packed else raw
            for event in pylhe.LHEFile.frombuffer(stream).events:
                if len(event.particles) != event.eventinfo.nparticles:
                    raise ValueError(
                        f"{len(event.particles)} particles where {event.eventinfo.nparticles} are announced"
                    )
                found.append(event)
                if len(found) == max_events:
                    break
    except (RuntimeWarning, ValueError, IndexError, KeyError, OSError, EOFError, AssertionError) as cause:
        raise AmplitudeError(
            f"{path} is damaged or not a file of events, after {len(found)} events: {cause}"
        ) from cause
    return found

"""How does a network become a matrix element of MadGraph 7?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.errors import ExportError
from lorentzoo.core.minkowski import mass_squared
from lorentzoo.exporting.source.about import About
from lorentzoo.exporting.source.program import Program
from lorentzoo.exporting.source.text import fill_template, literal

__all__ = ["Coupling", "find_coupling", "find_masses", "write_umami"]

_MASSLESS: Final = 1e-9
"""m²/E² that is rounding."""


@dataclass(frozen=True)
class Coupling:
    """The strong coupling with which a target was computed, and the power of it that the target is proportional to."""

    value: float
    power: int


def find_coupling(metadata: Mapping[str, Any]) -> Coupling | None:
    """The coupling of a data set of one channel whose metadata states it."""
    channels: Sequence[Mapping[str, Any]] = metadata.get("channels", ())
    if len(channels) != 1 or metadata.get("modified") or not {"alpha_s", "alpha_s_power"} <= set(channels[0]):
        return None
    return Coupling(float(channels[0]["alpha_s"]), int(channels[0]["alpha_s_power"]))


def find_masses(cloud: ParticleCloud) -> list[float]:
    """Median mass of each particle of events of the same particles, in GeV; zero where it is rounding."""
    momenta = cloud.layout.pad(cloud.momenta).double()
    squares = mass_squared(momenta)
    squares = torch.where(squares > _MASSLESS * momenta[..., 0].square(), squares, torch.zeros_like(squares))
    return [float(mass) for mass in squares.sqrt().median(0).values]


def write_umami(program: Program, about: About, coupling: Coupling | None, masses: Sequence[float]) -> str:
    """The source of the interface, which is compiled with the network's.

    Raises
    ------
    ExportError
        If the network gives anything else than one number an event from momenta alone.
    """
    if program.num_context or len(program.outputs) != 1:
        raise ExportError(
            "a matrix element of MadGraph 7 is one number of momenta alone, and this network "
            + (
                f"reads {program.num_context} further numbers of an event ({', '.join(about.context_names)})"
                if program.num_context
                else f"gives {len(program.outputs)} numbers ({', '.join(about.target_names)})"
            )
            + "; format='c' takes it"
        )
    keys = {
        "ALPHA_S": literal(1.0 if coupling is None else coupling.value),
        "ALPHA_S_POWER": str(-1 if coupling is None else coupling.power),
        "MASSES": ", ".join(map(literal, masses)),
    }
    return fill_template("umami.c", about.keys(program, c_style=True) | keys)

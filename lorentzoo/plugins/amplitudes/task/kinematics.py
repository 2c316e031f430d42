"""Where in phase space is each event, and are its momenta those of a scattering at all?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorentzoo import EventData
from lorentzoo.nn import TrainingError, mass_squared, pt
from lorentzoo.plugins.amplitudes.data.channels import find_channels
from lorentzoo.plugins.amplitudes.processes import Process
from lorentzoo.plugins.amplitudes.targets.region import log_invariants

__all__ = ["OBSERVABLES", "check_events", "observe_events"]

Array = NDArray[np.float64]

OBSERVABLES: Final = {
    "smallest_mass": "Smallest √(2 p·p) of a pair [GeV]",
    "sqrt_s": "√s [GeV]",
    "leading_pt": "Transverse momentum of the leading jet [GeV]",
}
"""Numbers of each event by name, and what axes say of them."""
_AT_ONCE: Final = 65_536
_TOLERANCE: Final = 1e-4
"""Of √s: events are refused that are no scattering, not those of a file with few digits."""
_MASSLESS: Final = 1e-6
"""Of s: what is lighter is a jet."""


def observe_events(data: EventData) -> dict[str, Array]:
    """`OBSERVABLES` of all events, (B,) each, in GeV.

    A jet is an outgoing particle without mass; in events without any, the leading one of all outgoing particles counts.
    Invariants are of all pairs, also of an incoming and an outgoing particle.
    """
    found = {name: np.zeros(len(data)) for name in OBSERVABLES}
    for events, momenta in _by_length(data):
        s = mass_squared(momenta[:, :2].sum(1))
        transverse = pt(momenta[:, 2:])
        is_jet = mass_squared(momenta[:, 2:]) < _MASSLESS * s.unsqueeze(1)
        is_jet |= ~is_jet.any(1, keepdim=True)
        # A tensor of one number would mean a single place to numpy.
        places = events.numpy()
        found["smallest_mass"][places] = (log_invariants(momenta)[:, 0] / 2).exp().numpy()
        found["sqrt_s"][places] = s.clamp(min=0).sqrt().numpy()
        found["leading_pt"][places] = torch.where(is_jet, transverse, 0.0).amax(1).numpy()
    return found


def check_events(data: EventData) -> None:
    """Refuse events whose first two particles do not turn into the others, or that leave their mass shells.

    Raises
    ------
    TrainingError
        Naming the first event that has fewer than three particles, violates conservation of energy and momentum, or in
        which a particle has a mass that has none in the process of the event. Others, such as a Z, may be resonances.
    """
    few = (data.lengths < 3).nonzero()
    if len(few):
        event = int(few[0])
        raise TrainingError(
            "an amplitude is of two incoming and at least one outgoing particle, but event "
            f"{int(data.event_id[event])} has {int(data.lengths[event])}; judge other numbers by the task 'regression'"
        )
    for events, momenta in _by_length(data):
        energy = momenta[:, :2, 0].sum(1)
        missing = (momenta[:, :2].sum(1) - momenta[:, 2:].sum(1)).abs().amax(1) / energy
        wrong = (~(missing <= _TOLERANCE)).nonzero()
        if len(wrong):
            first = int(wrong[0])
            raise TrainingError(
                f"event {int(data.event_id[int(events[first])])} violates conservation of energy and momentum by "
                f"{float(missing[first]):.1e} of its energy, allowed are {_TOLERANCE:.0e}: the first two particles must "
                "be the incoming ones, with positive energies, and no outgoing one may be left out; judge other numbers "
                "by the task 'regression'"
            )
    channels, place = find_channels(data)
    for number, channel in enumerate(channels):
        if channel.process is not None:
            _check_shells(data, (place == number).nonzero().squeeze(1), channel.process)


def _check_shells(data: EventData, events: Tensor, process: Process) -> None:
    for chosen in events.split(_AT_ONCE):
        cloud = data.batch(chosen).cloud.to_units("GeV")
        momenta = cloud.momenta.to(torch.float64).unflatten(0, (len(chosen), -1))
        outgoing = process.outgoing_masses(process.multiplicity_of(momenta))
        massless = torch.tensor([True, True, *(mass == 0 for mass in outgoing)])
        squares = mass_squared(momenta)
        away = squares.abs() / mass_squared(momenta[:, :2].sum(1)).unsqueeze(1)
        wrong = (~(away <= _TOLERANCE) & massless).nonzero()
        if len(wrong):
            row, particle = (int(index) for index in wrong[0])
            name = process.particles(process.multiplicity_of(momenta))[particle]
            raise TrainingError(
                f"event {int(data.event_id[int(chosen[row])])} of {process.name!r}: particle {particle} ({name}) has "
                f"mass² {float(squares[row, particle]):.6g} GeV², but it is massless: particles must be in the order of "
                "the process, incoming ones first"
            )


def _by_length(data: EventData) -> Iterator[tuple[Tensor, Tensor]]:
    """Events with equally many particles, and their momenta (b, N, 4) in GeV, float64."""
    for length in data.lengths.unique().tolist():
        for events in (data.lengths == length).nonzero().squeeze(1).split(_AT_ONCE):
            cloud = data.batch(events).cloud.to_units("GeV")
            yield events, cloud.momenta.to(torch.float64).unflatten(0, (len(events), length))

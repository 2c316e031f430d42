"""Which events of a file are points of a process, and which |M|² do they have?"""

from __future__ import annotations

import itertools
import os
from typing import Final, Literal

import torch
from torch import Tensor

from lorentzoo import JetDataset
from lorentzoo.plugins.amplitudes.data.dataset import join_points
from lorentzoo.plugins.amplitudes.data.lhe import LheEvents, read_lhe
from lorentzoo.plugins.amplitudes.data.particles import PDG
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.processes import Process, find_process

__all__ = ["amplitudes_lhe", "match_events"]

_INCOMING: Final = -1
_CHARM: Final = 4
_UP: Final = 2


def amplitudes_lhe(
    path: str | os.PathLike[str],
    process: str = "qq-Zng",
    multiplicity: int = 2,
    num_events: int | None = None,
    split: Literal["train", "validation", "test"] | None = None,
    weight: str | None = None,
    tolerance: float = 1e-6,
    shell_tolerance: float | None = 1e-6,
) -> JetDataset:
    """Points of another generator: those events of a Les Houches file that are of a process, with our |M|² of them.

    A resonance of the process (a Z) is taken for an outgoing particle, and what it decays into left out. Charm counts as
    up: both have the same couplings and no mass here. Other events are left out, and counted in ``metadata``.

    Parameters
    ----------
    path
        The file, packed by gzip or not.
    process, multiplicity
        Which events.
    num_events
        Only so many of them.
    split
        ``"train"``, ``"validation"`` or ``"test"``, 60:15:25; None takes all.
    weight
        Name of one of the file's further weights; the nominal one by default. Weights may be negative.
    tolerance
        Largest violation of energy-momentum conservation, over √s.
    shell_tolerance
        Largest distance from the mass shells, over s; None for resonances that are off their shell.

    Raises
    ------
    AmplitudeError
        If no event is of the process (the message lists what there is), and as in `read_lhe` and `Process.squared`.
    """
    chosen = find_process(process)
    n = multiplicity if chosen.repeated else 0
    events = read_lhe(path)
    momenta, which = match_events(events, chosen, n)
    if not len(which):
        raise AmplitudeError(
            f"none of {len(events)} events of {path} is {' '.join(chosen.particles(n))} (incoming first); there are "
            f"{_list_contents(events)}"
        )
    weights = events.weight
    if weight is not None:
        if weight not in events.weight_names:
            known = ", ".join(events.weight_names[:8]) or "none"
            raise AmplitudeError(
                f"{path} has no weight {weight!r}; it has {len(events.weight_names)}: {known} ..."
            )
        weights = events.weights[:, events.weight_names.index(weight)]
    momenta, which = momenta[:num_events], which[:num_events]
    value = chosen.squared(momenta, tolerance=tolerance, shell_tolerance=shell_tolerance)
    metadata = {
        "source": f"events of {os.path.basename(path)}, |M|² at tree level",
        "events": len(events),
        "matched": len(which),
        "channels": [{"process": process, "multiplicity": n}],
    }
    found = [(momenta, value, weights[which])]
    dataset = join_points([(chosen, n)], found, named=True, metadata=metadata, event_id=which)
    return dataset if split is None else dataset.split(split)


def match_events(events: LheEvents, process: Process, multiplicity: int) -> tuple[Tensor, Tensor]:
    """Momenta of the events that are of a process, in the order of its particles, and their numbers.

    Returns
    -------
    Momenta (b, N, 4) and numbers of events (b,).
    """
    names = process.particles(multiplicity)
    coming = sorted(PDG[name] for name in names[:2])
    going = sorted(PDG[name] for name in names[2:])
    resonances = {PDG[name] for name in names[2:]}
    ptr, pdg = events.ptr.tolist(), events.pdg.tolist()
    status, mothers = events.status.tolist(), events.mothers.tolist()
    rows, which = [], []
    for event, (start, stop) in enumerate(itertools.pairwise(ptr)):
        numbers = [_as_up(number, pdg[start:stop]) for number in pdg[start:stop]]
        kept = _outermost(numbers, status[start:stop], mothers[start:stop], resonances)
        beams = [place for place in range(stop - start) if status[start + place] == _INCOMING]
        if (
            sorted(numbers[place] for place in beams) != coming
            or sorted(numbers[place] for place in kept) != going
        ):
            continue
        places = [*_in_order(beams, numbers, names[:2]), *_in_order(kept, numbers, names[2:])]
        rows.append([start + place for place in places])
        which.append(event)
    index = torch.tensor(rows, dtype=torch.int64).reshape(len(rows), len(names))
    return events.momenta[index], torch.tensor(which, dtype=torch.int64)


def _as_up(number: int, all_numbers: list[int]) -> int:
    """Charm as up, in events without up."""
    if abs(number) == _CHARM and not {_UP, -_UP} & set(all_numbers):
        return _UP if number > 0 else -_UP
    return number


def _outermost(
    numbers: list[int], status: list[int], mothers: list[list[int]], resonances: set[int]
) -> list[int]:
    """Places of outgoing particles and of resonances, without what these decay into."""
    decayed: set[int] = set()
    found = []
    for place, (number, state) in enumerate(zip(numbers, status, strict=True)):
        if mothers[place][0] - 1 in decayed:
            decayed.add(place)
        elif state == 2 and number in resonances:
            decayed.add(place)
            found.append(place)
        elif state == 1:
            found.append(place)
    return found


def _in_order(places: list[int], numbers: list[int], names: tuple[str, ...]) -> list[int]:
    """Places in the order of the process's particles; equal ones stay in theirs."""
    left = list(places)
    found = []
    for name in names:
        place = next(place for place in left if numbers[place] == PDG[name])
        left.remove(place)
        found.append(place)
    return found


def _list_contents(events: LheEvents) -> str:
    """The commonest final states of a file."""
    ptr, pdg, status = events.ptr.tolist(), events.pdg.tolist(), events.status.tolist()
    counts: dict[str, int] = {}
    for start, stop in itertools.pairwise(ptr):
        incoming = [str(pdg[row]) for row in range(start, stop) if status[row] == _INCOMING]
        outgoing = sorted(pdg[row] for row in range(start, stop) if status[row] == 1)
        text = f"{' '.join(incoming)} > {' '.join(map(str, outgoing))}"
        counts[text] = counts.get(text, 0) + 1
    common = sorted(counts.items(), key=lambda item: -item[1])[:5]
    return "; ".join(f"{count} of {text}" for text, count in common)

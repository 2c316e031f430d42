"""Of which process and multiplicity is each event of a data set?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from lorentzoo import EventData
from lorentzoo.plugins.amplitudes.processes import PROCESSES, Couplings, Process

__all__ = ["Channel", "find_channels"]

_PROCESS: Final = "process_"
"""Begins the names of the one-hot context of joint sets."""


@dataclass(frozen=True)
class Channel:
    """A process with its multiplicity, as far as the data set says what its events are.

    Attributes
    ----------
    label
        Its name.
    process
        None where the data set names none.
    couplings
        Couplings and masses.
    has_truth
        Whether the targets are |M|² of the process, and not another function of the momenta.
    """

    label: str
    process: Process | None
    couplings: Couplings
    has_truth: bool


def find_channels(data: EventData) -> tuple[list[Channel], Tensor]:
    """The channels of a data set, and the number of the channel of each event, (B,), int64.

    Events belong to a channel that the metadata of the data set names, by their number of particles and, in joint sets,
    by the one-hot context ``process_NAME``. Events of no named channel make one for each number of particles.
    """
    context = [name for name in data.context_names if name.startswith(_PROCESS)]
    columns = [data.context_names.index(name) for name in context]
    which = data.context[:, columns].argmax(1) if columns else torch.zeros(len(data), dtype=torch.int64)
    place = torch.full((len(data),), -1, dtype=torch.int64)
    found: list[Channel] = []
    has_truth = not data.metadata.get("modified")
    for described in data.metadata.get("channels", ()):
        process = PROCESSES.get(described["process"])
        if process is None or described["multiplicity"] not in process.multiplicities:
            continue
        length = len(process.particles(described["multiplicity"]))
        name = f"{_PROCESS}{process.name}"
        own = (data.lengths == length) & (place < 0)
        if columns:
            own &= which == (context.index(name) if name in context else -1)
        place[own] = len(found)
        label = f"{process.name} n={described['multiplicity']}" if process.repeated else process.name
        found.append(Channel(label, process, _read_couplings(described), has_truth))
    for length in data.lengths[place < 0].unique().tolist():
        place[(place < 0) & (data.lengths == length)] = len(found)
        found.append(Channel(f"{length} particles", None, Couplings(), False))
    # A part of a joint set need not have events of every channel.
    there = torch.unique(place).tolist()
    renumbered = torch.full((len(found),), -1, dtype=torch.int64)
    renumbered[there] = torch.arange(len(there))
    return [found[number] for number in there], renumbered[place]


def _read_couplings(described: dict[str, Any]) -> Couplings:
    return Couplings(**described.get("couplings", {}))

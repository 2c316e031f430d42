"""How do events of generators become events of a data set? (Les Houches files, hep-ph/0609017)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.ragged import event_index
from lorentzoo.data.readers.columns import ColumnNames
from lorentzoo.data.readers.labels import LabelRule, Labels
from lorentzoo.data.readers.lhe_file import LheFile, LheRecords
from lorentzoo.data.readers.source import EventFileError, Events, Source

__all__ = ["LheChoice", "LheEventSource", "WhichParticles"]

WhichParticles = Literal["final", "hard", "all"]

_INCOMING: Final = -1
_KEPT: Final[dict[str, tuple[int, ...]]] = {"final": (1,), "hard": (_INCOMING, 1), "all": (_INCOMING, 1, 2)}
"""Status codes: 1 outgoing, -1 incoming, 2 resonance that has decayed."""
_KINDS: Final[dict[str, tuple[int, ...]]] = {
    "is_quark": (1, 2, 3, 4, 5, 6),
    "is_gluon": (21,),
    "is_charged_lepton": (11, 13, 15),
    "is_neutrino": (12, 14, 16),
    "is_photon": (22,),
    "is_boson": (23, 24, 25),
}
_SCALARS: Final = ("pdg", "role", "is_antiparticle", *_KINDS, "colour", "anticolour", "mother", "spin")
_NUMBERS: Final = ("weight", "process", "scale", "alpha_qed", "alpha_s")
_COUNTED: Final = ("incoming_1", "incoming_2", "num_outgoing", "channel")
_COLUMNS: Final = (*_NUMBERS, *_COUNTED)


@dataclass(frozen=True)
class LheChoice:
    """What is read of a Les Houches file.

    Attributes
    ----------
    particles
        Outgoing particles, with incoming ones (hard), or with resonances too (all).
    scalars
        Numbers of each particle.
    rule
        Classes by column, condition or file; without, by the process.
    """

    particles: WhichParticles = "final"
    scalars: Sequence[str] = ("pdg", "role")
    rule: LabelRule = field(default_factory=LabelRule)


class LheEventSource(Source):
    """Events of a Les Houches file.

    Columns of events are ``weight``, ``process``, ``scale``, ``alpha_qed``, ``alpha_s``, the PDG numbers
    ``incoming_1`` and ``incoming_2``, ``num_outgoing``, ``channel`` (a text, ``"21 21 > 21 21"``), and the weights of
    the file by name.

    Parameters
    ----------
    path, columns
        As for `Source`.
    choice
        What is read.
    """

    def __init__(self, path: Path, columns: ColumnNames, choice: LheChoice) -> None:
        super().__init__(path, columns)
        self._file, self._choice = LheFile(path), choice
        unknown = [name for name in choice.scalars if name not in _SCALARS]
        if unknown:
            raise EventFileError(
                path, f"particles have no scalar {unknown[0]!r}; they have {', '.join(_SCALARS)}"
            )
        self.scalar_names = tuple(choice.scalars)
        for name in columns.all:
            self.resolve(name, "target, weight, context or event_id")
        self._labels: Labels | None = None
        if columns.target:
            return
        if choice.rule.ways:
            self._labels = Labels(self, choice.rule)
            self.class_names, self.classes_counted = self._labels.names, self._labels.counted
        else:
            self.class_names = tuple(f"process_{number}" for number in self._file.processes)

    @property
    def num_events(self) -> int:
        """Events of the file."""
        return self._file.num_events

    def close(self) -> None:
        """Close the file until its next use."""
        self._file.close()

    def read(self, start: int, stop: int) -> Events:
        """Particles of events `start` to `stop`."""
        records = self._file.read(start, stop, weights=False)
        kept = np.flatnonzero(np.isin(records.status, _KEPT[self._choice.particles]))
        counts = np.bincount(event_index(records.ptr)[kept], minlength=len(records))
        scalars = np.zeros((len(kept), len(self.scalar_names)), np.float32)
        for place, name in enumerate(self.scalar_names):
            scalars[:, place] = _scalar(records, name)[kept]
        return Events(
            records.momenta[kept], np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), scalars
        )

    def read_classes(self, start: int, stop: int) -> NDArray[np.int64]:
        """The class that a column, a condition, the name of the file or the process says."""
        if self._labels is not None:
            return self._labels.read(start, stop)
        numbers = self._file.read(start, stop, weights=False).process
        known = np.array(self._file.processes, dtype=np.int64)
        wrong = np.flatnonzero(~np.isin(numbers, known))
        if len(wrong):
            raise EventFileError(
                self.path,
                f"event {start + wrong[0]} is of the process {numbers[wrong[0]]}, but <init> announces "
                f"{', '.join(map(str, known)) or 'none'}: say what the class is with classes=, class_files= or label=",
            )
        return np.argmax(numbers[:, None] == known, axis=1).astype(np.int64)

    def read_values(self, names: Sequence[str], start: int, stop: int) -> Mapping[str, NDArray[np.generic]]:
        """Columns with one number an event."""
        return self.event_values(names, start, stop)

    def settings(self) -> Mapping[str, Any]:
        """Which particles are read, with which numbers."""
        return {"particles": self._choice.particles, "scalars": list(self.scalar_names)}

    def resolve(self, name: str, purpose: str) -> str:
        """The name of a column of events, or of a weight, that is there.

        Raises
        ------
        EventFileError
            If there is none.
        """
        if name in _COLUMNS or name in self._weights:
            return name
        texts = {number: text for text, number in self._weights.items() if text != number}
        weights = [
            f"{number} ({texts[number]})" if number in texts else number
            for number in dict.fromkeys(self._weights.values())
        ]
        raise EventFileError(
            self.path,
            f"{name!r} missing, needed for {purpose}; events have {', '.join(_COLUMNS)} and {len(weights)} further "
            f"weights{': ' + ', '.join(weights[:8]) if weights else ''}{', ...' if len(weights) > 8 else ''}",
        )

    def event_values(self, names: Sequence[str], start: int, stop: int) -> dict[str, NDArray[Any]]:
        """Columns with one entry an event (n,)."""
        records = self._file.read(start, stop, weights=any(name not in _COLUMNS for name in names))
        return {name: self._column(records, name, start) for name in names}

    @cached_property
    def _weights(self) -> dict[str, str]:
        """Names by which further weights can be named, their ``id`` and what the head says of them; and their ``id``."""
        announced = self._file.weight_labels
        if not announced and self._file.num_events:
            announced = dict.fromkeys(self._file.read(0, 1).weight_names, "")
        texts = [text for text in announced.values() if text]
        by_text = {text: number for number, text in announced.items() if texts.count(text) == 1}
        return {**by_text, **{number: number for number in announced}}

    def _column(self, records: LheRecords, name: str, start: int) -> NDArray[Any]:
        if name in _NUMBERS:
            return np.asarray(getattr(records, name))
        if name in _COUNTED:
            return _count(records, name)
        number = self._weights[name]
        if number not in records.weight_names:
            raise EventFileError(self.path, f"event {start} has no weight {name!r}, which the head announces")
        return records.weights[:, records.weight_names.index(number)]


def _scalar(records: LheRecords, name: str) -> NDArray[Any]:
    """A number of each particle."""
    if name == "pdg":
        return records.pdg
    if name == "role":
        return records.status
    if name == "is_antiparticle":
        return records.pdg < 0
    if name in _KINDS:
        return np.isin(np.abs(records.pdg), _KINDS[name])
    if name == "spin":
        return records.spin
    return records.mothers[:, 0] if name == "mother" else records.colours[:, int(name == "anticolour")]


def _count(records: LheRecords, name: str) -> NDArray[Any]:
    """What goes into an event and comes out of it."""
    event, count = event_index(records.ptr), len(records)
    coming, going = records.status == _INCOMING, records.status == 1
    if name == "num_outgoing":
        return np.bincount(event[going], minlength=count)
    if name == "channel":
        texts = []
        for begin, end in zip(records.ptr[:-1], records.ptr[1:], strict=True):
            pdg, came, went = records.pdg[begin:end], coming[begin:end], going[begin:end]
            texts.append(f"{' '.join(map(str, pdg[came]))} > {' '.join(map(str, sorted(pdg[went])))}")
        return np.array(texts, dtype=str)
    found = np.zeros(count, dtype=np.int64)
    rows = np.flatnonzero(coming)
    rank = np.arange(len(rows)) - np.searchsorted(event[rows], event[rows])
    chosen = rank == (1 if name == "incoming_2" else 0)
    found[event[rows[chosen]]] = records.pdg[rows[chosen]]
    return found

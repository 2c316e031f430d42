"""How are jets and their constituents read from files of Delphes? (arXiv:1307.6346)

Constituents of a jet are references by the number of an object in its event: energy-flow tracks, photons and neutral
hadrons, or towers and tracks of calorimeter and track jets, or generator particles.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from lorentzoo.core.momentum_columns import join_momenta
from lorentzoo.data.ragged import event_index
from lorentzoo.data.readers.column_files import ROOTColumns, find_lists
from lorentzoo.data.readers.constituents import choose_features, make_features, quantities_of
from lorentzoo.data.readers.generator_truth import TRUTH_CLASSES, GeneratorParticles, match_jets
from lorentzoo.data.readers.jetclass import Particles
from lorentzoo.data.readers.source import EventFileError, Events, require_columns
from lorentzoo.data.readers.tree_jets import TreeJets

__all__ = ["DelphesChoice", "DelphesJets", "DelphesTruth"]

DelphesTruth = Literal["auto", "generator", "flavour", "none"]

_CONSTITUENTS: Final = ".Constituents"
_NUMBER: Final = 0xFFFFFF
"""Part of an object's identifier that numbers it; the rest is the process that wrote it."""
_PREFERRED: Final = ("FatJet", "AK8", "ParticleFlowJet08", "ParticleFlowJet10", "ParticleFlowJet", "Jet")
_FLAVOURS: Final[dict[str, tuple[int, ...]]] = {"light": (1, 2, 3), "c": (4,), "b": (5,), "gluon": (21,)}
_PARTICLE: Final = "Particle"
_QUANTITIES: Final[dict[str, tuple[str, ...]]] = {
    "charge": ("Charge",),
    "pdg": ("PID",),
    "d0": ("D0", "Dxy"),
    "d0_error": ("ErrorD0", "SDxy"),
    "dz": ("DZ",),
    "dz_error": ("ErrorDZ",),
}


@dataclass(frozen=True)
class _Kind:
    """Objects that may be constituents: columns of their momenta, and what they are where no column says it."""

    momentum: Mapping[str, str]
    pdg: int | None = None
    tracked: bool = False


_TRACKS: Final = _Kind({"pt": "PT", "eta": "Eta", "phi": "Phi", "mass": "Mass"}, tracked=True)
_TOWERS: Final = {"pt": "ET", "eta": "Eta", "phi": "Phi"}
_DETECTED: Final[dict[str, _Kind]] = {
    "EFlowTrack": _TRACKS,
    "EFlowPhoton": _Kind(_TOWERS, pdg=22),
    "EFlowNeutralHadron": _Kind(_TOWERS, pdg=130),
    "ParticleFlowCandidate": _Kind({"pt": "PT", "eta": "Eta", "phi": "Phi", "mass": "Mass"}, tracked=True),
    "Tower": _Kind(_TOWERS, pdg=0),
    "Track": _TRACKS,
}
_GENERATED: Final[dict[str, _Kind]] = {
    _PARTICLE: _Kind({"E": "E", "px": "Px", "py": "Py", "pz": "Pz"}, tracked=True)
}


@dataclass(frozen=True)
class DelphesChoice:
    """What is read of a file of Delphes.

    Attributes
    ----------
    jets
        Collection of jets; by default one of radius 0.8, or the one that is called Jet.
    features
        Numbers of each constituent, as in JetClass.
    truth
        What says the class of a jet.
    radius
        Largest ΔR of the partons of a decay to their jet.
    tree
        Name of the tree.
    """

    jets: str | None = None
    features: Particles = "default"
    truth: DelphesTruth = "auto"
    radius: float | None = None
    tree: str = "Delphes"


class DelphesJets(TreeJets):
    """Jets of a file of Delphes with their constituents.

    Parameters
    ----------
    path
        The file.
    choice
        What is read of it.
    """

    def __init__(self, path: Path, choice: DelphesChoice) -> None:
        self.path, self._choice = path, choice
        self._file = ROOTColumns(path, choice.tree, _call)
        self.jets = self._choose_jets()
        require_columns(path, self._known, [f"{self.jets}.{part}" for part in ("PT", "Eta", "Phi")], "jets")
        kinds = _GENERATED if self.jets.startswith("Gen") else _DETECTED
        self._kinds = {name: kind for name, kind in kinds.items() if f"{name}.fUniqueID" in self._known}
        if not self._kinds:
            raise EventFileError(
                path,
                f"none of {', '.join(f'{name}.fUniqueID' for name in kinds)} is there, to which the constituents of "
                f"{self.jets!r} refer; write the file with these branches (TreeWriter of the Delphes card)",
            )
        self._columns = {name: self._find_columns(name, kind) for name, kind in self._kinds.items()}
        there = {"charge", "pdg"} | {item for columns in self._columns.values() for item in columns}
        called = {item: f"EFlowTrack.{names[0]}" for item, names in _QUANTITIES.items()}
        self.scalar_names = choose_features(path, choice.features, sorted(there), called)
        self._truth = self._choose_truth()
        if self._truth != "none":
            self.truth_names = TRUTH_CLASSES if self._truth == "generator" else tuple(_FLAVOURS)

    @property
    def prefix(self) -> str:
        """``ParticleFlowJet08.``."""
        return f"{self.jets}."

    def read_lengths(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Jets of events `start` to `stop`, and numbers of their constituents."""
        ptr, _, _ = self._read_references(start, stop)
        return ptr, np.diff(self.read_constituents(start, stop).ptr)

    def read_constituents(self, start: int, stop: int) -> Events:
        """Constituents of all jets of events `start` to `stop`.

        Tracks that smearing has left without any momentum (PT = 0, Eta = ±999.9) are not there.
        """
        ptr, inner, numbers = self._read_references(start, stop)
        identifiers, momenta, values = self._read_objects(start, stop)
        wanted = event_index(ptr)[event_index(inner)] * (_NUMBER + 1) + numbers
        order = np.argsort(identifiers, kind="stable")
        place = np.searchsorted(identifiers[order], wanted)
        place = np.minimum(place, max(len(order) - 1, 0))
        rows = order[place] if len(order) else np.zeros(len(wanted), np.int64)
        found = identifiers[rows] == wanted if len(order) else np.zeros(len(wanted), bool)
        if not found.all():
            row = int(np.argmin(found))
            jet = int(event_index(inner)[row])
            event = int(event_index(ptr)[jet])
            raise EventFileError(
                self.path,
                f"a constituent of jet {jet - int(ptr[event])} of {self.jets!r} in event {start + event} is not among "
                f"{', '.join(self._kinds)} ({int((~found).sum())} of {len(found)} constituents): the file was written "
                "without the branch that holds it, or is damaged; name other jets (jets=...) or write it with all of "
                "EFlowTrack, EFlowPhoton, EFlowNeutralHadron",
            )
        moving = np.hypot(momenta[rows, 1], momenta[rows, 2]) > 0
        counts = np.bincount(event_index(inner)[moving], minlength=len(inner) - 1)
        rows = rows[moving]
        return Events(
            momenta[rows],
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            make_features(
                self.scalar_names, {item: column[rows] for item, column in values.items()}, len(rows)
            ),
        )

    def read_truth(self, start: int, stop: int) -> NDArray[np.int64]:
        """Classes of all jets of events `start` to `stop`."""
        if self._truth == "flavour":
            name = f"{self.jets}.Flavor"
            flavour = np.abs(self._file.read([name], start, stop)[name].values.astype(np.int64))
            found = np.full(len(flavour), -1, dtype=np.int64)
            for number, values in enumerate(_FLAVOURS.values()):
                found[np.isin(flavour, values)] = number
            return found
        jets = [f"{self.jets}.{part}" for part in ("Eta", "Phi")]
        generator = [f"{_PARTICLE}.{part}" for part in ("PID", "M1", "Eta", "Phi")]
        read = self._file.read([*jets, *generator], start, stop)
        pdg, mother, *direction = (read[name].values for name in generator)
        particles = GeneratorParticles(
            find_lists(self.path, read, generator, start),
            pdg.astype(np.int64),
            mother.astype(np.int64),
            direction[0].astype(np.float64),
            direction[1].astype(np.float64),
        )
        eta, phi = (read[name].values.astype(np.float64) for name in jets)
        return match_jets(find_lists(self.path, read, jets, start), eta, phi, particles, self._radius)

    def settings(self) -> Mapping[str, Any]:
        """How the file is read."""
        return {**super().settings(), "objects": list(self._kinds), "truth": [self._truth, self._radius]}

    # ---- what there is --------------------------------------------------------------------

    def _choose_jets(self) -> str:
        there = sorted(
            name.removesuffix(_CONSTITUENTS) for name in self._known if name.endswith(_CONSTITUENTS)
        )
        if self._choice.jets in there:
            return str(self._choice.jets)
        if not there or self._choice.jets is not None:
            wanted = f"{self._choice.jets or 'Jet'}{_CONSTITUENTS}"
            others = (
                f"jets with constituents are {', '.join(there)}: choose with jets=..."
                if there
                else ("no collection has constituents: write the file with them (Delphes 3), and not slimmed")
            )
            raise EventFileError(self.path, f"{wanted!r} missing; {others}")
        order = [name for part in _PREFERRED for name in there if name == part or part in name]
        return next((name for name in order if not name.startswith("Gen")), there[0])

    def _find_columns(self, name: str, kind: _Kind) -> dict[str, str]:
        """Column of each quantity of some objects; their momenta are there."""
        needed = [f"{name}.{column}" for part, column in kind.momentum.items() if part != "mass"]
        require_columns(self.path, self._known, needed, f"momenta of {name}")
        if not kind.tracked:
            return {}
        return {
            item: f"{name}.{column}"
            for item, spellings in _QUANTITIES.items()
            for column in reversed(spellings)
            if f"{name}.{column}" in self._known
        }

    def _choose_truth(self) -> str:
        chosen = self._choice.truth
        needed = [f"{_PARTICLE}.{part}" for part in ("PID", "M1", "Eta", "Phi")]
        if chosen == "auto":
            return "generator" if self._known.issuperset(needed) else "none"
        if chosen != "none":
            needed = needed if chosen == "generator" else [f"{self.jets}.Flavor"]
            require_columns(
                self.path, self._known, needed, f"truth={chosen!r} (say label=, classes= or target= instead)"
            )
        return chosen

    @property
    def _radius(self) -> float:
        if self._choice.radius is not None:
            return self._choice.radius
        digits = re.search(r"(\d\d)$", self.jets)
        if digits:
            return int(digits[1]) / 10
        return 0.8 if "Fat" in self.jets or "AK8" in self.jets else 0.4

    # ---- reading --------------------------------------------------------------------------

    def _read_references(
        self, start: int, stop: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Jets of each event, constituents of each jet, and the numbers of these objects in their event."""
        name = f"{self.jets}{_CONSTITUENTS}"
        refs = self._file.read_records(name, ["refs"], start, stop)["refs"]
        if refs.ptr is None or refs.inner is None:
            raise EventFileError(
                self.path, f"branch {name!r} does not hold lists of references of jets in events"
            )
        return refs.ptr, refs.inner, refs.values.astype(np.int64) & _NUMBER

    def _read_objects(
        self, start: int, stop: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], dict[str, NDArray[Any]]]:
        """Objects of some events: event and number as one, momenta, and the quantities that features are made of."""
        wanted = quantities_of(self.scalar_names)
        found: list[tuple[NDArray[Any], ...]] = []
        for name, kind in self._kinds.items():
            momentum = {
                part: f"{name}.{column}"
                for part, column in kind.momentum.items()
                if f"{name}.{column}" in self._known
            }
            columns = {item: column for item, column in self._columns[name].items() if item in wanted}
            number = f"{name}.fUniqueID"
            read = self._file.read([number, *momentum.values(), *columns.values()], start, stop)
            ptr = find_lists(self.path, read, [number, *momentum.values(), *columns.values()], start)
            count = int(ptr[-1])
            parts = {part: read[column].values.astype(np.float64) for part, column in momentum.items()}
            if "eta" in parts:
                # What has no momentum has no direction either, which Delphes writes as ±999.9.
                parts["eta"] = np.where(parts["pt"] > 0, parts["eta"], 0.0)
            momenta = join_momenta({part: torch.from_numpy(column) for part, column in parts.items()}).numpy()
            values = [
                read[columns[item]].values
                if item in columns
                else np.full(count, kind.pdg or 0 if item == "pdg" else 0.0)
                for item in wanted
            ]
            identifiers = event_index(ptr) * (_NUMBER + 1) + (read[number].values.astype(np.int64) & _NUMBER)
            found.append((identifiers, momenta, *values))
        joined = [np.concatenate(column) for column in zip(*found, strict=True)]
        return joined[0], joined[1], dict(zip(wanted, joined[2:], strict=True))


def _call(branch: str) -> str:
    """``ParticleFlowJet08.PT``, the last part of the name of a branch."""
    return branch.rpartition("/")[2]

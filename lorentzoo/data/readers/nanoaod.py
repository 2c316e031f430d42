"""How are jets and their particle candidates read from NanoAOD of CMS?

A link table (``FatJetPFCands``) has a row for each candidate of each jet: ``_jetIdx`` is the jet, and an index names
the row of the candidates (``PFCands``). Versions spell both differently, or keep the candidates' momenta in the link
table itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from lorentzoo.core.momentum_columns import join_momenta
from lorentzoo.data.ragged import event_index
from lorentzoo.data.readers.column_files import Column, ROOTColumns, find_lists
from lorentzoo.data.readers.constituents import choose_features, make_features, quantities_of
from lorentzoo.data.readers.generator_truth import TRUTH_CLASSES, GeneratorParticles, match_jets
from lorentzoo.data.readers.jetclass import Particles
from lorentzoo.data.readers.jets import EVENTS_AT_ONCE
from lorentzoo.data.readers.source import EventFileError, Events, require_columns
from lorentzoo.data.readers.tree_jets import TreeJets

__all__ = ["NanoAODChoice", "NanoAODJets", "NanoTruth", "Puppi"]

NanoTruth = Literal["auto", "generator", "hadron-flavour", "parton-flavour", "none"]
Puppi = Literal["auto", "yes", "no"]

_MOMENTUM: Final = ("pt", "eta", "phi", "mass")
_PREFERRED: Final = ("FatJet", "AK8", "Jet")
_LINK: Final = re.compile(r"(?i)(?P<jets>\w+?)_?(?:pf|gen)?cand(?:s|idates?)?$")
_INDEX: Final = re.compile(r"(?i)(?P<of>\w*cand(?:s|idates?)?)_?idx$")
_ALSO: Final = {"genfatjet": "genjetak8"}
"""Jets whose table is called otherwise."""
_QUANTITIES: Final[dict[str, tuple[str, ...]]] = {
    "charge": ("charge",),
    "pdg": ("pdgId", "pdgid"),
    "d0": ("d0", "dxy"),
    "d0_error": ("d0Err", "dxyErr"),
    "dz": ("dz",),
    "dz_error": ("dzErr",),
}
_IN_CM: Final = ("d0", "d0_error", "dz", "dz_error")
_MM_PER_CM: Final = 10.0
_PUPPI: Final = "puppiWeight"
_FLAVOURS: Final[dict[str, tuple[str, dict[str, tuple[int, ...]]]]] = {
    "hadron-flavour": ("hadronFlavour", {"light": (0,), "c": (4,), "b": (5,)}),
    "parton-flavour": ("partonFlavour", {"light": (1, 2, 3), "c": (4,), "b": (5,), "gluon": (21,)}),
}
"""Column of each flavour, and the classes of its values; antiquarks count as quarks."""


@dataclass(frozen=True)
class NanoAODChoice:
    """What is read of a NanoAOD file.

    Attributes
    ----------
    jets
        Name of the jets; by default those of radius 0.8, else those of 0.4, that have candidates.
    candidates
        Name of the link table; by default found by the name of the jets.
    features, scalars
        Numbers of each candidate as in JetClass, and further columns of candidates.
    puppi
        Whether momenta are multiplied by ``puppiWeight``.
    truth
        What says the class of a jet.
    radius
        Largest ΔR of the partons of a decay to their jet.
    tree
        Name of the tree.
    """

    jets: str | None = None
    candidates: str | None = None
    features: Particles = "default"
    scalars: Sequence[str] = ()
    puppi: Puppi = "auto"
    truth: NanoTruth = "auto"
    radius: float | None = None
    tree: str = "Events"


@dataclass(frozen=True)
class _Table:
    """Where the candidates of jets are: the link table, its index, and the collection; without an index, itself."""

    links: str
    index: str | None
    candidates: str


class NanoAODJets(TreeJets):
    """Jets of a NanoAOD file with their candidates.

    Parameters
    ----------
    path
        The file: a TTree or an RNTuple.
    choice
        What is read of it.
    """

    def __init__(self, path: Path, choice: NanoAODChoice) -> None:
        self.path, self._choice = path, choice
        self._file = ROOTColumns(path, choice.tree, _call)
        tables = self._list_tables()
        self.jets = self._choose_jets(tables)
        self._table = tables[self.jets]
        found = self._table.candidates
        require_columns(
            path, self._file.names, [f"{found}_{part}" for part in _MOMENTUM[:3]], "momenta of candidates"
        )
        self._columns = {
            quantity: f"{found}_{name}"
            for quantity, spellings in _QUANTITIES.items()
            for name in reversed(spellings)
            if f"{found}_{name}" in self._known
        }
        called = {quantity: f"{found}_{spellings[0]}" for quantity, spellings in _QUANTITIES.items()}
        self._features = choose_features(path, choice.features, list(self._columns), called)
        require_columns(path, self._known, [f"{found}_{name}" for name in choice.scalars], "scalars")
        self.scalar_names = (*self._features, *choice.scalars)
        self._truth = self._choose_truth()
        if self._truth == "generator":
            self.truth_names = TRUTH_CLASSES
        elif self._truth in _FLAVOURS:
            self.truth_names = tuple(_FLAVOURS[self._truth][1])

    @property
    def prefix(self) -> str:
        """``FatJet_``."""
        return f"{self.jets}_"

    def read_lengths(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Jets of events `start` to `stop`, and numbers of their candidates."""
        ptr, jet, _ = self._read_rows(start, stop, self._uses_puppi, [])
        return ptr, np.bincount(jet, minlength=int(ptr[-1])).astype(np.int64)

    def read_constituents(self, start: int, stop: int) -> Events:
        """Candidates of all jets of events `start` to `stop`; those of weight zero are not there."""
        return self._read_weighted(start, stop, self._uses_puppi)

    def read_truth(self, start: int, stop: int) -> NDArray[np.int64]:
        """Classes of all jets of events `start` to `stop`."""
        if self._truth in _FLAVOURS:
            name, classes = _FLAVOURS[self._truth]
            flavour = np.abs(self._file.read([self.prefix + name], start, stop)[self.prefix + name].values)
            found = np.full(len(flavour), -1, dtype=np.int64)
            for number, values in enumerate(classes.values()):
                found[np.isin(flavour, values)] = number
            return found
        jets = {part: f"{self.prefix}{part}" for part in ("eta", "phi")}
        generator = {name: f"GenPart_{name}" for name in ("pdgId", "genPartIdxMother", "eta", "phi")}
        read = self._file.read([*jets.values(), *generator.values()], start, stop)
        particles = GeneratorParticles(
            self._lists(read, list(generator.values()), start),
            read[generator["pdgId"]].values.astype(np.int64),
            read[generator["genPartIdxMother"]].values.astype(np.int64),
            read[generator["eta"]].values.astype(np.float64),
            read[generator["phi"]].values.astype(np.float64),
        )
        ptr = self._lists(read, list(jets.values()), start)
        eta, phi = (read[jets[part]].values.astype(np.float64) for part in ("eta", "phi"))
        return match_jets(ptr, eta, phi, particles, self._radius)

    def settings(self) -> Mapping[str, Any]:
        """How the file is read."""
        return {
            **super().settings(),
            "tables": [self._table.links, self._table.candidates],
            "puppi": self._uses_puppi,
            "truth": [self._truth, self._radius],
        }

    # ---- which tables ---------------------------------------------------------------------

    def _list_tables(self) -> dict[str, _Table]:
        """Tables of candidates, by the jets that have them."""
        links = [name.removesuffix("_jetIdx") for name in self._file.names if name.endswith("_jetIdx")]
        by_name = {
            name.removesuffix("_pt").lower(): name.removesuffix("_pt")
            for name in self._known
            if name.endswith("_pt")
        }
        found: dict[str, _Table] = {}
        for table in links:
            match = _LINK.match(table)
            given = table == self._choice.candidates
            if not match and not given:
                continue
            index = next(
                (
                    name
                    for name in self._file.names
                    if name.startswith(f"{table}_") and _INDEX.match(name[len(table) + 1 :])
                ),
                None,
            )
            # Link tables may have numbers of their own, a pt among them; momenta without an index are candidates.
            inline = index is None and self._known.issuperset(f"{table}_{part}" for part in _MOMENTUM[:3])
            target = table if inline else self._find_candidates(table, index, by_name)
            if target is None:
                continue
            called = match["jets"].lower() if match else ""
            jets = by_name.get(_ALSO.get(called, called))
            if given and self._choice.jets:
                jets = self._choice.jets
            if jets is not None and (given or self._choice.candidates is None):
                found[jets] = _Table(table, None if inline else index, target)
        return found

    @staticmethod
    def _find_candidates(table: str, index: str | None, by_name: Mapping[str, str]) -> str | None:
        """The collection into which a table points."""
        if index is None:
            return None
        match = _INDEX.match(index[len(table) + 1 :])
        assert match
        said = match["of"].lower().replace("_", "").rstrip("s")
        general = "gencand" if "gen" in table.lower() else "pfcand"
        for wanted in (general, said) if "gen" in general else (said, general):
            for name, collection in by_name.items():
                if name.replace("_", "").rstrip("s") == wanted:
                    return collection
        return None

    def _choose_jets(self, tables: Mapping[str, _Table]) -> str:
        wanted = self._choice.jets
        if wanted in tables:
            return str(wanted)
        if not tables:
            jets = sorted(name.removesuffix("_pt") for name in self._known if name.endswith("Jet_pt"))
            named = self._choice.candidates or f"{wanted or 'FatJet'}PFCands"
            raise EventFileError(
                self.path,
                f"no candidates of jets: '{named}_jetIdx' and an index into 'PFCands' (or '{named}_pt') missing; it has "
                f"the jets {', '.join(jets) or 'none'}. A NanoAOD with particle candidates (PFNano) is needed; name a "
                "table that is called otherwise with candidates=...",
            )
        if wanted is not None:
            raise EventFileError(
                self.path,
                f"there are no jets {wanted!r} with candidates ('{wanted}PFCands_jetIdx'); there are "
                f"{', '.join(sorted(tables))}: choose them with jets=..., or name a table with candidates=...",
            )
        order = [name for part in _PREFERRED for name in sorted(tables) if name == part or part in name]
        return next((name for name in order if not name.startswith("Gen")), sorted(tables)[0])

    def _choose_truth(self) -> str:
        chosen = self._choice.truth
        generator = [f"GenPart_{name}" for name in ("pdgId", "genPartIdxMother", "eta", "phi")]
        if chosen == "auto":
            flavour = f"{self.prefix}hadronFlavour"
            if self._is_large and self._known.issuperset(generator):
                return "generator"
            return "hadron-flavour" if flavour in self._known else "none"
        needed = generator if chosen == "generator" else []
        needed = [self.prefix + _FLAVOURS[chosen][0]] if chosen in _FLAVOURS else needed
        require_columns(
            self.path,
            self._known,
            needed,
            f"truth={chosen!r} (data have none; say label=, classes= or target=)",
        )
        return chosen

    @property
    def _is_large(self) -> bool:
        """Whether these are jets of radius 0.8."""
        return "Fat" in self.jets or "AK8" in self.jets

    @property
    def _radius(self) -> float:
        if self._choice.radius is not None:
            return self._choice.radius
        return 0.8 if self._is_large else 0.4

    # ---- reading --------------------------------------------------------------------------

    @cached_property
    def _uses_puppi(self) -> bool:
        """Whether momenta are weighted: as the jets are nearer to their raw pT, where nothing is said."""
        weight = f"{self._table.candidates}_{_PUPPI}"
        if self._choice.puppi != "auto":
            if self._choice.puppi == "yes":
                require_columns(self.path, self._known, [weight], "puppi='yes'")
            return self._choice.puppi == "yes"
        needed = [f"{self.prefix}pt", f"{self.prefix}rawFactor"]
        if weight not in self._known:
            return False
        if not self._known.issuperset(needed):
            return self._is_large
        for start in range(0, self.num_entries, EVENTS_AT_ONCE):
            stop = min(start + EVENTS_AT_ONCE, self.num_entries)
            read = self._file.read(needed, start, stop)
            raw = read[needed[0]].values * (1 - read[needed[1]].values.astype(np.float64))
            off = []
            for weighted in (True, False):
                jets = self._read_weighted(start, stop, weighted)
                event = event_index(jets.ptr)
                px, py = (np.bincount(event, jets.momenta[:, part], len(jets)) for part in (1, 2))
                there = (np.diff(jets.ptr) > 0) & (raw > 0)
                off.append(np.abs(np.hypot(px, py)[there] / raw[there] - 1))
            if len(off[0]) and len(off[1]):
                return bool(np.median(off[0]) <= np.median(off[1]))
        return False

    def _read_rows(
        self, start: int, stop: int, weighted: bool, further: Sequence[str]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, NDArray[Any]]]:
        """Candidates of the jets of some events, jet by jet.

        Returns
        -------
        Where the jets of each event begin; the jet of each candidate among all of these; and columns of the candidates.
        """
        table = self._table
        jet_name, size = f"{table.links}_jetIdx", f"{self.prefix}pt"
        weight = [f"{table.candidates}_{_PUPPI}"] if weighted else []
        index = [] if table.index is None else [table.index]
        wanted = list(dict.fromkeys([*weight, *further])) or (
            [] if table.index is None else [f"{table.candidates}_pt"]
        )
        read = self._file.read(list(dict.fromkeys([jet_name, size, *index, *wanted])), start, stop)
        ptr, links = self._lists(read, [size], start), self._lists(read, [jet_name, *index], start)
        numbers, event = read[jet_name].values.astype(np.int64), event_index(links)
        self._require_within(jet_name, numbers, np.diff(ptr)[event], event + start, self.jets, least=-1)
        kept = np.flatnonzero(numbers >= 0)
        jet, rows = (numbers + ptr[:-1][event])[kept], kept
        if table.index is None:
            self._lists(read, [jet_name, *wanted], start)
        else:
            candidates = self._lists(read, wanted, start)
            places = read[table.index].values.astype(np.int64)[kept]
            self._require_within(
                table.index, places, np.diff(candidates)[event[kept]], event[kept] + start, table.candidates
            )
            rows = places + candidates[:-1][event[kept]]
        order = np.argsort(jet, kind="stable")
        jet, rows = jet[order], rows[order]
        if weighted:
            real = read[weight[0]].values[rows] > 0
            jet, rows = jet[real], rows[real]
        return ptr, jet, {name: read[name].values[rows] for name in wanted}

    def _read_weighted(self, start: int, stop: int, weighted: bool) -> Events:
        """Candidates of all jets of events `start` to `stop`, with momenta times their weights or not."""
        found = self._table.candidates
        parts = {part: f"{found}_{part}" for part in _MOMENTUM if f"{found}_{part}" in self._known}
        quantities = {item: self._columns[item] for item in quantities_of(self._features)}
        further = {name: f"{found}_{name}" for name in self._choice.scalars}
        wanted = [*parts.values(), *quantities.values(), *further.values()]
        ptr, jet, read = self._read_rows(start, stop, weighted, wanted)
        momenta = join_momenta(
            {part: torch.from_numpy(read[name].astype(np.float64)) for part, name in parts.items()}
        ).numpy()
        if weighted:
            momenta = momenta * read[f"{found}_{_PUPPI}"].astype(np.float64)[:, None]
        values = {
            item: read[name].astype(np.float64) * (_MM_PER_CM if item in _IN_CM else 1)
            for item, name in quantities.items()
        }
        scalars = [make_features(self._features, values, len(jet))]
        scalars += [read[name].astype(np.float32)[:, None] for name in further.values()]
        counts = np.bincount(jet, minlength=int(ptr[-1]))
        return Events(momenta, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), np.hstack(scalars))

    def _lists(self, read: Mapping[str, Column], names: Sequence[str], start: int) -> NDArray[np.int64]:
        return find_lists(self.path, read, names, start)

    def _require_within(
        self,
        name: str,
        index: NDArray[np.int64],
        count: NDArray[np.int64],
        event: NDArray[np.int64],
        what: str,
        least: int = 0,
    ) -> None:
        wrong = np.flatnonzero((index < least) | (index >= count))
        if len(wrong):
            row = int(wrong[0])
            raise EventFileError(
                self.path,
                f"event {event[row]} has {index[row]} in {name!r}, but {count[row]} {what!r} ({len(wrong)} such of "
                f"{len(index)}): the tables are of different selections or damaged; make the file again with all {what}",
            )


def _call(branch: str) -> str:
    """``FatJet_pt``, also where it is a field of the collection ``FatJet`` of an RNTuple."""
    collection, _, field = branch.rpartition("/")[2].replace("._0", "").rpartition(".")
    return field if not collection or field.startswith(f"{collection}_") else f"{collection}_{field}"

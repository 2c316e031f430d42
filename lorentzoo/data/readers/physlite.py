"""How are jets and their constituents read from PHYSLITE and other xAOD files of ATLAS?

Constituents are element links: the key of a collection and a place in it. Files keep links when the collection itself is
left out; what can be followed is found out when a file is opened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from lorentzoo.core.momentum_columns import join_momenta
from lorentzoo.core.units import IN_GEV
from lorentzoo.data.ragged import event_index
from lorentzoo.data.readers.column_files import ROOTColumns, find_lists
from lorentzoo.data.readers.constituents import choose_features, make_features, quantities_of
from lorentzoo.data.readers.jetclass import Particles
from lorentzoo.data.readers.source import EventFileError, Events
from lorentzoo.data.readers.storegate import names_by_key
from lorentzoo.data.readers.tree_jets import TreeJets

__all__ = ["ANY_JETS", "PhysliteChoice", "PhysliteJets"]

ANY_JETS: Final = "any"
"""The first jets whose links can be followed."""
_LARGE: Final = "AnalysisLargeRJets"
_CONSTITUENTS: Final = "constituentLinks"
_LINKS: Final = (_CONSTITUENTS, "GhostTrack")
_VARIABLE: Final = re.compile(r"(?P<collection>\w+?)Aux(?:Dyn)?\.(?P<variable>\w+)")
_LEFT_OUT: Final = (
    "UFOCSSK",
    "UFO",
    "CHSGChargedParticleFlowObjects",
    "CHSGNeutralParticleFlowObjects",
    "GlobalChargedParticleFlowObjects",
    "GlobalNeutralParticleFlowObjects",
    "JetETMissChargedParticleFlowObjects",
    "JetETMissNeutralParticleFlowObjects",
    "CaloCalTopoClusters",
    "TruthParticles",
)
"""Collections of which jets are made and which files leave out; errors name them."""
_PION: Final = 139.57039
"""MeV; tracks have no mass of their own."""
_EVENTS_LOOKED_AT: Final = 256
_KEY, _PLACE = "m_persKey", "m_persIndex"

Variables = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class PhysliteChoice:
    """What is read of a file.

    Attributes
    ----------
    jets
        Collection of jets, or `ANY_JETS`.
    links
        Links of each jet to its constituents.
    features
        Numbers of each constituent, as in JetClass.
    tree
        Name of the tree.
    """

    jets: str = _LARGE
    links: str = _CONSTITUENTS
    features: Particles = "default"
    tree: str = "CollectionTree"


@dataclass(frozen=True)
class _Kind:
    """How a class of objects keeps momenta (MeV), and further numbers by the name of the quantity."""

    needed: tuple[str, ...]
    momenta: Callable[[Variables], Mapping[str, NDArray[np.float64]]]
    optional: tuple[str, ...] = ()
    quantities: Mapping[str, str] = field(default_factory=dict)


def _of_track(of: Variables) -> Mapping[str, NDArray[np.float64]]:
    pt = np.abs(np.sin(of["theta"]) / of["qOverP"])
    return {"pt": pt, "theta": of["theta"], "phi": of["phi"], "mass": np.full(len(pt), _PION)}


def _of_cluster(of: Variables) -> Mapping[str, NDArray[np.float64]]:
    # Clusters are massless by construction; their calM is what rounding leaves.
    return {"pt": of["calE"] / np.cosh(of["calEta"]), "eta": of["calEta"], "phi": of["calPhi"]}


def _of_object(of: Variables) -> Mapping[str, NDArray[np.float64]]:
    named = (("pt", "pt"), ("eta", "eta"), ("phi", "phi"), ("mass", "m"))
    return {part: of[name] for part, name in named if name in of}


def _of_truth(of: Variables) -> Mapping[str, NDArray[np.float64]]:
    return {"px": of["px"], "py": of["py"], "pz": of["pz"], "E": of["e"]}


_KINDS: Final = (
    _Kind(("qOverP", "theta", "phi"), _of_track, quantities={"charge": "qOverP", "d0": "d0", "dz": "z0"}),
    _Kind(("pt", "eta", "phi"), _of_object, optional=("m",), quantities={"charge": "charge"}),
    _Kind(("calE", "calEta", "calPhi"), _of_cluster),
    _Kind(("px", "py", "pz", "e"), _of_truth, quantities={"pdg": "pdgId", "charge": "charge"}),
)


class PhysliteJets(TreeJets):
    """Jets of a file of ATLAS with the constituents that their element links name; momenta are given in GeV.

    Parameters
    ----------
    path
        The file, in MeV.
    choice
        What is read of it.
    """

    def __init__(self, path: Path, choice: PhysliteChoice) -> None:
        self.path = path
        self._file = ROOTColumns(path, choice.tree, _call)
        self.jets, self._links = self._choose_jets(choice)
        keys = self._first_keys(self.jets, self._links)
        self._kinds = {name: self._kind_of(name) for name in map(self._collection_of, keys)}
        there = {
            item
            for name, kind in self._kinds.items()
            for item, variable in kind.quantities.items()
            if variable in self._stores[name]
        }
        called = {"pdg": "pdgId", "dz": "z0"}
        self.scalar_names = choose_features(path, choice.features, sorted(there), called)

    @property
    def prefix(self) -> str:
        """``AnalysisLargeRJetsAuxDyn.``."""
        return self._stores[self.jets]["pt"].rpartition(".")[0] + "."

    def read_lengths(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Jets of events `start` to `stop`, and numbers of their constituents."""
        ptr, jet, _, _ = self._read_links(self.jets, self._links, start, stop)
        return ptr, np.bincount(jet, minlength=int(ptr[-1])).astype(np.int64)

    def read_constituents(self, start: int, stop: int) -> Events:
        """Constituents of all jets of events `start` to `stop`."""
        ptr, jet, keys, places = self._read_links(self.jets, self._links, start, stop)
        event = event_index(ptr)[jet]
        wanted = quantities_of(self.scalar_names)
        momenta, values = np.zeros((len(jet), 4)), {item: np.zeros(len(jet)) for item in wanted}
        for key in np.unique(keys).tolist():
            name, rows = self._collection_of(key), np.flatnonzero(keys == key)
            first, objects, quantities = self._read_objects(name, wanted, start, stop)
            counts = np.diff(first)[event[rows]]
            wrong = np.flatnonzero(places[rows] >= counts)
            if len(wrong):
                row = int(wrong[0])
                raise EventFileError(
                    self.path,
                    f"event {start + int(event[rows[row]])}: {self._stores[self.jets][self._links]!r} names place "
                    f"{places[rows[row]]} of {name!r}, which has {counts[row]} ({len(wrong)} of {len(rows)} links): the "
                    "collection was thinned without its links, or the file is damaged; read other links (links=...)",
                )
            chosen = first[:-1][event[rows]] + places[rows]
            momenta[rows] = objects[chosen]
            for item, column in quantities.items():
                values[item][rows] = column[chosen]
        counts = np.bincount(jet, minlength=int(ptr[-1]))
        return Events(
            momenta,
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            make_features(self.scalar_names, values, len(jet)),
        )

    def settings(self) -> Mapping[str, Any]:
        """How the file is read."""
        return {**super().settings(), "links": self._links, "collections": list(self._kinds)}

    # ---- which collections ----------------------------------------------------------------

    @cached_property
    def _stores(self) -> dict[str, dict[str, str]]:
        """Branch of each variable, by the name of the collection."""
        found: dict[str, dict[str, str]] = {}
        for name in self._file.names:
            match = _VARIABLE.fullmatch(name)
            if match:
                found.setdefault(match["collection"], {})[match["variable"]] = name
        return found

    @cached_property
    def _by_key(self) -> dict[int, str]:
        return names_by_key(name for name in self._stores if self._has_momenta(name))

    def _has_momenta(self, name: str) -> bool:
        return any(set(kind.needed) <= set(self._stores[name]) for kind in _KINDS)

    def _kind_of(self, name: str) -> _Kind:
        return next(kind for kind in _KINDS if set(kind.needed) <= set(self._stores[name]))

    def _choose_jets(self, choice: PhysliteChoice) -> tuple[str, str]:
        linked = self._list_linked()
        if choice.jets == ANY_JETS:
            keys = {pair: self._first_keys(*pair) for pair in linked}
            followed = [pair for pair in linked if keys[pair] and set(keys[pair]) <= set(self._by_key)]
            # Where no jet has any link, nothing speaks against the first.
            chosen = followed or (linked if not any(keys.values()) else [])
            if chosen:
                return chosen[0]
            raise EventFileError(
                self.path,
                f"no links of jets to constituents can be followed; there are {_list_pairs(linked)}",
            )
        if (choice.jets, choice.links) not in linked and choice.links not in self._stores.get(
            choice.jets, {}
        ):
            raise EventFileError(
                self.path,
                f"'{choice.jets}AuxDyn.{choice.links}' missing, links of jets to their constituents; there are "
                f"{_list_pairs(linked)}: choose with jets= and links=",
            )
        if "pt" not in self._stores[choice.jets]:
            raise EventFileError(self.path, f"'{choice.jets}AuxDyn.pt' missing, needed for jets")
        return choice.jets, choice.links

    def _list_linked(self) -> list[tuple[str, str]]:
        """Jets and their links, large ones first."""
        found = [
            (name, links)
            for links in _LINKS
            for name, variables in self._stores.items()
            if links in variables and "pt" in variables
        ]
        return sorted(found, key=lambda pair: (pair[1] != _CONSTITUENTS, pair[0] != _LARGE, pair[0]))

    def _first_keys(self, jets: str, links: str) -> list[int]:
        """Keys of the collections that the links of the first events with some name."""
        for start in range(0, self.num_entries, _EVENTS_LOOKED_AT):
            stop = min(start + _EVENTS_LOOKED_AT, self.num_entries)
            keys: list[int] = np.unique(self._read_links(jets, links, start, stop)[2]).tolist()
            if keys:
                return keys
        return []

    def _can_follow(self, jets: str, links: str) -> bool:
        keys = self._first_keys(jets, links)
        return bool(keys) and all(key in self._by_key for key in keys)

    def _collection_of(self, key: int) -> str:
        """The collection that a key means.

        Raises
        ------
        EventFileError
            If it is not in the file; the message says which links can be followed.
        """
        if key in self._by_key:
            return self._by_key[key]
        name = names_by_key(_LEFT_OUT).get(key)
        others = [pair for pair in self._list_linked() if self._can_follow(*pair)]
        raise EventFileError(
            self.path,
            f"{self._stores[self.jets][self._links]!r} names {repr(name) if name else 'a collection'} (key {key}), which "
            "the file does not hold: PHYSLITE leaves out what jets are made of. Links that can be followed: "
            f"{_list_pairs(others)}",
        )

    # ---- reading --------------------------------------------------------------------------

    def _read_links(
        self, jets: str, links: str, start: int, stop: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Jets of each event; and the jet, the key and the place of each link that names something."""
        name = self._stores[jets][links]
        read = self._file.read_records(name, [_KEY, _PLACE], start, stop)
        keys, places = read[_KEY], read[_PLACE]
        if keys.ptr is None or keys.inner is None:
            raise EventFileError(self.path, f"branch {name!r} does not hold lists of links of jets in events")
        there = np.flatnonzero(keys.values != 0)
        jet = event_index(keys.inner)[there]
        return keys.ptr, jet, keys.values[there].astype(np.int64), places.values[there].astype(np.int64)

    def _read_objects(
        self, name: str, wanted: Sequence[str], start: int, stop: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], dict[str, NDArray[Any]]]:
        """Objects of a collection: where those of each event begin, momenta in GeV, and quantities."""
        store, kind = self._stores[name], self._kind_of(name)
        variables = [*kind.needed, *(item for item in kind.optional if item in store)]
        quantities = {item: kind.quantities[item] for item in wanted if kind.quantities.get(item) in store}
        columns = {item: store[item] for item in dict.fromkeys([*variables, *quantities.values()])}
        read = self._file.read(list(columns.values()), start, stop)
        values = {item: read[column].values.astype(np.float64) for item, column in columns.items()}
        ptr = find_lists(self.path, read, list(columns.values()), start)
        parts = {item: torch.from_numpy(part) for item, part in kind.momenta(values).items()}
        momenta = join_momenta(parts).numpy() * IN_GEV["MeV"]
        found = {item: values[variable] for item, variable in quantities.items()}
        if "charge" in found:
            found["charge"] = np.sign(found["charge"])
        return ptr, momenta, found


def _call(branch: str) -> str:
    """``AnalysisJetsAuxDyn.pt``, the last part of the name of a branch."""
    return branch.rpartition("/")[2]


def _list_pairs(pairs: Sequence[tuple[str, str]]) -> str:
    return "; ".join(f"jets={jets},links={links}" for jets, links in pairs) or "none"

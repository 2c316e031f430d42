"""Files in the layouts of experiments and generators, written from random events with jets.

References and nested vectors cannot be written into a TTree by uproot: Delphes and PHYSLITE are written as RNTuples with
the same names; real files are read in `test_real_files.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import uproot

from lorentzoo.data.readers.storegate import key_of

CM_PER_MM = 0.1
BITS = 1 << 24
"""Of an identifier of ROOT, above the number of the object."""


@dataclass
class JetEvents:
    """Events with jets and candidates, of which some are in no jet.

    `jets` and `candidates` are counts an event; `jet` is the jet of each candidate in its event, -1 for none.
    """

    jets: np.ndarray
    candidates: np.ndarray
    jet: np.ndarray
    pt: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    charge: np.ndarray
    pdg: np.ndarray
    d0: np.ndarray
    is_top: np.ndarray

    @property
    def event(self) -> np.ndarray:
        """Event of each candidate."""
        return np.repeat(np.arange(len(self.candidates)), self.candidates)

    @property
    def axes(self) -> np.ndarray:
        """Momenta (E, px, py, pz) of the jets, one after another, and number of constituents in the last column."""
        first = np.cumsum(self.jets) - self.jets
        found = np.zeros((int(self.jets.sum()), 5))
        inside = self.jet >= 0
        rows = (first[self.event] + self.jet)[inside]
        parts = [self.pt * np.cosh(self.eta), self.pt * np.cos(self.phi)]
        parts += [self.pt * np.sin(self.phi), self.pt * np.sinh(self.eta), np.ones(len(self.pt))]
        np.add.at(found, rows, np.stack(parts, axis=1)[inside])
        return found

    def per_jet(self) -> dict[str, np.ndarray]:
        """pt, eta, phi, mass of the jets."""
        e, px, py, pz, _ = self.axes.T
        pt = np.hypot(px, py)
        mass = np.sqrt(np.maximum(e**2 - pt**2 - pz**2, 0))
        return {"pt": pt, "eta": np.arcsinh(pz / pt), "phi": np.arctan2(py, px), "mass": mass}


def random_events(num_events: int = 40, seed: int = 0) -> JetEvents:
    """Events of none to three jets; float32 numbers, so that a file holds what is here."""
    rng = np.random.default_rng(seed)
    jets = rng.integers(0, 4, num_events)
    parts: list[tuple[np.ndarray, ...]] = []
    counts, tops = [], []
    for number in jets:
        rows = []
        for place in range(number):
            size = rng.integers(3, 25)
            centre = (rng.uniform(-2, 2), -3 + 2.0 * place)
            rows.append(
                (
                    np.full(size, place),
                    rng.exponential(600 / size, size) + 1,
                    centre[0] + 0.1 * rng.normal(size=size),
                    centre[1] + 0.1 * rng.normal(size=size),
                )
            )
            tops.append(rng.integers(0, 2))
        size = rng.integers(0, 6)
        rows.append(
            (
                np.full(size, -1),
                rng.exponential(2, size) + 0.5,
                rng.normal(size=size),
                rng.uniform(2.6, 3, size),
            )
        )
        joined = [np.concatenate(column) for column in zip(*rows, strict=True)]
        order = rng.permutation(len(joined[0]))
        parts.append(tuple(column[order] for column in joined))
        counts.append(len(order))
    jet, pt, eta, phi = (np.concatenate(column) for column in zip(*parts, strict=True))
    pdg = rng.choice([211, -211, 22, 130, 11, -13], len(jet))
    charge = np.where(np.isin(pdg, [22, 130]), 0, -np.sign(pdg) * np.where(np.abs(pdg) == 211, -1, 1))
    return JetEvents(
        jets,
        np.array(counts),
        jet,
        *(column.astype(np.float32).astype(np.float64) for column in (pt, eta, phi)),
        charge,
        pdg,
        rng.normal(size=len(jet)),
        np.array(tops),
    )


def _lists(values: np.ndarray, counts: np.ndarray, kind: str = "f4") -> ak.Array:
    return ak.unflatten(np.asarray(values).astype(kind), counts)


def generator_tops(events: JetEvents) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """t → W b → q q' b in the direction of each jet that is of a top, and a gluon for each that is not."""
    axes, rows, counts = events.per_jet(), [], []
    jet = 0
    for number in events.jets:
        own: list[tuple[int, int, float, float]] = []
        for _ in range(number):
            eta, phi, start = axes["eta"][jet], axes["phi"][jet], len(own)
            if events.is_top[jet]:
                own += [
                    (6, -1, eta, phi),
                    (6, start, eta, phi),
                    (24, start + 1, eta, phi),
                    (5, start + 1, eta, phi),
                ]
                own += [
                    (24, start + 2, eta, phi),
                    (2, start + 4, eta + 0.1, phi),
                    (-1, start + 4, eta, phi - 0.1),
                ]
            else:
                own += [(21, -1, eta, phi)]
            jet += 1
        rows += own
        counts.append(len(own))
    table = np.array(rows).reshape(-1, 4)
    return dict(zip(("pdg", "mother", "eta", "phi"), table.T, strict=True)), np.array(counts)


def nanoaod_columns(
    events: JetEvents,
    jets: str = "FatJet",
    table: str = "FatJetPFCands",
    index: str | None = "pFCandsIdx",
    candidates: str = "PFCands",
) -> dict[str, ak.Array]:
    """Columns of NanoAOD; without `index` candidates stand in the link table itself."""
    axes, inside = events.per_jet(), events.jet >= 0
    links = np.bincount(events.event[inside], minlength=len(events.jets))
    columns = {f"{jets}_{name}": _lists(values, events.jets) for name, values in axes.items()}
    columns[f"{jets}_rawFactor"] = _lists(np.zeros(len(axes["pt"])), events.jets)
    columns[f"{jets}_hadronFlavour"] = _lists(np.where(events.is_top, 5, 0), events.jets, "i4")
    columns[f"{table}_jetIdx"] = _lists(events.jet[inside], links, "i4")
    own = {
        "pt": events.pt,
        "eta": events.eta,
        "phi": events.phi,
        "mass": 0 * events.pt,
        "charge": events.charge,
        "pdgId": events.pdg,
        "d0": events.d0 * CM_PER_MM,
        "dz": 0 * events.pt,
    }
    if index is None:
        columns |= {f"{table}_{name}": _lists(values[inside], links) for name, values in own.items()}
    else:
        first = np.cumsum(events.candidates) - events.candidates
        places = np.arange(len(events.jet)) - first[events.event]
        columns[f"{table}_{index}"] = _lists(places[inside], links, "i4")
        columns |= {f"{candidates}_{name}": _lists(values, events.candidates) for name, values in own.items()}
    generator, counts = generator_tops(events)
    columns["GenPart_pdgId"] = _lists(generator["pdg"], counts, "i4")
    columns["GenPart_genPartIdxMother"] = _lists(generator["mother"], counts, "i4")
    columns |= {f"GenPart_{name}": _lists(generator[name], counts) for name in ("eta", "phi")}
    columns["genWeight"] = ak.Array(np.where(np.arange(len(events.jets)) % 3, 1.5, -0.5))
    return columns


def delphes_columns(events: JetEvents, jets: str = "ParticleFlowJet08") -> dict[str, Any]:
    """Columns of Delphes: tracks, photons and neutral hadrons with identifiers, and references of jets to them."""
    axes = events.per_jet()
    kinds = {
        "EFlowTrack": events.charge != 0,
        "EFlowPhoton": events.pdg == 22,
        "EFlowNeutralHadron": events.pdg == 130,
    }
    number = np.zeros(len(events.jet), dtype=np.int64)
    columns: dict[str, Any] = {}
    count = 100
    for name, chosen in kinds.items():
        counts = np.bincount(events.event[chosen], minlength=len(events.jets))
        first = np.cumsum(counts) - counts
        number[chosen] = count + np.arange(chosen.sum()) - np.repeat(first, counts)
        count += 1000
        columns[f"{name}.fUniqueID"] = _lists(BITS + number[chosen], counts, "u4")
        for part, values in (("Eta", events.eta), ("Phi", events.phi)):
            columns[f"{name}.{part}"] = _lists(values[chosen], counts)
        columns[f"{name}.{'PT' if name == 'EFlowTrack' else 'ET'}"] = _lists(events.pt[chosen], counts)
        if name == "EFlowTrack":
            extra = {"Charge": events.charge, "PID": events.pdg, "D0": events.d0, "Mass": 0 * events.pt}
            columns |= {f"{name}.{part}": _lists(values[chosen], counts) for part, values in extra.items()}
    refs = [
        [number[(events.event == event) & (events.jet == jet)].tolist() for jet in range(size)]
        for event, size in enumerate(events.jets)
    ]
    called = {"PT": "pt", "Eta": "eta", "Phi": "phi", "Mass": "mass"}
    columns |= {f"{jets}.{name}": _lists(axes[part], events.jets) for name, part in called.items()}
    columns[f"{jets}.Constituents"] = ak.Array([[{"refs": own} for own in event] for event in refs])
    generator, counts = generator_tops(events)
    columns["Particle.PID"] = _lists(generator["pdg"], counts, "i4")
    columns["Particle.M1"] = _lists(generator["mother"], counts, "i4")
    columns |= {f"Particle.{name.title()}": _lists(generator[name], counts) for name in ("eta", "phi")}
    columns["Event.Weight"] = ak.Array([[0.5]] * len(events.jets))
    return columns


def physlite_columns(events: JetEvents, collection: str = "UFOCSSK") -> dict[str, Any]:
    """Columns of PHYSLITE in MeV: large-radius jets with element links into a collection."""
    axes = events.per_jet()
    jets = "AnalysisLargeRJetsAuxDyn"
    called = {"pt": 1e3, "eta": 1, "phi": 1}
    columns: dict[str, Any] = {
        f"{jets}.{part}": _lists(unit * axes[part], events.jets) for part, unit in called.items()
    }
    columns[f"{jets}.m"] = _lists(1e3 * axes["mass"], events.jets)
    columns[f"{jets}.R10TruthLabel_R22v1"] = _lists(np.where(events.is_top, 1, 0), events.jets, "i4")
    key = key_of(collection, "FlowElementContainer")
    first = np.cumsum(events.candidates) - events.candidates
    links = [
        [
            [
                {"m_persKey": np.uint32(key), "m_persIndex": np.uint32(place)}
                for place in np.flatnonzero((events.event == event) & (events.jet == jet)) - first[event]
            ]
            for jet in range(size)
        ]
        for event, size in enumerate(events.jets)
    ]
    columns[f"{jets}.constituentLinks"] = ak.values_astype(ak.Array(links), np.uint32)
    own = {
        "pt": 1e3 * events.pt,
        "eta": events.eta,
        "phi": events.phi,
        "m": 0 * events.pt,
        "charge": events.charge,
    }
    columns |= {
        f"{collection}AuxDyn.{name}": _lists(values, events.candidates) for name, values in own.items()
    }
    columns["EventInfoAuxDyn.mcEventWeights"] = ak.Array([[2.0, 3.0]] * len(events.jets))
    return columns


def nested_columns(events: JetEvents) -> ak.Array:
    """Rows of events with lists of jets with lists of constituents, in structures."""
    axes = events.per_jet()
    jets = []
    start = 0
    for event, size in enumerate(events.jets):
        own = []
        for jet in range(size):
            rows = np.flatnonzero((events.event == event) & (events.jet == jet))
            names = {
                "pt": events.pt,
                "eta": events.eta,
                "phi": events.phi,
                "charge": events.charge.astype(float),
            }
            names["mass"] = 0 * events.pt
            inside = [{name: float(values[row]) for name, values in names.items()} for row in rows]
            own.append(
                {
                    "pt": axes["pt"][start + jet],
                    "top": int(events.is_top[start + jet]),
                    "constituents": inside,
                }
            )
        start += size
        jets.append({"number": event, "jet": own})
    return ak.Array(jets)


def write_columns(path: Path, columns: dict[str, Any], tree: str, *, rntuple: bool) -> None:
    """A ROOT file with one tree."""
    with uproot.recreate(path) as file:
        if rntuple:
            file.mkrntuple(tree, columns)
            return
        types = {name: array.type.content for name, array in columns.items()}
        file.mktree(tree, types).extend(columns)


def write_nested(path: Path, rows: ak.Array, rows_per_group: int = 16) -> None:
    """A Parquet file of nested columns."""
    pq.write_table(ak.to_arrow_table(rows, extensionarray=False), path, row_group_size=rows_per_group)


EXPERIMENTS: dict[str, Callable[[Path, JetEvents], None]] = {
    "nanoaod": lambda path, events: write_columns(path, nanoaod_columns(events), "Events", rntuple=False),
    "delphes-root": lambda path, events: write_columns(
        path, delphes_columns(events), "Delphes", rntuple=True
    ),
    "physlite": lambda path, events: write_columns(
        path, physlite_columns(events), "CollectionTree", rntuple=True
    ),
    "jets-parquet": lambda path, events: write_nested(path, nested_columns(events)),
}
"""What writes a file of each reader, by the name of its data set."""

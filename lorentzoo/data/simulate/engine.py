"""How do Pythia and FastJet become flat numpy arrays, with no Python loop over events or particles?"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lorentzoo.core.errors import MissingExtraError
from lorentzoo.data.ragged import event_index, gather

__all__ = [
    "CITATIONS",
    "Events",
    "Generator",
    "Jets",
    "angular_distance",
    "cluster",
    "count_inside",
    "load_engine",
    "versions",
]

CITATIONS = ["Pythia 8.3: arXiv:2203.11601", "FastJet: arXiv:1111.6097", "anti-kT: arXiv:0802.1189"]
"""What to cite when a sample made here is used."""

_NEUTRINOS = (12, 14, 16)
_QUIET = ("Print:quiet=on", "Next:numberCount=0", "Random:setSeed=on")


def load_engine(package: str) -> ModuleType:
    """Import one of the generator packages, or say how to install it."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as cause:
        raise MissingExtraError(
            f"generating samples needs {(cause.name or package)!r}, which is not installed: "
            'pip install "lorentzoo[simulate]". Reading samples does not need it.'
        ) from cause


@cache
def versions() -> dict[str, str]:
    """Versions of the programs that decide the content of a sample."""
    pythia = load_engine("pythia8mc").Pythia("", False)
    return {
        "pythia8": f"{pythia.settings.parm('Pythia:versionNumber'):.3f}",
        "fastjet": str(load_engine("fastjet").__version__),
    }


@dataclass(frozen=True, eq=False)
class Events:
    """A batch of generated events: the whole event record, flat.

    Attributes
    ----------
    ptr : ndarray, shape (E + 1,)
        Event ``i`` owns the entries ``ptr[i]:ptr[i + 1]``; Q entries in all.
    pdg_id, status : ndarray, shape (Q,)
        PDG number and Pythia status; positive status means final.
    mother : ndarray, shape (Q,)
        Position of the first mother in the flat arrays.
    momenta : ndarray, shape (Q, 4)
        (E, px, py, pz) in GeV.
    mass : ndarray, shape (Q,)
        Generated mass in GeV.
    vertices : ndarray, shape (Q, 3)
        Production vertex (x, y, z) in mm, from the collision.
    weights : ndarray, shape (E,)
        Event weights.
    """

    ptr: NDArray[np.int64]
    pdg_id: NDArray[np.int32]
    status: NDArray[np.int32]
    mother: NDArray[np.int64]
    momenta: NDArray[np.float64]
    mass: NDArray[np.float64]
    vertices: NDArray[np.float64]
    weights: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ptr) - 1

    @cached_property
    def event(self) -> NDArray[np.int64]:
        """Event of each entry, shape (Q,)."""
        return event_index(self.ptr)

    @cached_property
    def visible(self) -> NDArray[np.int64]:
        """Positions of the final particles that are not neutrinos."""
        return np.flatnonzero((self.status > 0) & ~np.isin(np.abs(self.pdg_id), _NEUTRINOS))


@dataclass(frozen=True, eq=False)
class Jets:
    """Jets of a batch of events.

    Attributes
    ----------
    momenta : ndarray, shape (J, 4)
        (E, px, py, pz) in GeV.
    event : ndarray, shape (J,)
        Event of each jet, an index into the batch.
    constituents : ndarray, shape (K,)
        Positions of the constituents in the flat arrays of `Events`.
    ptr : ndarray, shape (J + 1,)
        Jet ``j`` owns ``constituents[ptr[j]:ptr[j + 1]]``.
    """

    momenta: NDArray[np.float64]
    event: NDArray[np.int64]
    constituents: NDArray[np.int64]
    ptr: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.momenta)

    @cached_property
    def pt(self) -> NDArray[np.float64]:
        """Transverse momenta in GeV, shape (J,)."""
        return np.hypot(self.momenta[:, 1], self.momenta[:, 2])

    @cached_property
    def eta(self) -> NDArray[np.float64]:
        """Pseudorapidities, shape (J,)."""
        return np.arcsinh(self.momenta[:, 3] / self.pt)

    @cached_property
    def mass(self) -> NDArray[np.float64]:
        """Invariant masses in GeV, shape (J,)."""
        squared = self.momenta[:, 0] ** 2 - np.square(self.momenta[:, 1:]).sum(axis=1)
        return np.sqrt(np.maximum(squared, 0.0))

    def take(self, indices: NDArray[np.integer]) -> Jets:
        """Jets `indices`, in that order."""
        positions, ptr = gather(self.ptr, indices)
        return Jets(self.momenta[indices], self.event[indices], self.constituents[positions], ptr)

    def leading(self) -> Jets:
        """The jet with the largest transverse momentum of every event that has a jet."""
        order = np.lexsort((-self.pt, self.event))
        _, first = np.unique(self.event[order], return_index=True)
        return self.take(order[first])


class Generator:
    """Pythia 8 with given settings and seed.

    Parameters
    ----------
    settings : sequence of str
        Lines as Pythia reads them, ``"Beams:eCM=14000"``.
    seed : int
        1 to 900,000,000. Every seed is a different, reproducible sequence of events.
    """

    def __init__(self, settings: Sequence[str], seed: int) -> None:
        if not 1 <= seed <= 900_000_000:
            raise ValueError(f"Pythia takes seeds from 1 to 900000000, not {seed}")
        self._pythia = load_engine("pythia8mc").Pythia("", False)
        self._awkward = load_engine("awkward")
        for line in (*_QUIET, f"Random:seed={seed}", *settings):
            if not self._pythia.readString(line):
                raise ValueError(f"Pythia rejects the setting {line!r}")
        if not self._pythia.init():
            raise RuntimeError(f"Pythia did not start with the settings {list(settings)}")

    def generate(self, num_events: int) -> Events:
        """The next `num_events` events."""
        batch = self._pythia.nextBatch(num_events)
        ak = self._awkward
        particles = ak.flatten(batch.prt)
        ptr = np.concatenate([[0], np.cumsum(ak.to_numpy(ak.num(batch.prt)))]).astype(np.int64)

        def column(array: Any) -> NDArray[Any]:
            return np.asarray(ak.to_numpy(array))

        # Pythia keeps the vertex in the same four-vector type, so that px, py, pz stand for x, y, z.
        vertices = [column(ak.fill_none(particles.vProd[axis], 0.0)) for axis in ("px", "py", "pz")]
        momenta = [column(particles.p[axis]) for axis in ("e", "px", "py", "pz")]
        start = np.repeat(ptr[:-1], np.diff(ptr))
        return Events(
            ptr=ptr,
            pdg_id=column(particles.id),
            status=column(particles.status),
            mother=start + column(particles.mother1),
            momenta=np.stack(momenta, axis=1),
            mass=column(particles.m),
            vertices=np.stack(vertices, axis=1),
            weights=column(ak.firsts(batch.info.weights)).astype(np.float64),
        )


def cluster(events: Events, radius: float, min_pt: float) -> Jets:
    """Anti-kT jets of the visible particles of a batch of events.

    Parameters
    ----------
    events : Events
    radius : float
        Jet radius R.
    min_pt : float
        Least transverse momentum of a jet in GeV.
    """
    fastjet, ak = load_engine("fastjet"), load_engine("awkward")
    # Its banner would land in the middle of the progress bar; the citation it asks for is in the metadata.
    fastjet._swig.ClusterSequence.set_fastjet_banner_stream(None)
    counts = np.bincount(events.event[events.visible], minlength=len(events))
    energy, px, py, pz = events.momenta[events.visible].T
    columns = {"px": px, "py": py, "pz": pz, "E": energy}
    inputs = ak.unflatten(ak.zip(columns, with_name="Momentum4D"), counts)
    # FastJet keeps a bare pointer to the definition: the name must live as long as the sequence.
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, radius)
    sequence = fastjet.ClusterSequence(inputs, definition)
    jets = sequence.inclusive_jets(min_pt=min_pt)
    members = sequence.constituent_index(min_pt=min_pt)

    event = np.repeat(np.arange(len(events)), ak.to_numpy(ak.num(jets)))
    flat = ak.flatten(jets)
    momenta = np.stack([ak.to_numpy(flat[axis]) for axis in ("E", "px", "py", "pz")], axis=1)
    sizes = ak.to_numpy(ak.num(ak.flatten(members)))
    ptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    first_visible = np.concatenate([[0], np.cumsum(counts)])[:-1]
    within_event = ak.to_numpy(ak.flatten(members, axis=None))
    constituents = events.visible[np.repeat(first_visible[event], sizes) + within_event]
    return Jets(momenta, event, constituents, ptr)


def count_inside(
    events: Events, jets: Jets, partons: NDArray[np.integer], radius: float
) -> NDArray[np.int64]:
    """How many of the `partons` of its event lie within `radius` of each jet's axis? Shape (J,).

    Parameters
    ----------
    partons : ndarray, shape (K,)
        Positions in the flat arrays of `events`, in any order.
    """
    partons = np.sort(partons)
    pairs, ptr = gather(np.searchsorted(partons, events.ptr), jets.event)
    jet = event_index(ptr)
    inside = angular_distance(events.momenta[partons[pairs]], jets.momenta[jet]) < radius
    return np.bincount(jet[inside], minlength=len(jets))


def angular_distance(momenta: NDArray[np.float64], axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance ΔR = sqrt(Δη² + Δφ²) between four-momenta, shapes (..., 4) to (...)."""
    eta, axis_eta = (np.arcsinh(p[..., 3] / np.hypot(p[..., 1], p[..., 2])) for p in (momenta, axes))
    phi, axis_phi = (np.arctan2(p[..., 2], p[..., 1]) for p in (momenta, axes))
    return np.hypot(eta - axis_eta, (phi - axis_phi + np.pi) % (2 * np.pi) - np.pi)

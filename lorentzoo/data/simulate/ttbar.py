"""tt̄ events: six jets, each the image of one quark of a fully hadronic decay of a top pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.ragged import event_index
from lorentzoo.data.sample import round_mantissa
from lorentzoo.data.simulate.engine import Events, Jets, angular_distance, cluster
from lorentzoo.data.simulate.values import OnlyClasses

__all__ = ["TopPairs"]

_W, _TOP, _JETS = 24, 6, 6
_SLOTS = ("b", "q1", "q2", "b_bar", "q1_bar", "q2_bar")


@dataclass(frozen=True)
class TopPairs(OnlyClasses):
    """Settings of the tt̄ sample; the defaults are the cuts of arXiv:2411.00446 (without further jets).

    Every event is six jets in a fixed order: b and the two W quarks of the top, then the same of the antitop, the
    W quarks by falling transverse momentum. Which one is which is also a one-hot of each particle.

    Parameters
    ----------
    pt_min : float
        Least transverse momentum of a jet in GeV.
    max_abs_eta : float
        Largest pseudorapidity of a jet.
    radius : float
        Radius of the anti-kT jets, and the distance within which a quark must lie from its jet.
    min_distance : float
        Least distance ΔR between two of the six jets.
    mass_min : float
        Least mass of a jet in GeV. Jets of one particle have the mass of that particle: lines in the spectrum that
        no density describes.
    mantissa_bits : int
        Bits of the stored float32 mantissa (`lorentzoo.data.sample.round_mantissa`).
    """

    pt_min: float = 22.0
    max_abs_eta: float = 5.0
    radius: float = 0.4
    min_distance: float = 0.5
    mass_min: float = 1.0
    mantissa_bits: int = 14

    name: ClassVar[str] = "ttbar"
    class_names: ClassVar[tuple[str, ...]] = ("ttbar",)
    scalar_names: ClassVar[tuple[str, ...]] = _SLOTS
    resonances: ClassVar[Mapping[str, tuple[tuple[int, ...], ...]]] = {
        "top": ((0, 1, 2), (3, 4, 5)),
        "W": ((1, 2), (4, 5)),
    }
    """Places of the jets into which each resonance decays."""
    stores: ClassVar[Literal["constituents", "jets"]] = "jets"
    max_constituents: ClassVar[int] = _JETS
    reference: ClassVar[str] = "arXiv:2411.00446"
    notes: ClassVar[str] = (
        "Leading order with parton shower and hadronisation, without a detector, multiple interactions or pile-up; "
        "jets are assigned by the truth. Not the data set of the paper, and not comparable with results on it."
    )

    def pythia_settings(self, class_name: str) -> list[str]:
        """Pythia's settings."""
        return [
            "Beams:eCM=14000",
            "PartonLevel:MPI=off",
            "Top:gg2ttbar=on",
            "Top:qqbar2ttbar=on",
            "24:onMode=off",
            "24:onIfAny=1 2 3 4 5",
        ]

    def selection(self) -> str:
        """The selection in words."""
        return (
            f"anti-kT jets, R = {self.radius}, of visible particles; pT > {self.pt_min} GeV; "
            f"|eta| < {self.max_abs_eta}; mass > {self.mass_min} GeV; each of the six quarks has a jet of its own "
            f"within {self.radius}; the six jets are more than {self.min_distance} apart"
        )

    def select(self, events: Events, class_name: str) -> Jets:
        """The six jets of every event that passes, event by event, in the fixed order."""
        jets = self._in_acceptance(cluster(events, self.radius, min_pt=self.pt_min))
        quarks = decay_quarks(events)
        complete = np.flatnonzero((quarks >= 0).all(axis=1))
        candidates, present = _padded(jets, len(events))
        distance = angular_distance(
            events.momenta[quarks[complete]][:, :, None], jets.momenta[candidates[complete]][:, None]
        )
        distance[~np.broadcast_to(present[complete][:, None], distance.shape)] = np.inf
        nearest = distance.argmin(axis=2)
        matched = np.take_along_axis(distance, nearest[..., None], axis=2).max(axis=(1, 2)) < self.radius
        chosen = np.take_along_axis(candidates[complete], nearest, axis=1)
        # A jet that two quarks share is at zero distance from itself.
        momenta = jets.momenta[chosen]
        apart = angular_distance(momenta[:, :, None], momenta[:, None]) + 1e3 * np.eye(_JETS)
        passed = chosen[matched & (apart.min(axis=(1, 2)) > self.min_distance)]
        return jets.take(_harder_first(jets, passed).ravel())

    def scalars(self, events: Events, constituents: NDArray[np.int64]) -> NDArray[np.float32]:
        """Which of the six quarks each jet belongs to, one-hot, (6 N, 6)."""
        return np.tile(np.eye(_JETS, dtype=np.float32), (len(constituents) // _JETS, 1))

    def _in_acceptance(self, jets: Jets) -> Jets:
        """Jets within the cuts, with momenta rounded first: what is stored obeys the cuts to the last digit."""
        three = round_mantissa(jets.momenta[:, 1:], self.mantissa_bits).astype(np.float64)
        mass = round_mantissa(jets.mass, self.mantissa_bits).astype(np.float64)
        energy = np.sqrt(np.square(three).sum(axis=1) + mass**2)
        rounded = replace(jets, momenta=np.concatenate([energy[:, None], three], axis=1))
        kept = (rounded.pt > self.pt_min) & (np.abs(rounded.eta) < self.max_abs_eta) & (mass > self.mass_min)
        return rounded.take(np.flatnonzero(kept))


def decay_quarks(events: Events) -> NDArray[np.int64]:
    """Positions of b, q, q' of the top and of the antitop in every event, (E, 6); -1 where there is none."""
    is_quark = (np.abs(events.pdg_id) <= 5) & (events.pdg_id != 0)
    mother_id = events.pdg_id[events.mother]
    found = np.full((len(events), _JETS), -1, dtype=np.int64)
    for side, sign in enumerate((1, -1)):
        for mother, first, count in ((sign * _TOP, 0, 1), (sign * _W, 1, 2)):
            positions = np.flatnonzero(is_quark & (mother_id == mother))
            event = events.event[positions]
            rank = np.arange(len(positions)) - np.searchsorted(event, event)
            kept = rank < count
            found[event[kept], 3 * side + first + rank[kept]] = positions[kept]
    return found


def _padded(jets: Jets, num_events: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Jets of each event, (E, N), and which of them there are, (E, N)."""
    counts = np.bincount(jets.event, minlength=num_events)
    ptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    width = max(int(counts.max(initial=0)), 1)
    positions = np.zeros((num_events, width), dtype=np.int64)
    present = np.arange(width) < counts[:, None]
    positions[event_index(ptr), np.arange(len(jets)) - np.repeat(ptr[:-1], counts)] = np.arange(len(jets))
    return positions, present


def _harder_first(jets: Jets, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """The two quarks of each W by falling transverse momentum, (N, 6) to (N, 6)."""
    ordered = chosen.copy()
    for first in (1, 4):
        pair = chosen[:, first : first + 2]
        order = np.argsort(-jets.pt[pair], axis=1, kind="stable")
        ordered[:, first : first + 2] = np.take_along_axis(pair, order, axis=1)
    return ordered

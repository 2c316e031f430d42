"""tt̄ events: six jets, each the image of one quark of a fully hadronic decay of a top pair, and further ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from lorentzoo.core.ranges import read_range
from lorentzoo.data.ragged import event_index
from lorentzoo.data.sample import round_mantissa
from lorentzoo.data.simulate.engine import Events, Jets, angular_distance, cluster
from lorentzoo.data.simulate.values import OnlyClasses

__all__ = ["TopPairs"]

_W, _TOP, _JETS = 24, 6, 6
_SLOTS = ("b", "q1", "q2", "b_bar", "q1_bar", "q2_bar")
_MOST_EXTRA = 4


@dataclass(frozen=True)
class TopPairs(OnlyClasses):
    """Settings of the tt̄ sample; the defaults are the cuts of arXiv:2411.00446 (without further jets).

    Every event begins with six jets in a fixed order: b and the two W quarks of the top, then the same of the antitop,
    the W quarks by falling transverse momentum. Further jets follow by falling transverse momentum. Which one is which is
    also a one-hot of each particle, of the places of the longest events.

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
    extra_jets : int or str
        Further jets within the same cuts, up to four: a number, or a range such as ``"0-4"``. Events have at least the
        first number of them, and of these the hardest are kept, up to the last number: the events of ``"0-4"`` have from
        six to ten jets, and those of ``0`` six, whatever else there is. They come from the parton shower alone.

    Raises
    ------
    ValueError
        If there are to be more than four further jets.
    """

    pt_min: float = 22.0
    max_abs_eta: float = 5.0
    radius: float = 0.4
    min_distance: float = 0.5
    mass_min: float = 1.0
    mantissa_bits: int = 14
    extra_jets: int | str = field(default=0, metadata={"later": True})

    name: ClassVar[str] = "ttbar"
    class_names: ClassVar[tuple[str, ...]] = ("ttbar",)
    resonances: ClassVar[Mapping[str, tuple[tuple[int, ...], ...]]] = {
        "top": ((0, 1, 2), (3, 4, 5)),
        "W": ((1, 2), (4, 5)),
    }
    """Places of the jets into which each resonance decays."""
    stores: ClassVar[Literal["constituents", "jets"]] = "jets"
    reference: ClassVar[str] = "arXiv:2411.00446"
    notes: ClassVar[str] = (
        "Leading order with parton shower and hadronisation, without a detector, multiple interactions or pile-up; "
        "jets are assigned by the truth. Not the data set of the paper, and not comparable with results on it."
    )

    def __post_init__(self) -> None:
        if self._extra[-1] > _MOST_EXTRA:
            raise ValueError(f"extra_jets is at most {_MOST_EXTRA}, not {self.extra_jets}")

    @property
    def scalar_names(self) -> tuple[str, ...]:
        """Names of the places."""
        return (*_SLOTS, *(f"jet{number + 1}" for number in range(self._extra[-1])))

    @property
    def max_constituents(self) -> int:
        """Jets of the longest events."""
        return len(self.scalar_names)

    @property
    def _extra(self) -> range:
        """Numbers of further jets that an event may have."""
        return read_range(self.extra_jets, "extra_jets")

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
        fewest, most = self._extra[0], self._extra[-1]
        further = f"; at least {fewest} further jets, of which the {most} hardest are kept" if most else ""
        return (
            f"anti-kT jets, R = {self.radius}, of visible particles; pT > {self.pt_min} GeV; "
            f"|eta| < {self.max_abs_eta}; mass > {self.mass_min} GeV; each of the six quarks has a jet of its own "
            f"within {self.radius}{further}; all kept jets are more than {self.min_distance} apart"
        )

    def select(self, events: Events, class_name: str) -> Jets:
        """The jets of every event that passes, event by event, in the fixed order."""
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
        further, there = self._further(jets, candidates[complete], present[complete], chosen)
        kept = np.concatenate([_harder_first(jets, chosen), further], axis=1)
        there = np.concatenate([np.ones(chosen.shape, dtype=bool), there], axis=1)
        # A jet that two quarks share is at zero distance from itself.
        momenta = jets.momenta[kept]
        apart = angular_distance(momenta[:, :, None], momenta[:, None]) + 1e3 * np.eye(kept.shape[1])
        apart[~(there[:, :, None] & there[:, None])] = np.inf
        enough = there.sum(axis=1) >= _JETS + self._extra[0]
        passed = matched & enough & (apart.min(axis=(1, 2)) > self.min_distance)
        return jets.take(kept[passed][there[passed]])

    def scalars(self, events: Events, constituents: NDArray[np.int64]) -> NDArray[np.float32]:
        """The place of each jet in its event, one-hot, (J, 6 and as many as there may be further jets)."""
        return np.eye(self.max_constituents, dtype=np.float32)[constituents]

    def _further(
        self,
        jets: Jets,
        candidates: NDArray[np.int64],
        present: NDArray[np.bool_],
        chosen: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The hardest jets beside the chosen ones by falling transverse momentum, (M, X), and which there are."""
        free = present & ~(candidates[:, :, None] == chosen[:, None]).any(axis=2)
        rank = np.where(free, -jets.pt[candidates], np.inf)
        order = np.argsort(rank, axis=1, kind="stable")[:, : self._extra[-1]]
        return np.take_along_axis(candidates, order, axis=1), np.take_along_axis(free, order, axis=1)

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

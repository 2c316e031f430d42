"""Top tagging: hadronic top jets against light-quark and gluon jets, with the cuts of arXiv:1902.09914."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.simulate.engine import Events, Jets, cluster, count_inside
from lorentzoo.data.simulate.values import OnlyClasses

__all__ = ["TopTag"]

_W, _TOP = 24, 6


@dataclass(frozen=True)
class TopTag(OnlyClasses):
    """Settings of the top-tagging sample; the defaults are the cuts of arXiv:1902.09914.

    Parameters
    ----------
    pthat_min, pthat_max : float
        Window of the transverse momentum of the hard process in GeV. It biases the sample: with 400 GeV, 15 %
        (QCD) and 12 % (top) of the jets that pass the selection would come from below the window.
    pt_min, pt_max : float
        Transverse momentum of the jet in GeV.
    max_abs_eta : float
        Largest pseudorapidity of the jet.
    radius : float
        Radius of the anti-kT jet, and the distance within which a top and its three quarks must lie.
    max_constituents : int
        Constituents kept of each jet, the hardest ones.
    mantissa_bits : int
        Bits of the stored float32 mantissa (`lorentzoo.data.sample.round_mantissa`).
    """

    pthat_min: float = 400.0
    pthat_max: float = 1000.0
    pt_min: float = 550.0
    pt_max: float = 650.0
    max_abs_eta: float = 2.0
    radius: float = 0.8
    max_constituents: int = 200
    mantissa_bits: int = 14

    name: ClassVar[str] = "toptag"
    class_names: ClassVar[tuple[str, ...]] = ("qcd", "top")
    scalar_names: ClassVar[tuple[str, ...]] = ()
    stores: ClassVar[Literal["constituents", "jets"]] = "constituents"
    reference: ClassVar[str] = "arXiv:1902.09914"
    notes: ClassVar[str] = (
        "Particle level: there is no detector simulation, so multiplicities are higher than in the reference "
        "data set of arXiv:1902.09914, and results are not comparable with those published for it. "
        "The pTHat window biases the sample (see the settings). No multiple parton interactions, no pile-up."
    )

    def pythia_settings(self, class_name: str) -> list[str]:
        """Pythia's settings for ``"qcd"`` or ``"top"``."""
        common = [
            "Beams:eCM=14000",
            "PartonLevel:MPI=off",
            f"PhaseSpace:pTHatMin={self.pthat_min}",
            f"PhaseSpace:pTHatMax={self.pthat_max}",
        ]
        hadronic_tops = ["Top:gg2ttbar=on", "Top:qqbar2ttbar=on", "24:onMode=off", "24:onIfAny=1 2 3 4 5"]
        return common + {"qcd": ["HardQCD:all=on"], "top": hadronic_tops}[class_name]

    def selection(self) -> str:
        """The selection in words."""
        return (
            f"leading anti-kT jet, R = {self.radius}, of visible particles; "
            f"{self.pt_min} < pT < {self.pt_max} GeV; |eta| < {self.max_abs_eta}; "
            f"for tops the top, b, q and q' lie within {self.radius} of the jet axis; "
            f"the {self.max_constituents} hardest constituents"
        )

    def select(self, events: Events, class_name: str) -> Jets:
        """Leading jets within the cuts; for tops, those that contain a whole hadronic top."""
        jets = cluster(events, self.radius, min_pt=self.pt_min).leading()
        passed = (self.pt_min < jets.pt) & (jets.pt < self.pt_max) & (np.abs(jets.eta) < self.max_abs_eta)
        if class_name == "top":
            passed &= contains_top(events, jets, self.radius)
        return jets.take(np.flatnonzero(passed))

    def scalars(self, events: Events, constituents: NDArray[np.int64]) -> NDArray[np.float32]:
        """Momenta are all there is, as in the reference data set."""
        return np.zeros((len(constituents), 0), dtype=np.float32)


def contains_top(events: Events, jets: Jets, radius: float) -> NDArray[np.bool_]:
    """Does the jet contain a top, its b and both quarks of its W? Shape (J,).

    Quarks are those of the decay, before they radiate; the top is the last one before its decay.
    """
    is_quark = (np.abs(events.pdg_id) <= 5) & (events.pdg_id != 0)
    mother_id = events.pdg_id[events.mother]
    found = np.zeros(len(jets), dtype=bool)
    for sign in (1, -1):
        bottoms = np.flatnonzero(is_quark & (mother_id == sign * _TOP))
        quarks = np.flatnonzero(is_quark & (mother_id == sign * _W))
        partons = np.concatenate([bottoms, events.mother[bottoms], quarks])
        # Every event has one such top with one b and two quarks: four inside is all of them.
        found |= count_inside(events, jets, partons, radius) == 4
    return found

"""Ten classes of jets, after the classes of arXiv:2202.03772: Higgs, W, Z and top decays against QCD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.simulate.engine import Events, Jets, cluster, count_inside
from lorentzoo.data.simulate.particles import CHARGES, SPECIES, table_rows
from lorentzoo.data.simulate.values import OnlyClasses

__all__ = ["Jets10"]

_QUARKS, _LEPTONS, _GLUON = (1, 2, 3, 4, 5), (11, 13), (21,)
_Z, _W, _HIGGS, _TOP = 23, 24, 25, 6


@dataclass(frozen=True)
class _Class:
    """One class: Pythia's processes, and the decay products that a jet must contain.

    `content` lists (mother, allowed products, number); `charges` are the signs of the mothers that are looked
    at one after the other, where an event holds a particle and its antiparticle; None takes both together.
    """

    settings: tuple[str, ...]
    content: tuple[tuple[int, tuple[int, ...], int], ...] = ()
    charges: tuple[int | None, ...] = (None,)


_Z_INVISIBLE = ("23:onMode=off", "23:onIfAny=12 14 16")
_W_TO_QUARKS = ("24:onMode=off", "24:onIfAny=1 2 3 4 5")
_HIGGS_AND_Z = ("HiggsSM:ffbar2HZ=on", *_Z_INVISIBLE, "25:onMode=off")
_Z_AND_PARTON = ("WeakBosonAndParton:qqbar2gmZg=on", "WeakBosonAndParton:qg2gmZq=on", "WeakZ0:gmZmode=2")
_TOP_PAIRS = ("Top:gg2ttbar=on", "Top:qqbar2ttbar=on")

_CLASSES = {
    "qcd": _Class((*_Z_AND_PARTON, *_Z_INVISIBLE)),
    "h_bb": _Class((*_HIGGS_AND_Z, "25:onIfMatch=5 -5"), ((_HIGGS, (5,), 2),)),
    "h_cc": _Class((*_HIGGS_AND_Z, "25:onIfMatch=4 -4"), ((_HIGGS, (4,), 2),)),
    "h_gg": _Class((*_HIGGS_AND_Z, "25:onIfMatch=21 21"), ((_HIGGS, _GLUON, 2),)),
    "h_4q": _Class((*_HIGGS_AND_Z, "25:onIfMatch=24 -24", *_W_TO_QUARKS), ((_W, _QUARKS, 4),)),
    # Both W decay both ways and the content picks the mixed events: with fixed decays the sign of the lepton
    # would give the class away.
    "h_qql": _Class(
        (*_HIGGS_AND_Z, "25:onIfMatch=24 -24", "24:onMode=off", "24:onIfAny=1 2 3 4 5 11 13"),
        ((_W, _QUARKS, 2), (_W, _LEPTONS, 1)),
    ),
    "z_qq": _Class((*_Z_AND_PARTON, "23:onMode=off", "23:onIfAny=1 2 3 4 5"), ((_Z, _QUARKS, 2),)),
    "w_qq": _Class(("WeakDoubleBoson:ffbar2ZW=on", *_Z_INVISIBLE, *_W_TO_QUARKS), ((_W, _QUARKS, 2),)),
    "t_bqq": _Class((*_TOP_PAIRS, *_W_TO_QUARKS), ((_TOP, _QUARKS, 1), (_W, _QUARKS, 2)), (1, -1)),
    "t_bl": _Class(
        (*_TOP_PAIRS, "24:onMode=off", "24:onIfAny=11 13"), ((_TOP, _QUARKS, 1), (_W, _LEPTONS, 1)), (1, -1)
    ),
}


@dataclass(frozen=True)
class Jets10(OnlyClasses):
    """Settings of the ten-class sample.

    Parameters
    ----------
    pthat_min, pthat_max : float
        Window of the transverse momentum of the hard process in GeV; it biases the sample.
    pt_min, pt_max : float
        Transverse momentum of the jet in GeV.
    max_abs_eta : float
        Largest pseudorapidity of the jet.
    radius : float
        Radius of the anti-kT jet, and the distance within which all quarks, gluons and charged leptons of the
        decay must lie.
    max_constituents : int
        Constituents kept of each jet, the hardest ones.
    mantissa_bits : int
        Bits of the stored float32 mantissa (`lorentzoo.data.sample.round_mantissa`).
    """

    pthat_min: float = 450.0
    pthat_max: float = 1200.0
    pt_min: float = 500.0
    pt_max: float = 1000.0
    max_abs_eta: float = 2.0
    radius: float = 0.8
    max_constituents: int = 128
    mantissa_bits: int = 14

    name: ClassVar[str] = "jets10"
    class_names: ClassVar[tuple[str, ...]] = tuple(_CLASSES)
    scalar_names: ClassVar[tuple[str, ...]] = (
        "charge",
        "is_charged_hadron",
        "is_neutral_hadron",
        "is_photon",
        "is_electron",
        "is_muon",
        "d0",
        "dz",
    )
    stores: ClassVar[Literal["constituents", "jets"]] = "constituents"
    reference: ClassVar[str] = "classes after arXiv:2202.03772"
    notes: ClassVar[str] = (
        "This is not the JetClass data set and its numbers are not comparable with published ones: "
        "leading-order Pythia instead of matched matrix elements, no detector simulation, no pile-up. "
        "The pTHat window biases the sample (see the settings). Particle kinds are the true ones. "
        "d0 and dz are in mm, from true production vertices along straight lines, "
        "zero for neutral particles; no resolution is simulated."
    )

    def pythia_settings(self, class_name: str) -> list[str]:
        """Pythia's settings for one class."""
        return [
            "Beams:eCM=13000",
            f"PhaseSpace:pTHatMin={self.pthat_min}",
            f"PhaseSpace:pTHatMax={self.pthat_max}",
            # What lives longer than 10 mm/c reaches the detector: K0S, Lambda and other hyperons stay whole.
            "ParticleDecays:limitTau0=on",
            "ParticleDecays:tau0Max=10",
            *_CLASSES[class_name].settings,
        ]

    def selection(self) -> str:
        """The selection in words."""
        return (
            f"anti-kT jets, R = {self.radius}, of visible particles; {self.pt_min} < pT < {self.pt_max} GeV; "
            f"|eta| < {self.max_abs_eta}; all quarks, gluons and charged leptons of the decay lie within "
            f"{self.radius} of the jet axis; the {self.max_constituents} hardest constituents"
        )

    def select(self, events: Events, class_name: str) -> Jets:
        """All jets within the cuts that contain the decay products of their class."""
        jets = cluster(events, self.radius, self.pt_min)
        passed = (jets.pt < self.pt_max) & (np.abs(jets.eta) < self.max_abs_eta)
        kind, mother_id = _CLASSES[class_name], events.pdg_id[events.mother]
        matched = np.zeros(len(jets), dtype=bool)
        for charge in kind.charges:
            mothers = np.abs(mother_id) if charge is None else charge * mother_id
            complete = np.ones(len(jets), dtype=bool)
            for mother, products, number in kind.content:
                partons = np.flatnonzero((mothers == mother) & np.isin(np.abs(events.pdg_id), products))
                complete &= count_inside(events, jets, partons, self.radius) == number
            matched |= complete
        return jets.take(np.flatnonzero(passed & matched))

    def scalars(self, events: Events, constituents: NDArray[np.int64]) -> NDArray[np.float32]:
        """Charge, kind (one-hot) and impact parameters (mm) of the constituents, shape (K, 8)."""
        pdg_id, rows = events.pdg_id[constituents], table_rows(events.pdg_id[constituents])
        charge = CHARGES[rows] * np.sign(pdg_id)
        photon, electron, muon = (SPECIES[rows] == number for number in (22, 11, 13))
        hadron = ~(photon | electron | muon)
        d0, dz = impact_parameters(events.momenta[constituents], events.vertices[constituents])
        charged = charge != 0
        columns = (
            charge,
            hadron & charged,
            hadron & ~charged,
            photon,
            electron,
            muon,
            d0 * charged,
            dz * charged,
        )
        return np.stack(columns, axis=1).astype(np.float32)


def impact_parameters(
    momenta: NDArray[np.float64], vertices: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Transverse and longitudinal impact parameters (mm) of straight lines to the collision, each (K,).

    They are rounded to 0.1 μm, far below the resolution of any tracker: prompt particles have exactly zero.
    """
    px, py, pz = momenta.T[1:]
    x, y, z = vertices.T
    pt = np.hypot(px, py)
    d0 = (x * py - y * px) / pt
    dz = z - (x * px + y * py) * pz / pt**2
    return np.round(d0, 4) + 0.0, np.round(dz, 4) + 0.0  # + 0.0 makes -0.0 a plain zero

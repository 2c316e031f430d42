"""Which particles reach a detector, and what are their masses and charges?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["CHARGES", "MASSES", "SPECIES", "mass_codes", "table_rows"]

# PDG number, charge (of the particle, not the antiparticle), and mass in GeV with the digits that Pythia 8
# generates with, so that energies agree with it.
# The last six live longer than 10 mm/c and are final where short-lived particles only are decayed.
_TABLE = (
    (22, 0, 0.0),
    (11, -1, 0.000511),
    (13, -1, 0.10566),
    (211, 1, 0.13957),
    (321, 1, 0.49368),
    (130, 0, 0.49761),
    (2112, 0, 0.93957),
    (2212, 1, 0.93827),
    (310, 0, 0.49761),
    (3122, 0, 1.11568),
    (3112, -1, 1.19745),
    (3222, 1, 1.18937),
    (3312, -1, 1.32171),
    (3322, 0, 1.31486),
    (3334, -1, 1.67245),
)
SPECIES: NDArray[np.int32] = np.array([row[0] for row in _TABLE], dtype=np.int32)
"""Absolute PDG numbers of stable visible particles, shape (M,)."""
MASSES: NDArray[np.float64] = np.array([row[2] for row in _TABLE], dtype=np.float64)
"""Their masses in GeV, shape (M,)."""

CHARGES: NDArray[np.int8] = np.array([row[1] for row in _TABLE], dtype=np.int8)
"""Charges of the particles with positive PDG number, shape (M,)."""

_ORDER = np.argsort(SPECIES)


def mass_codes(pdg_ids: NDArray[np.integer], masses: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Rows of particles in the table, shape (P,), checked against their generated masses in GeV.

    A particle that is unknown, or whose mass differs from the table's, is an error: its energy would come out
    wrong.
    """
    codes = table_rows(pdg_ids)
    wrong = (SPECIES[codes] != np.abs(pdg_ids)) | (np.abs(MASSES[codes] - masses) > 1e-9)
    if wrong.any():
        found = sorted({(abs(int(k)), float(m)) for k, m in zip(pdg_ids[wrong], masses[wrong], strict=True)})
        raise ValueError(f"the mass table does not hold these particles (PDG number, GeV): {found[:5]}")
    return codes.astype(np.uint8)


def table_rows(pdg_ids: NDArray[np.integer]) -> NDArray[np.int64]:
    """Rows of particles and antiparticles in the table, shape (P,); a wrong row for what it lacks."""
    rank = np.searchsorted(SPECIES, np.abs(pdg_ids), sorter=_ORDER)
    return _ORDER[np.minimum(rank, len(SPECIES) - 1)]

"""Which particles reach a detector, and what are their masses?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["MASSES", "SPECIES", "mass_codes"]

# PDG number and mass in GeV, with the digits that Pythia 8 generates with, so that energies agree with it.
# The last six live longer than 10 mm/c and are final where short-lived particles only are decayed.
_TABLE = (
    (22, 0.0),
    (11, 0.000511),
    (13, 0.10566),
    (211, 0.13957),
    (321, 0.49368),
    (130, 0.49761),
    (2112, 0.93957),
    (2212, 0.93827),
    (310, 0.49761),
    (3122, 1.11568),
    (3112, 1.19745),
    (3222, 1.18937),
    (3312, 1.32171),
    (3322, 1.31486),
    (3334, 1.67245),
)
SPECIES: NDArray[np.int32] = np.array([pdg_id for pdg_id, _ in _TABLE], dtype=np.int32)
"""Absolute PDG numbers of stable visible particles, shape (M,)."""
MASSES: NDArray[np.float64] = np.array([mass for _, mass in _TABLE], dtype=np.float64)
"""Their masses in GeV, shape (M,)."""

_ORDER = np.argsort(SPECIES)


def mass_codes(pdg_ids: NDArray[np.integer], masses: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Rows of particles in the table, shape (P,).

    `masses` are the generated ones in GeV: a particle that is unknown, or whose mass differs from the
    table's, is an error, since its energy would come out wrong.
    """
    kinds = np.abs(pdg_ids)
    codes = _ORDER[np.minimum(np.searchsorted(SPECIES, kinds, sorter=_ORDER), len(SPECIES) - 1)]
    wrong = (SPECIES[codes] != kinds) | (np.abs(MASSES[codes] - masses) > 1e-9)
    if wrong.any():
        found = sorted({(int(k), float(m)) for k, m in zip(kinds[wrong], masses[wrong], strict=True)})
        raise ValueError(f"the mass table does not hold these particles (PDG number, GeV): {found[:5]}")
    return codes.astype(np.uint8)

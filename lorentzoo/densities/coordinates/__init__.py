"""In which numbers are momenta described, with which Jacobians, and between which cuts?

`make_coordinates` makes them by name; `Coordinates` is what they are; `Step` is what they are made of; `DecayChains` are
those of whole events; `Cuts` are the boundaries of phase space.
"""

from lorentzoo.densities.coordinates.chain import Coordinates
from lorentzoo.densities.coordinates.cuts import Cuts
from lorentzoo.densities.coordinates.decays import DecayChains
from lorentzoo.densities.coordinates.named import COORDINATES, CoordinateName, make_coordinates
from lorentzoo.densities.coordinates.standardise import Standardise
from lorentzoo.densities.coordinates.steps import (
    Bounded,
    Cylindrical,
    Identity,
    Logarithm,
    MassShell,
    OnShell,
    Rapidity,
    Step,
)

__all__ = [
    "COORDINATES",
    "Bounded",
    "CoordinateName",
    "Coordinates",
    "Cuts",
    "Cylindrical",
    "DecayChains",
    "Identity",
    "Logarithm",
    "MassShell",
    "OnShell",
    "Rapidity",
    "Standardise",
    "Step",
    "make_coordinates",
]

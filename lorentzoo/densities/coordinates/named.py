"""Which coordinates have a name?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final, Literal, get_args

from lorentzoo.densities.coordinates.chain import Coordinates
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

__all__ = ["COORDINATES", "CoordinateName", "Standardisation", "make_coordinates"]

CoordinateName = Literal[
    "momenta",
    "cartesian-mass",
    "cartesian-log-mass",
    "pt-phi-eta-mass",
    "log-pt-phi-eta-log-mass",
    "log-pt-phi-rapidity-log-mass",
    "on-shell-cartesian",
    "on-shell-pt-phi-eta",
    "on-shell-log-pt-phi-eta",
]
Standardisation = Literal["none", "componentwise", "isotropic"]

COORDINATES: Final[tuple[str, ...]] = get_args(CoordinateName)
"""The names that `make_coordinates` knows."""


def make_coordinates(
    name: CoordinateName,
    *,
    standardise: Standardisation = "componentwise",
    pt_min: float = 0.0,
    mass_min: float = 0.0,
    eta_max: float = math.inf,
    mass: float = 0.0,
) -> Coordinates:
    """Coordinates by name.

    Parameters
    ----------
    name
        - ``"momenta"``: (E, px, py, pz);
        - ``"cartesian-mass"``: (px, py, pz, m²);
        - ``"cartesian-log-mass"``: (px, py, pz, ln(m² - m²_min));
        - ``"pt-phi-eta-mass"``: (pT, φ, η, m²);
        - ``"log-pt-phi-eta-log-mass"``: (ln(pT - pT_min), φ, η, ln(m² - m²_min)), those of arXiv:2411.00446;
        - ``"log-pt-phi-rapidity-log-mass"``: the same with rapidity, which beam boosts shift;
        - ``"on-shell-cartesian"``, ``"on-shell-pt-phi-eta"``, ``"on-shell-log-pt-phi-eta"``: three numbers of
          particles of the given mass.
    standardise
        ``"componentwise"``: subtract mean and divide by width, of training data; ``"isotropic"``: one width for px,
        py and pz without a shift, which rotations need; ``"none"``. φ stays as it is.
    pt_min, mass_min
        Boundaries of the logarithms in GeV.
    eta_max
        With a finite value η becomes η_max artanh(η/η_max), so that this bound is not crossed either.
    mass
        Of on-shell particles in GeV.

    Raises
    ------
    ValueError
        If there are no such coordinates, or a boundary is given that they do not have.
    """
    if name not in COORDINATES:
        raise ValueError(f"there are no coordinates {name!r}; there are {', '.join(COORDINATES)}")
    if isinstance(name, str) and eta_max < math.inf and "eta" not in name:
        raise ValueError(f"eta_max bounds a component η, which the coordinates {name!r} do not have")
    for bound, value, part in (("pt_min", pt_min, "log-pt"), ("mass_min", mass_min, "log-mass")):
        if value and part not in name:
            raise ValueError(
                f"{bound} is the boundary of a logarithm, which the coordinates {name!r} do not have"
            )
    if mass and not name.startswith("on-shell"):
        raise ValueError(
            f"the coordinates {name!r} describe the mass; a fixed one is of on-shell coordinates"
        )
    log_pt, log_mass = Logarithm(0, pt_min), Logarithm(3, mass_min**2)
    bounded: list[Step] = [Bounded(2, eta_max)] if eta_max < math.inf else []
    makers: Mapping[str, Callable[[], list[Step]]] = {
        "momenta": lambda: [Identity()],
        "cartesian-mass": lambda: [MassShell()],
        "cartesian-log-mass": lambda: [MassShell(), log_mass],
        "pt-phi-eta-mass": lambda: [MassShell(), Cylindrical(), *bounded],
        "log-pt-phi-eta-log-mass": lambda: [MassShell(), Cylindrical(), *bounded, log_pt, log_mass],
        "log-pt-phi-rapidity-log-mass": lambda: [MassShell(), Cylindrical(), Rapidity(), log_pt, log_mass],
        "on-shell-cartesian": lambda: [OnShell(mass)],
        "on-shell-pt-phi-eta": lambda: [OnShell(mass), Cylindrical(), *bounded],
        "on-shell-log-pt-phi-eta": lambda: [OnShell(mass), Cylindrical(), *bounded, log_pt],
    }
    steps = makers[name]()
    if standardise != "none":
        names = Coordinates(steps).names
        if standardise == "isotropic" and "px" not in names:
            raise ValueError(
                f"isotropic widths are of px, py and pz, which the coordinates {name!r} do not have; "
                "use standardise='componentwise'"
            )
        steps.append(Standardise(names, isotropic=standardise == "isotropic"))
    return Coordinates(steps, name)

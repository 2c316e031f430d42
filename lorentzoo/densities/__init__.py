"""What generators share: coordinates of momenta with their Jacobians, cuts, and solvers of flows.

>>> from lorentzoo.densities import make_coordinates
>>> make_coordinates("log-pt-phi-eta-log-mass").names
('log_pt', 'phi', 'eta', 'log_mass2')
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorentzoo._lazy import resolve_on_use

_HOMES = {
    "Bounded": "lorentzoo.densities.coordinates",
    "COORDINATES": "lorentzoo.densities.coordinates",
    "CoordinateName": "lorentzoo.densities.coordinates",
    "Coordinates": "lorentzoo.densities.coordinates",
    "Cuts": "lorentzoo.densities.coordinates",
    "Cylindrical": "lorentzoo.densities.coordinates",
    "Evaluations": "lorentzoo.densities.solvers",
    "FIXED": "lorentzoo.densities.solvers",
    "Identity": "lorentzoo.densities.coordinates",
    "Logarithm": "lorentzoo.densities.coordinates",
    "MassShell": "lorentzoo.densities.coordinates",
    "Method": "lorentzoo.densities.solvers",
    "OnShell": "lorentzoo.densities.coordinates",
    "Rapidity": "lorentzoo.densities.coordinates",
    "Solver": "lorentzoo.densities.solvers",
    "SolverError": "lorentzoo.densities.solvers",
    "Standardisation": "lorentzoo.densities.coordinates.named",
    "Standardise": "lorentzoo.densities.coordinates",
    "Step": "lorentzoo.densities.coordinates",
    "Surface": "lorentzoo.densities.solvers",
    "counting_evaluations": "lorentzoo.densities.solvers",
    "integrate": "lorentzoo.densities.solvers",
    "make_coordinates": "lorentzoo.densities.coordinates",
    "null_symmetry": "lorentzoo.densities.coordinates.chain",
    "reference_momenta": "lorentzoo.densities.coordinates.chain",
}

__all__ = sorted(_HOMES)

if TYPE_CHECKING:
    from lorentzoo.densities.coordinates import COORDINATES as COORDINATES
    from lorentzoo.densities.coordinates import Bounded as Bounded
    from lorentzoo.densities.coordinates import CoordinateName as CoordinateName
    from lorentzoo.densities.coordinates import Coordinates as Coordinates
    from lorentzoo.densities.coordinates import Cuts as Cuts
    from lorentzoo.densities.coordinates import Cylindrical as Cylindrical
    from lorentzoo.densities.coordinates import Identity as Identity
    from lorentzoo.densities.coordinates import Logarithm as Logarithm
    from lorentzoo.densities.coordinates import MassShell as MassShell
    from lorentzoo.densities.coordinates import OnShell as OnShell
    from lorentzoo.densities.coordinates import Rapidity as Rapidity
    from lorentzoo.densities.coordinates import Standardise as Standardise
    from lorentzoo.densities.coordinates import Step as Step
    from lorentzoo.densities.coordinates import make_coordinates as make_coordinates
    from lorentzoo.densities.coordinates.chain import null_symmetry as null_symmetry
    from lorentzoo.densities.coordinates.chain import reference_momenta as reference_momenta
    from lorentzoo.densities.coordinates.named import Standardisation as Standardisation
    from lorentzoo.densities.solvers import FIXED as FIXED
    from lorentzoo.densities.solvers import Evaluations as Evaluations
    from lorentzoo.densities.solvers import Method as Method
    from lorentzoo.densities.solvers import Solver as Solver
    from lorentzoo.densities.solvers import SolverError as SolverError
    from lorentzoo.densities.solvers import Surface as Surface
    from lorentzoo.densities.solvers import counting_evaluations as counting_evaluations
    from lorentzoo.densities.solvers import integrate as integrate

__getattr__, __dir__ = resolve_on_use(__name__, _HOMES)

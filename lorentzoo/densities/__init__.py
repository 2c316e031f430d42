"""What generators share: coordinates of momenta with their Jacobians, cuts, splines, and solvers of flows.

>>> from lorentzoo.densities import make_coordinates
>>> make_coordinates("log-pt-phi-eta-log-mass").names
('log_pt', 'phi', 'eta', 'log_mass2')
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorentzoo._lazy import resolve_on_use

_HOMES = {
    "Bounded": "lorentzoo.densities.coordinates",
    "CoordinateName": "lorentzoo.densities.coordinates",
    "COORDINATES": "lorentzoo.densities.coordinates",
    "Coordinates": "lorentzoo.densities.coordinates",
    "counting_evaluations": "lorentzoo.densities.solvers",
    "coupled_numbers": "lorentzoo.densities.splines",
    "CouplingFlow": "lorentzoo.densities.splines",
    "Cuts": "lorentzoo.densities.coordinates",
    "Cylindrical": "lorentzoo.densities.coordinates",
    "DecayChains": "lorentzoo.densities.coordinates",
    "Ends": "lorentzoo.densities.splines",
    "Evaluations": "lorentzoo.densities.solvers",
    "FIXED": "lorentzoo.densities.solvers",
    "Identity": "lorentzoo.densities.coordinates",
    "integrate": "lorentzoo.densities.solvers",
    "Knots": "lorentzoo.densities.splines",
    "Logarithm": "lorentzoo.densities.coordinates",
    "make_coordinates": "lorentzoo.densities.coordinates",
    "MassShell": "lorentzoo.densities.coordinates",
    "Method": "lorentzoo.densities.solvers",
    "null_symmetry": "lorentzoo.densities.coordinates.chain",
    "num_parameters": "lorentzoo.densities.splines",
    "NumberFeatures": "lorentzoo.densities.splines",
    "OnShell": "lorentzoo.densities.coordinates",
    "Rapidity": "lorentzoo.densities.coordinates",
    "reference_momenta": "lorentzoo.densities.coordinates.chain",
    "RowNetwork": "lorentzoo.densities.splines",
    "Solver": "lorentzoo.densities.solvers",
    "SolverError": "lorentzoo.densities.solvers",
    "Splines": "lorentzoo.densities.splines",
    "Standardisation": "lorentzoo.densities.coordinates.named",
    "Standardise": "lorentzoo.densities.coordinates",
    "Step": "lorentzoo.densities.coordinates",
    "Surface": "lorentzoo.densities.solvers",
    "Tails": "lorentzoo.densities.splines",
    "UnitBase": "lorentzoo.densities.splines",
}

__all__ = sorted(_HOMES)

if TYPE_CHECKING:
    from lorentzoo.densities.coordinates import COORDINATES as COORDINATES
    from lorentzoo.densities.coordinates import Bounded as Bounded
    from lorentzoo.densities.coordinates import CoordinateName as CoordinateName
    from lorentzoo.densities.coordinates import Coordinates as Coordinates
    from lorentzoo.densities.coordinates import Cuts as Cuts
    from lorentzoo.densities.coordinates import Cylindrical as Cylindrical
    from lorentzoo.densities.coordinates import DecayChains as DecayChains
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
    from lorentzoo.densities.splines import CouplingFlow as CouplingFlow
    from lorentzoo.densities.splines import Ends as Ends
    from lorentzoo.densities.splines import Knots as Knots
    from lorentzoo.densities.splines import NumberFeatures as NumberFeatures
    from lorentzoo.densities.splines import RowNetwork as RowNetwork
    from lorentzoo.densities.splines import Splines as Splines
    from lorentzoo.densities.splines import Tails as Tails
    from lorentzoo.densities.splines import UnitBase as UnitBase
    from lorentzoo.densities.splines import coupled_numbers as coupled_numbers
    from lorentzoo.densities.splines import num_parameters as num_parameters

__getattr__, __dir__ = resolve_on_use(__name__, _HOMES)

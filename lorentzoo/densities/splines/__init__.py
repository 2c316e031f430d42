"""Rational-quadratic splines: knots, sets of them, and coupling flows whose knots come from a backbone."""

from lorentzoo.densities.splines.couplings import CouplingFlow, RowNetwork, coupled_numbers
from lorentzoo.densities.splines.knots import Ends, Knots, num_parameters
from lorentzoo.densities.splines.numbers import NumberFeatures, Splines, Tails, UnitBase

__all__ = [
    "CouplingFlow",
    "Ends",
    "Knots",
    "NumberFeatures",
    "RowNetwork",
    "Splines",
    "Tails",
    "UnitBase",
    "coupled_numbers",
    "num_parameters",
]

"""Which symmetry does a model have: computed against measured."""

from lorentzoo.verification.densities import training_events
from lorentzoo.verification.events import random_cloud
from lorentzoo.verification.inputs import fit_if_needed, redraw_weights
from lorentzoo.verification.result import BoostCurve, Verification
from lorentzoo.verification.verify import verify

__all__ = [
    "BoostCurve",
    "Verification",
    "fit_if_needed",
    "random_cloud",
    "redraw_weights",
    "training_events",
    "verify",
]

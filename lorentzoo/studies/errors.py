"""Which errors do training and studies raise?"""

from __future__ import annotations

from lorentzoo.core.errors import LorentzooError

__all__ = ["RunError", "StudyError", "TrainingError"]


class StudyError(LorentzooError, ValueError):
    """A study that cannot be read or makes no sense."""


class TrainingError(LorentzooError, RuntimeError):
    """A training that cannot go on."""


class RunError(LorentzooError, RuntimeError):
    """A run directory that is missing, unfinished or damaged."""

"""Which errors does the package raise, and what do they carry?

Each subclasses the built-in exception that a caller would expect, and its message names the thing,
what was given and what to do.
"""

from __future__ import annotations

__all__ = [
    "AmbiguousNameError",
    "CardWarning",
    "ClassesWarning",
    "CheckpointError",
    "CompositionError",
    "DensityWarning",
    "ExportError",
    "ExportWarning",
    "FittedError",
    "InputError",
    "InputsWarning",
    "LorentzooError",
    "MissingExtraError",
    "MissingFileError",
    "NoClosedFormError",
    "NoDensityError",
    "NotFittedError",
    "ParameterError",
    "PluginError",
    "RenamedWarning",
    "RunError",
    "ShapeError",
    "SpecError",
    "StoppedElsewhere",
    "StudyError",
    "SymmetryError",
    "TrainingError",
    "UnitsWarning",
    "UnknownNameError",
]


class LorentzooError(Exception):
    """Base of every error of the package: a message for a person, never a bare code."""


class UnknownNameError(LorentzooError, LookupError):
    """A name that no plugin offers."""


class AmbiguousNameError(LorentzooError, LookupError):
    """A bare name that several plugins offer."""


class ParameterError(LorentzooError, TypeError):
    """A parameter that a component does not take, lacks, or cannot read."""


class CompositionError(LorentzooError, ValueError):
    """Parts that make no sense together."""


class InputError(LorentzooError, ValueError):
    """Arrays that are not events: of other shapes or types, with values missing, or momenta that cannot be."""


class ShapeError(LorentzooError, ValueError):
    """A tensor whose shape does not fit the events that it should belong to."""


class SpecError(LorentzooError, ValueError):
    """A specification that cannot be read."""


class CheckpointError(LorentzooError, RuntimeError):
    """A saved model that is missing, damaged, or of another network."""


class ExportError(LorentzooError, RuntimeError):
    """A model that cannot be exported, or whose exported form gives other numbers."""


class PluginError(LorentzooError, ImportError):
    """A plugin that could not be loaded."""


class MissingFileError(LorentzooError, FileNotFoundError):
    """A file that is not there, or a pattern that matches none."""


class MissingExtraError(LorentzooError, ImportError):
    """An optional dependency that is not installed."""


class NoClosedFormError(LorentzooError, ValueError):
    """A composition for which the closed form of a published network does not hold."""


class NoDensityError(LorentzooError, NotImplementedError):
    """A generator that can be drawn from, but has no density that could be evaluated."""


class NotFittedError(LorentzooError, RuntimeError):
    """Statistics that were used before `model.fit_statistics`."""


class FittedError(LorentzooError, RuntimeError):
    """Statistics that would be fitted once more, which changes what a trained model predicts."""


class SymmetryError(LorentzooError, AssertionError):
    """A model whose measured symmetry differs from the computed one."""


class StudyError(LorentzooError, ValueError):
    """A study that cannot be read or makes no sense."""


class TrainingError(LorentzooError, RuntimeError):
    """A training that cannot go on."""


class StoppedElsewhere(TrainingError):
    """Another process of the same training stopped, and says why."""


class RunError(LorentzooError, RuntimeError):
    """A run directory that is missing, unfinished or damaged."""


class CardWarning(UserWarning):
    """A README.md that is not a card as it was written, and is kept under another name."""


class RenamedWarning(FutureWarning):
    """An old name of a component or a parameter, which is read until a date."""


class UnitsWarning(UserWarning):
    """Momenta that look as if they were given in other units."""


class ExportWarning(UserWarning):
    """An exported form that could not be compared with its model here."""


class InputsWarning(UserWarning):
    """Events that are far from those on which a model was fitted."""


class ClassesWarning(UserWarning):
    """Training events that are all of one class."""


class DensityWarning(UserWarning):
    """A density is not all that its name says: not of physical momenta alone, or not known for some events."""

"""Which numbers of a jet's constituent does a network see, whatever the experiment calls them?

Names and forms are those of JetClass, so that a network takes jets of one format as those of another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.readers.jetclass import Particles
from lorentzoo.data.readers.source import EventFileError

__all__ = ["choose_features", "make_features", "quantities_of"]

_ELECTRON: Final = 11
_MUON: Final = 13
_PHOTON: Final = 22

Values = Mapping[str, NDArray[Any]]


def _charged_hadron(of: Values) -> NDArray[Any]:
    return (of["charge"] != 0) & ~np.isin(np.abs(of["pdg"]), [_ELECTRON, _MUON])


def _neutral_hadron(of: Values) -> NDArray[Any]:
    return (of["charge"] == 0) & (of["pdg"] != _PHOTON)


def _displacement(quantity: str) -> Callable[[Values], NDArray[Any]]:
    # Without a track there is no impact parameter; files hold -1, 0 or whatever they like there.
    return lambda of: np.where(of["charge"] != 0, np.tanh(of[quantity]), 0.0)


def _error(quantity: str) -> Callable[[Values], NDArray[Any]]:
    return lambda of: np.where(of["charge"] != 0, np.clip(of[quantity], 0, 1), 0.0)


_PID: Final[dict[str, tuple[tuple[str, ...], Callable[[Values], NDArray[Any]]]]] = {
    "charge": (("charge",), lambda of: of["charge"]),
    "is_charged_hadron": (("charge", "pdg"), _charged_hadron),
    "is_neutral_hadron": (("charge", "pdg"), _neutral_hadron),
    "is_photon": (("pdg",), lambda of: of["pdg"] == _PHOTON),
    "is_electron": (("pdg",), lambda of: np.abs(of["pdg"]) == _ELECTRON),
    "is_muon": (("pdg",), lambda of: np.abs(of["pdg"]) == _MUON),
}
_DISPLACEMENTS: Final[dict[str, tuple[tuple[str, ...], Callable[[Values], NDArray[Any]]]]] = {
    "tanh_d0": (("charge", "d0"), _displacement("d0")),
    "d0_error": (("charge", "d0_error"), _error("d0_error")),
    "tanh_dz": (("charge", "dz"), _displacement("dz")),
    "dz_error": (("charge", "dz_error"), _error("dz_error")),
}
_ALL: Final = {**_PID, **_DISPLACEMENTS}
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "fourmomenta": (),
    "pid": tuple(_PID),
    "displacements": tuple(_DISPLACEMENTS),
    "default": tuple(_ALL),
}


def choose_features(
    path: Path, features: Particles, there: Sequence[str], called: Mapping[str, str]
) -> tuple[str, ...]:
    """Names of the numbers of each constituent.

    Parameters
    ----------
    path
        The file.
    features
        ``"fourmomenta"`` (none), ``"pid"``, ``"displacements"``; ``"default"`` is what there is of both.
    there
        Quantities that the file has: ``charge``, ``pdg``, ``d0``, ``d0_error``, ``dz``, ``dz_error``.
    called
        What the file calls each of them, for errors.

    Raises
    ------
    EventFileError
        If one is named that the file has not.
    """
    wanted = _CHOICES[features]
    lacking = list(dict.fromkeys(item for name in wanted for item in _ALL[name][0] if item not in there))
    if features == "default":
        return tuple(name for name in wanted if not set(_ALL[name][0]) & set(lacking))
    if lacking:
        columns = ", ".join(repr(called.get(item, item)) for item in lacking)
        raise EventFileError(
            path,
            f"{columns} missing, needed for features={features!r}; features='default' takes what there is, "
            "'fourmomenta' nothing",
        )
    return wanted


def make_features(names: Sequence[str], values: Values, count: int) -> NDArray[np.float32]:
    """Numbers of each constituent (P, S).

    Parameters
    ----------
    names
        As `choose_features` gives them.
    values
        Quantities (P,): impact parameters and their errors in mm.
    count
        P.
    """
    found = np.zeros((count, len(names)), np.float32)
    for place, name in enumerate(names):
        found[:, place] = _ALL[name][1](values)
    return found


def quantities_of(names: Sequence[str]) -> tuple[str, ...]:
    """Quantities that features of these names are made of."""
    return tuple(dict.fromkeys(item for name in names for item in _ALL[name][0]))

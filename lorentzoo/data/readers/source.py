"""What is a file of events, and what may be wrong with it?"""

from __future__ import annotations

import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lorentzoo.core.cloud import Units
from lorentzoo.core.errors import LorentzooError, MissingExtraError
from lorentzoo.data.ragged import event_index, gather, hardest

__all__ = ["EventFileError", "Events", "Source", "check_units", "find_bad", "need", "require_columns"]

_LIGHT_CONE_TOLERANCE = 1e-5
"""Part of its energy by which float32 storage may put a massless particle outside the light cone."""
_LARGEST_GEV, _SMALLEST_GEV = 7_000.0, 1.0
"""Medians of jet transverse momenta that no collider of hadrons has had in GeV."""


class EventFileError(LorentzooError, ValueError):
    """A file of events cannot be used: missing columns, other units, damaged, or values that are no events."""

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        self.path = Path(path)
        self.reason = reason
        super().__init__(f"{self.path}: {reason}")


@dataclass(frozen=True, eq=False)
class Events:
    """Consecutive events of a file, without padding.

    Attributes
    ----------
    momenta : ndarray, shape (P, 4), float64
        (E, px, py, pz) in the file's units.
    ptr : ndarray, shape (n + 1,), int64
        Event ``i`` owns the rows ``ptr[i]:ptr[i + 1]``.
    labels : ndarray, shape (n,), int64
    scalars : ndarray, shape (P, S), float32
    """

    momenta: NDArray[np.float64]
    ptr: NDArray[np.int64]
    labels: NDArray[np.int64]
    scalars: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def from_padded(
        cls,
        momenta: NDArray[np.floating],
        labels: NDArray[np.integer],
        scalars: NDArray[np.floating] | None = None,
        mask: NDArray[np.bool_] | None = None,
    ) -> Events:
        """Events from padded arrays (n, N, 4) and (n, N, S); without a mask (n, N), places of zeros are padding."""
        real = (np.abs(momenta) > 0).any(-1) if mask is None else mask
        # NaN is no zero: it counts as a particle, and is then found to be bad.
        real = real | np.isnan(momenta).any(-1) if mask is None else real
        ptr = np.concatenate([[0], np.cumsum(real.sum(-1))]).astype(np.int64)
        rows = (
            np.zeros((int(ptr[-1]), 0), np.float32) if scalars is None else scalars[real].astype(np.float32)
        )
        return cls(momenta[real].astype(np.float64), ptr, labels.astype(np.int64), rows)

    def choose(self, events: NDArray[np.integer]) -> Events:
        """Some of the events, in the given order."""
        rows, ptr = gather(self.ptr, events)
        return Events(self.momenta[rows], ptr, self.labels[events], self.scalars[rows])

    def keep_hardest(self, maximum: int | None) -> Events:
        """Particles by falling transverse momentum, at most `maximum` of each event."""
        rows, ptr = hardest(np.hypot(self.momenta[:, 1], self.momenta[:, 2]), self.ptr, maximum)
        return replace(self, momenta=self.momenta[rows], ptr=ptr, scalars=self.scalars[rows])

    def on_light_cone(self) -> Events:
        """Energies that rounding has put below |p| raised to |p|, in float64."""
        energy, momentum = self.momenta[:, 0], np.linalg.norm(self.momenta[:, 1:], axis=-1)
        with np.errstate(invalid="ignore"):
            rounded = (energy < momentum) & (energy >= (1 - _LIGHT_CONE_TOLERANCE) * momentum)
        momenta = self.momenta.copy()
        momenta[rounded, 0] = momentum[rounded]
        return replace(self, momenta=momenta)


class Source(ABC):
    """One file of events, read from anywhere in it; the file is opened when it is first read.

    Attributes
    ----------
    scalar_names, class_names
        Names of the columns and of the classes.
    units
        Units of the momenta in the file.
    """

    scalar_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    units: Units = "GeV"
    suffixes: ClassVar[tuple[str, ...]]
    """Endings of such files, for folders."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    @abstractmethod
    def num_events(self) -> int:
        """How many events the file holds."""

    @abstractmethod
    def read(self, start: int, stop: int) -> Events:
        """Events `start` to `stop`.

        Raises
        ------
        EventFileError
            If the file cannot be read.
        """

    def summary(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Numbers of particles and labels of events `start` to `stop`, as cheaply as the format allows."""
        events = self.read(start, stop)
        return np.diff(events.ptr), events.labels


def need(module: str, purpose: str) -> Any:
    """An optional package.

    Raises
    ------
    MissingExtraError
        Naming the extra that has it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as cause:
        raise MissingExtraError(
            f"reading {purpose} needs {(cause.name or module)!r}, which is not installed: "
            'pip install "lorentzoo[readers]"'
        ) from cause


def require_columns(path: Path, found: Iterable[str], needed: Sequence[str], purpose: str) -> None:
    """Refuse a file that lacks columns.

    Raises
    ------
    EventFileError
        Naming those that are missing, what they are for, and what there is.
    """
    present = list(found)
    missing = [name for name in needed if name not in present]
    if missing:
        raise EventFileError(
            path,
            f"{', '.join(map(repr, missing))} missing, needed for {purpose}; "
            f"the file has {', '.join(sorted(present)) or 'nothing'}",
        )


def find_bad(events: Events) -> NDArray[np.int64]:
    """Events with a value that is not finite, an energy that is not positive, or a space-like momentum."""
    energy, momentum = events.momenta[:, 0], np.linalg.norm(events.momenta[:, 1:], axis=-1)
    with np.errstate(invalid="ignore"):
        good = np.isfinite(events.momenta).all(-1) & np.isfinite(events.scalars).all(-1)
        good &= (energy > 0) & (energy >= (1 - _LIGHT_CONE_TOLERANCE) * momentum)
    return np.unique(event_index(events.ptr)[~good])


def check_units(path: Path, events: Events, units: Units) -> None:
    """Refuse momenta that look like another unit.

    Raises
    ------
    EventFileError
        Saying the median transverse momentum and the unit that it suggests.
    """
    event = event_index(events.ptr)
    px, py = (np.bincount(event, events.momenta[:, axis], len(events)) for axis in (1, 2))
    scale = {"MeV": 1e-3, "GeV": 1.0, "TeV": 1e3}[units]
    transverse = scale * np.hypot(px, py)
    transverse = transverse[np.isfinite(transverse) & (transverse > 0)]
    if not len(transverse):
        return
    median = float(np.median(transverse))
    smaller, larger = {"MeV": ("", "GeV"), "GeV": ("MeV", "TeV"), "TeV": ("GeV", "")}[units]
    for wrong, looks in ((median > _LARGEST_GEV, smaller), (median < _SMALLEST_GEV, larger)):
        if wrong and looks:
            raise EventFileError(
                path,
                f"read as {units}, the median transverse momentum of its events is {median:.3g} GeV, "
                f"which looks like {looks}; pass units={looks!r}, or check_units=False if it is right",
            )

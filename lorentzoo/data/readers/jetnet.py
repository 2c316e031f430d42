"""How are files of JetNet read? (HDF5 of padded arrays, one file a class, arXiv:2106.11535)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.readers.columns import ColumnNames
from lorentzoo.data.readers.hdf5 import HDF5File
from lorentzoo.data.readers.source import EventFileError, Events, Source, require_columns

__all__ = ["JetNet"]

_CLASSES: Final = {"g": "gluon", "q": "light_quark", "t": "top", "w": "w", "z": "z"}
_JET: Final = ("pt", "eta", "mass", "num_particles")


class JetNet(Source):
    """``g.hdf5``, ``q.hdf5``, ...: relative (η, φ, pT, mask) of 30 or 150 massless particles and (pT, η, m, n) of jets.

    The class is the file's name up to digits (``t150.hdf5`` is top). Azimuths are relative to the jet, so jets point to
    φ = 0; transverse momenta in the file are in GeV for jets and parts of it for particles.

    Columns with a number a jet are ``pt``, ``eta``, ``mass`` and ``num_particles``, and other arrays of the file.
    """

    class_names = tuple(_CLASSES.values())

    def __init__(self, path: Path, columns: ColumnNames) -> None:
        super().__init__(path, columns)
        self._file = HDF5File(path)
        name = path.stem.rstrip("0123456789")
        if name not in _CLASSES:
            raise EventFileError(
                path,
                f"the name of a JetNet file says its class ({', '.join(f'{key}.hdf5' for key in _CLASSES)}), "
                f"but {path.stem!r} is none",
            )
        self._label = list(_CLASSES).index(name)

    @cached_property
    def num_events(self) -> int:
        """Rows of both arrays."""
        needed = ["particle_features", "jet_features"]
        found = self._file.datasets()
        require_columns(self.path, found, needed, "particles and jets")
        require_columns(self.path, (*_JET, *found), self.columns.all, "target, weight, context or event_id")
        particles, jets = (self._file.dataset(name).shape for name in needed)
        if len(particles) != 3 or particles[-1] != 4 or len(jets) != 2 or jets[-1] < 4:
            raise EventFileError(
                self.path,
                f"particle_features and jet_features have shapes {particles} and {jets}, "
                "not (jets, places, 4) and (jets, 4)",
            )
        if particles[0] != jets[0]:
            raise EventFileError(self.path, f"{particles[0]} rows of particles but {jets[0]} of jets")
        return int(particles[0])

    def close(self) -> None:
        """Close the file until its next use."""
        self._file.close()

    def read(self, start: int, stop: int) -> Events:
        """Particles of events `start` to `stop`."""
        relative = self._file.rows("particle_features", start, stop).astype(np.float64)
        jets = self._file.rows("jet_features", start, stop).astype(np.float64)
        transverse = relative[..., 2] * jets[:, None, 0]
        eta, phi = relative[..., 0] + jets[:, None, 1], relative[..., 1]
        momenta = np.stack(
            [
                transverse * np.cosh(eta),
                transverse * np.cos(phi),
                transverse * np.sin(phi),
                transverse * np.sinh(eta),
            ],
            axis=-1,
        )
        mask = (relative[..., 3] > 0.5) & ~(transverse == 0)
        return Events.from_padded(momenta, mask=mask)

    def read_classes(self, start: int, stop: int) -> NDArray[np.int64]:
        """The class that the file's name says."""
        return np.full(stop - start, self._label)

    def read_values(self, names: Sequence[str], start: int, stop: int) -> Mapping[str, NDArray[np.generic]]:
        """Features of jets by name, and rows of other arrays."""
        jets = self._file.rows("jet_features", start, stop)
        return {
            name: jets[:, _JET.index(name)] if name in _JET else self._file.rows(name, start, stop)
            for name in names
        }

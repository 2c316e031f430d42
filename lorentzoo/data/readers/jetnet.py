"""How are files of JetNet read? (HDF5 of padded arrays, one file a class, arXiv:2106.11535)"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from lorentzoo.data.readers.hdf5 import HDF5File
from lorentzoo.data.readers.source import EventFileError, Events, Source, require_columns

__all__ = ["JetNet"]

_CLASSES: Final = {"g": "gluon", "q": "light_quark", "t": "top", "w": "w", "z": "z"}


class JetNet(Source):
    """``g.hdf5``, ``q.hdf5``, ...: relative (η, φ, pT, mask) of 30 or 150 massless particles and (pT, η, m, n) of jets.

    The class is the file's name up to digits (``t150.hdf5`` is top). Azimuths are relative to the jet, so jets point to
    φ = 0; transverse momenta in the file are in GeV for jets and parts of it for particles.
    """

    class_names = tuple(_CLASSES.values())
    suffixes: ClassVar[tuple[str, ...]] = (".hdf5", ".h5")

    def __init__(self, path: Path) -> None:
        super().__init__(path)
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
        require_columns(self.path, self._file.datasets(), needed, "particles and jets")
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

    def read(self, start: int, stop: int) -> Events:
        """Events `start` to `stop`."""
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
        return Events.from_padded(momenta, np.full(len(jets), self._label), mask=mask)

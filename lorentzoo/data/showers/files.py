"""How are showers kept in files? (HDF5 as of the CaloChallenge, arXiv:2410.21611, or of LEMURS, arXiv:2509.05108)

Written are ``incident_energies`` (N, 1) in MeV and ``showers`` (N, voxels) in MeV, voxels in the order of `Grid`,
``incident_angles`` (N, 1) in radians and, as attributes, the detector and how they were made, cells of any shape in the
group ``cells`` (see `lorentzoo.data.showers.cell_files`); files of others need neither. What else is read, see
`lorentzoo.data.showers.layouts`.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lorentzoo.data.readers.hdf5 import HDF5File
from lorentzoo.data.readers.source import EventFileError, need
from lorentzoo.data.showers.cell_files import GROUP, arrays_of_cells, read_cells
from lorentzoo.data.showers.cells import CellGrid
from lorentzoo.data.showers.detectors import Detector, name_fitting
from lorentzoo.data.showers.layouts import (
    LAYOUTS,
    check_units,
    find_names,
    find_units,
    flatten_voxels,
    read_metadata,
)
from lorentzoo.data.writing import replacing

__all__ = ["BLOCK_SIZE", "ShowerFile", "Showers", "find_fitting", "holds_showers", "write_showers"]

Showers = tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]
"""Deposits (n, V) in GeV, incident energies (n,) in GeV and angles (n,) in radians."""

BLOCK_SIZE: Final = 1024
"""Showers that are read at once, at most."""
_BLOCK_VOXELS: Final = 1 << 22
"""Voxels that are read at once, at most: with the blocks that are kept, a quarter of a gigabyte."""
_BLOCKS_KEPT: Final = 16
_MEV: Final = 1000.0
_ROWS_FOR_UNITS: Final = 64
"""Showers that are read to see whether units that nobody stated can be right."""


class ShowerFile:
    """A file of showers, read in blocks.

    Parameters
    ----------
    path
        The file.
    detector
        Its geometry; by default what the file says of itself.
    units
        ``"MeV"``, ``"GeV"``, or a pair: of deposits and of incident energies. By default what attributes of the file say
        (``units``), else MeV, which is refused where it cannot be right.
    columns
        Names of its data sets by ``showers``, ``energy``, ``angle``, where they are other than those of the CaloChallenge
        or of LEMURS.

    Attributes
    ----------
    num_showers
        How many it holds.
    units
        Units of deposits and of incident energies in the file.
    notes
        What our own files say of how they were made; empty for files of others.
    particle
        Of which particle our own files say that the showers are; empty for files of others.
    block_size
        Showers that are read at once.

    Raises
    ------
    EventFileError
        Naming the file and what is wrong: a missing data set, another number of voxels, damage.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        detector: Detector | None = None,
        units: str | Sequence[str] | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> None:
        self.path = Path(path)
        self._file = HDF5File(self.path)
        if not self.path.is_file():
            raise EventFileError(path, "there is no such file; `lorentzoo data make showers` writes one")
        found = self._file.datasets()
        self._names = find_names(self.path, found, columns)
        self._angles = self._names.angle in found
        for name in (self._names.showers, self._names.energy, *([self._names.angle] if self._angles else [])):
            kind = self._file.dataset(name).dtype
            if kind.kind not in "fiu":
                raise EventFileError(path, f"{name} must hold numbers, not {kind}")
        deposits, energies = (self._file.dataset(name) for name in (self._names.showers, self._names.energy))
        self.detector = self._own_detector(deposits) if detector is None else detector
        self._check_shape(deposits.shape)
        self.num_showers = int(deposits.shape[0])
        self._check_length(self._names.energy, energies.shape, "incident energies")
        if self._angles:
            self._check_length(
                self._names.angle, self._file.dataset(self._names.angle).shape, "incident angles"
            )
        kept = read_metadata(deposits.file.attrs)
        self.notes, self.particle = (str(kept.get(name, "")) for name in ("notes", "particle"))
        voxels = self.detector.grid.num_voxels
        self.block_size = max(1, min(BLOCK_SIZE, _BLOCK_VOXELS // voxels))
        self._kept: OrderedDict[int, Showers] = OrderedDict()
        self.units = find_units(self.path, deposits, energies, units)
        if not self.units.stated:
            first = min(self.num_showers, self.block_size, _ROWS_FOR_UNITS)
            sums = flatten_voxels(self._file.rows(self._names.showers, 0, first)).astype(np.float64).sum(1)
            energy = self._numbers(self._names.energy, 0, first)
            check_units(self.path, self.units, sums, energy, self.detector.energy_range)

    def _own_detector(self, deposits: Any) -> Detector:
        """The detector that the file names."""
        own = deposits.file.attrs.get("detector")
        if own is None:
            fitting = name_fitting(tuple(deposits.shape[1:]))
            hint = f"{' or '.join(map(repr, fitting))}, which fits" if fitting else "e.g. 'calochallenge-2'"
            raise EventFileError(
                self.path,
                f"it does not say which detector its voxels belong to; pass detector=, {hint}, or geometry= with "
                "its binning file",
            )
        try:
            data = json.loads(own)
            if data["grid"] == GROUP:
                data["grid"] = read_cells(self.path).to_data()
            return Detector.from_data(data)
        except EventFileError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise EventFileError(
                self.path, f"its attribute 'detector' does not describe one ({error!r}); pass detector="
            ) from error

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        grid, cells = self.detector.grid, tuple(shape[1:])
        if len(shape) > 1 and cells in ((grid.num_voxels,), grid.box):
            return
        fitting = name_fitting(cells)
        wanted = f"{grid.num_voxels} voxels"
        if len(shape) == 4:
            wanted += (
                f", (showers, {', '.join(map(str, grid.box))})" if grid.box else ", other bins in each layer"
            )
        remedy = (
            f"they fit {' or '.join(map(repr, fitting))}" if fitting else "no detector by name has as many"
        )
        raise EventFileError(
            self.path,
            f"{self._names.showers} has shape {shape}, but {self.detector.name!r} has {wanted}; {remedy}: "
            "pass the detector to which they belong, or geometry= with its binning file",
        )

    def _check_length(self, name: str, shape: tuple[int, ...], what: str) -> None:
        if shape not in ((self.num_showers,), (self.num_showers, 1)):
            count = shape[0] if shape else 0
            raise EventFileError(
                self.path,
                f"{self.num_showers} showers but {count} {what}: {name} has shape {shape}, one number a shower is needed",
            )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": OrderedDict()}

    def rows(self, wanted: NDArray[np.int64]) -> Showers:
        """Showers by their rows, in that order.

        Raises
        ------
        EventFileError
            If they cannot be read, or hold values that are no energies.
        """
        voxels = np.zeros((len(wanted), self.detector.grid.num_voxels), np.float32)
        incident = np.zeros((2, len(wanted)))
        blocks = wanted // self.block_size
        for block in np.unique(blocks).tolist():
            here = np.flatnonzero(blocks == block)
            place = wanted[here] - block * self.block_size
            held = self._block(block)
            voxels[here] = held[0][place]
            incident[:, here] = held[1][place], held[2][place]
        return voxels, incident[0], incident[1]

    def incident(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Incident energies in GeV and angles in radians of all showers.

        Raises
        ------
        EventFileError
            If they cannot be read, or are not energies and angles.
        """
        return self._incident(0, self.num_showers)

    def _incident(self, start: int, stop: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        energy = self._numbers(self._names.energy, start, stop) / self.units.energies_in_gev
        angle = np.zeros(len(energy))
        if self._angles:
            angle = self._numbers(self._names.angle, start, stop)
        self._refuse(start, ~(np.isfinite(energy) & np.isfinite(angle)), "values that are not finite")
        self._refuse(start, energy <= 0, "no positive incident energy")
        self._refuse(start, np.abs(angle) > np.pi, "an angle that is not in radians")
        return energy, angle

    def _numbers(self, name: str, start: int, stop: int) -> NDArray[np.float64]:
        return self._file.rows(name, start, stop).astype(np.float64).reshape(-1)

    def _refuse(self, start: int, bad: ArrayLike, what: str) -> None:
        if np.any(bad):
            raise EventFileError(
                self.path,
                f"{what} in shower {start + int(np.argmax(bad))} ({int(np.sum(bad))} of {np.size(bad)} read)",
            )

    def _block(self, number: int) -> Showers:
        if number not in self._kept:
            self._kept[number] = self._read(number)
            while len(self._kept) > _BLOCKS_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(number)
        return self._kept[number]

    def _read(self, number: int) -> Showers:
        start = number * self.block_size
        stop = min(start + self.block_size, self.num_showers)
        voxels = flatten_voxels(self._file.rows(self._names.showers, start, stop)) / self.units.showers_in_gev
        energy, angle = self._incident(start, stop)
        self._refuse(start, ~np.isfinite(voxels).all(1), "values that are not finite")
        self._refuse(start, (voxels < 0).any(1), "negative energies")
        return voxels.astype(np.float32), energy, angle


def holds_showers(path: Path) -> bool:
    """Whether a file is of showers, by the names of its data sets."""
    if path.suffix not in (".h5", ".hdf5") or not path.is_file():
        return False
    found = set(HDF5File(path).datasets())
    return any({names.energy, names.showers} <= found for names in LAYOUTS.values())


def find_fitting(path: Path) -> list[str]:
    """Names of the detectors whose showers have the shape of those in a file; none where it names its own."""
    file = HDF5File(path)
    deposits = file.dataset(find_names(path, file.datasets()).showers)
    return [] if "detector" in deposits.file.attrs else name_fitting(tuple(deposits.shape[1:]))


def write_showers(
    path: str | os.PathLike[str],
    detector: Detector,
    showers: Iterable[Showers],
    count: int,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write showers as they come; the file is either complete or not there.

    Parameters
    ----------
    path
        The file.
    detector
        Their geometry, kept in the file.
    showers
        Pieces of any length.
    count
        Showers in all.
    metadata
        Further plain data, kept in the file.

    Raises
    ------
    ValueError
        If there are more or fewer showers, or other voxels.
    EventWriteError
        Naming the file, if the disk does not take it.
    """
    path, voxels = Path(path), detector.grid.num_voxels
    with replacing(path) as temporary, _create(temporary) as file:
        rows = max(1, min(count, 256, _BLOCK_VOXELS // (16 * voxels)))
        deposits = file.create_dataset(
            "showers", (count, voxels), "f4", chunks=(rows, voxels), compression="gzip"
        )
        energies = file.create_dataset("incident_energies", (count, 1), "f8")
        angles = file.create_dataset("incident_angles", (count, 1), "f8")
        data = detector.to_data()
        if isinstance(detector.grid, CellGrid):
            # Attributes cannot hold so much.
            data["grid"] = GROUP
            for name, values in arrays_of_cells(detector.grid).items():
                file.create_dataset(f"{GROUP}/{name}", data=values, compression="gzip")
        file.attrs["detector"] = json.dumps(data, sort_keys=True)
        file.attrs["metadata"] = json.dumps({"units": "MeV", **(metadata or {})}, sort_keys=True)
        done = 0
        for energy_of_voxels, energy, angle in showers:
            stop = done + len(energy)
            if stop > count or energy_of_voxels.shape != (len(energy), voxels):
                raise ValueError(
                    f"showers of shape {energy_of_voxels.shape} do not fit: {count} of {voxels} voxels were announced"
                )
            deposits[done:stop] = _MEV * energy_of_voxels
            energies[done:stop, 0], angles[done:stop, 0] = _MEV * energy, angle
            done = stop
        if done != count:
            raise ValueError(f"{count} showers were announced, but {done} came")


@contextlib.contextmanager
def _create(path: Path) -> Iterator[Any]:
    """A new HDF5 file; what the disk does not take is an error when the block ends."""
    h5py = need("h5py", "HDF5")
    with path.open("r+b", buffering=0) as disk:
        stream = _Stream(disk)
        with h5py.File(stream, "w") as file:
            yield file
        if stream.error is not None:
            raise stream.error


class _Stream:
    """A file that remembers that the disk is full instead of saying so: the HDF5 library crashes when a close fails."""

    def __init__(self, disk: FileIO) -> None:
        self._disk = disk
        self.error: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._disk, name)

    def write(self, payload: bytes) -> int:
        """Write all of it, or remember why not."""
        left = memoryview(payload)
        try:
            while left:
                left = left[self._disk.write(left) :]
        except OSError as error:
            self.error = self.error or error
        return len(payload)

    def truncate(self, size: int) -> int:
        """Change the size, or remember why not."""
        try:
            return self._disk.truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size

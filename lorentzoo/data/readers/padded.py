"""How are padded arrays in an ``.npz`` file read, without holding them whole?"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from lorentzoo.data.readers.columns import ColumnNames, as_names
from lorentzoo.data.readers.handles import PerProcess
from lorentzoo.data.readers.source import (
    EventFileError,
    Events,
    Source,
    check_classes,
    check_size,
    require_columns,
)

__all__ = ["PaddedNPZ", "list_arrays"]

_BYTES_AT_A_TIME = 1 << 24
_ORDER = ("E", "px", "py", "pz")


class PaddedNPZ(Source):
    """Arrays (n, N, 4) of momenta, (n,) of labels and, if wanted, (n, N, S) of scalars and (n, N) of a mask.

    Parameters
    ----------
    path
        The file. Blocks of an uncompressed one (``np.savez``) are found at once; a compressed one is unpacked from its
        beginning whenever an earlier block is wanted.
    columns
        As for `Source`: arrays (n,) or (n, k). Without a target, the class is in `labels`.
    momenta, labels, scalars, mask
        Names of the arrays; `scalars` and `mask` may be None. Without a mask, places of zeros are padding.
    class_names
        Names of the classes; ``class_0``, ... up to the largest label by default.
    order
        Order of the components in the file, separated by commas, or as a list.
    """

    def __init__(
        self,
        path: Path,
        columns: ColumnNames,
        momenta: str = "momenta",
        labels: str = "labels",
        scalars: str | None = None,
        mask: str | None = None,
        class_names: Sequence[str] = (),
        order: str | Sequence[str] = "E,px,py,pz",
    ) -> None:
        super().__init__(path, columns)
        self._names = {"momenta": momenta, "scalars": scalars, "mask": mask}
        if not columns.target:
            self._names["labels"] = labels
        components = [part.strip() for item in as_names(order) for part in item.split(",")]
        if sorted(components) != sorted(_ORDER):
            raise ValueError(f"order must name E, px, py and pz, separated by commas, not {order!r}")
        self._components = [components.index(name) for name in _ORDER]
        self._arrays: dict[str, _Rows] = {}
        _ = self.num_events
        if scalars is not None:
            self.scalar_names = tuple(
                f"{scalars}_{number}" for number in range(self._rows(scalars).shape[-1])
            )
        if columns.target:
            return
        self.classes_counted = not class_names
        self.class_names = tuple(class_names)
        if not class_names:
            largest = int(self.read_classes(0, self.num_events).max(initial=-1))
            self.class_names = tuple(f"class_{number}" for number in range(largest + 1))

    @cached_property
    def num_events(self) -> int:
        """Rows of the arrays."""
        wanted = [name for name in self._names.values() if name is not None]
        found = _list_names(self.path)
        require_columns(self.path, found, wanted, "events (choose others with momenta=..., labels=...)")
        require_columns(self.path, found, self.columns.all, "target, weight, context or event_id")
        shapes = {role: self._rows(name).shape for role, name in self._names.items() if name is not None}
        rows, places = shapes["momenta"][:1], shapes["momenta"][1:2]
        expected = {"momenta": (*rows, *places, 4), "labels": rows, "mask": (*rows, *places)}
        for role, shape in shapes.items():
            fits = (
                shape[:2] == (*rows, *places) and len(shape) == 3
                if role == "scalars"
                else shape == expected[role] and len(shape) == {"momenta": 3, "labels": 1, "mask": 2}[role]
            )
            if not fits:
                raise EventFileError(
                    self.path,
                    f"{self._names[role]!r} has shape {shape}, which is not {role} of padded events",
                )
        for name in self.columns.all:
            if self._rows(name).shape[:1] != rows:
                raise EventFileError(
                    self.path,
                    f"{name!r} has shape {self._rows(name).shape}, not one row an event ({rows[0]})",
                )
        return int(rows[0])

    def read(self, start: int, stop: int) -> Events:
        """Particles of events `start` to `stop`."""
        momenta = self._role("momenta", start, stop)
        assert momenta is not None
        mask = self._role("mask", start, stop)
        return Events.from_padded(
            momenta[..., self._components],
            self._role("scalars", start, stop),
            None if mask is None else mask.astype(bool),
        )

    def read_classes(self, start: int, stop: int) -> NDArray[np.int64]:
        """The array of labels."""
        labels, name = self._role("labels", start, stop), self._names["labels"]
        assert labels is not None
        return check_classes(self.path, start, labels, self.class_names, str(name))

    def read_values(self, names: Sequence[str], start: int, stop: int) -> Mapping[str, NDArray[np.generic]]:
        """Rows of arrays."""
        return {name: self._rows(name).read(start, stop) for name in names}

    def close(self) -> None:
        """Close the file until its next use."""
        for rows in self._arrays.values():
            rows.close()

    def settings(self) -> Mapping[str, Any]:
        """Which arrays are read, and how."""
        return {"names": self._names, "order": self._components}

    def _role(self, role: str, start: int, stop: int) -> NDArray[Any] | None:
        name = self._names[role]
        return None if name is None else self._rows(name).read(start, stop)

    def _rows(self, name: str) -> _Rows:
        if name not in self._arrays:
            self._arrays[name] = _Rows(self.path, name)
        return self._arrays[name]


def list_arrays(path: Path) -> dict[str, str]:
    """Type and shape of every array of an npz file, by name.

    Raises
    ------
    EventFileError
        If it is not one, or damaged.
    """
    rows = {name: _Rows(path, name) for name in _list_names(path)}
    return {name: f"{array.dtype} {array.shape}" for name, array in rows.items()}


def _list_names(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    except (OSError, zipfile.BadZipFile) as error:
        raise EventFileError(
            path, f"not an npz file, or truncated ({error}); copy or download it again"
        ) from error


class _Rows:
    """Rows of one array of an npz file, read as a stream."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self._stream = PerProcess(partial(_open_member, path, name))
        with self._guarded():
            stream = self._stream()
            version = npy_format.read_magic(stream)
            header = (
                npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
            )
            self.shape, fortran, self.dtype = header(stream)
            self._begin = stream.tell()
            with zipfile.ZipFile(path) as archive:
                stored = archive.getinfo(f"{name}.npy").file_size - self._begin
        if fortran or self.dtype.hasobject:
            raise EventFileError(
                path, f"{name!r} is stored by columns or as objects; save it with np.savez anew"
            )
        declared = int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize
        if declared != stored:
            raise EventFileError(
                path,
                f"{name!r} declares shape {self.shape}, {declared} bytes, but {stored} are stored; copy it again",
            )
        if self.shape:
            check_size(path, self.shape[0], self._row_bytes)

    @property
    def _row_bytes(self) -> int:
        return int(np.prod(self.shape[1:], dtype=object)) * self.dtype.itemsize

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`, in the byte order of this machine."""
        row = self._row_bytes
        with self._guarded():
            stream = self._stream()
            stream.seek(self._begin + start * row)
            left, parts = (stop - start) * row, []
            while left:
                part = stream.read(min(left, _BYTES_AT_A_TIME))
                if not part:
                    raise EOFError(f"{self.name!r} ends {left} bytes too early")
                parts.append(part)
                left -= len(part)
        rows = np.frombuffer(b"".join(parts), self.dtype).reshape(stop - start, *self.shape[1:])
        return rows.astype(self.dtype.newbyteorder("="), copy=False)

    def close(self) -> None:
        """Close the stream until its next use."""
        self._stream.close()

    def _guarded(self) -> _Guard:
        return _Guard(self.path)


def _open_member(path: Path, name: str) -> IO[bytes]:
    # The archive is closed when its last open member is.
    with zipfile.ZipFile(path) as archive:
        return archive.open(f"{name}.npy")


class _Guard:
    """Turns whatever a damaged archive raises into one error that names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            raise EventFileError(
                self.path, f"truncated or damaged ({error}); copy or download it again"
            ) from error

"""How are padded arrays in an ``.npz`` file read, without holding them whole?"""

from __future__ import annotations

import zipfile
from functools import cached_property
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from lorentzoo.data.readers.source import EventFileError, Events, Source, require_columns

__all__ = ["PaddedNPZ"]

_BYTES_AT_A_TIME = 1 << 24


class PaddedNPZ(Source):
    """Arrays (n, N, 4) of momenta, (n,) of labels and, if wanted, (n, N, S) of scalars and (n, N) of a mask.

    Parameters
    ----------
    path
        The file. Blocks of an uncompressed one (``np.savez``) are found at once; a compressed one is unpacked from its
        beginning whenever an earlier block is wanted.
    momenta, labels, scalars, mask
        Names of the arrays; `scalars` and `mask` may be None. Without a mask, places of zeros are padding.
    class_names
        Names of the classes; ``class_0``, ... up to the largest label by default.
    order
        Order of the components in the file.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".npz",)

    def __init__(
        self,
        path: Path,
        momenta: str = "momenta",
        labels: str = "labels",
        scalars: str | None = None,
        mask: str | None = None,
        class_names: tuple[str, ...] = (),
        order: str = "E,px,py,pz",
    ) -> None:
        super().__init__(path)
        self._names = {"momenta": momenta, "labels": labels, "scalars": scalars, "mask": mask}
        components = [part.strip() for part in order.split(",")]
        if sorted(components) != sorted(("E", "px", "py", "pz")):
            raise ValueError(f"order must name E, px, py and pz, separated by commas, not {order!r}")
        self._components = [components.index(name) for name in ("E", "px", "py", "pz")]
        self._read_arrays: dict[str, _Rows] = {}
        _ = self.num_events
        if scalars is not None:
            self.scalar_names = tuple(f"{scalars}_{number}" for number in range(self._shape("scalars")[-1]))
        self.class_names = class_names or tuple(
            f"class_{number}" for number in range(self._largest_label + 1)
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_read_arrays": {}}

    @cached_property
    def num_events(self) -> int:
        """Rows of the arrays."""
        wanted = [name for name in self._names.values() if name is not None]
        try:
            with zipfile.ZipFile(self.path) as archive:
                found = [name.removesuffix(".npy") for name in archive.namelist()]
        except (OSError, zipfile.BadZipFile) as error:
            raise EventFileError(
                self.path, f"no npz file, or truncated ({error}); copy or download it again"
            ) from error
        require_columns(self.path, found, wanted, "events (choose others with momenta=..., labels=...)")
        shapes = {role: self._shape(role) for role, name in self._names.items() if name is not None}
        rows, places = shapes["momenta"][0], shapes["momenta"][1:2]
        expected = {"momenta": (rows, *places, 4), "labels": (rows,), "mask": (rows, *places)}
        for role, shape in shapes.items():
            fits = (
                shape[:2] == (rows, *places) and len(shape) == 3
                if role == "scalars"
                else shape == expected[role]
            )
            if not fits:
                raise EventFileError(
                    self.path, f"{self._names[role]!r} has shape {shape}, which is no {role} of padded events"
                )
        return int(rows)

    @cached_property
    def _largest_label(self) -> int:
        return int(self._rows("labels").read(0, self.num_events).max(initial=0))

    def read(self, start: int, stop: int) -> Events:
        """Events `start` to `stop`."""
        momenta = self._rows("momenta").read(start, stop)[..., self._components]
        scalars = None if self._names["scalars"] is None else self._rows("scalars").read(start, stop)
        mask = None if self._names["mask"] is None else self._rows("mask").read(start, stop).astype(bool)
        return Events.from_padded(momenta, self._rows("labels").read(start, stop), scalars, mask)

    def _shape(self, role: str) -> tuple[int, ...]:
        return self._rows(role).shape

    def _rows(self, role: str) -> _Rows:
        if role not in self._read_arrays:
            name = self._names[role]
            assert name is not None
            self._read_arrays[role] = _Rows(self.path, name)
        return self._read_arrays[role]


class _Rows:
    """Rows of one array of an npz file, read as a stream."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        with self._guarded():
            # Open for as long as the object lives: every block is read from it.
            self._stream: IO[bytes] = zipfile.ZipFile(path).open(f"{name}.npy")  # noqa: SIM115
            version = npy_format.read_magic(self._stream)
            header = (
                npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
            )
            self.shape, fortran, self.dtype = header(self._stream)
            self._begin = self._stream.tell()
        if fortran or self.dtype.hasobject:
            raise EventFileError(
                path, f"{name!r} is stored by columns or as objects; save it with np.savez anew"
            )

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        row = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        with self._guarded():
            self._stream.seek(self._begin + start * row)
            left, parts = (stop - start) * row, []
            while left:
                part = self._stream.read(min(left, _BYTES_AT_A_TIME))
                if not part:
                    raise EOFError(f"{self.name!r} ends {left} bytes too early")
                parts.append(part)
                left -= len(part)
        return np.frombuffer(b"".join(parts), self.dtype).reshape(stop - start, *self.shape[1:])

    def _guarded(self) -> _Guard:
        return _Guard(self.path)


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

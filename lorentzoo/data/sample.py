"""How is a sample of jets stored in one file, and how is it read back exactly?

A sample is one compressed ``.npz`` without any pickled object. Particles of all events stand one after
another (no padding); ``ptr`` says where each event begins. Only three-momenta are stored, in float32, with
one byte per particle that points into a table of masses: ``E = sqrt(p² + m²)`` is then computed in float64,
so that every particle is on its mass shell to double precision. Energies stored in float32 would miss it by
5e-5 at γ = 10, and by far more at higher boosts.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lorentzoo.core.errors import LorentzooError, MissingFileError
from lorentzoo.data.ragged import gather
from lorentzoo.data.writing import replacing

__all__ = [
    "FORMAT_VERSION",
    "SPLITS",
    "Sample",
    "SampleFileError",
    "concatenate",
    "is_sample",
    "round_mantissa",
]

FORMAT_VERSION = 3
SPLITS = ("train", "validation", "test")
"""Names of the split codes 0, 1 and 2."""

_DTYPES: dict[str, type[np.generic]] = {
    "momenta": np.float32,
    "mass_codes": np.uint8,
    "masses": np.float64,
    "species": np.int32,
    "scalars": np.float32,
    "ptr": np.int64,
    "labels": np.int64,
    "event_ids": np.int64,
    "weights": np.float64,
    "splits": np.uint8,
}
_OPTIONAL: dict[str, type[np.generic]] = {
    "free_masses": np.float32,
    "targets": np.float64,
    "context": np.float64,
}
"""Arrays that are in the file only where they hold anything."""
_SINCE = {"free_masses": 2, "targets": 3, "context": 3}
"""Format in which an optional array came; a file is of the lowest format that can hold it."""
_PER_PARTICLE = ("momenta", "mass_codes", "scalars")
_PER_EVENT = ("labels", "event_ids", "weights", "splits")
_EVENT_VALUES = ("targets", "context")
_TWO_DIMENSIONAL = ("momenta", "scalars", *_EVENT_VALUES)


class SampleFileError(LorentzooError, ValueError):
    """A sample file cannot be used: truncated, corrupt, of another format, or inconsistent."""

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        self.path = Path(path)
        self.reason = reason
        super().__init__(
            f"cannot read the sample {self.path}: {reason}. "
            "Make it again (`lorentzoo data make`) or copy it again."
        )


@dataclass(frozen=True, eq=False)
class Sample:
    """Labelled jets or events, as they are stored: no padding, no pickle.

    Attributes
    ----------
    momenta : ndarray, shape (P, 3), float32
        Three-momenta (px, py, pz) in GeV; within each event by falling transverse momentum.
    mass_codes : ndarray, shape (P,), uint8
        Row of each particle in `masses` and `species`.
    masses : ndarray, shape (M,), float64
        Masses in GeV.
    species : ndarray, shape (M,), int32
        Absolute PDG numbers that belong to `masses`.
    ptr : ndarray, shape (B + 1,), int64
        Event ``i`` owns the particles ``ptr[i]:ptr[i + 1]``.
    labels : ndarray, shape (B,), int64
        Class of each event, an index into `class_names`.
    event_ids : ndarray, shape (B,), int64
        Identifier of the generated event. Jets of one event share it, and so share a split.
    weights : ndarray, shape (B,), float64
        Event weights of either sign; 1 for unweighted samples.
    splits : ndarray, shape (B,), uint8
        0 train, 1 validation, 2 test (`SPLITS`).
    scalars : ndarray, shape (P, S), float32
        Further numbers per particle, named by ``metadata["scalar_names"]``; S may be 0.
    metadata : mapping
        Plain JSON data: generator and versions, settings, seed, selection, class names, counts, notes.
    free_masses : ndarray, shape (P,), float32
        Masses in GeV of particles without a species (jets), instead of those of the table; shape (0,) without any.
    targets : ndarray, shape (B, D), float64
        Values that may be predicted instead of the class, named by ``metadata["target_names"]``, with
        ``metadata["target_units"]``; shape (0, 0) without any.
    context : ndarray, shape (B, C), float64
        Numbers of each event, named by ``metadata["context_names"]``; shape (0, 0) without any.
    """

    momenta: NDArray[np.float32]
    mass_codes: NDArray[np.uint8]
    masses: NDArray[np.float64]
    species: NDArray[np.int32]
    ptr: NDArray[np.int64]
    labels: NDArray[np.int64]
    event_ids: NDArray[np.int64]
    weights: NDArray[np.float64]
    splits: NDArray[np.uint8]
    scalars: NDArray[np.float32]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    free_masses: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    targets: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    context: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))

    def __post_init__(self) -> None:
        problem = _inconsistency(self)
        if problem:
            raise ValueError(f"inconsistent sample: {problem}")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the labels."""
        return tuple(self.metadata.get("class_names", ()))

    @property
    def scalar_names(self) -> tuple[str, ...]:
        """Names of the columns of `scalars`."""
        return tuple(self.metadata.get("scalar_names", ()))

    @property
    def target_names(self) -> tuple[str, ...]:
        """Names of the columns of `targets`."""
        return tuple(self.metadata.get("target_names", ()))

    @property
    def target_units(self) -> tuple[str, ...]:
        """Units of the columns of `targets`; empty where unknown."""
        return tuple(self.metadata.get("target_units", ()))

    @property
    def context_names(self) -> tuple[str, ...]:
        """Names of the columns of `context`."""
        return tuple(self.metadata.get("context_names", ()))

    def event_values(self) -> dict[str, NDArray[np.generic]]:
        """Every column with a number an event (B,), by name: targets, context, ``label``, ``weight``, ``event_id``."""
        found: dict[str, NDArray[np.generic]] = {
            "label": self.labels,
            "weight": self.weights,
            "event_id": self.event_ids,
        }
        for names, columns in ((self.target_names, self.targets), (self.context_names, self.context)):
            found |= dict(zip(names, columns.T, strict=True))
        return found

    def four_momenta(self) -> NDArray[np.float64]:
        """Four-momenta (E, px, py, pz) in GeV, shape (P, 4), on shell in float64."""
        momenta = self.momenta.astype(np.float64)
        free = self.free_masses.astype(np.float64)
        masses = free if len(free) else self.masses[self.mass_codes]
        energy = np.sqrt(np.square(momenta).sum(axis=1) + np.square(masses))
        return np.concatenate([energy[:, None], momenta], axis=1)

    def take(self, indices: NDArray[np.integer]) -> Sample:
        """Events `indices` (shape (b,)), in that order, as a new sample."""
        positions, ptr = gather(self.ptr, indices)
        chosen = {name: getattr(self, name)[positions] for name in _PER_PARTICLE}
        chosen |= {
            name: getattr(self, name)[indices if name in _EVENT_VALUES else positions]
            for name in self._optional
        }
        chosen |= {name: getattr(self, name)[indices] for name in _PER_EVENT}
        return replace(self, ptr=ptr, **chosen)

    @property
    def _optional(self) -> dict[str, type[np.generic]]:
        return {name: dtype for name, dtype in _OPTIONAL.items() if len(getattr(self, name))}

    def checksum(self) -> str:
        """SHA-256 over names, shapes and contents of all arrays and over the metadata."""
        digest = hashlib.sha256()
        for name, dtype in {**_DTYPES, **self._optional}.items():
            array = np.ascontiguousarray(getattr(self, name), dtype=np.dtype(dtype).newbyteorder("<"))
            digest.update(f"{name}{array.shape}".encode())
            digest.update(array.tobytes())
        digest.update(_to_json(self.metadata))
        return digest.hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to `path` atomically: the file is either complete or not there.

        The bytes depend on the contents only (no time stamps), so equal samples are equal files.

        Raises
        ------
        EventWriteError
            Naming the file, if the disk does not take it.
        """
        path = Path(path)
        lowest = max((_SINCE[name] for name in self._optional), default=1)
        header = {"format": lowest, "checksum": self.checksum()}
        arrays = {name: getattr(self, name) for name in (*_DTYPES, *self._optional) if name != "momenta"}
        with replacing(path) as temporary, open(temporary, "wb") as stream:
            np.savez_compressed(
                stream,
                allow_pickle=False,
                header=np.frombuffer(_to_json(header), np.uint8),
                metadata=np.frombuffer(_to_json(self.metadata), np.uint8),
                momenta=_to_planes(self.momenta),
                **arrays,
            )
            stream.flush()
            os.fsync(stream.fileno())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Sample:
        """Read a sample and check it.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        SampleFileError
            If the file is truncated, corrupt, inconsistent, or of a newer format.
        """
        if not Path(path).is_file():
            raise MissingFileError(f"there is no sample file {path}")
        try:
            with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as archive:
                missing = sorted({"header", "metadata", *_DTYPES} - set(archive.files))
                if missing:
                    raise SampleFileError(path, f"not a sample of lorentzoo, it lacks {', '.join(missing)}")
                header = json.loads(archive["header"].tobytes())
                metadata = json.loads(archive["metadata"].tobytes())
                stored = {**_DTYPES, **{k: v for k, v in _OPTIONAL.items() if k in archive.files}}
                arrays = {name: archive[name] for name in stored}
                arrays["momenta"] = _from_planes(arrays["momenta"])
        except (SampleFileError, PermissionError):
            raise
        except Exception as cause:  # on damaged bytes zipfile, zlib, numpy and json raise a dozen kinds
            raise SampleFileError(path, f"the file is truncated or corrupt ({cause})") from cause
        if header.get("format", 0) > FORMAT_VERSION:
            raise SampleFileError(
                path, f"its format {header['format']} is newer than {FORMAT_VERSION}; update lorentzoo"
            )
        wrong = [name for name, dtype in stored.items() if arrays[name].dtype != np.dtype(dtype)]
        if wrong:
            raise SampleFileError(path, f"wrong number types in {', '.join(wrong)}")
        try:
            sample = cls(metadata=metadata, **arrays)
        except ValueError as cause:
            raise SampleFileError(path, str(cause)) from cause
        if sample.checksum() != header.get("checksum"):
            raise SampleFileError(path, "its contents do not match its checksum")
        return sample


def is_sample(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a sample, or was one before it was damaged: an ``.npz`` that is not somebody else's."""
    if Path(path).suffix != ".npz" or not Path(path).is_file():
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return {"header.npy", "metadata.npy"} <= set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return True


def concatenate(samples: Sequence[Sample], metadata: Mapping[str, Any]) -> Sample:
    """Join samples that share one mass table; `metadata` describes the result."""
    if not samples:
        raise ValueError("nothing to concatenate: give at least one sample")
    first = samples[0]
    if any(not np.array_equal(first.masses, sample.masses) for sample in samples):
        raise ValueError("samples with different mass tables cannot be joined")
    joined = {
        name: np.concatenate([getattr(s, name) for s in samples])
        for name in (*_PER_PARTICLE, *_PER_EVENT, *_OPTIONAL)
    }
    lengths = np.concatenate([np.diff(sample.ptr) for sample in samples])
    ptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return replace(first, ptr=ptr, metadata=metadata, **joined)


def round_mantissa(values: NDArray[np.floating], bits: int) -> NDArray[np.float32]:
    """Nearest float32 with `bits` explicit bits of mantissa (relative error at most ``2**-(bits + 1)``).

    Rounded numbers compress: their low bits are zero. With 14 bits the error is 3e-5, far below any
    detector's resolution, and the mass shell stays exact: energies are computed from the rounded momenta.
    """
    single = np.asarray(values, dtype=np.float32)
    if not 1 <= bits <= 23:
        raise ValueError(f"bits must lie in 1...23 (the mantissa of float32), not {bits}")
    if bits == 23:
        return single
    mantissa, exponent = np.frexp(single)
    scale = np.float32(2.0 ** (bits + 1))
    return np.ldexp(np.rint(mantissa * scale) / scale, exponent).astype(np.float32)


def _inconsistency(sample: Sample) -> str | None:
    """First thing that is wrong with the shapes and codes of a sample, or None."""
    num_particles, num_events = len(sample.momenta), len(sample.labels)
    ndim = {f.name: getattr(sample, f.name).ndim for f in fields(sample) if f.name != "metadata"}
    for name, dimension in ndim.items():
        if dimension != (2 if name in _TWO_DIMENSIONAL else 1):
            return f"{name} has {dimension} dimensions"
    if sample.momenta.shape[1] != 3:
        return f"momenta have {sample.momenta.shape[1]} components instead of 3"
    for name in _PER_PARTICLE:
        if len(getattr(sample, name)) != num_particles:
            return f"{name} has {len(getattr(sample, name))} rows for {num_particles} particles"
    for name in _PER_EVENT:
        if len(getattr(sample, name)) != num_events:
            return f"{name} has {len(getattr(sample, name))} rows for {num_events} events"
    if len(sample.free_masses) not in (0, num_particles):
        return f"free_masses has {len(sample.free_masses)} rows for {num_particles} particles"
    if not (np.isfinite(sample.free_masses).all() and (sample.free_masses >= 0).all()):
        return "free masses are not finite, or negative"
    ptr = sample.ptr
    if len(ptr) != num_events + 1 or ptr[0] != 0 or ptr[-1] != num_particles or (np.diff(ptr) < 0).any():
        return "ptr does not rise from 0 to the number of particles"
    if num_particles and sample.mass_codes.max() >= len(sample.masses):
        return "a mass code points outside the mass table"
    if len(sample.masses) != len(sample.species):
        return "masses and species differ in length"
    if num_events and sample.splits.max() >= len(SPLITS):
        return "unknown split code"
    if sample.scalars.shape[1] != len(sample.scalar_names):
        return f"{sample.scalars.shape[1]} scalars with {len(sample.scalar_names)} names"
    for name, names in (("targets", sample.target_names), ("context", sample.context_names)):
        values = getattr(sample, name)
        if len(values) not in (0, num_events) or (len(values) and values.shape[1] != len(names)):
            return f"{name} of shape {values.shape} with {len(names)} names for {num_events} events"
    if sample.target_units and len(sample.target_units) != len(sample.target_names):
        return f"{len(sample.target_units)} units for {len(sample.target_names)} targets"
    for name in ("momenta", "weights", *_EVENT_VALUES):
        if not np.isfinite(getattr(sample, name)).all():
            return f"{name} are not finite"
    return None


def _to_planes(momenta: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Bytes of the momenta by component and significance, shape (3, 4, P), a fifth smaller when packed.

    The bytes that hold sign and exponent resemble each other from particle to particle; low bytes do not.
    """
    little_endian = np.ascontiguousarray(momenta.T, dtype="<f4")
    return np.ascontiguousarray(little_endian.view(np.uint8).reshape(3, -1, 4).swapaxes(1, 2))


def _from_planes(planes: NDArray[np.uint8]) -> NDArray[np.float32]:
    if planes.ndim != 3 or planes.shape[:2] != (3, 4) or planes.dtype != np.uint8:
        raise ValueError(f"momenta are stored as bytes of shape (3, 4, P), not {planes.dtype} {planes.shape}")
    components = np.ascontiguousarray(planes.swapaxes(1, 2)).view("<f4")[..., 0]
    return np.ascontiguousarray(components.T, dtype=np.float32)


def _to_json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()

"""How are points and their |M|² made in pieces that can be kept, extended and resumed?

Chunk i of a recipe is the same whoever makes it and whenever: its random numbers come from the seed and i alone. A longer
data set of the same recipe therefore begins with the shorter one, and a making that was interrupted goes on where it was.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from lorentzoo.densities import Cuts
from lorentzoo.nn import ProgressLine, cache_folder, write_atomically
from lorentzoo.plugins.amplitudes.errors import AmplitudeError
from lorentzoo.plugins.amplitudes.phase_space.densities import Density
from lorentzoo.plugins.amplitudes.phase_space.points import Points, Sampler, draw_points
from lorentzoo.plugins.amplitudes.processes import Couplings, Process

__all__ = ["Recipe", "Truth", "make_points", "read_values"]

Truth = Callable[[Tensor], Tensor]
"""|M|² or any other function of momenta (B, N, 4) in GeV, shape (B,)."""

VERSION: Final = 1
"""To be raised when the same recipe makes other points or other values."""
_CHUNK: Final = 4096
_SMALL_CHUNKS: Final = {4: 1024, 5: 128}
"""Points of a chunk by multiplicity: a second's work or less, and part of what a recipe means."""
_SILENT: Final = 16
"""So many chunks are made without a word."""


@dataclass(frozen=True)
class Recipe:
    """All that decides which points are made.

    Attributes
    ----------
    process, multiplicity
        What is made.
    seed
        Of the random numbers.
    low, high, density
        Bounds and density of √s, in GeV.
    cuts
        On the outgoing particles.
    couplings
        Couplings and masses.
    sampler
        Who maps random numbers to momenta.
    """

    process: Process
    multiplicity: int
    seed: int
    low: float
    high: float
    density: Density
    cuts: Cuts
    couplings: Couplings = field(default_factory=Couplings)
    sampler: Sampler = "rambo"

    @property
    def label(self) -> str:
        """Name of the process with its multiplicity."""
        return f"{self.process.name} n={self.multiplicity}" if self.process.repeated else self.process.name

    @property
    def chunk_size(self) -> int:
        """Points of a chunk."""
        return _SMALL_CHUNKS.get(self.multiplicity, _CHUNK) if self.process.repeated else _CHUNK

    def describe(self) -> dict[str, Any]:
        """All of it as plain data; equal recipes have equal descriptions."""
        # Chunks of the default are named as before there was another.
        other = {} if self.sampler == "rambo" else {"sampler": self.sampler}
        return {
            **other,
            "version": VERSION,
            "process": self.process.name,
            "multiplicity": self.multiplicity,
            "seed": self.seed,
            "sqrt_s": [self.low, self.high],
            "density": repr(self.density),
            # Infinity is not JSON.
            "cuts": {name: str(value) for name, value in asdict(self.cuts).items()},
            "couplings": asdict(self.couplings),
            "chunk": self.chunk_size,
        }

    def fingerprint(self) -> str:
        """Short hash of the description, 16 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.describe(), sort_keys=True).encode()).hexdigest()[:16]

    def make(self, number: int, truth: Truth | None = None) -> tuple[Points, Tensor]:
        """The points of a chunk and their values.

        Raises
        ------
        AmplitudeError
            If the truth returns something else than a finite number for each point.
        """
        rng = torch.Generator().manual_seed(_mix(self.seed, number))
        masses = self.process.outgoing_masses(self.multiplicity, self.couplings)
        points = draw_points(
            masses,
            self.chunk_size,
            rng,
            low=self.low,
            high=self.high,
            density=self.density,
            cuts=self.cuts,
            sampler=self.sampler,
        )
        if truth is None:
            value = self.process.squared(points.momenta, self.couplings)
        else:
            value = read_values(truth(points.momenta), len(points.momenta), f"truth of {self.label}")
        bad = (~torch.isfinite(value)).nonzero()
        if len(bad):
            first = int(bad[0])
            raise AmplitudeError(
                f"the truth of {self.label} is {float(value[first])} at {len(bad)} of {len(value)} points, first at "
                f"momenta {_format_momenta(points.momenta[first])}; cut such points out, or mend the function"
            )
        return points, value


def _format_momenta(momenta: Tensor) -> str:
    """Momenta (N, 4) with six digits."""
    return "; ".join(", ".join(f"{value:.6g}" for value in row) for row in momenta.tolist())


def read_values(values: Any, count: int, what: str) -> Tensor:
    """What a function of a user returns for so many points, as float64 (B,) without its gradient.

    Raises
    ------
    AmplitudeError
        If it is not a tensor with a number for each point.
    """
    if not isinstance(values, Tensor) or values.shape != (count,):
        given = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else f"a {type(values).__name__}"
        raise AmplitudeError(
            f"the {what} must return a tensor with one number for each of {count} points, not {given}"
        )
    return values.detach().to(torch.float64)


def make_points(
    recipe: Recipe, count: int, *, truth: Truth | None = None, cache: bool = True, workers: int = 1
) -> tuple[Points, Tensor]:
    """The first `count` points of a recipe and their values, as far as possible from the cache.

    Parameters
    ----------
    recipe
        What to make.
    count
        Points wanted.
    truth
        A function that is evaluated instead of the process's own. Its values are not kept.
    cache
        Whether to read and write the cache.
    workers
        Threads that make chunks; points do not depend on it.

    Raises
    ------
    AmplitudeError
        As in `Recipe.make`, and if the cache holds other points under this name.
    """
    numbers = range(-(-count // recipe.chunk_size))
    store = _Store(recipe) if cache and truth is None else None
    kept = {number: store.load(number) for number in numbers} if store else dict.fromkeys(numbers)
    missing = [number for number, chunk in kept.items() if chunk is None]

    def make(number: int) -> tuple[Points, Tensor]:
        chunk = recipe.make(number, truth)
        if store is not None:
            store.save(number, *chunk)
        return chunk

    total = len(missing) * recipe.chunk_size
    with ProgressLine(recipe.label, show=len(missing) > _SILENT, total=total, items="points") as line:
        for number, chunk in zip(missing, _make_all(make, missing, workers), strict=True):
            kept[number] = chunk
            line.count(recipe.chunk_size)
    chunks = [kept[number] for number in numbers]
    points = [chunk[0] for chunk in chunks if chunk is not None]
    values = torch.cat([chunk[1] for chunk in chunks if chunk is not None])
    made = len(values)
    joined = Points(
        torch.cat([part.momenta for part in points])[:count],
        torch.cat([part.weight for part in points])[:count],
        round(sum(part.tried for part in points) * count / made),
    )
    return joined, values[:count]


def _make_all(
    make: Callable[[int], tuple[Points, Tensor]], numbers: list[int], workers: int
) -> Iterator[tuple[Points, Tensor]]:
    if workers == 1 or len(numbers) < 2:
        yield from map(make, numbers)
        return
    # Threads suffice: torch works outside of Python's lock.
    with ThreadPoolExecutor(min(workers, len(numbers))) as pool:
        futures = [pool.submit(make, number) for number in numbers]
        try:
            for future in futures:
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class _Store:
    """Chunks of a recipe in a folder of the cache, one file each."""

    recipe: Recipe

    def _path(self, number: int) -> Path:
        name = f"{self.recipe.process.name}-{self.recipe.multiplicity}-{self.recipe.fingerprint()}"
        return cache_folder() / "amplitudes" / name / f"{number:06d}.npz"

    def _settings(self) -> str:
        return json.dumps(self.recipe.describe(), sort_keys=True)

    def save(self, number: int, points: Points, value: Tensor) -> None:
        """Write a chunk, completely or not at all.

        Raises
        ------
        AmplitudeError
            Naming the folder, if it does not take the file.
        """
        stream = io.BytesIO()
        np.savez(
            stream,
            settings=np.frombuffer(self._settings().encode(), np.uint8),
            momenta=points.momenta.numpy(),
            weight=points.weight.numpy(),
            tried=np.array(points.tried),
            value=value.numpy(),
        )
        path = self._path(number)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, stream.getvalue())
        except OSError as cause:
            raise AmplitudeError(
                f"the cache {path.parent} does not take {path.name} ({cause}); set LORENTZOO_CACHE to another folder, or "
                "pass cache=False"
            ) from cause

    def load(self, number: int) -> tuple[Points, Tensor] | None:
        """Read a chunk; None where there is none, or only a damaged one, which is made again.

        Raises
        ------
        AmplitudeError
            If the file is of another recipe.
        """
        path = self._path(number)
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in ("momenta", "weight", "tried", "value", "settings")}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        if arrays["settings"].tobytes() != self._settings().encode():
            raise AmplitudeError(
                f"{path} holds points of other settings than its name says; remove {path.parent} if you do not need them"
            )
        points = Points(
            torch.from_numpy(arrays["momenta"]), torch.from_numpy(arrays["weight"]), int(arrays["tried"])
        )
        return points, torch.from_numpy(arrays["value"])


def _mix(seed: int, number: int) -> int:
    """One 63-bit seed for each pair of seed and chunk."""
    state = np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))

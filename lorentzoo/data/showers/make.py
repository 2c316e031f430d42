"""What does ``lorentzoo data make showers`` do?"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lorentzoo.data.showers.detectors import Detector, detector_of_geometry, find_detector
from lorentzoo.data.showers.files import ShowerFile, Showers, find_fitting, write_showers
from lorentzoo.data.showers.simulate import draw_incident, require_particle, simulate_showers
from lorentzoo.data.workers import run_in_workers
from lorentzoo.data.writing import only_one_maker
from lorentzoo.output.progress import ProgressLine

__all__ = ["configured", "describe_showers", "make_showers", "notes_of", "simulated"]

_OF_ELECTRONS = (
    "Parametrised showers after Grindhammer and Peters (hep-ex/0001020): gamma-distributed profiles with fluctuating "
    "parameters, sampling fluctuations and energy spots. No simulation of particles in matter."
)
_OF_HADRONS = (
    "Parametrised hadronic showers: longitudinal profile after Bock et al. (Nucl. Instrum. Meth. 186 (1981) 533), "
    "electromagnetic part after Gabriel and Groom (Nucl. Instrum. Meth. A 338 (1994) 336), its spread after Grindhammer "
    "and Peters (hep-ex/0001020). No simulation of particles in matter."
)
_CHUNK = 250


def notes_of(particle: str) -> str:
    """How showers of a particle are made."""
    return _OF_ELECTRONS if particle == "electron" else _OF_HADRONS


def configured(
    detector: str,
    energy_min: float | None = None,
    energy_max: float | None = None,
    max_angle: float | None = None,
    geometry: str | None = None,
) -> Detector:
    """A detector by name, with another range of incident energies (GeV) or angles (radians) if wanted.

    With `geometry` its cells are those of a file, see `detector_of_geometry`.

    Raises
    ------
    ValueError
        If no detector is called so, or showers cannot be made in it.
    """
    found = find_detector(detector)
    if geometry is not None:
        found = detector_of_geometry(geometry, like=found)
    if not found.depths_known:
        raise ValueError(
            f"no shower can be made in {found.name!r}: how deep its layers lie is not known; it is for files (path=)"
        )
    low, high = found.energy_range
    return replace(
        found,
        energy_range=(low if energy_min is None else energy_min, high if energy_max is None else energy_max),
        max_angle=found.max_angle if max_angle is None else max_angle,
    )


def simulated(
    detector: Detector, count: int, seed: int, workers: int = 1, particle: str = "electron"
) -> Iterator[Showers]:
    """Showers in pieces; they depend on detector, count and seed only, not on the number of workers."""
    sizes = [min(_CHUNK, count - start) for start in range(0, count, _CHUNK)]
    work = [(detector, size, seed, number, particle) for number, size in enumerate(sizes)]
    yield from run_in_workers(_chunk, work, workers, in_order=True)


def _chunk(detector: Detector, count: int, seed: int, number: int, particle: str) -> Showers:
    rng = np.random.default_rng([seed, number])
    energy, angle = draw_incident(detector, count, rng)
    return simulate_showers(detector, energy, angle, rng, particle), energy, angle


def make_showers(
    *,
    showers: int,
    seed: int,
    out: str | os.PathLike[str],
    detector: str = "tungsten-silicon",
    energy_min: float | None = None,
    energy_max: float | None = None,
    max_angle: float | None = None,
    geometry: str | None = None,
    particle: str = "electron",
    workers: int = 1,
    progress: bool = True,
) -> Path:
    """Generate parametrised showers and write them to a file in the layout of the CaloChallenge.

    Parameters
    ----------
    showers
        How many.
    seed
        Equal arguments give equal showers, whatever the number of workers.
    out
        File to write, ``*.hdf5``.
    detector
        Name of the calorimeter.
    energy_min, energy_max
        Incident energies in GeV, drawn with a flat logarithm; those of the detector by default.
    max_angle
        Largest polar angle in radians; that of the detector by default.
    geometry
        File of cells of any shape (``.npz``, HDF5), see `lorentzoo.data.showers.cell_files`; `detector` then says of what
        the layers are made.
    particle
        ``"electron"``, or ``"pion"`` for hadronic showers.
    workers
        Processes to use.
    progress
        Show how far along it is.
    """
    out = Path(out)
    if out.suffix not in (".hdf5", ".h5"):
        raise ValueError(f"showers are kept in HDF5; write to {out.with_suffix('.hdf5')} instead of {out}")
    made = configured(detector, energy_min, energy_max, max_angle, geometry)
    require_particle(particle)
    metadata: dict[str, Any] = {
        "name": "showers",
        "seed": seed,
        "particle": particle,
        "notes": notes_of(particle),
        "reference": "hep-ex/0001020",
    }
    with ProgressLine("showers", show=progress, total=showers, items="showers") as line:

        def counted() -> Generator[Showers, None, None]:
            for piece in simulated(made, showers, seed, workers, particle):
                line.count(len(piece[1]))
                yield piece

        with only_one_maker(out), contextlib.closing(counted()) as pieces:
            write_showers(out, made, pieces, showers, metadata)
    return out


def describe_showers(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a file of showers holds, as plain data: the first block of it is read.

    Of a file that names no detector ``detector`` is None, and ``fits`` is the only one whose cells are as many.

    Raises
    ------
    EventFileError
        Naming the file and what is wrong, also where it names no detector and none or several fit.
    """
    fits = find_fitting(Path(path))
    file = ShowerFile(path, find_detector(fits[0]) if len(fits) == 1 else None)
    voxels, energy, angle = file.rows(np.arange(min(file.num_showers, file.block_size)))
    grid = file.detector.grid
    sizes = [layer.num_voxels for layer in grid.layers]
    described: dict[str, Any] = {
        "path": str(path),
        "bytes": Path(path).stat().st_size,
        "showers": file.num_showers,
        **({"detector": None, "fits": fits[0]} if fits else {"detector": file.detector.name}),
        "units": str(file.units) if file.units.stated else f"{file.units} (not stated)",
        **({"particle": file.particle} if file.particle else {}),
        "layers": grid.num_layers,
        "voxels": grid.num_voxels,
        "voxels_of_a_layer": [min(sizes), max(sizes)],
    }
    if len(energy):
        described |= {
            "incident_energy_gev": [float(energy.min()), float(energy.max())],
            "largest_angle": float(angle.max()),
            "mean_energy_ratio": float((voxels.sum(1) / energy).mean()),
            "empty_voxels": float((voxels == 0).mean()),
        }
    return described

"""How do showers of one or of several detectors become batches of patches?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorentzoo.core.cloud import Batch, ParticleCloud
from lorentzoo.data.events import EventData, Split
from lorentzoo.data.readers.columns import as_names
from lorentzoo.data.readers.source import EventFileError
from lorentzoo.data.showers.detectors import Detector, detector_of_geometry, find_detector
from lorentzoo.data.showers.files import BLOCK_SIZE, ShowerFile, Showers
from lorentzoo.data.showers.make import configured, notes_of, simulated
from lorentzoo.data.showers.patches import SLOTS, Patches, incident_context
from lorentzoo.data.showers.simulate import require_particle
from lorentzoo.data.splits import stratified_splits
from lorentzoo.nn.patches import INCIDENT, PLACE, voxel_names

__all__ = ["ShowerArrays", "ShowerData", "showers"]

_ROWS_PER_PART = 1 << 32
_MOST_SHOWERS: Final = 1_000_000
"""Made on the spot, of one detector."""
_VALUES: Final = {"incident_energy": "GeV", "incident_angle": "rad"}
"""What of the incident particle can be a target, and its unit."""


class _Part(Protocol):
    """Showers of one detector, in a file or in memory."""

    detector: Detector
    num_showers: int
    block_size: int
    notes: str

    def rows(self, wanted: NDArray[np.int64]) -> Showers: ...

    def incident(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...


class ShowerArrays:
    """Showers of one detector in memory.

    Parameters
    ----------
    detector
        Their geometry.
    voxels
        Deposits in GeV, (n, V).
    energy, angle
        Incident energies in GeV and polar angles in radians, (n,).
    notes
        How they were made.
    """

    def __init__(
        self,
        detector: Detector,
        voxels: NDArray[np.floating],
        energy: NDArray[np.float64],
        angle: NDArray[np.float64] | None = None,
        notes: str = "",
    ) -> None:
        if voxels.ndim != 2 or voxels.shape[1] != detector.grid.num_voxels:
            raise ValueError(
                f"showers in {detector.name!r} have {detector.grid.num_voxels} voxels, but these are of shape "
                f"{voxels.shape}"
            )
        self.detector, self.num_showers, self.block_size = detector, len(voxels), BLOCK_SIZE
        self.notes = notes
        self._voxels = voxels.astype(np.float32)
        self._energy = np.asarray(energy, np.float64)
        self._angle = np.zeros(len(voxels)) if angle is None else np.asarray(angle, np.float64)
        if self._energy.shape != (len(voxels),) or self._angle.shape != (len(voxels),):
            raise ValueError(
                f"{len(voxels)} showers need as many energies and angles, not {self._energy.shape} and "
                f"{self._angle.shape}"
            )

    def rows(self, wanted: NDArray[np.int64]) -> Showers:
        """Showers by their rows."""
        return self._voxels[wanted], self._energy[wanted], self._angle[wanted]

    def incident(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Incident energies in GeV and angles in radians of all showers."""
        return self._energy, self._angle


class ShowerData(EventData):
    """Showers as clouds of patches; the class of each is its detector, unless a value is the target.

    Parameters
    ----------
    parts
        Showers of one detector each; one detector may have several.
    slots
        Cells of a patch, those beyond a detector's own being empty.
    target
        Values to predict instead of the detector: ``incident_energy`` (GeV), ``incident_angle``.
    """

    _per_event: ClassVar[tuple[str, ...]] = (*EventData._per_event, "_part", "_row")

    def __init__(self, parts: Sequence[_Part], slots: int = SLOTS, target: Sequence[str] = ()) -> None:
        if not parts:
            raise ValueError("give the showers of at least one detector")
        unknown = [name for name in target if name not in _VALUES]
        if unknown:
            raise ValueError(f"target must be of {', '.join(_VALUES)}, not {', '.join(unknown)}")
        grids = {part.detector.name: part.detector.grid for part in parts}
        for part in parts:
            if part.detector.grid != grids[part.detector.name]:
                raise ValueError(
                    f"two detectors with other cells are called {part.detector.name!r}; give each a name of its own"
                )
        self.slots, self._parts = slots, list(parts)
        self.detectors = tuple(dict.fromkeys(part.detector.name for part in parts))
        self._patches = [Patches.of(part.detector, slots) for part in parts]
        counts = [part.num_showers for part in parts]
        self._part = torch.from_numpy(np.repeat(np.arange(len(parts)), counts))
        self._row = torch.from_numpy(np.concatenate([np.arange(count) for count in counts]))
        self.lengths = torch.tensor([len(patches) for patches in self._patches])[self._part]
        detector = torch.tensor([self.detectors.index(part.detector.name) for part in parts])[self._part]
        incident = [part.incident() for part in parts]
        self.context = torch.cat(
            [incident_context(part.detector, *columns) for part, columns in zip(parts, incident, strict=True)]
        )
        if target:
            values = torch.from_numpy(np.concatenate([np.stack(columns, axis=1) for columns in incident]))
            chosen = values[:, [list(_VALUES).index(name) for name in target]]
            self.target = chosen[:, 0] if len(target) == 1 else chosen
            self.target_names = tuple(target)
            self.target_units = tuple(_VALUES[name] for name in target)
        else:
            self.target, self.class_names = detector, self.detectors
        self.weight = torch.ones(len(self.target), dtype=torch.float64)
        self.event_id = self._part * _ROWS_PER_PART + self._row
        splits = stratified_splits(detector.numpy(), self.event_id.numpy())
        self.splits = torch.from_numpy(splits.astype(np.int64))
        if any(isinstance(part, ShowerFile) for part in parts):
            sizes = np.array([part.block_size for part in parts])
            starts = np.cumsum([0, *-(-np.array(counts) // sizes)])[:-1]
            self.block = (
                torch.from_numpy(starts)[self._part] + self._row // torch.from_numpy(sizes)[self._part]
            )
        self.units = "GeV"
        self.scalar_names = (*voxel_names(slots), *PLACE)
        self.context_names = INCIDENT
        self.num_scalars, self.num_context = len(self.scalar_names), len(INCIDENT)
        notes = " ".join(dict.fromkeys(part.notes for part in parts if part.notes))
        self.metadata: dict[str, Any] = {"notes": notes, "detectors": list(self.detectors)}

    def detector(self, name: str | None = None) -> Detector:
        """The detector of this name; without one there must be only one."""
        names = self.detectors if name is None else (name,)
        found = [part.detector for part in self._parts if part.detector.name in names]
        if not found or (name is None and len(names) > 1):
            raise ValueError(f"detector must be one of {', '.join(self.detectors)}, not {name!r}")
        return found[0]

    def all_detectors(self) -> tuple[Detector, ...]:
        """The detectors, in the order of their names."""
        return tuple(self.detector(name) for name in self.detectors)

    def gather(self, chosen: Tensor) -> Batch:
        """Showers `chosen` (shape (b,)), in that order, as a packed batch."""
        lengths = self.lengths[chosen]
        ptr = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        momenta = torch.zeros(int(ptr[-1]), 4, dtype=torch.float64)
        scalars = torch.zeros(int(ptr[-1]), self.num_scalars, dtype=torch.float64)
        part = self._part[chosen]
        for number in part.unique().tolist():
            here = (part == number).nonzero().squeeze(1)
            voxels, _, _ = self._parts[number].rows(self._row[chosen[here]].numpy())
            patches = self._patches[number]
            rows = ptr[here].unsqueeze(1) + torch.arange(len(patches))
            momenta[rows], scalars[rows] = patches.rows(voxels)
        cloud = ParticleCloud.from_packed(
            momenta,
            ptr,
            scalars,
            self.context[chosen],
            units="GeV",
            scalar_names=self.scalar_names,
            context_names=self.context_names,
            validate=False,
        )
        return Batch(cloud, self.target[chosen], self.weight[chosen], self.event_id[chosen])

    def showers(self, detector: str | None = None) -> Showers:
        """Deposits (n, V), incident energies and angles of all showers in one detector, in their order."""
        name = self.detector(detector).name
        found = [
            self._parts[part].rows(self._row[self._part == part].numpy())
            for part in self._part.unique().tolist()
            if self._parts[part].detector.name == name
        ]
        if not found:
            raise ValueError(f"no shower of this choice is in {name!r}")
        voxels, energy, angle = (np.concatenate(columns) for columns in zip(*found, strict=True))
        return voxels, energy, angle


def showers(
    detector: str | Sequence[str] | None = None,
    split: Split | None = None,
    num_showers: int | None = None,
    path: str | Sequence[str] | None = None,
    seed: int = 1,
    slots: int = SLOTS,
    energy_min: float | None = None,
    energy_max: float | None = None,
    max_angle: float | None = None,
    target: str | Sequence[str] | None = None,
    geometry: str | None = None,
    particle: str | None = None,
    units: str | Sequence[str] | None = None,
    columns: Mapping[str, str] | None = None,
) -> ShowerData:
    """Parametrised showers, electromagnetic ones after Grindhammer and Peters or hadronic ones, or files of showers.

    Without `path` they are made on the spot, the same for the same arguments: a few hundred a second. They are no
    simulation of particles in matter, and not comparable with results on such. With `path`, files in the layout of the
    CaloChallenge (arXiv:2410.21611) or of LEMURS (arXiv:2509.05108) are read in blocks.

    Parameters
    ----------
    detector
        Name or names: ``lead-argon``, ``tungsten-silicon`` (the default), ``iron-scintillator``, ``lead-tungstate``,
        ``calochallenge-2``, ``calochallenge-3``; of cells of other shapes ``tungsten-hexagons``, ``hgcal-like``,
        ``lar-like``, ``tile-like``. Of files, where they do not say it themselves, also
        ``calochallenge-1-photons``, ``calochallenge-1-pions``.
    split
        ``"train"``, ``"validation"`` or ``"test"``; None takes all.
    num_showers
        How many of each detector before the split, 1,000 by default; of files the first ones of each, all by default.
    path
        A file or several.
    seed
        Of showers made on the spot.
    slots
        Cells of a patch; all data sets of one network need the same.
    energy_min, energy_max, max_angle
        Incident energies (GeV) and largest polar angle of showers made on the spot; those of the detector by default.
    target
        Values to predict instead of the detector: ``"incident_energy"``, ``"incident_angle"``, or both.
    geometry
        Binning file of the CaloChallenge (XML), or file of cells of any shape (``.npz``, HDF5; see
        `lorentzoo.data.showers.cell_files`), with the cells of the files. Where they are those of no detector by name,
        `detector` says of what the layers are made; a binning file does not say how deep they lie. Without `path` showers
        are made in the cells of such a file.
    particle
        Of showers made on the spot: ``"electron"`` (the default), or ``"pion"`` for hadronic showers. Of files, name or
        number of the particle in the binning file, if it has several.
    units
        Of files: ``"MeV"``, ``"GeV"``, or a pair: of deposits and of incident energies. By default what attributes of the
        file say, else MeV, which is refused where it cannot be right.
    columns
        Names of the data sets in files by ``showers``, ``energy``, ``angle``, where they are other than those of the two
        layouts.

    Raises
    ------
    EventFileError, ValueError
        Naming the file or the parameter, and what is wrong.
    """
    names = [detector] if isinstance(detector, str) else list(detector or [])
    parts: list[_Part] = []
    if path is None:
        if (units, columns) != (None, None):
            raise ValueError("units and columns are of files: give their path")
        require_particle(particle or "electron")
        count = 1000 if num_showers is None else num_showers
        if count < 1:
            raise ValueError(f"num_showers must be at least 1, not {num_showers}")
        if count > _MOST_SHOWERS:
            raise ValueError(
                f"at most {_MOST_SHOWERS} showers are made in memory, not {count}: see `data make`"
            )
        for name in names or ["tungsten-silicon"]:
            made = configured(name, energy_min, energy_max, max_angle, geometry)
            pieces = simulated(made, count, seed, particle=particle or "electron")
            voxels, energy, angle = (np.concatenate(column) for column in zip(*pieces, strict=True))
            parts.append(ShowerArrays(made, voxels, energy, angle, notes_of(particle or "electron")))
    else:
        if (energy_min, energy_max, max_angle) != (None, None, None):
            raise ValueError(
                "energy_min, energy_max and max_angle are of showers made on the spot, not of files"
            )
        paths = [path] if isinstance(path, str) else list(path)
        if len(names) not in (0, 1, len(paths)):
            raise ValueError(f"{len(paths)} files need one detector each, or one for all, not {len(names)}")
        stated: list[Detector | None] = [find_detector(name) for name in names] or [None]
        if geometry is not None:
            stated = [detector_of_geometry(geometry, particle, own) for own in stated]
        elif particle is not None:
            raise ValueError("particle is of a binning file: give geometry")
        stated = stated * (len(paths) if len(stated) == 1 else 1)
        parts += [ShowerFile(file, own, units, columns) for file, own in zip(paths, stated, strict=True)]
    data = ShowerData(parts, slots, as_names(target))
    if path is not None and num_showers is not None:
        short = [part for part in parts if part.num_showers < num_showers]
        if short:
            assert isinstance(short[0], ShowerFile)
            raise EventFileError(short[0].path, f"it holds {short[0].num_showers} showers, not {num_showers}")
        data = data.subset(data._row < num_showers)
    return data if split is None else data.split(split)

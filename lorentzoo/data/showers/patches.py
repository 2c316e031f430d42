"""How do the voxels of a detector become patches, and how do they come back?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.data.showers.detectors import Detector
from lorentzoo.nn.patches import INCIDENT, PLACE, fill_patches, take_columns, voxel_names

__all__ = ["SLOTS", "Patches", "detectors_of", "empty_showers", "incident_context", "voxels_of"]

SLOTS = 24
"""Cells of the largest patch of the named detectors."""
_ROUNDED: Final = 1e-4
"""By how much places of one patch may differ, as float32."""


@dataclass(frozen=True, eq=False)
class Patches:
    """Blocks of cells of a detector, layer after layer.

    A patch holds neighbouring cells of one layer, so that a layer's energy is shared by whole patches: bins in the angle
    and in the radius of a `Grid`, which stand as voxels do, or what balanced bisection of a `CellGrid` leaves together,
    from the nearest to the axis to the farthest. Its place is the range of radii and angles that it takes, whatever
    the shape of its cells.

    Attributes
    ----------
    voxel
        Voxel of each cell, -1 behind the last one of the patch, shape (K, S).
    place
        Columns of `PLACE`, shape (K, 9).
    direction
        Unit vector to its middle from where particles come, shape (K, 3).
    """

    voxel: NDArray[np.int64]
    place: NDArray[np.float64]
    direction: NDArray[np.float64]

    @classmethod
    def of(cls, detector: Detector, slots: int = SLOTS) -> Patches:
        """The patches of a detector.

        Raises
        ------
        ValueError
            If they hold more cells than `slots`.
        """
        grid, most = detector.grid, detector.grid.check_patch(detector.patch)
        if most > slots:
            raise ValueError(
                f"patches of {detector.name!r} hold up to {' x '.join(map(str, detector.patch))}"
                f"{f' = {most}' if len(detector.patch) > 1 else ''} cells, more than slots={slots}: give more slots, or "
                "the detector smaller patches"
            )
        length, moliere = detector.medium.radiation_length, detector.medium.moliere_radius
        voxels, places, directions = [], [], []
        for number, layer in enumerate(grid.layers):
            middle = 0.5 * (layer.z_low + layer.z_high)
            for block in grid.blocks(number, detector.patch):
                count = len(block.cells)
                voxels.append(np.pad(block.cells, (0, slots - count), constant_values=-1))
                directions.append([block.x, block.y, detector.distance + middle])
                places.append(
                    [
                        number,
                        count,
                        block.radii,
                        middle / length,
                        (layer.z_high - layer.z_low) / length,
                        block.r_low / moliere,
                        block.r_high / moliere,
                        block.alpha,
                        block.span,
                    ]
                )
        towards = np.array(directions)
        towards /= np.linalg.norm(towards, axis=1, keepdims=True)
        return cls(np.stack(voxels).astype(np.int64), np.array(places, np.float64), towards)

    def __len__(self) -> int:
        return len(self.voxel)

    def rows(self, voxels: NDArray[np.floating]) -> tuple[Tensor, Tensor]:
        """Momenta (n, K, 4) and scalars (n, K, S + 9) of showers (n, V), in float64."""
        padded = np.concatenate([np.asarray(voxels, np.float64), np.zeros((len(voxels), 1))], axis=1)
        energies = torch.from_numpy(padded[:, self.voxel])
        place = torch.from_numpy(self.place).expand(len(voxels), -1, -1)
        directions = torch.from_numpy(self.direction).expand(len(voxels), -1, -1)
        return fill_patches(energies, directions), torch.cat([energies, place], dim=-1)

    def voxels(self, energies: NDArray[np.floating]) -> NDArray[np.float64]:
        """Showers (n, V) from the energies of the cells of their patches (n, K, S)."""
        found = np.zeros((len(energies), int(self.voxel.max()) + 1))
        real = self.voxel >= 0
        found[:, self.voxel[real]] = energies[:, real]
        return found


def incident_context(detector: Detector, energy: NDArray[np.float64], angle: NDArray[np.float64]) -> Tensor:
    """Columns of `INCIDENT` of showers of these incident energies (GeV) and angles, shape (n, 9), float64."""
    medium = detector.medium
    fixed = [
        np.log(detector.max_ratio),
        np.log(detector.threshold),
        np.log(medium.sampling_fraction),
        detector.resolution,
        1.0 / medium.sampling_frequency,
        medium.charge / 100.0,
        np.log(medium.moliere_radius / medium.radiation_length),
    ]
    columns = [np.log(energy), angle, *(np.full(len(energy), value) for value in fixed)]
    return torch.from_numpy(np.stack(columns, axis=1))


def empty_showers(
    detector: Detector, energy: ArrayLike, angle: ArrayLike = 0.0, slots: int = SLOTS
) -> ParticleCloud:
    """Showers without deposits: the condition of a generator.

    Parameters
    ----------
    detector
        The calorimeter.
    energy, angle
        Incident energies in GeV and polar angles, of shape (n,) or one for all.
    slots
        As in the training data.
    """
    energies, angles = np.broadcast_arrays(
        np.atleast_1d(np.asarray(energy, np.float64)), np.asarray(angle, np.float64)
    )
    if not (energies > 0).all():
        raise ValueError("incident energies must be positive")
    patches = Patches.of(detector, slots)
    momenta, scalars = patches.rows(np.zeros((len(energies), detector.grid.num_voxels)))
    return ParticleCloud.from_packed(
        momenta.flatten(0, 1),
        len(patches) * torch.arange(len(energies) + 1),
        scalars.flatten(0, 1),
        incident_context(detector, energies, angles),
        scalar_names=(*voxel_names(slots), *PLACE),
        context_names=INCIDENT,
        validate=False,
    )


def detectors_of(cloud: ParticleCloud, detectors: Sequence[Detector]) -> NDArray[np.int64]:
    """Which of some detectors each shower of a cloud is in, (n,); -1 where it has the patches of none of them."""
    cloud = cloud.to_packed()
    counts = cloud.multiplicity().cpu().numpy()
    found, places, rows = np.full(len(counts), -1), _places(cloud), np.repeat(np.arange(len(counts)), counts)
    slots = max(1, cloud.scalars.shape[-1] - len(PLACE))
    for number, detector in enumerate(detectors):
        patches = Patches.of(detector, slots)
        chosen = (counts == len(patches)) & (found < 0)
        own = places[chosen[rows]].reshape(-1, *patches.place.shape)
        found[
            np.flatnonzero(chosen)[np.isclose(own, patches.place, rtol=_ROUNDED, atol=_ROUNDED).all((1, 2))]
        ] = number
    return found


def _places(cloud: ParticleCloud) -> NDArray[np.float64]:
    """Columns of `PLACE` of all patches, (P, 9)."""
    place = take_columns(cloud.scalars, cloud.scalar_names, PLACE, "scalars of the cloud")
    found: NDArray[np.float64] = place.detach().double().cpu().numpy()
    return found


def voxels_of(cloud: ParticleCloud, detector: Detector) -> NDArray[np.float64]:
    """Deposits in all voxels in GeV, (n, V), of a cloud of showers in one detector.

    Raises
    ------
    ValueError
        If the cloud has other patches than the detector.
    """
    cloud = cloud.to_packed()
    slots = cloud.scalars.shape[-1] - len(PLACE)
    patches = Patches.of(detector, max(slots, 1))
    energies = take_columns(cloud.scalars, cloud.scalar_names, voxel_names(slots), "scalars of the cloud")
    if not bool((cloud.multiplicity() == len(patches)).all()):
        raise ValueError(
            f"{detector.name!r} has {len(patches)} patches, but the showers of the cloud have "
            f"{sorted(set(cloud.multiplicity().tolist()))}"
        )
    found = _places(cloud).reshape(-1, *patches.place.shape)
    if not np.allclose(found, patches.place, rtol=_ROUNDED, atol=_ROUNDED):
        shower, patch, column = np.argwhere(~np.isclose(found, patches.place, rtol=_ROUNDED, atol=_ROUNDED))[
            0
        ]
        raise ValueError(
            f"the showers of the cloud lie in other cells than those of {detector.name!r}: {PLACE[column]} of "
            f"patch {patch} is {found[shower, patch, column]:.6g}, not {patches.place[patch, column]:.6g}"
        )
    return patches.voxels(energies.detach().double().cpu().numpy().reshape(-1, len(patches), slots))

"""What does the generator see of a cloud of showers, and which numbers flow?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from lorentzoo import Packed, ParticleCloud
from lorentzoo.nn import INCIDENT, PLACE, take_columns, voxel_names
from lorentzoo.plugins.calorimeter.cells import fill_empty
from lorentzoo.plugins.calorimeter.structure import Structure, ratios_of_energies

__all__ = ["POSITIONS", "Numbers", "Showers"]

POSITIONS: Final = ("depth", "thickness", "r_low", "r_high", "alpha")
_PLACE_SCALE: Final = (0.1, 0.05, 0.2, 0.1, 0.5, 0.5, 0.5, 0.3, 0.3)
"""Factors that make the columns of `PLACE` numbers of order one."""
_INCIDENT_SHIFT: Final = (3.0, 0.15, -1.0, -7.0, -2.0, 0.0, 0.0, 0.0, 0.8)
_INCIDENT_SCALE: Final = (0.5, 6.0, 0.7, 0.5, 0.7, 8.0, 2.0, 1.0, 2.0)
"""The same for `INCIDENT`. They are fixed, not fitted: a detector that comes later must look the same to a network."""
_NEAREST: Final = 1e-6
"""Relative distance from the largest energy that noise in empty layers may not cross."""


@dataclass(frozen=True, eq=False)
class Numbers:
    """Showers as they flow.

    Attributes
    ----------
    layer
        Energies of layers in GeV, without noise, (T,).
    ratios
        Of layers, see `ratios_of_energies`, (T,).
    cells
        ln(E / threshold), (P, S).
    counts
        Which cells count in the loss: those of layers with energy, (P, S).
    """

    layer: Tensor
    ratios: Tensor
    cells: Tensor
    counts: Tensor


@dataclass(frozen=True, eq=False)
class Showers:
    """A packed cloud of showers of P patches in T layers, its columns found by name.

    Attributes
    ----------
    cloud, layout, structure
        The cloud, which patch belongs to which event, and to which layer.
    energies, real
        Of cells in GeV, and which cells there are, (P, S).
    place, positions, layer_positions
        Columns of `PLACE` at order one (P, 9), positions of patches (P, 5), depth and thickness of layers (T, 2).
    context
        Columns of `INCIDENT` at order one, (B, 9).
    threshold, layer_threshold
        In GeV, (P, 1) and (T,).
    maximum
        What no shower exceeds, GeV, (B,).
    first_layer
        Whether a layer is the first of its event, (T,).
    """

    cloud: ParticleCloud
    layout: Packed
    structure: Structure
    energies: Tensor
    real: Tensor
    place: Tensor
    positions: Tensor
    layer_positions: Tensor
    context: Tensor
    threshold: Tensor
    layer_threshold: Tensor
    maximum: Tensor
    first_layer: Tensor

    @classmethod
    def of(cls, cloud: ParticleCloud, slots: int) -> Showers:
        """Look at a packed cloud.

        Raises
        ------
        ValueError
            Naming columns that it lacks.
        """
        assert isinstance(cloud.layout, Packed)
        scalars, names = cloud.scalars.to(torch.float64), cloud.scalar_names
        energies = take_columns(scalars, names, voxel_names(slots), "scalars of the cloud")
        place = take_columns(scalars, names, PLACE, "scalars of the cloud")
        context = take_columns(
            cloud.context.to(torch.float64), cloud.context_names, INCIDENT, "context of the cloud"
        )
        column = dict(zip(INCIDENT, context.unbind(-1), strict=True))
        structure = Structure.of(cloud, place[:, PLACE.index("layer")])
        threshold = column["log_threshold"].exp()
        positions = place[:, [PLACE.index(name) for name in POSITIONS]]
        slot = torch.arange(slots, device=cloud.device)
        first = torch.zeros(structure.layers.num_rows, dtype=torch.bool, device=cloud.device)
        filled = structure.layers.counts() > 0
        first[structure.layers.ptr[:-1][filled]] = True
        return cls(
            cloud,
            cloud.layout,
            structure,
            energies,
            slot < place[:, PLACE.index("cells")].unsqueeze(-1),
            place * place.new_tensor(_PLACE_SCALE),
            positions,
            structure.of_layers(positions[:, :2]),
            (context - context.new_tensor(_INCIDENT_SHIFT)) * context.new_tensor(_INCIDENT_SCALE),
            cloud.layout.spread(threshold).unsqueeze(-1),
            structure.layers.spread(threshold),
            (column["log_energy"] + column["log_max_ratio"]).exp(),
            first,
        )

    def numbers(self, rng: torch.Generator | None) -> Numbers:
        """The showers as unbounded numbers, with noise where cells and layers are empty.

        Raises
        ------
        ValueError
            If a shower deposits more than its context allows; says which and how much.
        """
        structure = self.structure
        energies = torch.where(self.energies < self.threshold, torch.zeros_like(self.energies), self.energies)
        layer = structure.sum_patches(energies.sum(-1))
        total = structure.layers.pool(layer.unsqueeze(-1), "sum").squeeze(-1)
        if bool((total > self.maximum).any()):
            worst = int((total / self.maximum).argmax())
            raise ValueError(
                f"shower {worst} of the batch deposits {float(total[worst]):.4g} GeV, more than the largest "
                f"{float(self.maximum[worst]):.4g} GeV that its context allows: give the detector a larger max_ratio"
            )
        noisy = fill_empty(layer, self.layer_threshold, structure.layers, rng)
        # Noise must not carry a shower that deposits everything beyond the maximum.
        sum_noisy = structure.layers.pool(noisy.unsqueeze(-1), "sum").squeeze(-1)
        shrink = ((1 - _NEAREST) * self.maximum / sum_noisy).clamp(max=1.0)
        noisy = noisy * structure.layers.spread(shrink)
        ratios = ratios_of_energies(noisy, self.maximum, structure.layers)
        cells = torch.log(fill_empty(energies, self.threshold, self.layout, rng) / self.threshold)
        counts = self.real & (structure.to_patches(layer) > 0).unsqueeze(-1)
        return Numbers(layer, ratios, torch.where(self.real, cells, torch.zeros_like(cells)), counts)

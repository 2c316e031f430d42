"""How are showers drawn in two steps by splines, in one pass instead of a trajectory?

As inductive and block-wise spline flows do (arXiv:2305.11934, 2312.09290): every coupling layer asks a backbone over all
patches for 3 K - 1 numbers of each cell that it changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lorentzoo import Symmetry
from lorentzoo.densities import CouplingFlow
from lorentzoo.plugins.calorimeter.base import ShowerGenerator
from lorentzoo.plugins.calorimeter.showers import Showers

__all__ = ["CalorimeterSplines"]


class CalorimeterSplines(ShowerGenerator):
    """Showers by rational-quadratic spline flows in two steps, see `ShowerGenerator`; trained on their density.

    Parameters
    ----------
    slots
        Cells of a patch, as in the data set.
    backbone
        Over patches, one for each coupling layer of the cells, by name.
    layers
        Over the layers of a shower, one for each coupling layer of their energies, by name.
    num_transforms, num_layer_transforms
        Coupling layers of cells and of layer energies.
    bins, bound
        Of the splines; outside they are the identity.
    place_frequencies
        Waves of each position, see the embedding ``places``.
    cell_weight
        Weight of the loss of the cells; that of the layer energies is 1. Both are means over what is drawn.

    Notes
    -----
    Layers of energies change every second layer of a shower: their order, from the front, has a meaning.
    """

    needs_network = False

    def __init__(
        self,
        slots: int = 24,
        backbone: str | Mapping[str, Any] = "vit:num_blocks=2,width=48,num_heads=4,mlp_ratio=2",
        layers: str | Mapping[str, Any] = "vit:num_blocks=2,width=32,num_heads=4,mlp_ratio=2",
        num_transforms: int = 6,
        num_layer_transforms: int = 6,
        bins: int = 8,
        bound: float = 5.0,
        place_frequencies: int = 6,
        cell_weight: float = 1.0,
        *,
        in_scalars: int = 0,
        in_context: int = 0,
    ) -> None:
        super().__init__(slots, place_frequencies, cell_weight, in_scalars, in_context)
        self.layer_flow = CouplingFlow(
            [False],
            layers,
            self.layer_places.width,
            in_context,
            bins=bins,
            bound=bound,
            num_transforms=num_layer_transforms,
        )
        self.cell_flow = CouplingFlow(
            [False] * slots,
            backbone,
            in_scalars - slots + self.further_scalars,
            in_context,
            bins=bins,
            bound=bound,
            num_transforms=num_transforms,
        )

    # ---- training --------------------------------------------------------------------------

    def layer_losses(self, seen: Showers, ratios: Tensor, rng: torch.Generator | None) -> Tensor:
        """-ln of the density of the layers' energies, a layer."""
        layers = seen.structure.layers
        given = self.layer_places(seen.layer_positions), seen.context, layers
        density = self.layer_flow.log_prob(ratios.unsqueeze(-1), *given)
        return -density / layers.counts().clamp(min=1).to(density)

    def cell_losses(
        self, seen: Showers, layer: Tensor, cells: Tensor, counts: Tensor, rng: torch.Generator | None
    ) -> Tensor:
        """-ln of the density of the cells of layers with energy, a cell."""
        density = self.cell_flow.log_prob(cells, *self._given(seen, layer), real=counts)
        number = seen.layout.pool(counts.to(density).sum(-1, keepdim=True), "sum").squeeze(-1)
        return -density / number.clamp(min=1)

    # ---- sampling --------------------------------------------------------------------------

    def draw_ratios(self, seen: Showers, noise: Tensor) -> Tensor:
        """Where the flow of layers takes the noise."""
        given = self.layer_places(seen.layer_positions), seen.context, seen.structure.layers
        return self.layer_flow.transported(noise.unsqueeze(-1), *given).squeeze(-1)

    def draw_cells(self, seen: Showers, layer: Tensor, noise: Tensor) -> Tensor:
        """Where the flow of cells takes the noise; cells of layers without energy are not drawn."""
        lit = seen.structure.to_patches(layer > 0).unsqueeze(-1)
        return self.cell_flow.transported(noise, *self._given(seen, layer), real=seen.real & lit)

    def _given(self, seen: Showers, layer: Tensor) -> tuple[Tensor, Tensor, Any]:
        parts = [part.to(torch.float64) for part in self.describe_cells(seen, layer)]
        return torch.cat(parts, dim=-1), seen.context, seen.layout

    # ---- symmetry --------------------------------------------------------------------------

    @property
    def symmetry_paths(self) -> dict[str, Symmetry]:
        """Nothing is kept: places of patches are those of a detector at rest."""
        return {"detector": Symmetry.trivial()}

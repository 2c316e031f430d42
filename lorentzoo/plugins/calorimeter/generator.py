"""How are showers drawn in two steps by flow matching?

As in arXiv:2312.09290 and 2405.09629: a velocity of the energies of layers, then a velocity of the cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from lorentzoo import Batch, Model, Packed, ParticleCloud, Symmetry
from lorentzoo.densities import RowNetwork, Solver, integrate
from lorentzoo.nn import TimeFeatures, draw_for_events
from lorentzoo.plugins.calorimeter.base import ShowerGenerator
from lorentzoo.plugins.calorimeter.cells import draw_rows
from lorentzoo.plugins.calorimeter.showers import Numbers, Showers

__all__ = ["CalorimeterFlow"]


class CalorimeterFlow(ShowerGenerator):
    """Showers by flow matching in two steps, see `ShowerGenerator`.

    Parameters
    ----------
    slots
        Cells of a patch, as in the data set.
    layers
        Backbone that generates layer energies, by name.
    place_frequencies
        Waves of each position, see the embedding ``places``.
    time_features, time_scale
        Fourier features of the time, and standard deviation of their frequencies.
    cell_weight
        Weight of the loss of the cells; that of the layer energies is 1.
    solver, steps
        Method with a fixed number of steps, the same for layers and cells.
    """

    def __init__(
        self,
        slots: int = 24,
        layers: str | Mapping[str, Any] = "vit:num_blocks=3,width=48,num_heads=4,mlp_ratio=2",
        place_frequencies: int = 6,
        time_features: int = 16,
        time_scale: float = 1.0,
        cell_weight: float = 1.0,
        solver: Literal["euler", "midpoint", "heun", "rk4"] = "midpoint",
        steps: int = 16,
        *,
        in_scalars: int = 0,
        in_context: int = 0,
    ) -> None:
        super().__init__(slots, place_frequencies, cell_weight, in_scalars, in_context)
        self.solver = Solver(solver, steps)
        self.time_features = TimeFeatures(time_features, time_scale)
        self.layer_time = TimeFeatures(time_features, time_scale)
        self.layer_network = RowNetwork(layers, 1 + self.layer_places.width, in_context + time_features, 1)

    # ---- the networks ----------------------------------------------------------------------

    @property
    def network_head(self) -> Mapping[str, Any]:
        """A velocity of each cell."""
        return {"name": "particle-scalars", "num_scalars": self.slots}

    @property
    def further_context(self) -> int:
        """The features of the time."""
        return self.time_features.width

    @property
    def _network(self) -> Model:
        assert self.network is not None, "the composition connects the network"
        return self.network

    def cell_velocity(self, seen: Showers, layer: Tensor, times: Tensor, cells: Tensor) -> Tensor:
        """Velocities of cells.

        Parameters
        ----------
        seen
            The showers.
        layer
            Energy of each layer, (T,).
        times
            Of each event, (B,).
        cells
            Standardised numbers of cells, (P, S).

        Returns
        -------
        Shape (P, S), float64; zero behind the last cell of a patch.
        """
        scalars = [cells, *self.describe_cells(seen, layer)]
        moved = replace(
            seen.cloud,
            scalars=torch.cat([part.to(self.dtype) for part in scalars], dim=-1),
            scalar_names=(),
            context=torch.cat([self.time_features(times), seen.context.to(self.dtype)], dim=-1),
            context_names=(),
        )
        return torch.where(seen.real, self._network(moved).to(torch.float64), torch.zeros_like(cells))

    def layer_velocity(self, seen: Showers, times: Tensor, ratios: Tensor) -> Tensor:
        """Velocities (T,) of standardised ratios of layers (T,) at the times (B,) of their events."""
        places = self.layer_places(seen.layer_positions)
        scalars = torch.cat([ratios.to(places).unsqueeze(-1), places], dim=-1)
        context = torch.cat([self.layer_time(times), seen.context.to(self.dtype)], dim=-1)
        velocity: Tensor = self.layer_network(scalars, context, seen.structure.layers)
        return velocity[..., 0].to(torch.float64)

    # ---- training --------------------------------------------------------------------------

    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        """Means and widths of the numbers that flow; then what the network's parts need.

        Raises
        ------
        ValueError
            If a shower deposits more than the stated maximum; says which and how much.
        """
        looked = self.fit_numbers(batches)
        self._network.fit_statistics(
            [replace(batch, cloud=self._as_shown(seen, made)) for batch, seen, made in looked]
        )

    @torch.no_grad()
    def _as_shown(self, seen: Showers, made: Numbers) -> ParticleCloud:
        """What the network is shown of training showers at the end of their way."""
        shown: list[ParticleCloud] = []
        handle = self._network.register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0]))
        try:
            times = torch.ones(seen.cloud.num_events, dtype=torch.float64, device=seen.cloud.device)
            self.cell_velocity(seen, made.layer, times, self.standardise_cells(seen, made))
        finally:
            handle.remove()
        return shown[0]

    def layer_losses(self, seen: Showers, ratios: Tensor, rng: torch.Generator | None) -> Tensor:
        """Mean squared error of the velocities of layers."""
        structure = seen.structure
        times, start = _draw_times(seen, rng, ratios), draw_rows(torch.randn, ratios, structure.layers, rng)
        part = structure.layers.spread(times)
        velocity = self.layer_velocity(seen, times, (1 - part) * start + part * ratios)
        square = (velocity - (ratios - start)).square()
        return structure.layers.pool(square.unsqueeze(-1), "mean").squeeze(-1)

    def cell_losses(
        self, seen: Showers, layer: Tensor, cells: Tensor, counts: Tensor, rng: torch.Generator | None
    ) -> Tensor:
        """Mean squared error of the velocities of cells."""
        times = _draw_times(seen, rng, cells)
        start = draw_rows(torch.randn, cells, seen.layout, rng)
        start = torch.where(seen.real, start, torch.zeros_like(cells))
        part = seen.layout.spread(times).unsqueeze(-1)
        velocity = self.cell_velocity(seen, layer, times, (1 - part) * start + part * cells)
        square = torch.where(counts, (velocity - (cells - start)).square(), torch.zeros_like(cells))
        number = seen.layout.pool(counts.to(square).sum(-1, keepdim=True), "sum").squeeze(-1)
        return seen.layout.pool(square.sum(-1, keepdim=True), "sum").squeeze(-1) / number.clamp(min=1)

    # ---- sampling --------------------------------------------------------------------------

    def draw_ratios(self, seen: Showers, noise: Tensor) -> Tensor:
        """Where trajectories of layers end."""
        return self._integrated(
            lambda times, x: self.layer_velocity(seen, times, x.squeeze(-1)).unsqueeze(-1),
            noise.unsqueeze(-1),
            seen.structure.layers,
        ).squeeze(-1)

    def draw_cells(self, seen: Showers, layer: Tensor, noise: Tensor) -> Tensor:
        """Where trajectories of cells end."""
        return self._integrated(
            lambda times, x: self.cell_velocity(seen, layer, times, x), noise, seen.layout
        )

    def _integrated(self, velocity: Callable[[Tensor, Tensor], Tensor], x: Tensor, layout: Packed) -> Tensor:
        still = x.new_zeros(layout.num_events)

        def slope(t: float, y: Tensor) -> tuple[Tensor, Tensor]:
            return velocity(torch.full_like(still, t), y), still

        return integrate(slope, x, None, layout, self.solver)[0]

    # ---- symmetry --------------------------------------------------------------------------

    @property
    def symmetry_paths(self) -> dict[str, Symmetry]:
        """Nothing is kept: places of patches are those of a detector at rest."""
        return {"network": self._network.symmetry, "detector": Symmetry.trivial()}


def _draw_times(seen: Showers, rng: torch.Generator | None, like: Tensor) -> Tensor:
    def draw(count: int, rng: torch.Generator | None) -> Tensor:
        return torch.rand(count, generator=rng, dtype=torch.float64)

    return draw_for_events(seen.layout, draw, rng, per_event=True).to(like)

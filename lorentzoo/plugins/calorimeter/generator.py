"""How are showers drawn in two steps, layers first, so that energy is conserved?

Flow matching as in arXiv:2312.09290 and 2405.09629. First the energies of the layers, as ratios that keep any sum below
a stated maximum; then the cells, whose shares of their layer's energy are drawn given all layer energies. Both steps see
the incident particle and the detector, in units in which detectors look alike, so that one network serves several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from lorentzoo import Batch, Generator, Model, Packed, ParticleCloud, Symmetry, load_dataset
from lorentzoo.densities import Solver, SolverError, integrate
from lorentzoo.nn import (
    INCIDENT,
    PLACE,
    NoDensityError,
    Template,
    TimeFeatures,
    draw_for_events,
    fill_patches,
    mean_loss,
)
from lorentzoo.plugins.calorimeter.cells import draw_rows, share
from lorentzoo.plugins.calorimeter.layers import LayerNetwork
from lorentzoo.plugins.calorimeter.places import PlaceFeatures
from lorentzoo.plugins.calorimeter.showers import POSITIONS, Numbers, Showers
from lorentzoo.plugins.calorimeter.structure import energies_of_ratios

__all__ = ["CalorimeterFlow"]


class CalorimeterFlow(Generator):
    """Showers as patches, drawn in two steps: layer energies, then cells normalised to them.

    Energy is conserved to rounding: cells of a layer sum to its energy, and layers to no more than ``log_max_ratio``
    of the context allows. Cells and layers below ``log_threshold`` are empty.

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

    has_density: ClassVar[bool | str] = (
        "cells below the threshold are read as empty and the others are scaled to their layer's energy, so that drawn "
        "showers have no density"
    )

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
        super().__init__()
        if slots < 1:
            raise ValueError(f"slots must be at least 1, not {slots}")
        if not cell_weight > 0:
            raise ValueError(f"cell_weight must be positive, not {cell_weight}")
        wanted = slots + len(PLACE), len(INCIDENT)
        if (in_scalars, in_context) != wanted:
            raise ValueError(
                f"showers in patches of {slots} cells have in_scalars={wanted[0]} and in_context={wanted[1]}, not "
                f"{in_scalars} and {in_context}"
            )
        self.slots = self.drawn_scalars = slots
        self.cell_weight = cell_weight
        self.solver = Solver(solver, steps)
        self.template = Template(0, in_scalars, in_context)
        self.time_features = TimeFeatures(time_features, time_scale)
        self.places = PlaceFeatures(POSITIONS, place_frequencies)
        self.layer_time = TimeFeatures(time_features, time_scale)
        self.layer_places = PlaceFeatures(POSITIONS[:2], place_frequencies)
        self.layer_network = LayerNetwork(layers, 1 + self.layer_places.width, in_context + time_features)
        self.register_statistics(
            total_mean=torch.zeros(()),
            total_std=torch.ones(()),
            ratio_mean=torch.zeros(()),
            ratio_std=torch.ones(()),
            cell_mean=torch.zeros(()),
            cell_std=torch.ones(()),
        )

    total_mean: Tensor
    total_std: Tensor
    ratio_mean: Tensor
    ratio_std: Tensor
    cell_mean: Tensor
    cell_std: Tensor

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
    def further_scalars(self) -> int:
        """The features of the place, and the logarithm of the layer's energy over the threshold."""
        return self.places.width + 1

    def example_events(self, count: int) -> Batch:
        """Parametrised showers of low energy in one detector."""
        data = load_dataset("showers", num_showers=count, energy_min=2.0, energy_max=5.0, slots=self.slots)
        batch: Batch = data.batch(range(count))
        return batch

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
        level = seen.structure.to_patches(torch.log1p(layer / seen.layer_threshold)).unsqueeze(-1) / 4.0
        scalars = [cells, seen.place, self.places(seen.positions), level]
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
        scalars = torch.cat(
            [ratios.to(self.dtype).unsqueeze(-1), self.layer_places(seen.layer_positions)], dim=-1
        )
        context = torch.cat([self.layer_time(times), seen.context.to(self.dtype)], dim=-1)
        velocity: Tensor = self.layer_network(scalars, context, seen.structure.layers)
        return velocity.to(torch.float64)

    # ---- training --------------------------------------------------------------------------

    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        """Means and widths of the numbers that flow; then what the network's parts need.

        Raises
        ------
        ValueError
            If a shower deposits more than the stated maximum; says which and how much.
        """
        rng = torch.Generator().manual_seed(0)
        totals, ratios, cells, moved = [], [], [], []
        for batch in self.read_batches(batches):
            seen = self._look(self.training_cloud(batch.cloud))
            made = seen.numbers(rng)
            first = seen.first_layer
            totals.append(made.ratios[first])
            ratios.append(made.ratios[~first])
            cells.append(made.cells[made.counts])
            moved.append((batch, seen, made))
        for mean, std, parts in (
            (self.total_mean, self.total_std, totals),
            (self.ratio_mean, self.ratio_std, ratios),
            (self.cell_mean, self.cell_std, cells),
        ):
            every = torch.cat(parts)
            if len(every) > 1:
                mean.copy_(every.mean())
                std.copy_(every.std().clamp(min=1e-3))
        self.mark_fitted()
        self._network.fit_statistics(
            [replace(batch, cloud=self._as_shown(seen, made)) for batch, seen, made in moved]
        )

    @torch.no_grad()
    def _as_shown(self, seen: Showers, made: Numbers) -> ParticleCloud:
        """What the network is shown of training showers at the end of their way."""
        shown: list[ParticleCloud] = []
        handle = self._network.register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0]))
        try:
            times = torch.ones(seen.cloud.num_events, dtype=torch.float64, device=seen.cloud.device)
            self.cell_velocity(seen, made.layer, times, (made.cells - self.cell_mean) / self.cell_std)
        finally:
            handle.remove()
        return shown[0]

    def loss(
        self, cloud: ParticleCloud, weight: Tensor | None = None, *, rng: torch.Generator | None = None
    ) -> Tensor:
        """Mean squared error of the velocities of layer energies and of cells."""
        layers, cells = self.losses(cloud, rng=rng)
        return mean_loss(layers + self.cell_weight * cells, weight)

    def losses(self, cloud: ParticleCloud, *, rng: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """The two parts of the loss of each shower, (B,) each."""
        self.require_fitted()
        seen = self._look(self.training_cloud(cloud))
        made = seen.numbers(rng)
        structure = seen.structure
        end = (made.ratios - self._shift(seen)) / self._width(seen)
        times, start = _draw_times(seen, rng, end), draw_rows(torch.randn, end, structure.layers, rng)
        part = structure.layers.spread(times)
        velocity = self.layer_velocity(seen, times, (1 - part) * start + part * end)
        layers = structure.layers.pool((velocity - (end - start)).square().unsqueeze(-1), "mean").squeeze(-1)

        end = torch.where(
            seen.real, (made.cells - self.cell_mean) / self.cell_std, torch.zeros_like(made.cells)
        )
        times = _draw_times(seen, rng, end)
        start = draw_rows(torch.randn, end, seen.layout, rng)
        start = torch.where(seen.real, start, torch.zeros_like(end))
        part = seen.layout.spread(times).unsqueeze(-1)
        velocity = self.cell_velocity(seen, made.layer, times, (1 - part) * start + part * end)
        square = torch.where(made.counts, (velocity - (end - start)).square(), torch.zeros_like(end))
        number = seen.layout.pool(made.counts.to(square).sum(-1, keepdim=True), "sum").squeeze(-1)
        cells = seen.layout.pool(square.sum(-1, keepdim=True), "sum").squeeze(-1) / number.clamp(min=1)
        return layers, cells

    # ---- sampling --------------------------------------------------------------------------

    def sample(
        self,
        n: int,
        condition: ParticleCloud | None = None,
        *,
        rng: torch.Generator | None = None,
        batch_size: int = 256,
    ) -> ParticleCloud:
        """Draw showers.

        Parameters
        ----------
        n
            How many.
        condition
            Showers (n of them, or one for all) whose places and context are taken, and the directions of their momenta:
            they say where patches are. Deposits are not read. See `lorentzoo.data.showers.patches.empty_showers`.
        rng
            Source of random numbers.
        batch_size
            Showers that are solved at a time; the result does not depend on it.

        Raises
        ------
        SolverError
            Naming the showers that could not be solved.
        """
        self.require_fitted()
        cloud = self.training_cloud(self.template.cloud(n, condition, self.device))
        seen = self._look(cloud)
        layers = seen.structure.layers
        ratios = draw_rows(torch.randn, seen.place.new_empty(layers.num_rows), layers, rng)
        shape = (seen.layout.num_rows, self.slots)
        cells = draw_rows(torch.randn, seen.place.new_empty(shape), seen.layout, rng)
        was_training = self.training
        self.eval()
        try:
            energies = self._solved(cloud, ratios, cells, batch_size)
        finally:
            self.train(was_training)
        directions = cloud.momenta[..., 1:] / cloud.momenta[..., :1]
        rest = cloud.scalars[..., self.slots :]
        return replace(
            cloud,
            momenta=fill_patches(energies, directions),
            scalars=torch.cat([energies.to(rest), rest], dim=-1),
        )

    def log_prob(self, cloud: ParticleCloud) -> Tensor:
        """There is none, see `has_density`.

        Raises
        ------
        NoDensityError
            Always.
        """
        raise NoDensityError(
            f"{type(self).__name__} has no log_prob: {self.has_density}; compare observables and two-sample tests"
        )

    @torch.no_grad()
    def _solved(self, cloud: ParticleCloud, ratios: Tensor, cells: Tensor, batch_size: int) -> Tensor:
        """Energies of cells (P, S) from noise of layers (T,) and of cells (P, S)."""
        energies = torch.zeros_like(cells)
        events = torch.arange(cloud.num_events, device=cloud.device)
        whole = self._look(cloud)
        event_of_layer = whole.structure.layers.spread(events)
        event_of_patch = whole.layout.spread(events)
        for first in range(0, cloud.num_events, batch_size):
            chosen = (events >= first) & (events < first + batch_size)
            seen = self._look(cloud.select(chosen))
            rows = (event_of_patch >= first) & (event_of_patch < first + batch_size)
            tokens = (event_of_layer >= first) & (event_of_layer < first + batch_size)
            try:
                energies[rows] = self._flow(seen, ratios[tokens], cells[rows])
            except SolverError as error:
                shifted = [first + event for event in error.events]
                raise SolverError(shifted, error.times, self.solver.method, "no finite trajectory") from error
        return energies

    def _flow(self, seen: Showers, ratios: Tensor, cells: Tensor) -> Tensor:
        structure = seen.structure
        ratios = self._integrated(
            lambda times, x: self.layer_velocity(seen, times, x.squeeze(-1)).unsqueeze(-1),
            ratios.unsqueeze(-1),
            structure.layers,
        ).squeeze(-1)
        ratios = self._shift(seen) + self._width(seen) * ratios
        layer = energies_of_ratios(ratios, seen.maximum, structure.layers)
        layer = torch.where(layer < seen.layer_threshold, torch.zeros_like(layer), layer)
        cells = torch.where(seen.real, cells, torch.zeros_like(cells))
        cells = self._integrated(
            lambda times, x: self.cell_velocity(seen, layer, times, x), cells, seen.layout
        )
        numbers = self.cell_mean + self.cell_std * cells
        return share(numbers, seen.real, layer, seen.threshold, structure)

    def _integrated(self, velocity: Callable[[Tensor, Tensor], Tensor], x: Tensor, layout: Packed) -> Tensor:
        still = x.new_zeros(layout.num_events)

        def slope(t: float, y: Tensor) -> tuple[Tensor, Tensor]:
            return velocity(torch.full_like(still, t), y), still

        return integrate(slope, x, None, layout, self.solver)[0]

    # ---- what showers are made of ----------------------------------------------------------

    def _look(self, cloud: ParticleCloud) -> Showers:
        return Showers.of(cloud, self.slots)

    def _shift(self, seen: Showers) -> Tensor:
        return torch.where(seen.first_layer, self.total_mean, self.ratio_mean).to(torch.float64)

    def _width(self, seen: Showers) -> Tensor:
        return torch.where(seen.first_layer, self.total_std, self.ratio_std).to(torch.float64)

    # ---- symmetry --------------------------------------------------------------------------

    @property
    def symmetry_paths(self) -> dict[str, Symmetry]:
        """Nothing is kept: places of patches are those of a detector at rest."""
        return {"network": self._network.symmetry, "detector": Symmetry.trivial()}


def _draw_times(seen: Showers, rng: torch.Generator | None, like: Tensor) -> Tensor:
    def draw(count: int, rng: torch.Generator | None) -> Tensor:
        return torch.rand(count, generator=rng, dtype=torch.float64)

    return draw_for_events(seen.layout, draw, rng, per_event=True).to(like)

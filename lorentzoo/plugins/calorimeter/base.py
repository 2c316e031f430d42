"""What do generators of showers share, that draw layer energies first so that energy is conserved?

First the energies of the layers, as ratios that keep any sum below a stated maximum; then the cells, whose shares of
their layer's energy are drawn given all layer energies (arXiv:2312.09290, 2405.09629). Both steps see the incident
particle and the detector, in units in which detectors look alike, so that one network serves several.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from lorentzoo import Batch, Generator, ParticleCloud, load_dataset
from lorentzoo.densities import SolverError
from lorentzoo.nn import INCIDENT, PLACE, NoDensityError, Template, fill_patches, mean_loss
from lorentzoo.plugins.calorimeter.cells import draw_rows, share
from lorentzoo.plugins.calorimeter.places import PlaceFeatures
from lorentzoo.plugins.calorimeter.showers import POSITIONS, Numbers, Showers
from lorentzoo.plugins.calorimeter.structure import energies_of_ratios

__all__ = ["ShowerGenerator"]


class ShowerGenerator(Generator):
    """Showers as patches, drawn in two steps: layer energies, then cells normalised to them.

    Energy is conserved to rounding: cells of a layer sum to its energy, and layers to no more than ``log_max_ratio``
    of the context allows. Cells and layers below ``log_threshold`` are empty.

    Parameters
    ----------
    slots
        Cells of a patch, as in the data set.
    place_frequencies
        Waves of each position, see the embedding ``places``.
    cell_weight
        Weight of the loss of the cells; that of the layer energies is 1.
    in_scalars, in_context
        Of the data.
    """

    has_density: ClassVar[bool | str] = (
        "cells below the threshold are read as empty and the others are scaled to their layer's energy, so that drawn "
        "showers have no density"
    )

    def __init__(
        self, slots: int, place_frequencies: int, cell_weight: float, in_scalars: int, in_context: int
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
        self.template = Template(0, in_scalars, in_context)
        self.places = PlaceFeatures(POSITIONS, place_frequencies)
        self.layer_places = PlaceFeatures(POSITIONS[:2], place_frequencies)
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

    # ---- what each kind of generator says ---------------------------------------------------

    @abstractmethod
    def layer_losses(self, seen: Showers, ratios: Tensor, rng: torch.Generator | None) -> Tensor:
        """Loss of each shower (B,) from standardised ratios of its layers (T,)."""

    @abstractmethod
    def cell_losses(
        self, seen: Showers, layer: Tensor, cells: Tensor, counts: Tensor, rng: torch.Generator | None
    ) -> Tensor:
        """Loss of each shower (B,) from its cells.

        Parameters
        ----------
        seen
            The showers.
        layer
            Energy of each layer, (T,).
        cells
            Standardised numbers of cells, (P, S), zero where there is none.
        counts
            Which cells count, (P, S).
        rng
            Source of random numbers.
        """

    @abstractmethod
    def draw_ratios(self, seen: Showers, noise: Tensor) -> Tensor:
        """Standardised ratios of layers (T,) from normal noise (T,)."""

    @abstractmethod
    def draw_cells(self, seen: Showers, layer: Tensor, noise: Tensor) -> Tensor:
        """Standardised numbers of cells (P, S) from normal noise (P, S), given energies of layers (T,)."""

    def describe_cells(self, seen: Showers, layer: Tensor) -> list[Tensor]:
        """What networks see of patches beside their cells: places, and the energy of the layer; (P, ...) each."""
        level = seen.structure.to_patches(torch.log1p(layer / seen.layer_threshold)).unsqueeze(-1) / 4.0
        return [seen.place, self.places(seen.positions), level]

    @property
    def further_scalars(self) -> int:
        """The features of the place, and the logarithm of the layer's energy over the threshold."""
        return self.places.width + 1

    def example_events(self, count: int) -> Batch:
        """Parametrised showers of low energy in one detector."""
        data = load_dataset("showers", num_showers=count, energy_min=2.0, energy_max=5.0, slots=self.slots)
        batch: Batch = data.batch(range(count))
        return batch

    # ---- training --------------------------------------------------------------------------

    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        """Means and widths of the numbers that are drawn.

        Raises
        ------
        ValueError
            If a shower deposits more than the stated maximum; says which and how much.
        """
        self.fit_numbers(batches)

    def fit_numbers(self, batches: Iterable[Batch]) -> list[tuple[Batch, Showers, Numbers]]:
        """Fit means and widths; gives the batches back with the showers and numbers that were seen in them."""
        rng = torch.Generator().manual_seed(0)
        totals, ratios, cells, looked = [], [], [], []
        for batch in self.read_batches(batches):
            seen = self._look(self.training_cloud(batch.cloud))
            made = seen.numbers(rng)
            first = seen.first_layer
            totals.append(made.ratios[first])
            ratios.append(made.ratios[~first])
            cells.append(made.cells[made.counts])
            looked.append((batch, seen, made))
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
        return looked

    def loss(
        self, cloud: ParticleCloud, weight: Tensor | None = None, *, rng: torch.Generator | None = None
    ) -> Tensor:
        """Sum of the losses of layer energies and of cells."""
        layers, cells = self.losses(cloud, rng=rng)
        return mean_loss(layers + self.cell_weight * cells, weight)

    def losses(self, cloud: ParticleCloud, *, rng: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """The two parts of the loss of each shower, (B,) each."""
        self.require_fitted()
        seen = self._look(self.training_cloud(cloud))
        made = seen.numbers(rng)
        layers = self.layer_losses(seen, (made.ratios - self._shift(seen)) / self._width(seen), rng)
        cells = self.cell_losses(seen, made.layer, self.standardise_cells(seen, made), made.counts, rng)
        return layers, cells

    def standardise_cells(self, seen: Showers, made: Numbers) -> Tensor:
        """Standardised numbers of cells (P, S), zero where there is none."""
        cells = (made.cells - self.cell_mean) / self.cell_std
        return torch.where(seen.real, cells, torch.zeros_like(cells))

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
            Showers that are drawn at a time; the result does not depend on it.

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
            rows = (event_of_patch >= first) & (event_of_patch < first + batch_size)
            tokens = (event_of_layer >= first) & (event_of_layer < first + batch_size)
            try:
                energies[rows] = self._drawn(self._look(cloud.select(chosen)), ratios[tokens], cells[rows])
            except SolverError as error:
                raise error.counted_from(first) from error
        return energies

    def _drawn(self, seen: Showers, ratios: Tensor, cells: Tensor) -> Tensor:
        structure = seen.structure
        ratios = self._shift(seen) + self._width(seen) * self.draw_ratios(seen, ratios)
        layer = energies_of_ratios(ratios, seen.maximum, structure.layers)
        layer = torch.where(layer < seen.layer_threshold, torch.zeros_like(layer), layer)
        cells = self.draw_cells(seen, layer, torch.where(seen.real, cells, torch.zeros_like(cells)))
        numbers = self.cell_mean + self.cell_std * cells
        return share(numbers, seen.real, layer, seen.threshold, structure)

    # ---- what showers are made of ----------------------------------------------------------

    def _look(self, cloud: ParticleCloud) -> Showers:
        return Showers.of(cloud, self.slots)

    def _shift(self, seen: Showers) -> Tensor:
        return torch.where(seen.first_layer, self.total_mean, self.ratio_mean).to(torch.float64)

    def _width(self, seen: Showers) -> Tensor:
        return torch.where(seen.first_layer, self.total_std, self.ratio_std).to(torch.float64)

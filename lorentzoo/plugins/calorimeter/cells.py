"""How do the energies of cells become numbers that flow, and how is a layer's energy conserved on the way back?

The number of a cell is ln(E / threshold), fixed up to a factor by the layer's energy. Cells that are read as empty get an
energy that is drawn evenly between 0.2 and 0.8 of the threshold, so that hits begin where empty cells have ended.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lorentzoo import Packed
from lorentzoo.nn import draw_for_events
from lorentzoo.plugins.calorimeter.structure import Structure

__all__ = ["EMPTY_FROM", "EMPTY_TO", "draw_rows", "fill_empty", "share"]

EMPTY_FROM, EMPTY_TO = 0.2, 0.8
"""In units of the threshold."""


def fill_empty(energies: Tensor, threshold: Tensor, layout: Packed, rng: torch.Generator | None) -> Tensor:
    """Energies of rows of a layout with those below the threshold replaced by random ones; `threshold` broadcasts."""
    noise = draw_rows(torch.rand, energies, layout, rng)
    return torch.where(
        energies < threshold, threshold * (EMPTY_FROM + (EMPTY_TO - EMPTY_FROM) * noise), energies
    )


def draw_rows(
    kind: Callable[..., Tensor], like: Tensor, layout: Packed, rng: torch.Generator | None
) -> Tensor:
    """Random numbers of the shape of `like`, whose rows are a layout's; `kind` is `torch.rand` or `torch.randn`."""

    def draw(rows: Packed, rng: torch.Generator | None) -> Tensor:
        return kind((rows.num_rows, *like.shape[1:]), generator=rng, dtype=torch.float64)

    return draw_for_events(layout, draw, rng).to(like)


def share(numbers: Tensor, real: Tensor, layer: Tensor, threshold: Tensor, structure: Structure) -> Tensor:
    """Energies of cells that sum to the energies of their layers.

    Parameters
    ----------
    numbers
        ln(E / threshold) of each cell, up to a constant of the layer, (P, S).
    real
        Which cells there are, (P, S).
    layer
        Energy of each layer, (T,): zero, or no less than the threshold.
    threshold
        Of the cells of each patch, (P, 1).
    structure
        Which patch is in which layer.

    Returns
    -------
    Shape (P, S): each cell has nothing or no less than the threshold, and the cells of a layer sum to its energy to
    rounding. Where all would be empty the largest keeps everything.
    """
    lowest = torch.finfo(numbers.dtype).min
    numbers = torch.where(real, numbers, lowest)
    highest = structure.largest_patch(numbers.amax(-1))
    # The largest cell of each layer is always hit.
    relative = numbers - structure.to_patches(highest).unsqueeze(-1)
    hit = real & ((numbers >= 0) | (relative == 0))
    wanted = structure.to_patches(layer).unsqueeze(-1)
    # Scaling may push cells below the threshold. Without them the scale grows, so that a second round is the last.
    for _ in range(2):
        weights = torch.where(hit, relative.exp(), torch.zeros_like(relative))
        total = structure.to_patches(structure.sum_patches(weights.sum(-1))).unsqueeze(-1)
        energies = wanted * weights / total
        hit = hit & ((energies >= threshold) | (relative == 0))
    return torch.where(hit, energies, torch.zeros_like(energies))

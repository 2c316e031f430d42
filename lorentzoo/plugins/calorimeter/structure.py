"""Which patches share a layer, and how does a layer's energy come from the energies of its cells and go back?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lorentzoo import Packed, ParticleCloud

__all__ = ["Structure", "energies_of_ratios", "ratios_of_energies"]


@dataclass(frozen=True, eq=False)
class Structure:
    """Patches of events in their layers.

    Attributes
    ----------
    patches
        Which patch, in the order of events and layers, belongs to which layer.
    layers
        Which layer belongs to which event.
    order, inverse
        Rows of the cloud in that order, and back, (P,).
    """

    patches: Packed
    layers: Packed
    order: Tensor
    inverse: Tensor

    @classmethod
    def of(cls, cloud: ParticleCloud, layer: Tensor) -> Structure:
        """The structure of a packed cloud.

        Parameters
        ----------
        cloud
            The showers.
        layer
            Number of each patch's layer from the front, (P,).
        """
        assert isinstance(cloud.layout, Packed)
        event = np.repeat(np.arange(cloud.num_events), cloud.layout.lengths)
        number = np.rint(layer.detach().cpu().numpy()).astype(np.int64)
        order = np.lexsort((number, event))
        event, number = event[order], number[order]
        begins = np.ones(len(event), dtype=bool)
        begins[1:] = (event[1:] != event[:-1]) | (number[1:] != number[:-1])
        starts = np.flatnonzero(begins)
        device = cloud.device
        return cls(
            Packed.from_lengths(np.diff([*starts, len(event)]).tolist(), device=device),
            Packed.from_lengths(
                np.bincount(event[starts], minlength=cloud.num_events).tolist(), device=device
            ),
            torch.from_numpy(order).to(device),
            torch.from_numpy(np.argsort(order)).to(device),
        )

    def sum_patches(self, values: Tensor) -> Tensor:
        """Sum over the patches of each layer, (P,) to (T,)."""
        return self.patches.pool(values[self.order].unsqueeze(-1), "sum").squeeze(-1)

    def largest_patch(self, values: Tensor) -> Tensor:
        """Largest value among the patches of each layer, (P,) to (T,)."""
        return self.patches.pool(values[self.order].unsqueeze(-1), "max").squeeze(-1)

    def to_patches(self, values: Tensor) -> Tensor:
        """Give every patch its layer's value, (T, ...) to (P, ...)."""
        return self.patches.spread(values)[self.inverse]

    def of_layers(self, values: Tensor) -> Tensor:
        """What all patches of a layer have in common, (P, ...) to (T, ...)."""
        return values[self.order][self.patches.ptr[:-1]]


def ratios_of_energies(energies: Tensor, maximum: Tensor, layers: Packed) -> Tensor:
    """Layer energies as unbounded numbers.

    With R_i the energy in layer i and behind it, the first number is logit(R_0 / maximum) and that of layer i is
    logit(R_i / R_{i-1}).

    Parameters
    ----------
    energies
        Positive, (T,).
    maximum
        What no event exceeds, (B,).
    layers
        Which layer belongs to which event.

    Returns
    -------
    Shape (T,).
    """
    dense = layers.pad(energies.unsqueeze(-1)).squeeze(-1)
    real = layers.pad(torch.ones_like(energies).unsqueeze(-1)).squeeze(-1) > 0
    behind = dense.flip(1).cumsum(1).flip(1)
    # Of what a layer and those behind it hold, what remains behind against what it keeps.
    kept = torch.cat([(maximum.unsqueeze(1) - behind[:, :1]), dense[:, :-1]], dim=1)
    one = torch.ones_like(dense)
    ratios = torch.log(torch.where(real, behind, one)) - torch.log(torch.where(real, kept, one))
    return layers.unpad(ratios.unsqueeze(-1)).squeeze(-1)


def energies_of_ratios(ratios: Tensor, maximum: Tensor, layers: Packed) -> Tensor:
    """Undo `ratios_of_energies`: energies that sum to less than the maximum whatever the numbers are."""
    dense = layers.pad(ratios.unsqueeze(-1)).squeeze(-1)
    real = layers.pad(torch.ones_like(ratios).unsqueeze(-1)).squeeze(-1) > 0
    behind = maximum.unsqueeze(1) * torch.exp(F.logsigmoid(dense).cumsum(1))
    # The last layer keeps all that has come so far.
    follows = F.pad(real[:, 1:], (0, 1), value=False)
    part = torch.where(follows, torch.sigmoid(-F.pad(dense[:, 1:], (0, 1))), torch.ones_like(dense))
    return layers.unpad((behind * part).unsqueeze(-1)).squeeze(-1)

"""Which network generates the energies of layers?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lorentzoo import Backbone, Features, Frames, Packed
from lorentzoo.nn import CompositionError, make_part

__all__ = ["LayerNetwork"]


class LayerNetwork(nn.Module):
    """A backbone over the layers of a shower, and one number for each.

    Parameters
    ----------
    backbone
        Name, inline text or mapping.
    in_scalars, in_context
        Numbers of each layer and of each shower.
    """

    def __init__(self, backbone: str | Mapping[str, Any], in_scalars: int, in_context: int) -> None:
        super().__init__()
        made = make_part(
            "backbone",
            backbone,
            Backbone,
            in_scalars=in_scalars + in_context,
            in_vectors=0,
            in_context=in_context,
            out_scalars=1,
            out_vectors=0,
        )
        if made.pools or made.equivariant:
            raise CompositionError(
                f"layers={backbone!r} must give numbers of each layer and read no vectors; use e.g. 'vit'"
            )
        self.backbone = made
        self.layer = nn.Identity() if made.projects else nn.Linear(made.width, 1)

    def forward(self, scalars: Tensor, context: Tensor, layout: Packed) -> Tensor:
        """Shapes (T, in_scalars), (B, in_context) to (T,)."""
        features = Features.of_scalars(torch.cat([scalars, layout.spread(context)], dim=-1))
        out = self.backbone(features, Frames.identity(layout), layout, context)
        numbers: Tensor = self.layer(out.scalars)
        return numbers[..., 0]

"""How does a model of clouds become a network of plain tensors?"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lorentzoo.core.cloud import ParticleCloud
from lorentzoo.core.layout import Padded
from lorentzoo.core.model import Model
from lorentzoo.verification.events import random_cloud

__all__ = ["OUTPUTS", "PlainModel", "Sizes"]

OUTPUTS = ("output", "prediction")
"""What the head gives, and what `Model.predict` makes of it."""


@dataclass(frozen=True)
class Sizes:
    """Multiplicities of some events, and the number of places of their rows."""

    lengths: tuple[int, ...]
    places: int

    def __str__(self) -> str:
        return f"events of {list(self.lengths)} particles in {self.places} places"


class PlainModel(nn.Module):
    """A model in evaluation mode whose inputs and outputs are plain tensors.

    Parameters
    ----------
    model
        It is copied.
    dtype
        Of weights, inputs and outputs; the model's own by default. Momenta are taken to float64 inside.
    """

    def __init__(self, model: Model, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        # Of a copy, so that neither mode nor type of the original change.
        self.model = copy.deepcopy(model).cpu().eval()
        if dtype is not None and dtype != model.dtype:
            self.model.to(dtype)
        self.dtype = self.model.dtype
        self.requires_grad_(False)

    @property
    def input_names(self) -> tuple[str, ...]:
        """``momenta``, ``mask`` and, as far as the model has them, ``scalars`` and ``context``."""
        model = self.model
        return (
            ("momenta", "mask")
            + ("scalars",) * (model.in_scalars > 0)
            + ("context",) * (model.in_context > 0)
        )

    def forward(self, momenta: Tensor, mask: Tensor, *columns: Tensor) -> tuple[Tensor, Tensor]:
        """Output and prediction of events in rows.

        Parameters
        ----------
        momenta
            (E, px, py, pz) in GeV, shape (B, N, 4).
        mask
            True where there is a particle, shape (B, N).
        columns
            Scalars (B, N, S) and context (B, C), as far as `input_names` has them.
        """
        given = dict(zip(self.input_names[2:], columns, strict=True))
        cloud = ParticleCloud.from_padded(
            momenta, mask, given.get("scalars"), given.get("context"), validate=False
        )
        output = self.model(cloud)
        prediction = self.model.head.predict(output.double())
        return output.to(self.dtype), prediction.to(self.dtype)

    def draw(self, sizes: Sizes, seed: int = 0) -> tuple[Tensor, ...]:
        """Random events as its inputs."""
        model = self.model
        cloud = random_cloud(
            sizes.lengths, in_scalars=model.in_scalars, in_context=model.in_context, seed=seed
        )
        padded = cloud.to_padded(sizes.places)
        assert isinstance(padded.layout, Padded)
        columns = {"scalars": padded.scalars, "context": padded.context}
        return (
            padded.momenta.to(self.dtype),
            padded.layout.mask,
            *(columns[name].to(self.dtype) for name in self.input_names[2:]),
        )

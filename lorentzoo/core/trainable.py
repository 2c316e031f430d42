"""What has everything that can be trained, a model that predicts and a generator of events alike?"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, Final

import torch
from torch import Tensor, nn

from lorentzoo.core.cloud import Batch, ParticleCloud
from lorentzoo.core.errors import ParameterError
from lorentzoo.core.fitted_inputs import FittedInputs
from lorentzoo.core.freezing import Freezable
from lorentzoo.core.symmetry import Symmetry, intersection

__all__ = ["Trainable", "complete_state", "is_fitted"]


def is_fitted(module: nn.Module) -> bool:
    """Whether a part has statistics, and all of them are fitted."""
    flags = [flag for name, flag in module.named_buffers() if name.rpartition(".")[2] == "fitted"]
    return bool(flags) and all(flag.device.type != "meta" and bool(flag) for flag in flags)


def complete_state(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with the buffers that its parts did not have when it was written, see `Part.older_buffers`."""
    completed, own = dict(state), dict(model.named_buffers())
    for prefix, part in model.named_modules():
        older = getattr(part, "older_buffers", {})
        names = {f"{prefix}.{name}": value for name, value in older.items() if f"{prefix}.{name}" in own}
        if names and not any(name in state for name in names):
            completed |= {
                name: own[name] if value is None else torch.full_like(own[name], value)
                for name, value in names.items()
            }
    return completed


_WANTED: Final = (
    "fit_statistics takes batches, e.g. a data loader or [lorentzoo.Batch(cloud, target, weight, event_id)], "
    "not {}"
)


class Trainable(Freezable, ABC):
    """A composition: the parent of `Model` and `Generator`.

    Attributes
    ----------
    spec
        The plain data from which `lorentzoo.compose` made it.
    task
        Name of the task for which it is trained.
    fitted_inputs
        Names of the scalars and of the context on which it was fitted, and what its events were like.
    quantisation
        To which integers its weights are rounded, see `lorentzoo.quantise`; None where they are not.
    """

    spec: Any = None
    task: str
    fitted_inputs: FittedInputs = FittedInputs()
    quantisation: Any = None

    # ---- what training asks -------------------------------------------------------------------

    @abstractmethod
    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        """Take statistics from training batches, once, before the first step."""

    @property
    def is_fitted(self) -> bool:
        """Whether it has statistics, and all of them are fitted."""
        return is_fitted(self)

    def read_batches(self, batches: Iterable[Batch]) -> list[Batch]:
        """Training batches as a list; what statistics are taken from.

        Raises
        ------
        ParameterError
            If anything else is given, e.g. a cloud alone, or no batch at all.
        """
        if isinstance(batches, Batch | ParticleCloud) or not isinstance(batches, Iterable):
            raise ParameterError(_WANTED.format(type(batches).__name__))
        found = list(batches)
        wrong = {type(batch).__name__: None for batch in found if not isinstance(batch, Batch)}
        if wrong or not found:
            raise ParameterError(_WANTED.format(", ".join(wrong) or "nothing"))
        return found

    @abstractmethod
    def batch_loss(self, batch: Batch, rng: torch.Generator | None = None) -> Tensor:
        """The mean training loss of a batch, weighted by event; random numbers that it needs come from `rng`."""

    def loss_weights(self, batch: Batch) -> Tensor:
        """What the loss of a batch divides by: for each mean in it the weights of the events, (B, M)."""
        return batch.weight.unsqueeze(-1)

    @abstractmethod
    def run_forward(self, cloud: ParticleCloud) -> Tensor:
        """One forward pass, whose arithmetic and time are what the network costs."""

    # ---- what it is ---------------------------------------------------------------------------

    @property
    @abstractmethod
    def symmetry_paths(self) -> dict[str, Symmetry]:
        """What each path through it keeps; `symmetry` is their intersection."""

    @property
    def symmetry(self) -> Symmetry:
        """The computed symmetry: the intersection of `symmetry_paths`."""
        return intersection(list(self.symmetry_paths.values()))

    @abstractmethod
    def summary(self) -> str:
        """Parts, parameters of each, and the computed symmetry path by path, as text."""

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type of the weights, in which networks run."""
        for tensor in chain(self.parameters(), self.buffers()):
            if tensor.is_floating_point():
                return tensor.dtype
        return torch.get_default_dtype()

    @property
    def device(self) -> torch.device:
        """Where the weights live."""
        for tensor in chain(self.parameters(), self.buffers()):
            return tensor.device
        return torch.device("cpu")

    @property
    def num_parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

"""How is a trained model adapted by few numbers?"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

from torch import Tensor, nn
from torch.nn.utils import parametrize

from lorentzoo.core.errors import ParameterError
from lorentzoo.core.freezing import Freezable, find_part
from lorentzoo.core.parametrised import settle

__all__ = ["Adapters", "BiasOnly", "LowRank", "adapt", "copy_merged", "merge_adapters"]

M = TypeVar("M", bound=Freezable)


@dataclass(frozen=True)
class BiasOnly:
    """Biases, norms and the head are trained, all else stays (BitFit, arXiv:2106.10199)."""


@dataclass(frozen=True)
class LowRank:
    """Every matrix W of the parts before the head becomes W + (alpha/rank) B A, and only A, B and the head are trained.

    Of a linear map that commutes with the Lorentz group W are the numbers that it leaves free, so that the update
    commutes as well: of maps of multivectors W is read as (channels out) × (channels in and grades). B begins at zero.
    Matrices that are too small to gain anything stay as they are, and so do norms (LoRA, arXiv:2106.09685).

    Parameters
    ----------
    rank
        Columns of B and rows of A.
    alpha
        Sets the size of the update; by default the rank.
    parameters
        Glob of the names of the parameters that are adapted.

    Raises
    ------
    ValueError
        If the rank is not positive.
    """

    rank: int = 4
    alpha: float | None = None
    parameters: str = "*"

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank must be at least 1, not {self.rank}")

    @property
    def scale(self) -> float:
        """Factor of B A."""
        return 1.0 if self.alpha is None else self.alpha / self.rank


Adapters = BiasOnly | LowRank


class _Update(nn.Module):
    """W + scale · B A, with W read as a matrix whose rows are its first dimension."""

    def __init__(self, weight: Tensor, rank: int, scale: float) -> None:
        super().__init__()
        rows, columns = _matrix_shape(weight)
        self.scale = scale
        self.down = nn.Parameter(weight.new_empty(rank, columns))
        self.up = nn.Parameter(weight.new_zeros(rows, rank))
        bound = 1 / math.sqrt(columns)
        nn.init.uniform_(self.down, -bound, bound)

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.scale * (self.up @ self.down).view_as(weight)


def adapt(model: M, adapters: Adapters) -> M:
    """Let a model be trained by adapters; it stays frozen otherwise, and computes what it did.

    Raises
    ------
    ParameterError
        If it has adapters already, or there is nothing to adapt.
    """
    if model.adapters is not None:
        raise ParameterError(
            "this model has adapters: merge them into its weights (lorentzoo.merge_adapters) before it gets others"
        )
    head, frozen = find_part(model, "head"), model.frozen_names()
    body = [name for name, _ in model.named_parameters() if not head.holds(name) and name not in frozen]
    chosen = [name for name in body if _is_chosen(model, name, adapters)]
    if not chosen:
        raise ParameterError(f"there is nothing that {adapters} could adapt in this {type(model).__name__}")
    if isinstance(adapters, LowRank):
        for name in chosen:
            module, own = _holder(model, name)
            update = _Update(getattr(module, own), adapters.rank, adapters.scale)
            parametrize.register_parametrization(module, own, update)
        model.stand_in(frozenset(body), adapters)
    else:
        model.stand_in(frozenset(body) - frozenset(chosen), adapters)
    return model


def merge_adapters(model: M) -> M:
    """Put what adapters have learned into the weights, which then train as before; of a model without any nothing."""
    settle(model, _Update)
    model.stand_in(frozenset(), None)
    return model


def copy_merged(model: M) -> M:
    """The model itself, or where it has adapters a copy with them in its weights."""
    return model if model.adapters is None else merge_adapters(copy.deepcopy(model))


def _matrix_shape(weight: Tensor) -> tuple[int, int]:
    return weight.shape[0], math.prod(weight.shape[1:])


def _holder(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    """The module that holds a parameter, and its name there."""
    path, _, own = name.rpartition(".")
    return model.get_submodule(path), own


def _is_chosen(model: nn.Module, name: str, adapters: Adapters) -> bool:
    """Whether a parameter before the head is adapted."""
    module, own = _holder(model, name)
    if isinstance(adapters, BiasOnly):
        return own.endswith("bias") or _is_norm(module)
    return fnmatchcase(name, adapters.parameters) and _gains(module, getattr(module, own), adapters.rank)


def _is_norm(module: nn.Module) -> bool:
    return "norm" in type(module).__name__.lower()


def _gains(module: nn.Module, weight: Tensor, rank: int) -> bool:
    """Whether a parameter is a matrix that two of this rank are smaller than."""
    if weight.ndim < 2 or not weight.requires_grad or _is_norm(module) or parametrize.is_parametrized(module):
        return False
    rows, columns = _matrix_shape(weight)
    return rank * (rows + columns) < rows * columns

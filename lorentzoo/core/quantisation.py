"""How do weights become integers, and learn to be such?

Every row of a matrix, one channel of its output, is w = n s with integers |n| < 2^(b-1) and one scale s. Scales have
sixteen significant bits, so that products of b ≤ 8 are exact in float32: weights that lie on the grid say themselves what
their integers and scales are, to the last bit. Matrices of equivariant maps hold the numbers that the Lorentz group
leaves free (arXiv:2411.00446, arXiv:2512.17011), and any of them commute with it: so do rounded ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Final, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lorentzoo.core.errors import ParameterError
from lorentzoo.core.freezing import plain_name
from lorentzoo.core.parametrised import settle
from lorentzoo.core.trainable import Trainable

__all__ = [
    "Int4",
    "Int8",
    "Quantisation",
    "begin_quantised",
    "choose_matrices",
    "end_quantised",
    "find_integers",
    "quantise",
    "round_rows",
]

M = TypeVar("M", bound=Trainable)
_SIGNIFICANT: Final = 16
"""Bits of a scale: with seven of an integer they fit into the 24 of float32."""


@dataclass(frozen=True)
class Quantisation:
    """Which numbers of a model are rounded, and to how many bits.

    Parameters
    ----------
    activations
        Bits of what enters linear maps, row by row with a scale of its own; None leaves it as it is. Of maps of scalars
        and vectors the scalars are rounded: components of vectors are not invariant. What enters maps that are applied in
        parts (on pairs of particles in GraphNet and in learned frames, say) is not.
    parameters
        Glob of the names of the matrices that are rounded.

    Raises
    ------
    ValueError
        If activations have less than 2 bits or more than 8.
    """

    bits: ClassVar[int]
    activations: int | None = None
    parameters: str = "*"

    def __post_init__(self) -> None:
        if self.activations is not None and not 2 <= self.activations <= 8:
            raise ValueError(f"activations have 2 to 8 bits, not {self.activations}")


@dataclass(frozen=True)
class Int8(Quantisation):
    """Integers from -127 to 127."""

    bits: ClassVar[int] = 8


@dataclass(frozen=True)
class Int4(Quantisation):
    """Integers from -7 to 7."""

    bits: ClassVar[int] = 4


class _Rounded(nn.Module):
    """The weight on its grid, with the gradient of the weight itself (straight-through, arXiv:1308.3432)."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits

    def forward(self, weight: Tensor) -> Tensor:
        return _pass_through(weight, round_rows(weight, self.bits))


class _RoundInputs:
    """Rounds the invariants that a linear map is given, row by row; a hook of its module."""

    def __init__(self, bits: int) -> None:
        self.bits = bits

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        given, *others = inputs
        if isinstance(given, Tensor):
            # Anything but torch's own map may have vectors in a plain tensor.
            return (self._round(given), *others) if isinstance(module, nn.Linear) else inputs
        if not isinstance(getattr(given, "scalars", None), Tensor):
            return inputs
        return (given._replace(scalars=self._round(given.scalars)), *others)

    def _round(self, x: Tensor) -> Tensor:
        if not x.shape[-1]:
            return x
        most = 2 ** (self.bits - 1) - 1
        scale = x.detach().abs().amax(-1, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny) / most
        return _pass_through(x, torch.round(x / scale) * scale)


def quantise(model: M, quantisation: Quantisation | None) -> M:
    """Round the weights of a model to integers times scales, in place; None ends that its weights are such.

    Raises
    ------
    ParameterError
        If it has adapters, is neither in float32 nor in float64, or no matrix is chosen.
    """
    if quantisation is None:
        _let_go(model)
        model.quantisation = None
        return model
    return end_quantised(begin_quantised(model, quantisation))


def begin_quantised(model: M, quantisation: Quantisation) -> M:
    """Let a model compute with rounded weights, whose gradients are those of the weights behind them.

    Raises
    ------
    ParameterError
        See `quantise`.
    """
    if model.adapters is not None:
        raise ParameterError(
            "this model has adapters: merge them (lorentzoo.merge_adapters) before it is quantised"
        )
    if model.dtype not in (torch.float32, torch.float64):
        raise ParameterError(f"models are quantised from float32 or float64, not from {model.dtype}")
    names = choose_matrices(model, quantisation)
    _let_go(model)
    for name in names:
        path, _, own = name.rpartition(".")
        parametrize.register_parametrization(model.get_submodule(path), own, _Rounded(quantisation.bits))
    if quantisation.activations is not None:
        for path in dict.fromkeys(name.rpartition(".")[0] for name in names):
            model.get_submodule(path).register_forward_pre_hook(_RoundInputs(quantisation.activations))
    model.quantisation = quantisation
    return model


def end_quantised(model: M) -> M:
    """Put rounded weights in the place of those behind them."""

    def rounded(module: nn.Module, name: str) -> Tensor:
        return round_rows(module.get_parameter(f"parametrizations.{name}.original"), model.quantisation.bits)

    settle(model, _Rounded, rounded)
    return model


def choose_matrices(model: Trainable, quantisation: Quantisation) -> list[str]:
    """Names of the matrices that are rounded, in order: weights of maps, not those of norms, tokens and tables.

    Raises
    ------
    ParameterError
        If there are none.
    """
    found = []
    for name, parameter in model.named_parameters():
        plain = plain_name(name)
        path, _, own = plain.rpartition(".")
        matrix = parameter.ndim >= 2 and parameter.numel() > 0 and own.endswith("weight")
        norm = "norm" in type(model.get_submodule(path)).__name__.lower()
        if matrix and not norm and fnmatchcase(plain, quantisation.parameters):
            found.append(plain)
    if not found:
        raise ParameterError(
            f"no matrix of this {type(model).__name__} has a name like {quantisation.parameters!r}; names are those of "
            "model.named_parameters()"
        )
    return found


def round_rows(weight: Tensor, bits: int) -> Tensor:
    """The nearest weights on the grid, (R, ...) -> (R, ...); those on it stay as they are."""
    integers, scales = _divide(weight.detach(), bits)
    return integers * scales


def find_integers(weight: Tensor, bits: int) -> tuple[Tensor, Tensor] | None:
    """Integers (R, ...) as int8 and scales (R,) of weights on the grid; None where they do not lie on it."""
    integers, scales = _divide(weight.detach(), bits)
    if not torch.equal(integers * scales, weight.detach()):
        return None
    return integers.to(torch.int8), scales.flatten()


def _divide(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Integers (R, ...) and scales (R, 1, ...), both in the weight's type."""
    most = 2 ** (bits - 1) - 1
    largest = weight.abs().flatten(1).amax(1).reshape(-1, *[1] * (weight.ndim - 1))
    mantissa, exponent = torch.frexp(largest / most)
    # Rounded up: nothing exceeds the largest integer, and the largest weight of a row has it.
    scales = torch.ldexp(
        torch.ceil(torch.ldexp(mantissa, torch.tensor(_SIGNIFICANT))), exponent - _SIGNIFICANT
    )
    scales = torch.where(scales > 0, scales, torch.ones_like(scales))
    return torch.round(weight / scales), scales


def _pass_through(x: Tensor, rounded: Tensor) -> Tensor:
    """Rounded numbers with the gradient of those given; exact, as both are within a factor of two or one is zero."""
    return x + (rounded - x).detach()


def _let_go(model: Trainable) -> None:
    """Take hooks off."""
    for module in model.modules():
        for key, hook in list(module._forward_pre_hooks.items()):
            if isinstance(hook, _RoundInputs):
                del module._forward_pre_hooks[key]
